package gateway

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// Headers of IPv4 (RFC 791, 3.1) and UDP (RFC 768).
const (
	inetHead   = 20
	packetHead = inetHead + 8
	mostPacket = 1<<16 - 1

	usualPacket = 2 << 10
)

var (
	usualPackets = sync.Pool{New: func() any { return new([usualPacket]byte) }}
	longPackets  = sync.Pool{New: func() any { return new([mostPacket]byte) }}
)

// udpSocket is the platform's raw socket for the program's datagrams.
type udpSocket struct {
	file *os.File
	fd   int

	mu     sync.RWMutex // held while fd is written to
	closed bool
}

func (u *udpSocket) open() error {
	fd, err := transparent(syscall.SOCK_RAW, syscall.IPPROTO_UDP)
	if err != nil {
		return err
	}
	u.fd, u.file = fd, os.NewFile(uintptr(fd), "gateway")
	return nil
}

func (u *udpSocket) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	_ = u.file.Close()
}

// write never waits: what finds no room is lost. It does not use os.File, whose errors are allocated.
func (u *udpSocket) write(b []byte) error {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if u.closed {
		return ErrClosed
	}
	_, err := syscall.Write(u.fd, b)
	if err == syscall.ECONNREFUSED {
		return ErrRefused
	}
	return err
}

// readUDP sends the program's datagrams to the transport until the socket is closed.
func (g *Gateway) readUDP() error {
	b := make([]byte, mostPacket)
	for {
		n, err := g.udp.file.Read(b)
		if err != nil {
			return err
		}
		src, dst, payload, ok := parse(b[:n])
		if ok && isUnicast(dst.Addr()) {
			_ = g.config.Transport.SendUDP(src, dst, payload)
		}
	}
}

// parse takes a packet of the platform apart.
func parse(b []byte) (src, dst netip.AddrPort, payload []byte, ok bool) {
	if len(b) < packetHead || b[0] != 0x45 || b[9] != syscall.IPPROTO_UDP {
		return src, dst, nil, false
	}
	src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(b[20:]))
	dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(b[22:]))
	return src, dst, b[packetHead:], true
}

// compose writes a packet for the platform to b, which has room, and returns its length.
func compose(b []byte, src, dst netip.AddrPort, payload []byte) int {
	clear(b[:packetHead])
	n := packetHead + copy(b[packetHead:], payload)
	b[0], b[8], b[9] = 0x45, 64, syscall.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	from, to := src.Addr().As4(), dst.Addr().As4()
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	binary.BigEndian.PutUint16(b[20:], src.Port())
	binary.BigEndian.PutUint16(b[22:], dst.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(n-inetHead))
	return n
}

// DeliverUDP gives a datagram from outside, src, to the program's socket at dst, one of the container's addresses. It is lost
// when that socket has no room. It does not keep the payload, and never waits.
func (g *Gateway) DeliverUDP(src, dst netip.AddrPort, payload []byte) error {
	src, dst = unmap(src), unmap(dst)
	if !g.mayCome(src, dst) || len(payload) > mostPacket-packetHead {
		return ErrAddress
	}
	if len(payload) <= usualPacket-packetHead {
		b := usualPackets.Get().(*[usualPacket]byte)
		defer usualPackets.Put(b)
		return g.udp.write(b[:compose(b[:], src, dst, payload)])
	}
	b := longPackets.Get().(*[mostPacket]byte)
	defer longPackets.Put(b)
	return g.udp.write(b[:compose(b[:], src, dst, payload)])
}

package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	frames "gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	ip4 "gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

var (
	lossyMAC  = []byte{2, 0, 0, 0, 0, 10}
	lossyAddr = tcpip.AddrFrom4([4]byte{10, 0, 2, 78})
)

const bulkPort = 9

// lossy is a computer at a machine's cable, with gVisor's TCP/IP, which loses some of what the client in test/programs/bulk sends it.
type lossy struct {
	*stack.Stack
	link *channel.Endpoint

	mu     sync.Mutex
	begun  bool
	top    uint32 // behind the last byte that came
	acked  uint32 // the last that gVisor acknowledged
	atLast uint32 // what it had acknowledged when the last segment came again
	n      int    // segments that came for the first time
	lost   int    // of those, and of what never came
	again  int    // came again
	beside int    // of those, without an acknowledgement of more since the one before: both are repairs of one round trip
}

func newLossy(t *testing.T, w *wire) *lossy {
	t.Helper()
	l := &lossy{link: channel.New(1<<12, 1514, tcpip.LinkAddress(lossyMAC))}
	l.Stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ip4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := l.CreateNIC(1, frames.New(l.link)); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: ip4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: lossyAddr, PrefixLen: 24}}
	if err := l.AddProtocolAddress(1, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	l.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	sack := tcpip.TCPSACKEnabled(true)
	l.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pkt := l.link.ReadContext(ctx); pkt != nil; pkt = l.link.ReadContext(ctx) {
			v := pkt.ToView()
			l.sends(v.AsSlice())
			w.send(v.AsSlice())
			v.Release()
			pkt.DecRef()
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		l.Destroy()
	})
	return l
}

// segmentOf is what a frame has of TCP.
func segmentOf(f []byte) (s header.TCP, ok bool) {
	if len(f) < 14+header.IPv4MinimumSize || f[12] != 8 || f[13] != 0 {
		return nil, false
	}
	if ip := header.IPv4(f[14:]); ip.IsValid(len(f)-14) && ip.Protocol() == uint8(header.TCPProtocolNumber) {
		s = header.TCP(ip.Payload())
	}
	return s, len(s) >= header.TCPMinimumSize && int(s.DataOffset()) >= header.TCPMinimumSize && int(s.DataOffset()) <= len(s)
}

// sends notes what gVisor says.
func (l *lossy) sends(f []byte) {
	if s, ok := segmentOf(f); ok && s.Flags().Contains(header.TCPFlagAck) {
		l.mu.Lock()
		l.acked = s.AckNumber()
		l.mu.Unlock()
	}
}

// deliver is a frame that comes out of the cable, wherever it goes.
func (l *lossy) deliver(f []byte) {
	if len(f) < 14 || !bytes.Equal(f[:6], lossyMAC) && !bytes.Equal(f[:6], everybodyMAC) {
		return
	}
	if s, ok := segmentOf(f); ok && s.DestinationPort() == bulkPort && len(s.Payload()) != 0 && l.loses(s) {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(bytes.Clone(f))})
	l.link.InjectInbound(0, pkt)
	pkt.DecRef()
}

// loses decides on a segment with data: of 128 that come for the first time two next to each other are lost, and one more.
func (l *lossy) loses(s header.TCP) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, n := s.SequenceNumber(), uint32(len(s.Payload()))
	if !l.begun {
		l.begun, l.top = true, seq
	}
	if int32(seq-l.top) < 0 {
		l.again++
		if l.acked == l.atLast {
			l.beside++
		}
		l.atLast = l.acked
		return false
	}
	l.lost += int(seq-l.top+1447) / 1448 // this computer lost it
	l.top = seq + n
	l.n++
	lose := l.n%128 == 60 || l.n%128 == 61 || l.n%128 == 64
	if lose {
		l.lost++
	}
	return lose
}

// serve is test/programs/bulk's protocol for its client: it takes what is put and answers with the checksum, and gives what is asked for.
func (l *lossy) serve(t *testing.T) {
	t.Helper()
	listener, err := gonet.ListenTCP(l.Stack, tcpip.FullAddress{NIC: 1, Port: bulkPort}, ip4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for answer(c) == nil {
				}
			}()
		}
	}()
}

// answer does one thing that a client asks for.
func answer(c net.Conn) error {
	var request [9]byte
	if _, err := io.ReadFull(c, request[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint64(request[1:]))
	if request[0] == 'g' {
		b := make([]byte, 128<<10)
		for i := range b {
			b[i] = byte(i*7 + i>>8*3)
		}
		for ; n > 0; n -= int64(len(b)) {
			if _, err := c.Write(b[:min(n, int64(len(b)))]); err != nil {
				return err
			}
		}
		return nil
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.CopyN(sum, c, n); err != nil {
		return err
	}
	return binary.Write(c, binary.BigEndian, sum.Sum32())
}

// repaired says what is wrong with how it was repaired. The emulated machine may be slow enough for time-outs, so that not each segment comes
// again just once.
func (l *lossy) repaired() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost < 50 || l.again < l.lost*9/10 || l.again > 2*l.lost {
		return fmt.Errorf("of %d segments %d were lost, and %d came again", l.n, l.lost, l.again)
	}
	if l.beside < l.again/8 {
		return fmt.Errorf("of %d segments that came again only %d were sent in the round trip of another", l.again, l.beside)
	}
	return nil
}

func (l *lossy) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("of %d segments %d were lost; %d came again, %d of them in the round trip of another", l.n, l.lost, l.again, l.beside)
}

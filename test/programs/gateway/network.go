package main

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// network is what the gateway takes for the outside. Its connections are pairs of the loopback interface.
type network struct {
	dials     chan dial
	datagrams chan datagram
}

// dial is a connection that the program made.
type dial struct {
	local, remote netip.AddrPort
	conn          *net.TCPConn
	ctx           context.Context
}

type datagram struct {
	src, dst netip.AddrPort
	payload  string
}

// Ports outside that do not answer.
var broken = map[uint16]syscall.Errno{
	1: syscall.ECONNREFUSED, 2: syscall.ETIMEDOUT, 3: syscall.EHOSTUNREACH, 4: syscall.ENETUNREACH, 5: syscall.EHOSTUNREACH,
}

// silent is a port that never answers.
const silent = 6

func (n *network) DialTCP(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	if remote.Port() == silent {
		n.dials <- dial{local: local, remote: remote, ctx: ctx}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if remote.Port() == 5 {
		return nil, io.ErrUnexpectedEOF
	}
	if e := broken[remote.Port()]; e != 0 {
		return nil, e
	}
	a, b, err := pair()
	if err != nil {
		return nil, err
	}
	n.dials <- dial{local: local, remote: remote, conn: b}
	return a, nil
}

func (n *network) SendUDP(src, dst netip.AddrPort, payload []byte) error {
	n.datagrams <- datagram{src, dst, string(payload)}
	return nil
}

var (
	pairs     sync.Mutex
	pairsFrom net.Listener
)

func pair() (a, b *net.TCPConn, err error) {
	pairs.Lock()
	defer pairs.Unlock()
	if pairsFrom == nil {
		if pairsFrom, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
	}
	c, err := net.Dial("tcp", pairsFrom.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	d, err := pairsFrom.Accept()
	if err != nil {
		return nil, nil, err
	}
	return c.(*net.TCPConn), d.(*net.TCPConn), nil
}

// come makes a connection from outside, and returns the end that is there.
func come(remote, local netip.AddrPort) (*net.TCPConn, error) {
	opened := make(chan *net.TCPConn, 1)
	failed := make(chan error, 1)
	go func() {
		failed <- gate.AcceptTCP(remote, local, func() (net.Conn, error) {
			a, b, err := pair()
			if err != nil {
				return nil, err
			}
			opened <- b
			return a, nil
		})
	}()
	select {
	case c := <-opened:
		return c, nil
	case err := <-failed:
		return nil, err
	}
}

// connected makes a connection to the outside, and returns both ends.
func connected(port uint16) (program, remote *net.TCPConn, err error) {
	c, err := net.Dial("tcp", netip.AddrPortFrom(stranger, port).String())
	if err != nil {
		return nil, nil, err
	}
	return c.(*net.TCPConn), (<-outside.dials).conn, nil
}

func from(port uint16) netip.AddrPort { return netip.AddrPortFrom(stranger, port) }
func to(port uint16) netip.AddrPort   { return netip.AddrPortFrom(own, port) }

func discard(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }

package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Request is somebody's wish for a connection, on any port. It is not answered before Accept or Reject.
type Request struct {
	Remote, Local netip.AddrPort

	stack   *Stack
	request *tcp.ForwarderRequest
	done    bool
}

// HandleTCP calls h for each wish for a connection, in a goroutine of its own. What h has neither accepted nor rejected when it
// returns is rejected. nil rejects all, as if nobody listened. Beyond Config.InFlight wishes that h has not decided about,
// others are ignored: who wishes asks again.
func (s *Stack) HandleTCP(h func(*Request)) {
	if h == nil {
		s.tcp.Store(nil)
		return
	}
	s.tcp.Store(&h)
}

// forwarder is what gVisor calls for packets of no connection.
func (s *Stack) forwarder() func(stack.TransportEndpointID, *stack.PacketBuffer) bool {
	f := tcp.NewForwarder(s.stack, startBuffer, s.config.InFlight, func(r *tcp.ForwarderRequest) {
		id := r.ID()
		request := &Request{
			Remote:  netip.AddrPortFrom(netip.AddrFrom4(id.RemoteAddress.As4()), id.RemotePort),
			Local:   netip.AddrPortFrom(netip.AddrFrom4(id.LocalAddress.As4()), id.LocalPort),
			stack:   s,
			request: r,
		}
		defer request.Reject()
		if h := s.tcp.Load(); h != nil && !s.closed.Load() {
			(*h)(request)
		}
	})
	return func(id stack.TransportEndpointID, p *stack.PacketBuffer) bool {
		return s.tcp.Load() != nil && f.HandlePacket(id, p)
	}
}

// Accept establishes the connection. It waits for the other side, and says with an error that it did not come. The connection also
// has the methods CloseRead, CloseWrite and Abort.
//
// Preconditions: neither Accept nor Reject was called.
func (r *Request) Accept() (net.Conn, error) {
	if r.done {
		return nil, fmt.Errorf("netstack: the connection from %v was accepted or rejected before", r.Remote)
	}
	r.done = true
	var queue waiter.Queue
	ep, err := r.request.CreateEndpoint(&queue)
	if err != nil {
		r.request.Complete(true)
		return nil, r.stack.failed("accept", r.Local, r.Remote, err)
	}
	r.request.Complete(false)
	return &conn{gonet.NewTCPConn(&queue, ep), ep}, nil
}

// conn is a connection.
type conn struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
}

// Abort resets the connection: what was not sent is lost, and the other side gets to know. Close is still to be called.
func (c *conn) Abort() { c.ep.Abort() }

// Reject refuses the connection, if it was not decided about before.
func (r *Request) Reject() {
	if !r.done {
		r.done = true
		r.request.Complete(true)
	}
}

// DialTCP connects to remote; from local, of which address and port may be zero. The connection also has the methods CloseRead,
// CloseWrite and Abort. Errors are those of package net, with the errors of system calls that Linux would give.
func (s *Stack) DialTCP(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	var queue waiter.Queue
	ep, err := s.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, s.failed("dial", local, remote, err)
	}
	entry, writable := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	if err = s.connect(ep, local, remote); err == nil {
		if s.closed.Load() { // perhaps after Serve ended all connections: nobody would end this one
			ep.Abort()
			return nil, ErrClosed
		}
		select {
		case <-ctx.Done():
			ep.Abort()
			return nil, opError("dial", local, remote, ctx.Err())
		case <-writable:
			err = ep.LastError()
		}
	}
	if err != nil {
		ep.Close()
		return nil, s.failed("dial", local, remote, err)
	}
	return &conn{gonet.NewTCPConn(&queue, ep), ep}, nil
}

// connect begins to connect.
func (s *Stack) connect(ep tcpip.Endpoint, local, remote netip.AddrPort) tcpip.Error {
	to, ok := fullAddress(remote)
	if !ok || to.Addr.Unspecified() {
		return &tcpip.ErrAddressFamilyNotSupported{}
	}
	from, ok := fullAddress(local)
	if !ok || from.NIC != 0 && from.Addr != s.address { // gVisor would find out later, and say something else
		return &tcpip.ErrBadLocalAddress{}
	}
	if from != (tcpip.FullAddress{}) {
		if err := ep.Bind(from); err != nil {
			return err
		}
	}
	err := ep.Connect(to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		return nil
	}
	return err
}

// fullAddress is an address as gVisor has it. An unspecified one is no address.
func fullAddress(a netip.AddrPort) (tcpip.FullAddress, bool) {
	if !a.Addr().IsValid() {
		return tcpip.FullAddress{Port: a.Port()}, true
	}
	if addr := a.Addr().Unmap(); addr.Is4() {
		full := tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(addr.As4()), Port: a.Port()}
		if addr.IsUnspecified() {
			full = tcpip.FullAddress{Port: a.Port()}
		}
		return full, true
	}
	return tcpip.FullAddress{}, false
}

// failed says what became of an attempt in the words of package net.
func (s *Stack) failed(op string, local, remote netip.AddrPort, err tcpip.Error) error {
	if s.closed.Load() {
		return opError(op, local, remote, ErrClosed)
	}
	if n := errno(err); n != 0 {
		return opError(op, local, remote, os.NewSyscallError("connect", n))
	}
	return opError(op, local, remote, errors.New(err.String()))
}

func opError(op string, local, remote netip.AddrPort, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: err}
	if local.IsValid() {
		e.Source = net.TCPAddrFromAddrPort(local)
	}
	return e
}

// errno is the error of a system call that says the same; 0 when there is none.
func errno(err tcpip.Error) syscall.Errno {
	switch err.(type) {
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrConnectionAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable, *tcpip.ErrHostDown:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	case *tcpip.ErrPortInUse:
		return syscall.EADDRINUSE
	case *tcpip.ErrBadLocalAddress, *tcpip.ErrNoPortAvailable:
		return syscall.EADDRNOTAVAIL
	case *tcpip.ErrAddressFamilyNotSupported:
		return syscall.EAFNOSUPPORT
	}
	return 0
}

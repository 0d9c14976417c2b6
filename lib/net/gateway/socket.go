package gateway

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Options that only nom's platform has; see metal/platform/socket_gateway.go.
const (
	ipOwnAddresses = 200
	ipPeerGone     = 201
)

// socket is a stream of the platform. Goroutines that wait for it park in Go's poller, because it does not block.
type socket struct {
	file *os.File
	raw  syscall.RawConn

	// Of receive, which one goroutine calls.
	buffer *[]byte
	n      int
	failed error
	step   func(fd uintptr) bool
}

func newSocket(fd int) (*socket, error) {
	s := &socket{file: os.NewFile(uintptr(fd), "gateway")}
	var err error
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	s.step = s.tryReceive
	return s, nil
}

// transparent returns a new descriptor that stands for the outside.
func transparent(kind, proto int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, kind|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TRANSPARENT, 1); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	return fd, nil
}

// listenOutside returns what accepts the program's connections to addresses other than the given ones.
func listenOutside(own []netip.Addr) (*socket, error) {
	fd, err := transparent(syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, a := range own {
		all = append(all, a.AsSlice()...)
	}
	err = syscall.Bind(fd, &syscall.SockaddrInet4{})
	if err == nil {
		err = syscall.SetsockoptString(fd, syscall.IPPROTO_IP, ipOwnAddresses, string(all))
	}
	if err == nil {
		err = syscall.Listen(fd, 4096)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return newSocket(fd)
}

// connectFrom connects somebody outside to what listens in the program.
func connectFrom(remote, local netip.AddrPort) (*socket, error) {
	fd, err := transparent(syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Bind(fd, sockaddr(remote)); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	err = syscall.Connect(fd, sockaddr(local))
	if err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	s, newErr := newSocket(fd)
	if newErr != nil {
		return nil, newErr
	}
	if err == nil {
		return s, nil
	}
	if err := s.waitConnected(); err != nil {
		s.Abort()
		return nil, err
	}
	return s, nil
}

// waitConnected waits until the listener's queue has room.
func (s *socket) waitConnected() error {
	if err := s.file.SetWriteDeadline(time.Now().Add(acceptTimeout)); err != nil {
		return err
	}
	defer s.file.SetWriteDeadline(time.Time{})
	var failed error
	err := s.raw.Write(func(fd uintptr) bool {
		v, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err == nil && v != 0 {
			err = syscall.Errno(v)
		}
		if failed = err; err != nil {
			return true
		}
		_, err = syscall.Getpeername(int(fd))
		return err == nil
	})
	return errors.Join(err, failed)
}

func sockaddr(a netip.AddrPort) *syscall.SockaddrInet4 {
	return &syscall.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// accept takes the next connection.
func (s *socket) accept() (*socket, error) {
	child := -1
	var failed error
	err := s.raw.Read(func(fd uintptr) bool {
		child, _, failed = syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		return failed != syscall.EAGAIN && failed != syscall.EINTR
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	return newSocket(child)
}

// names returns the two addresses of s, as far as they are of IPv4.
func (s *socket) names() (own, peer netip.AddrPort, err error) {
	var a, b syscall.Sockaddr
	var failedA, failedB error
	err = s.raw.Control(func(fd uintptr) {
		a, failedA = syscall.Getsockname(int(fd))
		b, failedB = syscall.Getpeername(int(fd))
	})
	if err = errors.Join(err, failedA, failedB); err != nil {
		return own, peer, err
	}
	a4, ok := a.(*syscall.SockaddrInet4)
	b4, okB := b.(*syscall.SockaddrInet4)
	if !ok || !okB {
		return own, peer, syscall.EAFNOSUPPORT
	}
	return addrPort(a4), addrPort(b4), nil
}

func addrPort(a *syscall.SockaddrInet4) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
}

// decide completes the connection for which s was accepted, or fails it.
func (s *socket) decide(e syscall.Errno) error {
	var failed error
	err := s.raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR, int(e))
	})
	return errors.Join(err, failed)
}

// waitEvent waits until there is something to read, be it an end or an error. It returns an error when wake was called.
func (s *socket) waitEvent() error {
	var b [1]byte
	return s.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
}

// wake ends what waits for something to read; sleep lets others wait again.
func (s *socket) wake()  { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }
func (s *socket) sleep() { _ = s.file.SetReadDeadline(time.Time{}) }

// waitGone waits until the program does not hold the other end any more, or wake is called.
func (s *socket) waitGone() error {
	return s.raw.Read(peerGone)
}

// isGone tells whether the program does not hold the other end any more.
func (s *socket) isGone() bool {
	gone := false
	_ = s.raw.Control(func(fd uintptr) { gone = peerGone(fd) })
	return gone
}

func peerGone(fd uintptr) bool {
	v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, ipPeerGone)
	return err == nil && v != 0
}

// receive waits for bytes, and takes a large buffer only when there are some.
func (s *socket) receive() (*[]byte, int, error) {
	s.buffer, s.n, s.failed = nil, 0, nil
	err := s.raw.Read(s.step)
	if err == nil {
		err = s.failed
	}
	if err == nil && s.n == 0 {
		err = io.EOF
	}
	b := s.buffer
	s.buffer = nil
	if err != nil && b != nil {
		large.Put(b)
		return nil, 0, err
	}
	return b, s.n, err
}

// tryReceive tells whether it is known now what receive returns.
func (s *socket) tryReceive(fd uintptr) bool {
	b := large.Get().(*[]byte)
	n, err := syscall.Read(int(fd), *b)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), *b)
	}
	if err == syscall.EAGAIN {
		large.Put(b)
		return false
	}
	s.buffer, s.n, s.failed = b, n, err
	return true
}

func (s *socket) Write(b []byte) (int, error) { return s.file.Write(b) }

// CloseWrite says that no more bytes come.
func (s *socket) CloseWrite() error {
	var failed error
	err := s.raw.Control(func(fd uintptr) { failed = syscall.Shutdown(int(fd), syscall.SHUT_WR) })
	return errors.Join(err, failed)
}

// Abort resets the connection.
func (s *socket) Abort() {
	_ = s.raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
	s.Close()
}

func (s *socket) Close() { _ = s.file.Close() }

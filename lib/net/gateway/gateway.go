package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Transport is the outside. Its methods may be called by many goroutines at once.
type Transport interface {
	// DialTCP connects from one of the container's addresses to one of others. The port of local is that of the program's socket;
	// the transport may use another. An error that has a syscall.Errno in its chain is what the program gets, if connect(2) may
	// say so; one that is a time-out is ETIMEDOUT, and any other EHOSTUNREACH. A connection should have CloseWrite() error, without
	// which the end of the program's data closes it, and one of Abort() and SetLinger(int) error, so that it can be reset.
	// *net.TCPConn has both.
	DialTCP(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error)

	// SendUDP sends a datagram, or loses it. It must not keep the payload. Nobody looks at the error.
	SendUDP(src, dst netip.AddrPort, payload []byte) error
}

// Config says what a gateway does.
type Config struct {
	Addresses   []netip.Addr // the container's own: at least one, 8 at most, all of IPv4
	Transport   Transport
	MaxInbound  int           // connections from outside at a time; 0 is DefaultMax
	MaxOutbound int           // connections to the outside at a time; 0 is DefaultMax
	DialTimeout time.Duration // how long DialTCP may take; 0 is DefaultDialTimeout

	// OrphanTimeout is how long the outside may leave a connection open that the program closed, or, twice that, take nothing of
	// what the program sent before; 0 is DefaultOrphanTimeout.
	OrphanTimeout time.Duration
}

const (
	// DefaultMax is how many connections there are at a time in each direction, unless Config says so.
	DefaultMax = 8192

	// DefaultDialTimeout is how long an attempt to connect takes, as on Linux.
	DefaultDialTimeout = 127 * time.Second

	// acceptTimeout is how long a program may leave a connection from outside in a queue that is full.
	acceptTimeout = 30 * time.Second

	// DefaultOrphanTimeout is tcp_fin_timeout of Linux.
	DefaultOrphanTimeout = 60 * time.Second
)

// Errors of AcceptTCP and DeliverUDP.
var (
	// ErrRefused means that nobody in the program receives on the port: answer with a reset, or with ICMP's port unreachable.
	ErrRefused = errors.New("gateway: connection refused")
	// ErrBusy means that there are as many connections as there may be.
	ErrBusy = errors.New("gateway: too many connections")
	// ErrAddress means that what came has addresses with which nothing may come from outside: answer nothing.
	ErrAddress = errors.New("gateway: bad address")
	// ErrClosed means that the gateway has ended.
	ErrClosed = errors.New("gateway: closed")
)

// Gateway is what stands between a program's sockets and a transport.
type Gateway struct {
	config            Config
	listener          *socket
	udp               udpSocket
	inbound, outbound atomic.Int64

	mu     sync.Mutex
	closed bool
	relays map[*relay]struct{}
}

// New makes the program's sockets reach the transport. Serve must be called then. There can be one gateway at a time.
func New(config Config) (*Gateway, error) {
	if config.Transport == nil || len(config.Addresses) == 0 || len(config.Addresses) > 8 {
		return nil, errors.New("gateway: no transport, or no addresses, or too many")
	}
	config.Addresses = append([]netip.Addr(nil), config.Addresses...)
	for i, a := range config.Addresses {
		config.Addresses[i] = a.Unmap()
		if !isUnicast(config.Addresses[i]) {
			return nil, fmt.Errorf("gateway: %v cannot be the container's address", a)
		}
	}
	setDefault(&config.MaxInbound, DefaultMax)
	setDefault(&config.MaxOutbound, DefaultMax)
	setDefault(&config.DialTimeout, DefaultDialTimeout)
	setDefault(&config.OrphanTimeout, DefaultOrphanTimeout)
	g := &Gateway{config: config, relays: map[*relay]struct{}{}}
	var err error
	if g.listener, err = listenOutside(config.Addresses); err != nil {
		return nil, fmt.Errorf("gateway: listening for connections to the outside: %w", err)
	}
	if err := g.udp.open(); err != nil {
		g.listener.Close()
		return nil, fmt.Errorf("gateway: opening the socket for datagrams: %w", err)
	}
	return g, nil
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Serve moves bytes until ctx ends. Then it resets all connections, and the program's sockets reach nothing any more.
func (g *Gateway) Serve(ctx context.Context) error {
	var work sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	work.Go(func() { cancel(g.acceptOutbound(ctx, &work)) })
	work.Go(func() { cancel(g.readUDP()) })
	work.Go(func() { g.sweep(ctx) })
	<-ctx.Done()
	err := context.Cause(ctx)
	g.close()
	work.Wait()
	return err
}

// close ends everything.
func (g *Gateway) close() {
	g.listener.Close()
	g.udp.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for r := range g.relays {
		r.abort()
	}
}

// sweep resets connections that nobody in the program waits for and the outside does not let end.
func (g *Gateway) sweep(ctx context.Context) {
	tick := time.NewTicker(g.config.OrphanTimeout)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.mu.Lock()
		for r := range g.relays {
			if r.isStuck() {
				r.abort()
			}
		}
		g.mu.Unlock()
	}
}

// enter notes a relay, unless the gateway has ended.
func (g *Gateway) enter(r *relay) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.relays[r] = struct{}{}
	return true
}

func (g *Gateway) leave(r *relay) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.relays, r)
}

// relay moves bytes between the program and the outside until the connection has ended.
func (g *Gateway) relay(program *socket, outside net.Conn) {
	r := newRelay(program, outside, g.config.OrphanTimeout)
	if !g.enter(r) {
		r.abort()
		return
	}
	defer g.leave(r)
	r.run()
}

// isOwn tells whether a is one of the container's addresses.
func (g *Gateway) isOwn(a netip.Addr) bool {
	for _, own := range g.config.Addresses {
		if own == a {
			return true
		}
	}
	return false
}

// isUnicast tells whether a may be the address of one computer on a network of IPv4.
func isUnicast(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	first := a.As4()[0]
	return first != 0 && first != 127 && first < 224
}

// mayCome tells whether something from src to dst may come from outside.
func (g *Gateway) mayCome(src, dst netip.AddrPort) bool {
	return isUnicast(src.Addr()) && src.Port() != 0 && !g.isOwn(src.Addr()) && g.isOwn(dst.Addr())
}

// AcceptTCP is for a connection that somebody outside, remote, wants with one of the container's addresses, local. When something
// in the program listens there, it calls open, which completes the handshake, and returns when the connection has ended; so it
// needs a goroutine of its own. When nothing does, or there are too many, it returns an error and does not call open.
func (g *Gateway) AcceptTCP(remote, local netip.AddrPort, open func() (net.Conn, error)) error {
	remote, local = unmap(remote), unmap(local)
	if !g.mayCome(remote, local) {
		return ErrAddress
	}
	defer g.inbound.Add(-1)
	if g.inbound.Add(1) > int64(g.config.MaxInbound) {
		return ErrBusy
	}
	program, err := connectFrom(remote, local)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case err != nil:
		return fmt.Errorf("gateway: connecting %v to the program's %v: %w", remote, local, err)
	}
	outside, err := open()
	if err != nil {
		program.Abort()
		return fmt.Errorf("gateway: the handshake of %v: %w", remote, err)
	}
	g.relay(program, outside)
	return nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// acceptRetry is how long to wait when there is no descriptor for a connection.
const acceptRetry = 10 * time.Millisecond

// acceptOutbound takes the program's connections to the outside until the listener is closed.
func (g *Gateway) acceptOutbound(ctx context.Context, work *sync.WaitGroup) error {
	for {
		program, err := g.listener.accept()
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS):
			select {
			case <-ctx.Done():
				return ErrClosed
			case <-time.After(acceptRetry):
			}
		case err != nil:
			return err
		case g.outbound.Load() >= int64(g.config.MaxOutbound):
			program.decide(syscall.ENETUNREACH)
			program.Close()
		default:
			g.outbound.Add(1)
			work.Go(func() {
				defer g.outbound.Add(-1)
				g.connectOutside(ctx, program)
			})
		}
	}
}

// connectOutside connects for the program, and moves bytes if that worked.
func (g *Gateway) connectOutside(ctx context.Context, program *socket) {
	remote, local, err := program.names()
	if err != nil {
		program.Close()
		return
	}
	outside, err := g.dial(ctx, program, local, remote)
	if err != nil {
		program.decide(toErrno(err))
		program.Close()
		return
	}
	if err := program.decide(0); err != nil { // it gave up
		abort(outside)
		program.Close()
		return
	}
	g.relay(program, outside)
}

// dial lets the transport connect until it takes too long, or the program gives up.
func (g *Gateway) dial(ctx context.Context, program *socket, local, remote netip.AddrPort) (net.Conn, error) {
	if !isUnicast(remote.Addr()) {
		return nil, syscall.ENETUNREACH
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.DialTimeout)
	defer cancel()
	var watch sync.WaitGroup
	watch.Go(func() {
		if program.waitEvent() == nil {
			cancel()
		}
	})
	outside, err := g.config.Transport.DialTCP(ctx, local, remote)
	program.wake()
	watch.Wait()
	program.sleep()
	return outside, err
}

// toErrno is what connect(2) says of an error of a transport.
func toErrno(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		switch e {
		case syscall.ECONNREFUSED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNRESET, syscall.EADDRNOTAVAIL:
			return e
		}
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return syscall.ETIMEDOUT
	}
	return syscall.EHOSTUNREACH
}

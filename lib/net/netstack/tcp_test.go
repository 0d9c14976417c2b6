package netstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// echo answers all requests for connections.
func echo(t testing.TB) func(*Request) {
	return func(r *Request) {
		c, err := r.Accept()
		if err != nil {
			t.Logf("accepting: %v", err)
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}
}

// data is n bytes that differ.
func data(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// converse sends data through an echo and compares what comes back, to the end.
func converse(c net.Conn, want []byte) error {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * limit))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", len(got), len(want), err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("got %d bytes that differ from the %d sent", len(got), len(want))
	}
	return nil
}

// TestAccept: the peer connects.
func TestAccept(t *testing.T) {
	for _, offload := range []bool{false, true} {
		c := config()
		c.Offload = offload
		s := newStation(t, c)
		p := wire(t, s, 0)
		var wrong atomic.Pointer[Request]
		s.HandleTCP(func(r *Request) {
			if r.Local != at(ourAddr, 80) || r.Remote.Addr() != peerAddr {
				wrong.Store(r)
			}
			echo(t)(r)
		})
		s.serve(t)
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				conn, err := gonet.DialContextTCP(t.Context(), p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
				if err == nil {
					err = converse(conn, data(1+i*10_000))
				}
				if err != nil {
					t.Errorf("offload %v, connection %d: %v", offload, i, err)
				}
			})
		}
		wait.Wait()
		if r := wrong.Load(); r != nil {
			t.Errorf("a request from %v for %v", r.Remote, r.Local)
		}
	}
}

// TestDial: this side connects.
func TestDial(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 0)
	s.serve(t)
	l, err := gonet.ListenTCP(p.Stack, full(at(peerAddr, 80)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	for _, local := range []netip.AddrPort{{}, at(ourAddr, 0), at(netip.IPv4Unspecified(), 4000), at(ourAddr, 4001)} {
		c, err := s.DialTCP(t.Context(), local, at(peerAddr, 80))
		if err != nil {
			t.Fatalf("from %v: %v", local, err)
		}
		from := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if from.Addr() != ourAddr || local.Port() != 0 && from.Port() != local.Port() {
			t.Errorf("bound to %v, connected from %v", local, from)
		}
		if err := converse(c, data(100_000)); err != nil {
			t.Errorf("from %v: %v", local, err)
		}
	}
}

// TestLongPackets: what is sent in bulk leaves in packets that the device cuts; without a device that inserts checksums, none is.
func TestLongPackets(t *testing.T) {
	for _, offload := range []bool{true, false} {
		t.Run(fmt.Sprint("offload=", offload), func(t *testing.T) { testLongPackets(t, offload) })
	}
}

func testLongPackets(t *testing.T, offload bool) {
	c := config()
	c.Offload = offload
	s := newStation(t, c)
	p := wire(t, s, 0)
	s.HandleTCP(echo(t))
	s.serve(t)
	const mebibytes, connections = 16, 4
	errs := make(chan error, connections)
	for range connections {
		go func() {
			conn, err := gonet.DialContextTCP(t.Context(), p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
			if err == nil {
				err = converse(conn, data(mebibytes<<20/connections))
			}
			errs <- err
		}()
	}
	for range connections {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s.halt(t)
	n, d := s.queue.Counters, s.d.Stats()
	t.Logf("%d packets to the driver, of which %d were cut into %d segments; %d frames left", n.TxFrames, n.TxCut, n.TxSegments, d.TxFrames)
	if d.TxCut != n.TxCut || d.TxFrames != n.TxFrames-n.TxCut+n.TxSegments || d.TxBad != 0 || n.TxLength != 0 || s.counters.Refused != 0 {
		t.Errorf("%+v, %+v, %+v", n, d, s.counters)
	}
	if few := n.TxFrames*3 < d.TxFrames*2; few != offload || d.TxFrames < mebibytes<<20/1460 {
		t.Errorf("%d packets for %d MiB", n.TxFrames, mebibytes)
	}
}

// TestLoss: 10 MB through a wire that loses frames, in both directions at once.
func TestLoss(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 200)
	s.HandleTCP(echo(t))
	s.serve(t)
	c, err := gonet.DialContextTCP(t.Context(), p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := converse(c, data(10<<20)); err != nil {
		t.Fatal(err)
	}
	retransmits := s.stack.Stats().TCP.Retransmits.Value() + p.Stats().TCP.Retransmits.Value()
	if retransmits == 0 {
		t.Error("nothing was lost")
	}
	t.Logf("%v, %d segments were sent again, %d packets did not fit the ring", time.Since(start), retransmits, s.Lost())
}

// TestRefused: nobody listens; the handler says no, or nothing; there is no such address.
func TestRefused(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 0)
	s.serve(t)
	for i, h := range []func(*Request){nil, (*Request).Reject, func(*Request) {}} {
		s.HandleTCP(h)
		c, err := gonet.DialContextTCP(t.Context(), p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
		if err == nil {
			c.Close()
			t.Fatalf("handler %d: connected", i)
		}
	}
	if _, err := s.DialTCP(t.Context(), netip.AddrPort{}, at(peerAddr, 81)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: got %v, want %v", err, syscall.ECONNREFUSED)
	}
	for to, want := range map[netip.AddrPort]error{
		at(netip.MustParseAddr("10.0.2.77"), 80): syscall.EHOSTUNREACH, // ARP is not answered
		at(netip.MustParseAddr("::1"), 80):       syscall.EAFNOSUPPORT,
	} {
		if _, err := s.DialTCP(t.Context(), netip.AddrPort{}, to); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %v", to, err, want)
		}
	}
	if _, err := s.DialTCP(t.Context(), at(peerAddr, 0), at(peerAddr, 81)); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("from an address of somebody else: %v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, err := s.DialTCP(ctx, netip.AddrPort{}, at(netip.MustParseAddr("10.0.2.78"), 80)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in a millisecond: got %v", err)
	}
}

// TestAbort: the other side sees a reset, not an end.
func TestAbort(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 0)
	s.HandleTCP(func(r *Request) {
		c, err := r.Accept()
		if err != nil {
			t.Errorf("accepting: %v", err)
			return
		}
		c.(interface{ Abort() }).Abort()
		_ = c.Close()
	})
	s.serve(t)
	c, err := gonet.DialContextTCP(t.Context(), p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(limit))
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestInFlight: connections that are begun and not finished are bounded.
func TestInFlight(t *testing.T) {
	c := config()
	c.InFlight = 4
	s := newStation(t, c)
	wire(t, s, 0)
	var running, most atomic.Int64
	release := make(chan struct{})
	s.HandleTCP(func(*Request) {
		most.Store(max(most.Load(), running.Add(1)))
		<-release
		running.Add(-1)
	})
	s.serve(t)
	for port := range uint16(100) {
		for !s.d.Deliver(syn(1000 + port)) {
			time.Sleep(time.Millisecond)
		}
	}
	for until := time.Now().Add(limit); running.Load() < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d requests", running.Load())
		}
	}
	for until := time.Now().Add(limit); s.stack.Stats().TCP.ForwardMaxInFlightDrop.Value() < 96; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d were dropped", s.stack.Stats().TCP.ForwardMaxInFlightDrop.Value())
		}
	}
	close(release)
	if most.Load() > 4 {
		t.Errorf("%d requests at a time", most.Load())
	}
}

// TestEnd: when Serve ends, so do connections of all kinds and all goroutines.
func TestEnd(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 0)
	accepted := make(chan error, 2)
	s.HandleTCP(func(r *Request) {
		c, err := r.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		accepted <- err
	})
	s.serve(t)
	c, err := gonet.DialContextTCP(t.Context(), p.Stack, full(at(ourAddr, 80)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for !s.d.Deliver(strangeSyn()) { // never established: nobody is there to answer
		time.Sleep(time.Millisecond)
	}
	for until := time.Now().Add(limit); len(s.stack.RegisteredEndpoints()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the second connection was not begun")
		}
	}
	dialed := make(chan error, 1)
	go func() {
		_, err := s.DialTCP(context.Background(), netip.AddrPort{}, at(netip.MustParseAddr("10.0.2.77"), 80))
		dialed <- err
	}()
	s.halt(t)
	for what, ch := range map[string]chan error{"a connection": accepted, "a request": accepted, "a dial": dialed} {
		select {
		case err := <-ch:
			if err == nil {
				t.Errorf("%s ended well", what)
			}
		case <-time.After(limit):
			t.Errorf("%s did not end", what)
		}
	}
	if _, err := s.DialTCP(t.Context(), netip.AddrPort{}, at(peerAddr, 80)); !errors.Is(err, ErrClosed) {
		t.Errorf("dialing after the end: %v", err)
	}
	if err := s.SendUDP(at(ourAddr, 1), at(peerAddr, 1), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("sending after the end: %v", err)
	}
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer's connection was not reset: %v", err)
	}
}

// TestDialAtTheEnd: who dials in the moment in which Serve ends is not left waiting.
func TestDialAtTheEnd(t *testing.T) {
	for range 20 {
		s := newStation(t, config())
		s.serve(t)
		const dials = 50
		ended := make(chan error, dials)
		for range dials {
			go func() {
				_, err := s.DialTCP(t.Context(), netip.AddrPort{}, at(peerAddr, 80))
				ended <- err
			}()
		}
		s.halt(t)
		for range dials {
			select {
			case err := <-ended:
				if err == nil {
					t.Error("connected to nobody")
				}
			case <-time.After(limit):
				t.Fatal("a dial did not end")
			}
		}
	}
}

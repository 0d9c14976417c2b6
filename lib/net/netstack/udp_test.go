package netstack

import (
	"bytes"
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"nom.dev/nom/lib/net/inplace"
)

// peerSocket is a UDP socket of the peer, connected to a port of the station.
func peerSocket(t testing.TB, p *peer, port uint16) *gonet.UDPConn {
	t.Helper()
	from, to := full(at(peerAddr, 5000+port)), full(at(ourAddr, port))
	c, err := gonet.DialUDP(p.Stack, &from, &to, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(limit))
	return c
}

// ask sends a datagram and compares the answer.
func ask(c *gonet.UDPConn, question, answer []byte) error {
	if _, err := c.Write(question); err != nil {
		return err
	}
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err == nil && !bytes.Equal(b[:n], answer) {
		err = errors.New("another answer")
	}
	return err
}

// TestUDP: datagrams of all lengths there and back; a listener of inplace beside.
func TestUDP(t *testing.T) {
	for _, offload := range []bool{false, true} {
		c := config()
		c.Offload = offload
		s := newStation(t, c)
		p := wire(t, s, 0)
		if err := s.InPlace().Listen(7, func(_ inplace.Endpoint, b []byte) int { return copy(b, "in place") }); err != nil {
			t.Fatal(err)
		}
		s.HandleUDP(func(src, dst netip.AddrPort, payload []byte) error {
			if src != at(peerAddr, 5053) || dst != at(ourAddr, 53) {
				t.Errorf("a datagram from %v to %v", src, dst)
			}
			return s.SendUDP(dst, src, payload)
		})
		s.serve(t)
		if err := ask(peerSocket(t, p, 7), []byte("what is it?"), []byte("in place")); err != nil {
			t.Error(err)
		}
		socket := peerSocket(t, p, 53)
		for _, n := range []int{0, 1, 2, 17, 18, 100, 1471, 1472, 1473, 3000, 9001, 60000, 65507} {
			if err := ask(socket, data(n), data(n)); err != nil {
				t.Errorf("offload %v: %d bytes: %v", offload, n, err)
			}
		}
	}
}

// TestUnreachable: nobody wants the datagram, and the sender gets to know.
func TestUnreachable(t *testing.T) {
	s := newStation(t, config())
	p := wire(t, s, 0)
	s.serve(t)
	errs := p.Stats().ICMP.V4.PacketsReceived.DstUnreachable.Value
	for i, n := range []int{0, 1, 600, 1472, 3000} {
		socket := peerSocket(t, p, uint16(100+i))
		if _, err := socket.Write(data(n)); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(limit); errs() != uint64(i+1); time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%d bytes: %d errors of ICMP came, want %d", n, errs(), i+1)
			}
		}
	}
	if bad := p.Stats().ICMP.V4.PacketsReceived.Invalid.Value(); bad != 0 {
		t.Errorf("%d of them are malformed", bad)
	}
}

// TestUnreachableBytes compares the error with what RFC 792 says.
func TestUnreachableBytes(t *testing.T) {
	s := newStation(t, config())
	for _, n := range []int{0, 8, 100, 1472} {
		var sent []byte
		s.d.OnSend = func(_ int, f []byte) { sent = bytes.Clone(f) }
		question := ipFrame(header.UDPProtocolNumber, 0, udpPacket(1, 2, data(n)))
		s.d.Deliver(question)
		s.inplace.Poll(s.queue)
		s.queue.Flush()
		if len(sent) < 42 || !bytes.Equal(sent[:6], peerMAC[:]) || !bytes.Equal(sent[6:12], ourMAC[:]) {
			t.Fatalf("%d bytes: got % x", n, sent)
		}
		ip := header.IPv4(sent[14:])
		icmp := header.ICMPv4(ip.Payload())
		if !ip.IsValid(len(sent)-14) || !ip.IsChecksumValid() || ip.SourceAddress() != s.address || netip.AddrFrom4(ip.DestinationAddress().As4()) != peerAddr ||
			icmp.Type() != header.ICMPv4DstUnreachable || icmp.Code() != header.ICMPv4PortUnreachable || header.ICMPv4Checksum(icmp[:8], sumOf(icmp[8:])) != icmp.Checksum() {
			t.Errorf("%d bytes: got % x", n, sent)
		}
		if want := question[14:min(len(question), 14+548)]; !bytes.Equal(icmp[8:], want) {
			t.Errorf("%d bytes: it quotes % x, want % x", n, icmp[8:], want)
		}
	}
	errors := 0
	s.d.OnSend = func(int, []byte) { errors++ }
	for range 1000 {
		s.d.Deliver(ipFrame(header.UDPProtocolNumber, 0, udpPacket(1, 2, nil)))
		s.inplace.Poll(s.queue)
		s.queue.Flush()
	}
	if errors == 0 || errors > 600 {
		t.Errorf("%d errors for 1000 datagrams at once", errors)
	}
	s.stack.Destroy()
}

// TestSendUDP: what is refused, and what waits for a neighbour that does not exist.
func TestSendUDP(t *testing.T) {
	c := config()
	c.Gateway = netip.Addr{}
	s := newStation(t, c)
	wire(t, s, 0)
	s.serve(t)
	for _, x := range []struct {
		src, dst netip.AddrPort
		n        int
		want     error
	}{
		{at(ourAddr, 1), at(netip.MustParseAddr("192.0.2.1"), 2), 1, inplace.ErrUnreachable},
		{at(ourAddr, 1), at(ourAddr, 2), 1, inplace.ErrUnreachable},
		{at(ourAddr, 1), at(peerAddr, 2), 65508, inplace.ErrTooLong},
		{at(netip.IPv4Unspecified(), 1), at(peerAddr, 2), 1, nil},
		{at(netip.Addr{}, 1), at(peerAddr, 2), 1, nil},
	} {
		if err := s.SendUDP(x.src, x.dst, make([]byte, x.n)); !errors.Is(err, x.want) {
			t.Errorf("%d bytes from %v to %v: got %v, want %v", x.n, x.src, x.dst, err, x.want)
		}
	}
	if s.SendUDP(at(peerAddr, 1), at(peerAddr, 2), nil) == nil || s.SendUDP(at(ourAddr, 1), at(netip.IPv6Loopback(), 2), nil) == nil {
		t.Error("sent from the address of somebody else, or to IPv6")
	}
	for i := range 3 * maxWaiting {
		if err := s.SendUDP(at(ourAddr, 1), at(netip.MustParseAddr("10.0.2.77"), uint16(i)), []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	waits := func() bool {
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		return s.out.length != 0
	}
	for until := time.Now().Add(limit); waits() && time.Now().Before(until); time.Sleep(time.Millisecond) {
	}
	s.halt(t)
	// The two for the peer may have waited for its answer too, and then have been sent; or given up, if it took its time.
	if got, wait := int(s.counters.Undelivered), len(s.waiting); got+wait < 3*maxWaiting || got+wait > 3*maxWaiting+2 || wait > maxWaiting || wait < maxWaiting-2 {
		t.Errorf("%d were given up, %d wait, want about %d and %d", got, wait, 2*maxWaiting, maxWaiting)
	}
	// Three seconds later none waits.
	s.now += patience + 1
	s.pump()
	if len(s.waiting) != 0 {
		t.Errorf("%d wait after %d seconds", len(s.waiting), patience)
	}
}

// TestRingFull: what does not fit is refused, counted, and nothing else is lost.
func TestRingFull(t *testing.T) {
	s := newStation(t, config())
	var sent atomic.Int64
	s.d.OnSend = func(_ int, f []byte) {
		if f[12] == 8 && f[13] == 0 {
			sent.Add(1)
		}
	}
	to := at(peerAddr, 9)
	s.inplace.Tick(1)
	for n := range ringSize + 10 {
		err := s.SendUDP(at(ourAddr, 9), to, []byte{1})
		if full := n >= ringSize; errors.Is(err, ErrFull) != full {
			t.Fatalf("datagram %d: %v", n, err)
		}
	}
	if s.Lost() != 10 {
		t.Errorf("%d lost, want 10", s.Lost())
	}
	// The neighbour makes itself known with a question.
	s.d.Deliver(arpFrame(1, peerMAC, [6]byte{}))
	s.inplace.Poll(s.queue)
	s.d.Late = true
	for range 100 {
		s.pump()
		s.queue.Flush()
		s.d.Complete(50)
	}
	if sent.Load() != ringSize {
		t.Errorf("%d of %d datagrams were sent", sent.Load(), ringSize)
	}
	if st := s.d.Stats(); st.TailWrites[1] > 110 {
		t.Errorf("the device was told %d times", st.TailWrites[1])
	}
	s.stack.Destroy()
}

// TestErrno: errors that programs ask for.
func TestErrno(t *testing.T) {
	s := newStation(t, config())
	s.serve(t)
	_, err := s.DialTCP(t.Context(), at(ourAddr, 0), at(netip.IPv4Unspecified(), 80))
	if !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("to no address: %v", err)
	}
}

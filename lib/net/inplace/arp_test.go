package inplace

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// arpFrame builds an ARP packet the long way: a question to all, an answer to us.
func arpFrame(operation byte, mac [6]byte, from, about netip.Addr) []byte {
	to := ourMAC
	if operation == 1 {
		to = [6]byte{255, 255, 255, 255, 255, 255}
	}
	f := append(append([]byte{}, to[:]...), mac[:]...)
	f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation)
	f = append(append(f, mac[:]...), from.AsSlice()...)
	f = append(append(f, make([]byte, 6)...), about.AsSlice()...)
	return append(f, make([]byte, 18)...)
}

// verifyARP checks a packet that this station may send.
func verifyARP(t testing.TB, f []byte) (operation byte) {
	t.Helper()
	if len(f) != 42 || !bytes.Equal(f[6:21], []byte{2, 0, 0, 0, 0, 0x10, 8, 6, 0, 1, 8, 0, 6, 4, 0}) || f[21] != 1 && f[21] != 2 ||
		!bytes.Equal(f[22:28], ourMAC[:]) || !bytes.Equal(f[28:32], ourAddr.AsSlice()) {
		t.Fatalf("not an ARP packet of ours: % x", f)
	}
	if f[21] == 2 && !bytes.Equal(f[:6], f[32:38]) {
		t.Fatalf("an answer about % x goes to % x", f[32:38], f[:6])
	}
	return f[21]
}

func TestARPReply(t *testing.T) {
	s := newStack(t, true)
	b := inBuffer(arpFrame(1, peerMAC, peerAddr, ourAddr))
	a := s.Input(b, 0)
	if a.N != 42 || verifyARP(t, b[:a.N]) != 2 || !bytes.Equal(b[:6], peerMAC[:]) || !bytes.Equal(b[38:42], peerAddr.AsSlice()) {
		t.Fatalf("%+v: % x", a, b[:42])
	}
	// Who asked is known from now on.
	out := make([]byte, 2048)
	if a, err := s.Output(out, 3, 7, endpoint(t, peerAddr, 99)); err != nil || a.N != 45 || !bytes.Equal(out[:6], peerMAC[:]) {
		t.Errorf("%+v, %v", a, err)
	}
	// A probe is answered, and teaches nothing.
	b = inBuffer(arpFrame(1, peerMAC, netip.MustParseAddr("0.0.0.0"), ourAddr))
	if a := s.Input(b, 0); a.N != 42 || !bytes.Equal(b[38:42], make([]byte, 4)) {
		t.Errorf("a probe: %+v", a)
	}
	if s.neighbours.known(0) {
		t.Error("address 0 is a neighbour")
	}
}

func TestARPIgnored(t *testing.T) {
	other := netip.MustParseAddr("10.0.2.77")
	for _, c := range []struct {
		name   string
		change func(f []byte)
		want   Counters
	}{
		{"about another", func(f []byte) { f[41]++ }, Counters{ARPIgnored: 1}},
		{"answer not asked for", func(f []byte) { f[21] = 2 }, Counters{ARPIgnored: 1}},
		{"reverse", func(f []byte) { f[21] = 3 }, Counters{Malformed: 1}},
		{"hardware", func(f []byte) { f[15] = 6 }, Counters{Malformed: 1}},
		{"protocol", func(f []byte) { f[16] = 0x86 }, Counters{Malformed: 1}},
		{"lengths", func(f []byte) { f[18] = 8 }, Counters{Malformed: 1}},
		{"to another station", func(f []byte) { copy(f, peerMAC[:]) }, Counters{NotMine: 1}},
		{"from a group", func(f []byte) { f[22] |= 1 }, Counters{Source: 1}},
		{"from nobody", func(f []byte) { copy(f[22:28], make([]byte, 6)) }, Counters{Source: 1}},
		{"from our station", func(f []byte) { copy(f[22:28], ourMAC[:]) }, Counters{Source: 1}},
		{"from our address", func(f []byte) { copy(f[28:32], ourAddr.AsSlice()) }, Counters{Source: 1}},
		{"from another network", func(f []byte) { f[30]++ }, Counters{Source: 1}},
		{"from broadcast", func(f []byte) { f[31] = 255 }, Counters{Source: 1}},
		{"announcement of a stranger", func(f []byte) { copy(f[38:42], f[28:32]) }, Counters{ARPIgnored: 1}},
	} {
		s := newStack(t, false)
		f := arpFrame(1, peerMAC, other, ourAddr)
		c.change(f)
		if a := s.Input(inBuffer(f), 0); a.N != 0 || s.Counters != c.want {
			t.Errorf("%s: got %+v, %+v, want %+v", c.name, a, s.Counters, c.want)
		}
		if s.neighbours != (neighbours{}) {
			t.Errorf("%s: it was learned", c.name)
		}
	}
}

func endpoint(t testing.TB, a netip.Addr, port uint16) Endpoint {
	t.Helper()
	e, err := EndpointOf(netip.AddrPortFrom(a, port))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestAsking: a datagram for a stranger becomes a question, once a second, and goes out when the answer is there.
func TestAsking(t *testing.T) {
	s := newStack(t, false)
	b := make([]byte, 2048)
	to := endpoint(t, peerAddr, 53)
	s.Tick(100)
	a, err := s.Output(b, 5, 1234, to)
	if !errors.Is(err, ErrAsking) || a.N != 42 || verifyARP(t, b[:42]) != 1 || !bytes.Equal(b[:6], bytes.Repeat([]byte{255}, 6)) || !bytes.Equal(b[38:42], peerAddr.AsSlice()) {
		t.Fatalf("%+v, %v: % x", a, err, b[:42])
	}
	if a, err := s.Output(b, 5, 1234, to); !errors.Is(err, ErrAsking) || a.N != 0 {
		t.Errorf("asked twice: %+v, %v", a, err)
	}
	s.Tick(101)
	if a, err := s.Output(b, 5, 1234, to); !errors.Is(err, ErrAsking) || a.N != 42 {
		t.Errorf("not asked again: %+v, %v", a, err)
	}
	s.Tick(106)
	if a := s.Input(inBuffer(arpFrame(2, peerMAC, peerAddr, ourAddr)), 0); a.N != 0 || s.ARPIgnored != 1 {
		t.Error("an answer that is too late was taken")
	}
	_, _ = s.Output(b, 5, 1234, to)
	s.Input(inBuffer(arpFrame(2, peerMAC, peerAddr, ourAddr)), 0)
	copy(Payload(b), "hello")
	a, err = s.Output(b, 5, 1234, to)
	if err != nil || a.N != 47 {
		t.Fatalf("%+v, %v", a, err)
	}
	want := datagram(ourMAC, peerMAC, netip.AddrPortFrom(ourAddr, 1234), to.AddrPort(), []byte("hello"))
	verify(t, b[:47])
	copy(want[18:26], b[18:26])
	if !bytes.Equal(b[:47], want) {
		t.Errorf("got % x, want % x", b[:47], want)
	}
	// It moves, says so, and is believed because it is known.
	moved := [6]byte{2, 9, 9, 9, 9, 9}
	s.Input(inBuffer(arpFrame(1, moved, peerAddr, peerAddr)), 0)
	if _, err = s.Output(b, 5, 1234, to); err != nil || !bytes.Equal(b[:6], moved[:]) {
		t.Errorf("after the move: %v, to % x", err, b[:6])
	}
	// It grows old, and is asked for again.
	s.Tick(106 + freshFor + 1)
	if a, err := s.Output(b, 5, 1234, to); !errors.Is(err, ErrAsking) || a.N != 42 {
		t.Errorf("an old neighbour: %+v, %v", a, err)
	}
}

func TestOutputErrors(t *testing.T) {
	s := newStack(t, false)
	b := make([]byte, 2048)
	for _, c := range []struct {
		to   string
		n    int
		want error
	}{
		{"10.0.2.2", -1, ErrTooLong}, {"10.0.2.2", 1473, ErrTooLong}, {"10.0.2.2", 1472, ErrAsking}, {"192.0.2.1", 0, ErrAsking},
		{"0.0.0.0", 0, ErrUnreachable}, {"255.255.255.255", 0, ErrUnreachable}, {"10.0.2.255", 0, ErrUnreachable}, {"10.0.2.15", 0, ErrUnreachable},
		{"127.0.0.1", 0, ErrUnreachable}, {"224.0.0.251", 0, ErrUnreachable},
	} {
		if a, err := s.Output(b, c.n, 1, endpoint(t, netip.MustParseAddr(c.to), 2)); !errors.Is(err, c.want) || errors.Is(err, ErrTooLong) && a.N != 0 {
			t.Errorf("%d bytes to %s: got %+v, %v, want %v", c.n, c.to, a, err, c.want)
		}
	}
	// What is not of the own network goes by the gateway.
	if !bytes.Equal(b[38:42], []byte{10, 0, 2, 1}) {
		t.Errorf("asked for % x, want the gateway", b[38:42])
	}
	if _, err := s.Output(b[:41], 0, 1, endpoint(t, peerAddr, 2)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a tiny buffer: %v", err)
	}
	alone, err := New(Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone.Output(b, 0, 1, endpoint(t, netip.MustParseAddr("192.0.2.1"), 2)); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a gateway: %v", err)
	}
	if _, err := EndpointOf(netip.MustParseAddrPort("[::1]:1")); err == nil {
		t.Error("an IPv6 endpoint")
	}
}

func TestConfig(t *testing.T) {
	good := Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24)}
	for name, change := range map[string]func(c *Config){
		"no address":       func(c *Config) { c.Address = netip.Prefix{} },
		"IPv6":             func(c *Config) { c.Address = netip.MustParsePrefix("fe80::1/64") },
		"unspecified":      func(c *Config) { c.Address = netip.MustParsePrefix("0.0.0.0/0") },
		"loopback":         func(c *Config) { c.Address = netip.MustParsePrefix("127.0.0.1/8") },
		"multicast":        func(c *Config) { c.Address = netip.MustParsePrefix("224.0.0.1/4") },
		"no MAC":           func(c *Config) { c.MAC = [6]byte{} },
		"group MAC":        func(c *Config) { c.MAC[0] = 1 },
		"far gateway":      func(c *Config) { c.Gateway = netip.MustParseAddr("10.0.3.1") },
		"gateway is us":    func(c *Config) { c.Gateway = ourAddr },
		"gateway IPv6":     func(c *Config) { c.Gateway = netip.MustParseAddr("::1") },
		"packets of 100":   func(c *Config) { c.MaxSize = 100 },
		"packets of 70000": func(c *Config) { c.MaxSize = 70000 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	for _, bits := range []int{0, 1, 8, 31, 32} {
		c := good
		c.Address = netip.PrefixFrom(ourAddr, bits)
		s, err := New(c)
		if err != nil {
			t.Errorf("prefix of %d bits: %v", bits, err)
			continue
		}
		for _, a := range []string{"10.0.2.14", "10.0.2.15", "10.0.2.16", "10.200.0.1", "11.0.0.1", "200.0.0.1"} {
			if got, want := s.onLink(rawAddr(netip.MustParseAddr(a))), c.Address.Contains(netip.MustParseAddr(a)); got != want {
				t.Errorf("prefix of %d bits: %s is on the own network: got %v, want %v", bits, a, got, want)
			}
		}
	}
}

// TestNeighbours compares the table with a map that never forgets: what it finds was learned last, what is fresh and among the
// last ways of its set is found, and it never grows.
func TestNeighbours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n neighbours
		macs := map[uint32]uint64{}
		now := uint32(1000)
		address := rapid.Custom(func(t *rapid.T) uint32 {
			return rawAddr(netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 3).Draw(t, "c")), byte(rapid.IntRange(1, 254).Draw(t, "d"))}))
		})
		for step := range rapid.IntRange(1, 2000).Draw(t, "steps") {
			a := address.Draw(t, "address")
			mac := uint64(step)<<8 | 2
			switch step % 4 {
			case 0:
				n.asking(a, now)
				delete(macs, a)
			case 1:
				if n.answered(a, mac, now) {
					macs[a] = mac
				}
			default:
				n.learn(a, mac, now)
				macs[a] = mac
				if n.find(a, now) != mac {
					t.Fatalf("%#x was just learned and is not found", a)
				}
			}
			if got := n.find(a, now); got != 0 && got != macs[a] {
				t.Fatalf("%#x: got %#x, want %#x", a, got, macs[a])
			}
			now += uint32(step % 2)
		}
	})
}

// TestFlood: strangers who ask cannot make the table forget all, nor grow it; a /24 fits it.
func TestFlood(t *testing.T) {
	s := newStack(t, false)
	for host := range 255 {
		if host == 0 || host == 15 {
			continue
		}
		a := netip.AddrFrom4([4]byte{10, 0, 2, byte(host)})
		mac := [6]byte{2, 1, 0, 0, 0, byte(host)}
		s.Input(inBuffer(arpFrame(1, mac, a, ourAddr)), 0)
	}
	for host := range 255 {
		if host == 0 || host == 15 {
			continue
		}
		raw := rawAddr(netip.AddrFrom4([4]byte{10, 0, 2, byte(host)}))
		if got := s.neighbours.find(raw, 0); got != rawMAC([6]byte{2, 1, 0, 0, 0, byte(host)}) {
			t.Errorf("host %d: got %#x", host, got)
		}
	}
	if s.NeighboursReplaced != 0 || s.ARPReplies != 253 {
		t.Errorf("%+v", s.Counters)
	}
}

// TestTwoStations: a question and its answer between two stacks.
func TestTwoStations(t *testing.T) {
	a := newStack(t, false)
	b, err := New(Config{MAC: peerMAC, Address: netip.PrefixFrom(peerAddr, 24)})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Listen(7, func(_ Endpoint, p []byte) int { return copy(p[:cap(p)], "pong") })
	got := ""
	_ = a.Listen(1234, func(_ Endpoint, p []byte) int { got = string(p); return NoReply })
	buffer := make([]byte, 2048)
	send := func() (Answer, error) {
		return a.Output(buffer, copy(Payload(buffer), "ping"), 1234, endpoint(t, peerAddr, 7))
	}
	if _, err := send(); !errors.Is(err, ErrAsking) {
		t.Fatal(err)
	}
	if out := b.Input(buffer[:60], 0); out.N != 42 {
		t.Fatalf("no ARP answer: %+v", b.Counters)
	}
	a.Input(buffer[:60], 0)
	out, err := send()
	if err != nil {
		t.Fatal(err)
	}
	out = b.Input(buffer[:max(60, out.N)], 0)
	a.Input(buffer[:max(60, out.N)], 0)
	if got != "pong" {
		t.Errorf("got %q; %+v, %+v", got, a.Counters, b.Counters)
	}
}

// TestAnnounce: who has come says so, and who knew the address with another station believes it.
func TestAnnounce(t *testing.T) {
	b := make([]byte, 2048)
	a := newStack(t, false).Announce(b)
	if a.N != 42 || verifyARP(t, b[:42]) != 1 || !bytes.Equal(b[:6], bytes.Repeat([]byte{255}, 6)) || !bytes.Equal(b[38:42], ourAddr.AsSlice()) {
		t.Errorf("%+v: % x", a, b[:42])
	}
}

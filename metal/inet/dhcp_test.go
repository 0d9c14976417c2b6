package inet

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const (
	dhcpTestMAC    = 0x0200_0000_0001
	dhcpTestServer = 0x0a00_0002
	dhcpTestGives  = 0x0a00_0009
)

// FuzzDHCP: what is read is written and read again.
func FuzzDHCP(f *testing.F) {
	for _, m := range []DHCP{
		{Type: DHCPDiscover, XID: 7, MAC: dhcpTestMAC, Seconds: 3, Name: [mostDHCPName]byte{'w', 'e', 'b'}, NameLen: 3},
		{Reply: true, Type: DHCPAck, XID: 7, MAC: dhcpTestMAC, Your: dhcpTestGives, Server: dhcpTestServer, Mask: 0xffff_ff00, Router: 1, Lease: 60,
			Renew: 30, Rebind: 50, DNS: [mostDHCPServers]uint32{1, 2, 3}, NumDNS: 3},
	} {
		b := make([]byte, DHCPMost)
		f.Add(b[:m.Put(b)])
	}
	f.Add(overloaded())
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again DHCP
		if !ParseDHCP(b, &m) {
			return
		}
		out := make([]byte, DHCPMost)
		if n := m.Put(out); n < dhcpLeast || n > DHCPMost || !ParseDHCP(out[:n], &again) || again != m {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}

// overloaded is an offer whose options lie in all three fields.
func overloaded() []byte {
	b := make([]byte, 300)
	m := DHCP{Reply: true, Type: DHCPOffer, XID: 7, MAC: dhcpTestMAC, Your: dhcpTestGives}
	m.Put(append(b, make([]byte, 300)...))
	out := make([]byte, DHCPMost)
	m.Put(out)
	n := copy(out[dhcpOptions:], []byte{dhcpPad, dhcpType, 1, DHCPOffer, dhcpOverload, 1, 3, dhcpEnd, dhcpServer, 4, 9, 9, 9, 9})
	copy(out[dhcpFile:], []byte{dhcpServer, 4, 10, 0, 0, 2, dhcpRouter, 8, 10, 0, 0, 1, 10, 0, 0, 3, dhcpEnd})
	copy(out[dhcpSname:], []byte{dhcpDNS, 12, 1, 0, 0, 1, 2, 0, 0, 2, 3, 0, 0, 3, dhcpOverload, 1, 3, 99, 2, 0, 0})
	return out[:dhcpOptions+n]
}

func TestParseDHCP(t *testing.T) {
	var m DHCP
	if !ParseDHCP(overloaded(), &m) || m.Server != dhcpTestServer || m.Router != 0x0a00_0001 || m.NumDNS != 3 || m.DNS[2] != 0x0300_0003 {
		t.Errorf("options in other fields: %+v", m)
	}
	good := overloaded()
	for name, change := range map[string]func(b []byte) []byte{
		"no option":              func(b []byte) []byte { return b[:dhcpOptions] },
		"short":                  func(b []byte) []byte { return b[:dhcpOptions-1] },
		"empty":                  func(b []byte) []byte { return nil },
		"other magic":            func(b []byte) []byte { b[dhcpMagicAt]++; return b },
		"other kind of address":  func(b []byte) []byte { b[1] = 6; return b },
		"other length":           func(b []byte) []byte { b[2] = 16; return b },
		"no direction":           func(b []byte) []byte { b[0] = 3; return b },
		"an option without end":  func(b []byte) []byte { return append(b[:dhcpOptions], dhcpType, 1, 2, dhcpServer, 4, 1, 2, 3) },
		"an option without size": func(b []byte) []byte { return append(b[:dhcpOptions], dhcpType, 1, 2, dhcpServer) },
		"a bad file name":        func(b []byte) []byte { copy(b[dhcpFile:], []byte{1, 127}); return b },
		"no type":                func(b []byte) []byte { return append(b[:dhcpOptions], dhcpType, 2, 2, 2, dhcpEnd) },
	} {
		if b := change(slices.Clone(good)); ParseDHCP(b, &m) {
			t.Errorf("%s: understood as %+v", name, m)
		}
	}
}

// dhcpLab is a client with a server, in a time of its own.
type dhcpLab struct {
	t         *testing.T
	c         DHCPClient
	now       uint64
	sent      []DHCP
	bound     bool // the address is in use
	uses      int
	silent    bool // nobody answers
	refuses   bool // with NAK
	taken     bool // somebody else has the address
	seconds   uint32
	gives     uint32
	lastAsked bool // the last message went to the server alone
}

func newDHCPLab(t *testing.T) *dhcpLab {
	l := &dhcpLab{t: t, now: 100 * second, seconds: 3600, gives: dhcpTestGives}
	l.c.Start(dhcpTestMAC, Key{1, 2}, []byte("web"), l.now)
	return l
}

// do does what the client says.
func (l *dhcpLab) do(do DHCPDo, m *DHCP) {
	if do&DHCPDrop != 0 {
		l.bound = false
	}
	if do&(DHCPTell|DHCPAsk) != 0 {
		b := make([]byte, DHCPMost)
		var got DHCP
		if n := m.Put(b); !ParseDHCP(b[:n], &got) || got != *m || string(got.Name[:got.NameLen]) != "web" {
			l.t.Fatalf("sent %+v, which is %+v", m, got)
		}
		l.sent = append(l.sent, got)
		l.lastAsked = do&DHCPAsk != 0
		if a, ok := l.answer(&got); ok {
			l.now += milli
			l.do(l.c.Input(&a, l.now), &a)
		}
	}
	if do&DHCPLook != 0 && l.taken {
		var d DHCP
		l.do(l.c.Conflict(&d, l.now), &d)
	}
	if do&DHCPUse != 0 {
		l.bound = true
		l.uses++
	}
}

// answer is what the server says.
func (l *dhcpLab) answer(m *DHCP) (DHCP, bool) {
	a := DHCP{Reply: true, XID: m.XID, MAC: m.MAC, Server: dhcpTestServer, Your: l.gives, Mask: 0xffff_ff00, Router: 0x0a00_0001, Lease: l.seconds,
		DNS: [mostDHCPServers]uint32{0x0a00_0003}, NumDNS: 1}
	switch {
	case l.silent || m.Type == DHCPDecline:
		return a, false
	case m.Type == DHCPDiscover:
		a.Type = DHCPOffer
	case l.refuses || max(m.Requested, m.Client) != l.gives:
		a.Type, a.Your = DHCPNak, 0
	default:
		a.Type = DHCPAck
	}
	return a, true
}

// pass lets so many seconds pass.
func (l *dhcpLab) pass(seconds uint64) {
	for end := l.now + seconds*second; ; {
		d := l.c.Deadline()
		if d == 0 || d > end {
			l.now = end
			return
		}
		l.now = max(d, l.now)
		var m DHCP
		l.do(l.c.Expire(&m, l.now), &m)
		if d := l.c.Deadline(); d != 0 && d <= l.now {
			l.t.Fatalf("nothing comes of a deadline in state %d", l.c.state)
		}
	}
}

// types are the types of the messages sent since the last call.
func (l *dhcpLab) types() (all []uint8) {
	for _, m := range l.sent {
		all = append(all, m.Type)
	}
	l.sent = nil
	return all
}

func (l *dhcpLab) want(bound bool, types ...uint8) {
	l.t.Helper()
	if got := l.types(); !slices.Equal(got, types) || l.bound != bound || l.c.Bound() != bound {
		l.t.Errorf("sent %v, bound %v; want %v, %v", got, l.bound, types, bound)
	}
}

func TestDHCPLease(t *testing.T) {
	l := newDHCPLab(t)
	l.pass(1)
	if l.c.Lease.Address != dhcpTestGives || l.c.Lease.Router != 0x0a00_0001 || l.c.Lease.DNS[0] != 0x0a00_0003 || l.sent[1].Requested != dhcpTestGives ||
		l.sent[1].Server != dhcpTestServer || l.sent[1].XID != l.sent[0].XID {
		t.Fatalf("the lease is %+v after %+v", l.c.Lease, l.sent)
	}
	l.want(true, DHCPDiscover, DHCPRequest)
	l.pass(1790)
	l.want(true)
	l.pass(20) // half of the time is over
	if m := l.sent[0]; m.Client != dhcpTestGives || m.Requested != 0 || m.Server != 0 || !l.lastAsked || l.uses != 2 {
		t.Errorf("renewed with %+v", m)
	}
	l.want(true, DHCPRequest)
	l.silent = true
	l.pass(3149) // the server is gone: it is asked more and more often, then everybody is
	if n := len(l.sent); n != 7 || l.lastAsked || l.sent[6].XID == l.sent[5].XID {
		t.Errorf("asked %d times until 7/8 of the time were over", n)
	}
	l.types()
	l.silent = false
	l.c.Lease.Server++ // another one answers
	l.pass(220)
	l.want(true, DHCPRequest)
	l.silent = true
	l.pass(3560)
	if n := len(l.types()); n != 10 || l.lastAsked || !l.bound {
		t.Errorf("asked %d times, bound %v, shortly before the end", n, l.bound)
	}
	l.pass(100)
	if l.bound || l.c.Bound() || l.types()[0] != DHCPDiscover {
		t.Error("the lease has ended, and the address is in use")
	}
	l.silent = false
	l.pass(70)
	l.want(true, DHCPDiscover, DHCPRequest)
}

// A lease without end is never asked for again.
func TestDHCPEndless(t *testing.T) {
	l := newDHCPLab(t)
	l.seconds = endlessLease
	l.pass(1)
	l.types()
	l.pass(1 << 32)
	l.want(true)
}

// Nobody answers: it is asked less and less often.
func TestDHCPBackoff(t *testing.T) {
	l := newDHCPLab(t)
	l.silent = true
	l.pass(20)
	if n := len(l.types()); n < 4 || n > 6 {
		t.Errorf("%d messages in 20 s", n)
	}
	l.pass(3600)
	if n := len(l.sent); n < 50 || n > 70 {
		t.Errorf("%d messages in an hour", n)
	}
	first := l.sent[0]
	for _, m := range l.sent {
		if m.Type != DHCPDiscover || m.XID != first.XID {
			t.Fatalf("sent %+v", m)
		}
	}
}

func TestDHCPRefusals(t *testing.T) {
	l := newDHCPLab(t)
	l.refuses = true
	l.pass(3600)
	if n := len(l.types()); n < 20 || n > 200 {
		t.Errorf("%d messages to who refuses for an hour", n)
	}
	l.refuses = false
	l.pass(70)
	l.want(true, DHCPDiscover, DHCPRequest)
	l.gives++ // the network has other addresses now
	l.pass(1810)
	l.want(true, DHCPRequest, DHCPDiscover, DHCPRequest)
	if l.c.Lease.Address != dhcpTestGives+1 || l.uses != 2 {
		t.Errorf("the lease is %+v after %d", l.c.Lease, l.uses)
	}
}

// Somebody else has the address: the server is told, and another is asked for after a while.
func TestDHCPConflict(t *testing.T) {
	l := newDHCPLab(t)
	l.taken = true
	l.pass(1)
	if m := l.sent[2]; m.Requested != dhcpTestGives || m.Server != dhcpTestServer {
		t.Errorf("declined with %+v", m)
	}
	l.want(false, DHCPDiscover, DHCPRequest, DHCPDecline)
	l.pass(8)
	l.want(false)
	l.taken = false
	l.pass(2)
	l.want(true, DHCPDiscover, DHCPRequest)
	var m DHCP
	if l.c.Conflict(&m, l.now) != 0 || !l.c.Bound() {
		t.Error("an address in use was given up")
	}
}

// What nobody can use is no offer.
func TestDHCPOffers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(m *DHCP)
		router uint32
		good   bool
	}{
		{"good", func(m *DHCP) {}, 0x0a00_0001, true},
		{"of another transaction", func(m *DHCP) { m.XID++ }, 0, false},
		{"for somebody else", func(m *DHCP) { m.MAC++ }, 0, false},
		{"of a client", func(m *DHCP) { m.Reply = false }, 0, false},
		{"of nobody", func(m *DHCP) { m.Server = 0 }, 0, false},
		{"no address", func(m *DHCP) { m.Your = 0 }, 0, false},
		{"loopback", func(m *DHCP) { m.Your = 0x7f00_0001 }, 0, false},
		{"group", func(m *DHCP) { m.Your = 0xe000_0001 }, 0, false},
		{"the network's own", func(m *DHCP) { m.Your = 0x0a00_0000 }, 0, false},
		{"everybody's", func(m *DHCP) { m.Your = 0x0a00_00ff }, 0, false},
		{"mask with holes", func(m *DHCP) { m.Mask = 0xff00_ff00 }, 0, false},
		{"mask of 31 bits", func(m *DHCP) { m.Mask = 0xffff_fffe }, 0, false},
		{"mask of 30 bits", func(m *DHCP) { m.Mask, m.Router = 0xffff_fffc, 0x0a00_000a }, 0x0a00_000a, true},
		{"no mask", func(m *DHCP) { m.Mask, m.Router = 0, 0x0a01_0203 }, 0x0a01_0203, true},
		{"no time", func(m *DHCP) { m.Lease = 0 }, 0, false},
		{"short", func(m *DHCP) { m.Lease = 5 }, 0, false},
		{"router elsewhere", func(m *DHCP) { m.Router = 0x0b00_0001 }, 0, true},
		{"the client as router", func(m *DHCP) { m.Router = dhcpTestGives }, 0, true},
		{"odd times", func(m *DHCP) { m.Renew, m.Rebind = 5000, 4000 }, 0x0a00_0001, true},
		{"bad servers", func(m *DHCP) { m.DNS = [mostDHCPServers]uint32{0, 0xe000_0001, 0x7f00_0001}; m.NumDNS = 3 }, 0x0a00_0001, true},
	} {
		l := newDHCPLab(t)
		var m DHCP
		l.c.Expire(&m, l.now)
		offer, _ := l.answer(&m)
		tc.change(&offer)
		if got := l.c.Input(&offer, l.now) == DHCPTell; got != tc.good || got && (l.c.Offered.Router != tc.router || l.c.renew >= l.c.rebind || l.c.rebind >= l.c.seconds) {
			t.Errorf("%s: taken %v, %+v", tc.name, got, l.c)
		}
	}
}

// TestDHCPHostile: whatever servers and neighbours say, the client uses no address longer than it may, or one that nobody can have, does not
// flood the network and goes on.
func TestDHCPHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := DHCPClient{}, rapid.Uint64Range(1, 1<<50).Draw(t, "now")
		c.Start(dhcpTestMAC, Key{3, 4}, nil, now)
		begin, sent, used := now, 0, uint32(0)
		var last DHCP
		var until uint64 // of what was promised last
		do := func(do DHCPDo, m *DHCP) {
			if do&DHCPDrop != 0 {
				used = 0
			}
			if do&(DHCPTell|DHCPAsk) != 0 {
				sent++
				last = *m
				b := make([]byte, DHCPMost)
				if m.Put(b); m.Reply || m.MAC != dhcpTestMAC || do&DHCPAsk != 0 && m.Client != used {
					t.Fatalf("sent %+v", m)
				}
			}
			if do&DHCPUse != 0 {
				used = c.Lease.Address
				until = c.asked + uint64(c.seconds)*second
			}
			if (used != 0) != c.Bound() || used != 0 && (!usable(used) || used != c.Lease.Address) {
				t.Fatalf("%x is used in %+v", used, c)
			}
		}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			var m DHCP
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				now += rapid.SampledFrom([]uint64{1, milli, 200 * milli, second, 20 * second, 2000 * second, 1 << 45}).Draw(t, "pass")
			case 1, 2:
				if d := c.Deadline(); d != 0 {
					now = max(now, d)
				}
			case 3:
				do(c.Conflict(&m, now), &m)
			default:
				word := func(name string, good uint32) uint32 {
					if rapid.IntRange(0, 5).Draw(t, name+" is bad") != 0 {
						return good
					}
					return rapid.SampledFrom([]uint32{0, 1, good - 1, good + 1, 0xffff_ffff, 0x7f00_0001, 3600}).Draw(t, name)
				}
				m = DHCP{Reply: true, Type: rapid.SampledFrom([]uint8{DHCPOffer, DHCPAck, DHCPAck, DHCPNak}).Draw(t, "type"), XID: word("xid", last.XID),
					MAC: dhcpTestMAC, Server: word("server", dhcpTestServer), Your: word("your", dhcpTestGives), Mask: word("mask", 0xffff_ff00),
					Router: word("router", 0x0a00_0001), Lease: word("lease", 60), Renew: word("renew", 20), Rebind: word("rebind", 40)}
				do(c.Input(&m, now), &m)
			}
			do(c.Expire(&m, now), &m)
			if d := c.Deadline(); d != 0 && d <= now {
				t.Fatalf("nothing comes of a deadline: %+v", c)
			}
			if used != 0 && c.endAt != 0 && now >= until {
				t.Fatalf("an address is used %d ns after its end: %+v", now-until, c)
			}
		}
		// Each lease is ten seconds at least, and before that one waits: two messages for the lease, two for its extension, then again.
		if most := 10 + (now-begin)/(second/2); uint64(sent) > most {
			t.Fatalf("%d messages in %d ms", sent, (now-begin)/milli)
		}
	})
}

package inet

import (
	"bytes"
	"testing"
)

// packet6 is a packet with headers of which each says what it is: n extension headers are given as they are.
func packet6(next uint8, payload ...byte) []byte {
	b := make([]byte, IPv6Len)
	PutIPv6(b, 0xfe80<<48, 1, 0xfe80<<48, 2, next, ndpHops, len(payload))
	return append(b, payload...)
}

func TestIPv6Extensions(t *testing.T) {
	options := func(next uint8) []byte { return []byte{next, 0, 1, 2, 0, 0, 5, 0} }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, tc := range []struct {
		name  string
		b     []byte
		ok    bool
		proto uint8
		part  bool
	}{
		{"none", packet6(ProtoUDP, 1), true, ProtoUDP, false},
		{"hop by hop", packet6(0, cat(options(60), options(17), []byte{1})...), true, ProtoUDP, false},
		{"hop by hop later", packet6(60, cat(options(0), options(17))...), false, 0, false},
		{"cut", packet6(60, 17, 1, 0, 0, 0, 0, 0, 0), false, 0, false},
		{"short", packet6(60, 17, 0, 0), false, 0, false},
		{"an option that must be known", packet6(0, 17, 0, 0xc2, 4, 0, 0, 0, 0), false, 0, false},
		{"an option beyond the end", packet6(60, 17, 0, 1, 5, 0, 0, 0, 0), false, 0, false},
		{"routed to its end", packet6(43, 6, 0, 0, 0, 0, 0, 0, 0), true, ProtoTCP, false},
		{"to be routed", packet6(43, 6, 0, 0, 1, 0, 0, 0, 0), false, 0, false},
		{"fragment", packet6(44, 17, 0, 0, 0x11, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8), true, ProtoUDP, true},
		{"odd fragment", packet6(44, 17, 0, 0, 0x11, 0, 0, 0, 9, 1, 2, 3), false, 0, false},
		{"fragment that is the whole", packet6(44, cat([]byte{60, 0, 0, 0, 0, 0, 0, 9}, options(17))...), true, ProtoUDP, false},
		{"fragment of a fragment", packet6(44, 44, 0, 0, 0, 0, 0, 0, 9, 17, 0, 0, 0, 0, 0, 0, 9), false, 0, false},
		{"too many", packet6(60, cat(bytes.Repeat(options(60), 20), options(17))...), false, 0, false},
		{"nothing", packet6(59), true, 59, false},
	} {
		var p IPv6
		ok := ParseIPv6(append(tc.b, 0xff), &p)
		if ok != tc.ok || ok && (p.Proto != tc.proto || p.Part != tc.part) {
			t.Errorf("%s: got %v, %+v", tc.name, ok, p)
		}
		if p.Part && (p.Fragment != 16 || !p.More || p.ID != 9 || len(p.Payload) != 8) {
			t.Errorf("%s: got %+v", tc.name, p)
		}
	}
	group := packet6(ProtoUDP)
	group[8] = 0xff
	if ParseIPv6(group, new(IPv6)) {
		t.Error("a packet comes from a group")
	}
}

func FuzzIPv6(f *testing.F) {
	f.Add(packet6(0, 60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 8, 0, 0, 0, 1, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q IPv6
		if !ParseIPv6(b, &p) {
			return
		}
		if !within(p.Payload, b) || len(p.Payload) > len(b)-IPv6Len || p.Part && p.More && len(p.Payload)%8 != 0 {
			t.Fatalf("%+v", p)
		}
		if next, rest, ok := SkipIPv6(p.Proto, p.Payload); ok && !p.Part && (next != p.Proto || len(rest) != len(p.Payload)) {
			t.Fatalf("there is more to skip: %+v", p)
		}
		if p.Part {
			return
		}
		again := make([]byte, IPv6Len)
		PutIPv6(again, p.FromHi, p.FromLo, p.ToHi, p.ToLo, p.Proto, p.Hops, len(p.Payload))
		if !ParseIPv6(append(again, p.Payload...), &q) || !bytes.Equal(q.Payload, p.Payload) {
			t.Fatalf("got %+v, want %+v", q, p)
		}
		p.Payload, q.Payload = nil, nil
		p.ID = 0 // of a fragment that was the whole
		if p.FromHi != q.FromHi || p.FromLo != q.FromLo || p.ToHi != q.ToHi || p.ToLo != q.ToLo || p.Proto != q.Proto || p.Hops != q.Hops {
			t.Fatalf("got %+v, want %+v", q, p)
		}
	})
}

// send puts a message into a packet.
func (m *NDP) send(from, to Address) []byte {
	b := make([]byte, IPv6Len+m.Len())
	PutIPv6(b, from.Hi, from.Lo, to.Hi, to.Lo, ProtoICMPv6, ndpHops, m.Len())
	m.Put(b[IPv6Len:])
	PutBe16(b[IPv6Len+2:], Checksum(PseudoIPv6(from.Hi, from.Lo, to.Hi, to.Lo, ProtoICMPv6, m.Len()), b[IPv6Len:]))
	return b
}

var (
	router6  = Address{0xfe80 << 48, 1}
	host6    = Address{0x2001_0db8 << 32, 0x1234_5678}
	nobody6  Address
	group6   = Address{0xff02 << 48, 1}
	messages = []NDP{
		{Type: RouterSolicitation, HasMAC: true, MAC: [6]byte{2, 0, 0, 0, 0, 1}},
		{Type: NeighbourSolicitation, Target: host6, HasMAC: true, MAC: [6]byte{2, 0, 0, 0, 0, 1}},
		{Type: NeighbourAdvertisement, Target: host6, HasMAC: true, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Router: true, Override: true},
		{Type: RouterAdvertisement, Hops: 64, Managed: true, Lifetime: 1800, Reachable: 1, Retrans: 2, MTU: 1480, HasMAC: true, NumPrefixes: 2, NumServers: 2, ServersLifetime: 600,
			Prefixes: [mostPrefixes]Prefix{{Address: Address{0x2001_0db8 << 32, 0}, Bits: 64, OnLink: true, Autonomous: true, Valid: 100, Preferred: 50}, {Address: Address{1 << 60, 0}, Bits: 48}},
			Servers:  [mostServers]Address{{1, 2}, {3, 4}}},
	}
)

func TestNDP(t *testing.T) {
	for _, m := range messages {
		var p IPv6
		var got NDP
		b := m.send(router6, group6)
		if !ParseIPv6(b, &p) || !ParseNDP(&p, false, &got) || got != m {
			t.Errorf("got %+v, want %+v", got, m)
		}
		b[len(b)-1] ^= 1
		if ParseNDP(&p, false, &got) {
			t.Errorf("type %d: a wrong checksum is right", m.Type)
		}
		p.Hops = 254
		if ParseNDP(&p, true, &got) {
			t.Errorf("type %d: from behind a router", m.Type)
		}
	}
	hi, lo := SolicitedNode(host6.Lo)
	solicited := Address{hi, lo}
	if mac := GroupMAC(lo); mac != [6]byte{0x33, 0x33, 0xff, 0x34, 0x56, 0x78} {
		t.Errorf("the group is at %x", mac)
	}
	mac := func(m NDP) NDP { m.HasMAC = true; return m }
	who := NDP{Type: NeighbourSolicitation, Target: host6}
	for i, tc := range []struct {
		m        NDP
		from, to Address
		ok       bool
	}{
		{who, nobody6, solicited, true}, // is the address taken?
		{mac(who), nobody6, solicited, false},
		{who, nobody6, host6, false},
		{NDP{Type: NeighbourSolicitation, Target: group6}, router6, group6, false},
		{NDP{Type: NeighbourAdvertisement, Target: host6, Solicited: true}, host6, group6, false},
		{NDP{Type: NeighbourAdvertisement, Target: host6, Solicited: true}, host6, router6, true},
		{NDP{Type: RouterSolicitation}, nobody6, group6, true},
		{mac(NDP{Type: RouterSolicitation}), nobody6, group6, false},
		{NDP{Type: RouterAdvertisement}, host6, group6, false},
	} {
		var p IPv6
		var got NDP
		if ok := ParseIPv6(tc.m.send(tc.from, tc.to), &p) && ParseNDP(&p, false, &got); ok != tc.ok {
			t.Errorf("case %d: got %v", i, ok)
		}
	}
}

func FuzzNDP(f *testing.F) {
	for _, m := range messages {
		b := make([]byte, m.Len())
		m.Put(b)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, local bool) {
		p := IPv6{FromHi: host6.Hi, FromLo: 1, ToHi: group6.Hi, ToLo: 1, Proto: ProtoICMPv6, Hops: ndpHops, Payload: b}
		if local {
			p.FromHi = router6.Hi
		}
		var m, again NDP
		ParseNDP(&p, false, &m)
		if !ParseNDP(&p, true, &m) {
			return
		}
		p.Payload = make([]byte, m.Len())
		m.Put(p.Payload)
		if m.NumServers == 0 {
			m.ServersLifetime = 0
		}
		if !ParseNDP(&p, true, &again) || again != m {
			t.Fatalf("got %+v, want %+v", again, m)
		}
	})
}

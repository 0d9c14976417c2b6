package main

import (
	"bytes"
	"testing"

	"nom.dev/nom/metal/inet"
)

var (
	router6 = ip{0xfe80 << 48, 2}
	other6  = ip{0xfec0 << 48, 2}
)

const routerMAC = 0x5256_0000_0002

// six makes a packet of IPv6 with a checksum at the given place of its payload.
func six(from, to ip, proto, hops uint8, sumAt int, payload []byte) []byte {
	b := make([]byte, inet.IPv6Len, inet.IPv6Len+len(payload))
	inet.PutIPv6(b, from.hi, from.lo, to.hi, to.lo, proto, hops, len(payload))
	payload = bytes.Clone(payload)
	inet.PutBe16(payload[sumAt:], 0)
	inet.PutBe16(payload[sumAt:], inet.Checksum(inet.PseudoIPv6(from.hi, from.lo, to.hi, to.lo, proto, len(payload)), payload))
	return append(b, payload...)
}

func ndp(from, to ip, m *inet.NDP, mac uint64, hops uint8) []byte {
	m.HasMAC = mac != 0
	putMAC(m.MAC[:], mac)
	b := make([]byte, m.Len())
	m.Put(b)
	return six(from, to, inet.ProtoICMPv6, hops, sumInICMP, b)
}

func advertisement(hi uint64) *inet.NDP {
	m := &inet.NDP{Type: inet.RouterAdvertisement, Lifetime: 1800, NumPrefixes: 1}
	m.Prefixes[0] = inet.Prefix{Address: inet.Address{Hi: hi}, Bits: 64, OnLink: true, Autonomous: true, Valid: 86400, Preferred: 14400}
	return m
}

// sent parses the frames posted since from: packets of IPv6 whose checksum is right.
func sent6(t *testing.T, from uint8) (all []inet.IPv6, macs []uint64) {
	t.Helper()
	for _, f := range left(t, from) {
		var p inet.IPv6
		if inet.Be16(f[12:]) != inet.TypeIPv6 || !inet.ParseIPv6(f[inet.EthernetLen:], &p) {
			t.Fatalf("no packet of IPv6: %x", f)
		}
		if inet.Checksum(inet.PseudoIPv6(p.FromHi, p.FromLo, p.ToHi, p.ToLo, p.Proto, len(p.Payload)), p.Payload) != 0 {
			t.Errorf("wrong checksum: %x", f)
		}
		all, macs = append(all, p), append(macs, macOf(f))
	}
	return all, macs
}

// fakeIPv6 is a container with an address from a router.
func fakeIPv6(t *testing.T) {
	t.Helper()
	fakeFunction(t)
	before := nic.tail
	initIPv6(nanotime())
	asked, macs := sent6(t, before)
	var m inet.NDP
	if len(asked) != 1 || macs[0] != 0x3333_0000_0002 || !inet.ParseNDP(&asked[0], false, &m) || m.Type != inet.RouterSolicitation {
		t.Fatalf("no router solicitation: %v", asked)
	}
	arrive(inet.TypeIPv6, ndp(router6, allNodes, advertisement(0xfec0<<48), routerMAC, hopsOnLink), 0)
	if want := (ip{0xfec0 << 48, 0x0000_00ff_fe00_0001}); net6.global != want || !net6.router.equal(router6) {
		t.Fatalf("own address %x router %x", net6.global, net6.router)
	}
}

func TestRouterAdvertisements(t *testing.T) {
	fakeIPv6(t)
	global := net6.global
	for name, b := range map[string][]byte{
		"passed on":      ndp(router6, allNodes, advertisement(0x2001<<48), 1, 254),
		"not link-local": ndp(other6, allNodes, advertisement(0x2001<<48), 1, hopsOnLink),
		"loopback":       ndp(router6, allNodes, advertisement(0), routerMAC, hopsOnLink),
		"multicast":      ndp(router6, allNodes, advertisement(0xff02<<48), routerMAC, hopsOnLink),
	} {
		net6.global = ip{}
		arrive(inet.TypeIPv6, b, 0)
		if net6.global.hi != 0 || knownNeighbour(router6).mac != routerMAC {
			t.Errorf("%s: taken: %x", name, net6.global)
		}
	}
	net6.global = global
	until := net6.globalUntil
	short := advertisement(0xfec0 << 48)
	short.Prefixes[0].Valid, short.Prefixes[0].Preferred = 1, 1
	arrive(inet.TypeIPv6, ndp(router6, allNodes, short, routerMAC, hopsOnLink), 0)
	if net6.globalUntil < nanotime()+(twoHours-60)*nanos || net6.globalUntil > until {
		t.Error("an advertisement ended the address at once")
	}
	gone := &inet.NDP{Type: inet.RouterAdvertisement}
	arrive(inet.TypeIPv6, ndp(router6, allNodes, gone, routerMAC, hopsOnLink), 0)
	if net6.router.hi != 0 {
		t.Error("the router that ended is still used")
	}
	timerIPv6(net6.globalUntil)
	if net6.global.hi != 0 {
		t.Error("the address outlived its prefix")
	}
}

// Neighbours find the container and are found; what was to be sent meanwhile is not lost.
func TestNeighbourDiscovery(t *testing.T) {
	fakeIPv6(t)
	before := nic.tail
	group := ip{}
	group.hi, group.lo = inet.SolicitedNode(net6.global.lo)
	ask := inet.NDP{Type: inet.NeighbourSolicitation, Target: inet.Address{Hi: net6.global.hi, Lo: net6.global.lo}}
	arrive(inet.TypeIPv6, ndp(router6, group, &ask, routerMAC, 64), 0) // passed on by a router
	arrive(inet.TypeIPv6, ndp(router6, group, &ask, routerMAC, hopsOnLink), 0)
	answers, macs := sent6(t, before)
	var m inet.NDP
	if len(answers) != 1 || macs[0] != routerMAC || !inet.ParseNDP(&answers[0], false, &m) || m.Type != inet.NeighbourAdvertisement ||
		!m.Solicited || macOf(m.MAC[:]) != fakeMAC {
		t.Fatalf("answers %v to %x", answers, macs)
	}
	before = nic.tail
	echo := append([]byte{icmp6Echo, 0, 0, 0, 1, 2, 3, 4}, somePayload(100)...)
	arrive(inet.TypeIPv6, six(other6, net6.global, inet.ProtoICMPv6, 64, sumInICMP, echo), 0)
	asked, macs := sent6(t, before)
	if len(asked) != 1 || macs[0] != 0x3333_ff00_0002 || !inet.ParseNDP(&asked[0], false, &m) || m.Type != inet.NeighbourSolicitation {
		t.Fatalf("asked %v at %x", asked, macs)
	}
	before = nic.tail
	here := inet.NDP{Type: inet.NeighbourAdvertisement, Target: inet.Address{Hi: other6.hi, Lo: other6.lo}, Solicited: true}
	arrive(inet.TypeIPv6, ndp(other6, net6.global, &here, otherMAC, hopsOnLink), 0)
	replies, macs := sent6(t, before)
	if len(replies) != 1 || macs[0] != otherMAC || replies[0].Payload[0] != icmp6EchoReply || !bytes.Equal(replies[0].Payload[4:], echo[4:]) {
		t.Fatalf("replies %v to %x", replies, macs)
	}
	forged := inet.NDP{Type: inet.NeighbourAdvertisement, Target: inet.Address{Hi: other6.hi, Lo: 99}, Override: true}
	arrive(inet.TypeIPv6, ndp(other6, net6.global, &forged, 0x0200_0000_0099, hopsOnLink), 0)
	if knownNeighbour(ip{other6.hi, 99}) != nil {
		t.Error("a neighbour that nobody asked for is noted")
	}
}

// A listener at :: gets connections of both kinds, one with IPV6_V6ONLY those of IPv6. Addresses that mean something inside do not come
// from outside.
func TestListenIPv6(t *testing.T) {
	fakeIPv6(t)
	neighbourFor(other6).know(otherMAC, nanotime())
	i := newSocket(afInet6, sockStream)
	l := socketAt(i)
	l.bindTo(uint32(i), 80)
	l.state, l.backlog = sockListening, 10
	syn := inet.Segment{From: 5000, To: 80, Seq: 100, Flags: inet.SYN, Window: 1000, MSS: 1460}
	b := make([]byte, syn.HeaderLen())
	syn.Put(b, 0)
	for _, from := range []ip{other4, loopback6, {0, 0x7f00_0001}, {}} {
		before := nic.tail
		arrive(inet.TypeIPv6, six(from, net6.global, inet.ProtoTCP, 64, 16, b), 0)
		if nic.tail != before {
			t.Errorf("who says to be %x is answered", from)
		}
	}
	before := nic.tail
	arrive(inet.TypeIPv6, six(other6, net6.global, inet.ProtoTCP, 64, 16, b), 0)
	answers, macs := sent6(t, before)
	var s inet.Segment
	if len(answers) != 1 || macs[0] != otherMAC {
		t.Fatalf("answers %v to %x", answers, macs)
	}
	if _, ok := inet.ParseTCP(answers[0].Payload, &s); !ok || s.Flags != inet.SYN|inet.ACK || s.MSS != ownMSS6 {
		t.Errorf("answer %+v", s)
	}
	if n := findConnection(net6.global, 80, other6, 5000); n == 0 {
		t.Error("there is no connection")
	}
	inet.PutBe16(b[16:], 0)
	inet.PutBe16(b[16:], inet.Checksum(pseudo(other4, own4, inet.ProtoTCP, len(b)), b))
	for _, only := range []uint32{optV6Only, 0} {
		l.options = l.options&^optV6Only | only
		arrive(inet.TypeIPv4, cut(other4, own4, inet.ProtoTCP, b)[0], 0)
		if got := findConnection(own4, 80, other4, 5000) != 0; got != (only == 0) {
			t.Errorf("IPV6_V6ONLY %d: a connection of IPv4: %v", only, got)
		}
	}
}

// Datagrams of IPv6, whole and in fragments; none without a checksum.
func TestDatagramsIPv6(t *testing.T) {
	fakeIPv6(t)
	neighbourFor(other6).know(otherMAC, nanotime())
	i := newSocket(afInet6, sockDatagram)
	s := socketAt(i)
	s.bindTo(uint32(i), 7)
	udp := func(n int) []byte {
		b := make([]byte, inet.UDPLen, inet.UDPLen+n)
		inet.PutUDP(b, 5000, 7, n, 0)
		return append(b, somePayload(n)...)
	}
	arrive(inet.TypeIPv6, six(other6, net6.global, inet.ProtoUDP, 64, sumInUDP, udp(100)), 0)
	if s.in.used() != datagramHead+100 {
		t.Fatalf("%d bytes received", s.in.used())
	}
	b := six(other6, net6.global, inet.ProtoUDP, 64, sumInUDP, udp(100))
	inet.PutBe16(b[inet.IPv6Len+sumInUDP:], 0)
	arrive(inet.TypeIPv6, b, 0)
	if s.in.used() != datagramHead+100 {
		t.Error("a datagram without a checksum was taken")
	}
	whole := six(other6, net6.global, inet.ProtoUDP, 64, sumInUDP, udp(3000))[inet.IPv6Len:]
	for at := 0; at < len(whole); at += 1200 {
		part := whole[at:min(at+1200, len(whole))]
		p := make([]byte, inet.IPv6Len+8, 1500)
		inet.PutIPv6(p, other6.hi, other6.lo, net6.global.hi, net6.global.lo, 44, 64, 8+len(part))
		h := p[inet.IPv6Len:]
		h[0] = inet.ProtoUDP
		inet.PutBe16(h[2:], uint16(at))
		if at+len(part) < len(whole) {
			h[3] |= 1
		}
		inet.PutBe32(h[4:], 9)
		arrive(inet.TypeIPv6, append(p, part...), 0)
	}
	if s.in.used() != 2*datagramHead+3100 {
		t.Errorf("%d bytes received, want a datagram put together from fragments", s.in.used())
	}
	before := nic.tail
	closed := udp(50)
	inet.PutBe16(closed[2:], 9)
	arrive(inet.TypeIPv6, six(other6, net6.global, inet.ProtoUDP, 64, sumInUDP, closed), 0)
	if told, _ := sent6(t, before); len(told) != 1 || told[0].Payload[0] != icmp6Unreachable || told[0].Payload[1] != icmp6Port {
		t.Errorf("told %v, want that nobody has the port", told)
	}
}

var datagramToSend [4000]byte

// A datagram that is too long for one packet is cut, and its checksum is that of the whole.
func TestLongDatagramIPv6(t *testing.T) {
	fakeIPv6(t)
	neighbourFor(other6).know(otherMAC, nanotime())
	copy(datagramToSend[:], somePayload(len(datagramToSend)))
	m := message{p: addressOf(&datagramToSend[0]), n: uint64(len(datagramToSend)), count: 1}
	before := nic.tail
	if r := sendUDPOutside(&m, m.n, net6.global, 7, other6, 5000); r != m.n {
		t.Fatalf("sendto: %d", int64(r))
	}
	var r inet.Reassembler
	r.Use(make([]byte, fragmentMemory))
	var whole []byte
	for _, f := range left(t, before) {
		var p inet.IPv6
		if len(f) > inet.EthernetLen+mtu || macOf(f) != otherMAC || !inet.ParseIPv6(f[inet.EthernetLen:], &p) || !p.Part {
			t.Fatalf("wrong frame of %d bytes: %x", len(f), f[:64])
		}
		k := inet.FragmentKey{ID: p.ID}
		whole = r.Add(&k, uint32(p.Fragment), p.More, p.Payload, 1)
	}
	var u inet.UDP
	if !inet.ParseUDP(whole, &u) || u.From != 7 || u.To != 5000 || !bytes.Equal(u.Payload, datagramToSend[:]) {
		t.Fatalf("%d bytes sent", len(whole))
	}
	if inet.Checksum(pseudo(net6.global, other6, inet.ProtoUDP, len(whole)), whole) != 0 {
		t.Error("wrong checksum")
	}
}

// Packets that are anything do no harm.
func FuzzInputIPv6(f *testing.F) {
	f.Add(ndp(router6, allNodes, advertisement(0xfec0<<48), routerMAC, hopsOnLink))
	f.Add(six(other6, ip{0xfe80 << 48, 0x0000_00ff_fe00_0001}, inet.ProtoICMPv6, 64, sumInICMP, make([]byte, 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		fakeFunction(t)
		initIPv6(nanotime())
		arrive(inet.TypeIPv6, b, 0)
	})
}

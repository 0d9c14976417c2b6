package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// IPv6 (RFC 8200) on the same function: packets in and out, and where they go. Addresses come from net_ndp.go. The device fills in the
// checksums of TCP; those of UDP and ICMP are added up here, because there are contexts for two kinds of frames only.

const (
	frameHead6 = inet.EthernetLen + inet.IPv6Len
	ownMSS6    = mtu - inet.IPv6Len - inet.TCPLen
	mostInOne6 = mtu - inet.IPv6Len - inet.UDPLen
	leastMTU6  = 1280
	hopLimit   = 64
)

// allNodes is the group of everybody on the link (RFC 4291, 2.7.1), allRouters that of routers.
var (
	allNodes   = ip{0xff02 << 48, 1}
	allRouters = ip{0xff02 << 48, 2}
)

// ownMSSFor is the largest segment that a connection from address a takes.
func ownMSSFor(a ip) uint32 {
	if a.is4() {
		return ownMSS
	}
	return ownMSS6
}

// isOwn6 tells whether a is an address of IPv6 that the container has outside.
func (a ip) isOwn6() bool {
	return a.hi != 0 && (a.equal(net6.link) || a.equal(net6.global))
}

// sourceFor6 is the address from which an unbound socket reaches a.
func sourceFor6(a ip) ip {
	switch {
	case !net.up || a.isLoopback():
		return loopback6
	case a.isOwn6():
		return a
	case inet.LinkLocal(a.hi) || net6.global.hi == 0:
		return net6.link
	}
	return net6.global
}

// reaches6 tells whether packets for a, of somebody else, can be sent.
func reaches6(a ip) bool {
	switch {
	case !net.up || a.hi == 0 || inet.Multicast(a.hi):
		return false
	case inet.LinkLocal(a.hi):
		return true
	}
	awaitAddress()
	return net6.global.hi != 0
}

func nextHop6(a ip) ip {
	if net6.router.hi == 0 || inet.LinkLocal(a.hi) || net6.onLink && a.hi == net6.global.hi {
		return a
	}
	return net6.router
}

// sendTo6 is sendTo for a packet of n bytes with its Ethernet header.
func sendTo6(a ip, n, now uint64) {
	if inet.Multicast(a.hi) {
		putEthernet(nicBuffer(), 0x3333<<32|a.lo&0xffff_ffff, inet.TypeIPv6)
		nicSend(n, sendPlain)
		return
	}
	neighbourFor(nextHop6(a)).pass(n, sendPlain, now)
}

// finish6 writes the header of a packet of which n bytes of payload are in nicBuffer, with the checksum at the given place of them, and
// sends it.
func finish6(b uint64, from, to ip, proto, hops uint8, n, sumAt, now uint64) {
	inet.PutIPv6(bytesAt(b+inet.EthernetLen, inet.IPv6Len), from.hi, from.lo, to.hi, to.lo, proto, hops, int(n))
	p := bytesAt(b+frameHead6, n)
	inet.PutBe16(p[sumAt:], 0)
	sum := inet.Checksum(pseudo(from, to, proto, int(n)), p)
	if sum == 0 && proto == inet.ProtoUDP {
		sum = 0xffff // 0 would say that there is none
	}
	inet.PutBe16(p[sumAt:], sum)
	sendTo6(to, frameHead6+n, now)
}

// pseudo is the sum of the pseudo header for n bytes of a protocol.
func pseudo(from, to ip, proto uint8, n int) uint64 {
	if to.is4() {
		return inet.PseudoIPv4(uint32(from.lo), uint32(to.lo), proto, n)
	}
	return inet.PseudoIPv6(from.hi, from.lo, to.hi, to.lo, proto, n)
}

// Where the checksum lies in headers.
const (
	sumInTCP  = 16
	sumInUDP  = 6
	sumInICMP = 2
)

func sendUDP6(m *message, n uint64, from ip, fromPort uint16, to ip, port uint16) uint64 {
	if n > mostInOne6 {
		return sendFragments6(m, n, from, fromPort, to, port)
	}
	b := frameBuffer()
	if b == 0 {
		return n
	}
	if e := m.copyTo(b+frameHead6+inet.UDPLen, 0, n); e != 0 {
		return errno(e)
	}
	inet.PutUDP(bytesAt(b+frameHead6, inet.UDPLen), fromPort, port, int(n), 0)
	finish6(b, from, to, inet.ProtoUDP, hopLimit, inet.UDPLen+n, sumInUDP, nanotime())
	nicFlush()
	return n
}

// putSegment6 is putSegment for a packet of IPv6 with n bytes behind its header.
func putSegment6(b uint64, s *inet.Segment, from, to ip, n int) {
	head := uint64(s.HeaderLen())
	h := bytesAt(b+inet.EthernetLen, inet.IPv6Len+head)
	inet.PutIPv6(h, from.hi, from.lo, to.hi, to.lo, inet.ProtoTCP, hopLimit, n)
	s.Put(h[inet.IPv6Len:], inet.Fold(pseudo(from, to, inet.ProtoTCP, n)))
}

func inputIPv6(f *received, b []byte, now uint64) {
	var p inet.IPv6
	if !inet.ParseIPv6(b, &p) {
		drop(abi.DropMalformed)
		return
	}
	from, to := ip{p.FromHi, p.FromLo}, ip{p.ToHi, p.ToLo}
	// Nothing in ::/64 comes from outside: loopback, and what stands for addresses of IPv4. Only who has no address yet asks so.
	nobody := from.hi|from.lo == 0 && p.Proto == inet.ProtoICMPv6
	if !hears6(to) || from.hi == 0 && !nobody || from.isOwn6() {
		drop(abi.DropForeign)
		return
	}
	hardware := f.hi & (igb.RxUDP | igb.RxTCP | igb.RxL4Error)
	if p.Part {
		if !inputFragment6(from, to, &p, now) {
			return
		}
		hardware, b = 0, nil
	}
	switch p.Proto {
	case inet.ProtoTCP:
		if to.isOwn6() && checked(hardware, from, to, p.Proto, p.Payload) {
			inputTCP(from, to, p.Payload, now)
		}
	case inet.ProtoUDP:
		if to.isOwn6() {
			inputUDP(hardware, b, from, to, p.Payload)
		}
	case inet.ProtoICMPv6:
		inputICMPv6(from, to, &p, now)
	}
}

// hears6 tells whether packets to a concern the container.
func hears6(a ip) bool {
	if a.isOwn6() || a.equal(allNodes) {
		return true
	}
	hi, lo := inet.SolicitedNode(net6.link.lo) // both addresses end alike
	return a.hi == hi && a.lo == lo
}

// inputFragment6 takes a part of a packet. When that was the last one missing, p gets all of it.
func inputFragment6(from, to ip, p *inet.IPv6, now uint64) bool {
	k := inet.FragmentKey{From: inet.Address{Hi: from.hi, Lo: from.lo}, To: inet.Address{Hi: to.hi, Lo: to.lo}, ID: p.ID, Proto: p.Proto}
	whole := putTogether(&k, p.Fragment, p.More, p.Payload, now)
	if whole == nil {
		return false
	}
	ok := false
	p.Proto, p.Payload, ok = inet.SkipIPv6(p.Proto, whole)
	return ok && (p.Proto == inet.ProtoUDP || p.Proto == inet.ProtoICMPv6)
}

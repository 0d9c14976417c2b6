package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// Neighbour discovery (RFC 4861) and addresses from a router's prefix (RFC 4862). The link-local address is made of the Ethernet
// address, as is the lower half of the other. Whether somebody else has an address is not asked: Ethernet addresses are given out by
// the nonkernel.

var net6 struct {
	link, global ip // zero: none
	onLink       bool
	router       ip
	routerUntil  uint64
	globalUntil  uint64

	asked   uint8 // for routers
	askAt   uint64
	started uint64
	waiting bool // a thread is in awaitAddress
}

const (
	solicitations   = 3
	solicitInterval = 4_000_000_000
	awaitRouter     = 1_000_000_000
	twoHours        = 7200
	unlimited       = ^uint32(0)
	hopsOnLink      = 255 // no router has passed it on
)

// initIPv6 makes the link-local address (RFC 4291, appendix A), and asks for routers.
func initIPv6(now uint64) {
	m := net.mac
	net6.link = ip{0xfe80 << 48, (m>>40^2)<<56 | m>>24&0xffff<<40 | 0xfffe<<24 | m&0xff_ffff}
	net6.global, net6.router, net6.asked = ip{}, ip{}, 0
	net6.started = now
	solicit(now)
}

// solicit asks for routers.
func solicit(now uint64) {
	net6.asked++
	net6.askAt = now + solicitInterval
	sendNDP(&inet.NDP{Type: inet.RouterSolicitation}, net6.link, allRouters, true, now)
	nicFlush()
}

// timerIPv6 asks for routers again, and forgets what they said when its time is over.
func timerIPv6(now uint64) {
	if net6.router.hi == 0 && net6.asked < solicitations && now >= net6.askAt {
		solicit(now)
	}
	if net6.router.hi != 0 && now >= net6.routerUntil {
		net6.router, net6.asked = ip{}, 0
	}
	if net6.global.hi != 0 && now >= net6.globalUntil {
		net6.global = ip{}
	}
}

// awaitAddress lets the thread wait for a router's first answer, for a moment after the start: a program's first connection
// would else come too early.
func awaitAddress() {
	until := net6.started + awaitRouter
	for net6.global.hi == 0 && nanotime() < until {
		if netSleep() {
			continue
		}
		net6.waiting = true
		if _, interrupted := block(waitSocket, 0, until); interrupted {
			return
		}
	}
}

// wakeAwaiting ends awaitAddress: its threads wait for socket 0, which is none.
func wakeAwaiting() {
	if !net6.waiting {
		return
	}
	net6.waiting = false
	for id := uint64(1); id < threadsMade; id++ {
		if t := threads[id]; t != nil && t.state == threadBlocked && t.wait == waitSocket && t.waitAddr == 0 {
			ready(t)
		}
	}
}

// sendNDP sends a message, with the Ethernet address of the container or without.
func sendNDP(m *inet.NDP, from, to ip, withMAC bool, now uint64) {
	b := frameBuffer()
	if b == 0 {
		return
	}
	m.HasMAC = withMAC
	putMAC(m.MAC[:], net.mac)
	n := m.Len()
	m.Put(bytesAt(b+frameHead6, uint64(n)))
	finish6(b, from, to, inet.ProtoICMPv6, hopsOnLink, uint64(n), sumInICMP, now)
}

// solicitNeighbour asks who has address a: those who may, or whoever is known to have had it.
func solicitNeighbour(a ip, known bool, now uint64) {
	to := a
	if !known {
		to.hi, to.lo = inet.SolicitedNode(a.lo)
	}
	m := inet.NDP{Type: inet.NeighbourSolicitation, Target: inet.Address{Hi: a.hi, Lo: a.lo}}
	sendNDP(&m, sourceFor6(a), to, true, now)
}

// inputNDP handles a message of neighbour discovery.
func inputNDP(from, to ip, p *inet.IPv6, now uint64) {
	var m inet.NDP
	if !inet.ParseNDP(p, true, &m) {
		drop(abi.DropMalformed)
		return
	}
	mac := macOf(m.MAC[:])
	if m.HasMAC && (mac>>40&1 != 0 || mac == 0) {
		drop(abi.DropMalformed)
		return
	}
	target := ip{m.Target.Hi, m.Target.Lo}
	switch m.Type {
	case inet.NeighbourSolicitation:
		if target.isOwn6() {
			answerSolicitation(from, target, m.HasMAC, mac, now)
		}
	case inet.NeighbourAdvertisement:
		if n := knownNeighbour(target); n != nil {
			n.advertised(&m, mac, now)
		}
	case inet.RouterAdvertisement:
		heardRouter(from, &m, mac, now)
	}
}

// answerSolicitation tells who has the address target, and learns who asks.
func answerSolicitation(from, target ip, hasMAC bool, mac, now uint64) {
	m := inet.NDP{Type: inet.NeighbourAdvertisement, Target: inet.Address{Hi: target.hi, Lo: target.lo}, Override: true}
	if from.hi == 0 { // somebody wants to have it
		sendNDP(&m, target, allNodes, true, now)
		return
	}
	if hasMAC {
		neighbourFor(from).know(mac, now)
	}
	m.Solicited = true
	sendNDP(&m, target, from, true, now)
}

// advertised is what an advertisement says of a neighbour that was asked for (RFC 4861, 7.2.5).
func (n *neighbour) advertised(m *inet.NDP, mac, now uint64) {
	switch {
	case n.mac == 0 && !m.HasMAC:
	case n.mac == 0 || m.HasMAC && m.Override:
		n.know(mac, now)
	case m.Solicited && (!m.HasMAC || mac == n.mac):
		n.seen = now
	}
}

// heardRouter is a router's advertisement.
func heardRouter(from ip, m *inet.NDP, mac, now uint64) {
	switch {
	case m.Lifetime != 0:
		net6.router, net6.routerUntil = from, now+uint64(m.Lifetime)*nanos
		if m.HasMAC {
			neighbourFor(from).know(mac, now)
		}
	case from.equal(net6.router):
		net6.router = ip{}
	}
	for i := range m.NumPrefixes {
		heardPrefix(&m.Prefixes[i], now)
	}
	if net6.global.hi != 0 {
		wakeAwaiting()
	}
}

// heardPrefix makes an address of the first prefix that comes, and keeps it for as long as that is told. What is told may end it no
// sooner than in two hours: it may be forged (RFC 4862, 5.5.3).
func heardPrefix(p *inet.Prefix, now uint64) {
	if p.Bits != 64 || !p.Autonomous || p.Valid == 0 || p.Hi == 0 || inet.Multicast(p.Hi) || inet.LinkLocal(p.Hi) {
		return
	}
	until := never
	if p.Valid != unlimited {
		until = now + uint64(p.Valid)*nanos
	}
	switch {
	case net6.global.hi == 0:
		net6.global, net6.globalUntil = ip{p.Hi, net6.link.lo}, until
	case net6.global.hi != p.Hi:
		return
	case p.Valid > twoHours || until > net6.globalUntil:
		net6.globalUntil = until
	default:
		net6.globalUntil = min(net6.globalUntil, now+twoHours*nanos)
	}
	net6.onLink = p.OnLink
}

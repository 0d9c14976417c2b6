package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// Neighbours: which Ethernet address an address of the network has (RFC 826; for IPv6, net_ndp.go). One frame for each waits for the answer.

type neighbour struct {
	address ip
	mac     uint64 // 0: not known yet
	seen    uint64 // nanotime: when it was confirmed
	asked   uint64 // when it was asked for
	times   uint64 // how often, without an answer
	waiting uint64 // physical address of a frame that waits, or 0
	length  uint64
	command uint64
}

const (
	numNeighbours  = 64 // in sets of four
	neighbourFresh = 60_000_000_000
	neighbourLost  = 180_000_000_000
	askInterval    = 500_000_000
	staleInterval  = 1_000_000_000
	mostAsked      = 5 // then what waits is given up
)

var neighbours [numNeighbours]neighbour

// neighbourFor is the entry of an address; its place is taken from the one of its set that was seen longest ago.
func neighbourFor(a ip) *neighbour {
	set := (a.lo ^ a.lo>>4) % (numNeighbours / 4) * 4
	oldest := set
	for i := set; i < set+4; i++ {
		n := &neighbours[i]
		if n.address.equal(a) {
			return n
		}
		if n.seen < neighbours[oldest].seen {
			oldest = i
		}
	}
	n := &neighbours[oldest]
	n.dropWaiting()
	*n = neighbour{address: a}
	return n
}

func (n *neighbour) forgetWaiting() {
	if n.waiting != 0 {
		putFileFrame(n.waiting)
		n.waiting = 0
	}
}

// dropWaiting gives up the frame that waits.
func (n *neighbour) dropWaiting() {
	if n.waiting != 0 {
		drop(abi.DropNoNeighbour)
	}
	n.forgetWaiting()
}

// nextHop is who gets what is sent to a.
func nextHop(a ip) ip {
	if (a.lo^net.address.lo)&net.mask == 0 || net.router.lo == 0 {
		return a
	}
	return net.router
}

// hopTo is nextHop for both families.
func hopTo(a ip) ip {
	if a.is4() {
		return nextHop(a)
	}
	return nextHop6(a)
}

// sendTo posts the frame of n bytes that was built in nicBuffer, without its Ethernet header, to whoever leads to a.
func sendTo(a ip, n, command, now uint64) {
	if foreignSource() {
		return
	}
	if isBroadcast(a) {
		putEthernet(nicBuffer(), 0xffff_ffff_ffff, inet.TypeIPv4)
		nicSend(n, command)
		return
	}
	neighbourFor(nextHop(a)).pass(n, command, now)
}

// pass posts the frame of n bytes in nicBuffer to the neighbour, or keeps it until that is known.
func (nb *neighbour) pass(n, command, now uint64) {
	if nb.known(now) {
		putEthernet(nicBuffer(), nb.mac, nb.kind())
		nicSend(n, command)
		return
	}
	nb.hold(n, command)
	nb.ask(now)
}

// known tells whether frames can be sent to the neighbour.
func (nb *neighbour) known(now uint64) bool {
	if nb.mac != 0 {
		nb.age(now)
	}
	return nb.mac != 0
}

// kind is the Ethernet type of packets to the neighbour.
func (nb *neighbour) kind() uint16 {
	if nb.address.is4() {
		return inet.TypeIPv4
	}
	return inet.TypeIPv6
}

// age has the timer ask again for an address that was seen long ago, and forgets one that does not answer. It cannot ask itself:
// the buffer of the next slot holds the frame that is being sent.
func (n *neighbour) age(now uint64) {
	switch old := now - n.seen; {
	case old > neighbourLost:
		n.mac = 0
	case old > neighbourFresh && now-n.asked >= askInterval:
		askAt(now)
	}
}

// hold keeps the frame in nicBuffer until the neighbour is known.
func (n *neighbour) hold(length, command uint64) {
	if n.waiting != 0 {
		drop(abi.DropNoNeighbour) // only the last one waits
	} else if n.waiting = fileFrame(); n.waiting == 0 {
		drop(abi.DropNoNeighbour)
		return
	}
	copy(bytesAt(direct(n.waiting), length), bytesAt(nicBuffer(), length))
	n.length, n.command = length, command
}

// ask sends a request, at most so often.
func (n *neighbour) ask(now uint64) {
	if n.asked != 0 && now-n.asked < askInterval {
		return
	}
	n.asked = now
	n.times++
	askAt(now + askInterval)
	if !n.address.is4() {
		solicitNeighbour(n.address, n.mac != 0, now)
		return
	}
	to := uint64(0xffff_ffff_ffff)
	if n.mac != 0 {
		to = n.mac
	}
	sendARP(arpRequest, to, 0, n.address)
}

// staleAt is when the timer looks at all neighbours next.
var staleAt uint64

// askAt has the timer look at the neighbours then.
func askAt(t uint64) {
	staleAt = min(staleAt, t)
	netWakeAt(t)
}

// askStale asks for neighbours in use that were seen long ago, and for those for which a frame waits.
func askStale(now uint64) {
	if now < staleAt {
		return
	}
	staleAt = now + staleInterval
	for i := range neighbours {
		n := &neighbours[i]
		if n.waiting != 0 && n.times >= mostAsked && now-n.asked >= askInterval {
			n.times = 0
			n.dropWaiting()
			unreachableBy(n.address)
		}
		if n.waiting != 0 || n.mac != 0 && now-n.seen > neighbourFresh && now-n.seen < neighbourLost {
			n.ask(now)
		}
	}
}

// unreachableBy ends attempts to connect that lead over a neighbour that does not answer.
func unreachableBy(hop ip) {
	if connHeads == 0 {
		return
	}
	for chain := range uint64(connChains) {
		for n := *at[uint32](connHeads + chain*4); n != 0; {
			c := connectionAt(n)
			next, over := c.next, ip{}
			if c.remote.is4() {
				over = nextHop(c.remote)
			} else {
				over = nextHop6(c.remote)
			}
			if over.equal(hop) {
				unconnectable(n, eHOSTUNREACH)
			}
			n = next
		}
	}
}

const (
	arpRequest = 1
	arpReply   = 2
)

// sendARP sends a request for, or a reply to, an address.
func sendARP(op uint16, to, targetMAC uint64, target ip) {
	b := frameBuffer()
	if b == 0 {
		return
	}
	putEthernet(b, to, inet.TypeARP)
	p := bytesAt(b+inet.EthernetLen, inet.ARPLen)
	inet.PutBe32(p, 1<<16|inet.TypeIPv4)
	inet.PutBe32(p[4:], 6<<24|4<<16|uint32(op))
	putMAC(p[8:], net.mac)
	inet.PutBe32(p[14:], uint32(net.address.lo))
	putMAC(p[18:], targetMAC)
	inet.PutBe32(p[24:], uint32(target.lo))
	nicSend(inet.EthernetLen+inet.ARPLen, sendPlain)
}

// announce tells everybody where the container's address is now (RFC 5227, 3).
func announce() {
	sendARP(arpRequest, 0xffff_ffff_ffff, 0, net.address)
	nicFlush()
}

func inputARP(b []byte, now uint64) {
	if len(b) < inet.ARPLen || inet.Be32(b) != 1<<16|inet.TypeIPv4 || b[4] != 6 || b[5] != 4 {
		return
	}
	sender := ip{0, mapped | uint64(inet.Be32(b[14:]))}
	target := uint32(inet.Be32(b[24:]))
	mac := macOf(b[8:])
	forUs := target == uint32(net.address.lo) && target != 0
	probe := sender.equal(any4) && forUs // who wants our address asks without one (RFC 5227, 2.1.1)
	if sender.equal(any4) {
		conflictDHCP(target, mac, now)
	} else {
		conflictDHCP(uint32(sender.lo), mac, now)
	}
	if !probe && !isUnicast(sender) || sender.isHere() || mac>>40&1 != 0 || mac == 0 {
		return
	}
	if !probe {
		learn(sender, mac, forUs, now)
	}
	if forUs && inet.Be16(b[6:]) == arpRequest {
		sendARP(arpReply, mac, mac, sender)
	}
}

// learn notes an address. Those that nobody asked for are noted only when somebody wants to reach the container.
func learn(a ip, mac uint64, forUs bool, now uint64) {
	if (a.lo^net.address.lo)&net.mask != 0 {
		return
	}
	if forUs || knownNeighbour(a) != nil {
		neighbourFor(a).know(mac, now)
	}
}

// knownNeighbour is the entry of an address, or nil.
func knownNeighbour(a ip) *neighbour {
	set := (a.lo ^ a.lo>>4) % (numNeighbours / 4) * 4
	for i := set; i < set+4; i++ {
		if neighbours[i].address.equal(a) {
			return &neighbours[i]
		}
	}
	return nil
}

// know notes where the neighbour is, and sends what waited for that.
func (n *neighbour) know(mac, now uint64) {
	n.mac, n.seen, n.times = mac, now, 0
	if n.waiting == 0 {
		return
	}
	if b := frameBuffer(); b != 0 {
		copy(bytesAt(b, n.length), bytesAt(direct(n.waiting), n.length))
		putEthernet(b, mac, n.kind())
		nicSend(n.length, n.command)
	}
	n.forgetWaiting()
}

func putEthernet(b, to uint64, kind uint16) {
	p := bytesAt(b, inet.EthernetLen)
	putMAC(p, to)
	putMAC(p[6:], net.mac)
	inet.PutBe16(p[12:], kind)
}

func putMAC(b []byte, mac uint64) {
	inet.PutBe16(b, uint16(mac>>32))
	inet.PutBe32(b[2:], uint32(mac))
}

func macOf(b []byte) uint64 { return uint64(inet.Be16(b))<<32 | uint64(inet.Be32(b[2:])) }

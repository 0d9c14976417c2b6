package main

import (
	"math/bits"

	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// The shortest way of a datagram, for what nearly all servers of datagrams do: recvfrom(2) and sendto(2) on a socket that does not
// block, with others that are reached by IPv4. What is read goes from the frame to the program at once, and the frames behind it stay in the function's ring until
// somebody looks, so nothing is kept in between and no poller need be told. Whatever is not as expected goes the ordinary way
// (socket_datagram.go, net_input.go, net_output.go), which does the same.

// datagramEnter is syscallEnter for sendto and recvfrom.
func datagramEnter(c *cpuState, f *frame) {
	n := f.AX
	kernelLock.lock()
	if !directCall(c, f) {
		f.AX = datagramCall(f, n)
		leave()
		finishCall(f, n)
		return
	}
	if c.queue.n != 0 || net.deadline < c.timer { // somebody was woken, or the timer is to come earlier
		c.armTimer()
	}
	kernelLock.unlock()
	if t := c.current; t.pending&^t.sigmask != 0 {
		deliver(f, 0)
	}
}

// The device is not told of each answer of a server that has more to read at once: it is when there is nothing more, when so many wait,
// or when the server took so long (nanoseconds) from one read to the next; the timer sees to the rest.
const (
	mostPosted = 16
	mostLate   = 20_000
)

// directCall makes call f.AX, sendto or recvfrom. False: it did nothing.
func directCall(c *cpuState, f *frame) bool {
	if f.DI >= usedDescriptors || !net.up || f.R10 != 0 {
		return false
	}
	d := &descriptors[f.DI]
	if d.kind != fdSocket {
		return false
	}
	s := socketAt(d.index)
	switch {
	case s.kind != sockDatagram || s.flags&oNonblock == 0 || s.domain == afNetlink || s.err != 0 || s.shut != 0:
		return false
	case f.AX == sysSendto:
		return s.sendDirect(c, f)
	}
	return s.receiveDirect(c, uint32(d.index), f)
}

// sendDirect sends to an address that the program names, if its neighbour is known.
func (s *socket) sendDirect(c *cpuState, f *frame) bool {
	n := f.DX
	if n > mostInOne || f.R9 != s.nameSize() || !c.known.covers(f.R8, f.R9, false) || !c.known.covers(f.SI, n, false) {
		return false
	}
	to, port, ok := s.loadName(f.R8)
	switch {
	case !ok || port == 0 || s.localPort == 0 || !s.local.isAny() && s.local.lo != net.address.lo:
		return false
	case !isUnicast(to) || to.lo == net.address.lo || isBroadcast(to):
		return false
	}
	nb := knownNeighbour(nextHop(to))
	if nb == nil || nb.mac == 0 || net.clock-nb.seen > neighbourFresh {
		return false
	}
	b := nicBuffer()
	if b == 0 {
		return false
	}
	copy(bytesAt(b+frameHead+inet.UDPLen, n), bytesAt(f.SI, n))
	putDatagram(b, n, net.address, s.localPort, to, port)
	putEthernet(b, nb.mac, inet.TypeIPv4)
	nicSend(frameHead+inet.UDPLen+n, sendUDP)
	if nic.tail-nic.sent >= mostPosted || !nicPending() {
		nicFlush()
	}
	f.AX = n
	return true
}

// nameSize is the size of the addresses of s.
func (s *socket) nameSize() uint64 {
	if s.domain == afInet {
		return sockaddrInet
	}
	return sockaddrInet6
}

// loadName reads an address of IPv4, if it is one.
func (s *socket) loadName(p uint64) (ip, uint16, bool) {
	w := load64(p)
	port := bits.ReverseBytes16(uint16(w >> 16))
	if s.domain == afInet {
		return ip{0, mapped | uint64(bits.ReverseBytes32(uint32(w>>32)))}, port, uint16(w) == afInet
	}
	a := ip{0, bits.ReverseBytes64(load64(p + 16))}
	return a, port, uint16(w) == afInet6 && load64(p+8) == 0 && a.is4() && s.options&optV6Only == 0
}

// storeName writes an address of IPv4.
func (s *socket) storeName(p uint64, a ip, port uint16) {
	w := uint64(s.domain) | uint64(bits.ReverseBytes16(port))<<16
	if s.domain == afInet {
		store64(p, w|uint64(bits.ReverseBytes32(uint32(a.lo)))<<32)
		store64(p+8, 0)
		return
	}
	store64(p, w)
	store64(p+8, 0)
	store64(p+16, bits.ReverseBytes64(a.lo))
	store32(p+24, 0)
}

// receiveDirect gives the program the first datagram of s, number i: of its ring, or else of the function's. Frames before that one are
// handled as ever.
func (s *socket) receiveDirect(c *cpuState, i uint32, f *frame) bool {
	if size := s.nameSize(); f.R8 != 0 &&
		(!c.known.covers(f.R9, 4, true) || !c.known.covers(f.R8, size, true) || uint64(load32(f.R9))-size > 1<<20) {
		return false
	}
	if s.in.used() != 0 {
		return s.takeDirect(&c.known, f)
	}
	if nicPending() && s.pollDirect(c, i, f) {
		return true
	}
	if s.in.used() != 0 || s.err != 0 || s.shut != 0 {
		return false
	}
	f.AX = errno(eAGAIN)
	return true
}

// takeDirect gives the program the first datagram that s has, if it lies in one piece.
func (s *socket) takeDirect(known *knownRange, f *frame) bool {
	head := s.in.peek(datagramHead)
	if head == 0 {
		return false
	}
	port, n := uint16(load32(head+16)), uint64(load32(head+16)>>16)
	from := ip{load64(head), load64(head + 8)}
	if s.in.peek(datagramHead+n) == 0 || !from.is4() || !s.give(known, f, bytesAt(head+datagramHead, n), from, port) {
		return false
	}
	s.in.drop(datagramHead + n)
	if nic.tail != nic.sent {
		now := nanotime()
		if now-net.clock > mostLate {
			nicFlush()
		}
		net.clock = now
	}
	return true
}

// give does what recvfrom does with a datagram, if the program's memory is where its memory was before.
func (s *socket) give(known *knownRange, f *frame, b []byte, from ip, port uint16) bool {
	n := min(uint64(len(b)), f.DX)
	if !known.covers(f.SI, n, true) {
		return false
	}
	copy(bytesAt(f.SI, n), b)
	if name := f.R8; name != 0 {
		s.storeName(name, from, port)
		store32(f.R9, uint32(s.nameSize()))
	}
	f.AX = n
	return true
}

// pollDirect is netPoll until there is a datagram for s, number i, and gives that to the program.
func (s *socket) pollDirect(c *cpuState, i uint32, f *frame) bool {
	now := nanotime()
	late := now-net.clock > mostLate
	net.clock, net.looked = now, true
	found := false
	for n := 0; n < pollBatch && !found; n++ {
		r, ok := nicReceive()
		if !ok {
			break
		}
		var d plainDatagram
		if s.in.used() == 0 && d.parse(&r) && d.to == s.localPort && d.receiver() == i {
			found = s.give(&c.known, f, d.payload, d.address, d.from)
		}
		if !found {
			netInput(&r, now)
		}
		nicRelease()
	}
	if late || !nicPending() {
		nicFlush()
	}
	if nicPending() { // what is left raises no interrupt
		netWakeAt(now + pollInterval)
	}
	return found
}

// plainDatagram is a datagram for this container as nearly all are: whole, by IPv4 and without options, found correct by the device.
type plainDatagram struct {
	address  ip // of the sender
	from, to uint16
	payload  []byte
}

// parse tells whether a frame is one.
func (d *plainDatagram) parse(r *received) bool {
	const right = igb.RxIP | igb.RxUDP
	const wrong = igb.RxIPError | igb.RxL4Error
	const head = frameHead + inet.UDPLen
	b := r.b
	if len(b) < head || r.hi&(right|wrong) != right || inet.Be16(b[12:]) != inet.TypeIPv4 || b[14] != 0x45 || b[23] != inet.ProtoUDP {
		return false
	}
	from, to := inet.Be32(b[26:]), inet.Be32(b[30:])
	n := int(inet.Be16(b[38:])) - inet.UDPLen
	switch {
	case inet.Be16(b[20:])&0x3fff != 0: // a fragment
		return false
	case n < 0 || n > len(b)-head || n != int(inet.Be16(b[16:]))-inet.IPv4Len-inet.UDPLen:
		return false
	case to != uint32(net.address.lo) || from == to:
		return false
	case dhcp.on && (to == 0 || inet.Be16(b[36:]) == inet.DHCPClientPort): // there is no address, or it is the platform's own
		return false
	}
	d.address = ip{0, mapped | uint64(from)}
	d.from, d.to, d.payload = inet.Be16(b[34:]), inet.Be16(b[36:]), b[head:head+n]
	return isUnicast(d.address)
}

// receiver is the socket that gets d, or 0.
func (d *plainDatagram) receiver() uint32 {
	return findReceiver(sockDatagram, net.address, d.to, d.address, d.from)
}

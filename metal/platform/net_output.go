package main

import "nom.dev/nom/metal/inet"

// Frames that leave.

const (
	frameHead = inet.EthernetLen + inet.IPv4Len
	mtu       = 1500
	ownMSS    = mtu - inet.IPv4Len - inet.TCPLen
	mostInOne = mtu - inet.IPv4Len - inet.UDPLen // payload of a datagram that is not cut
)

// packetID numbers packets that may be cut.
var packetID uint16

// sendUDPOutside sends a datagram of n bytes. What finds no room in the ring is lost.
func sendUDPOutside(m *message, n uint64, from ip, fromPort uint16, to ip, port uint16) uint64 {
	if !to.is4() {
		return sendUDP6(m, n, from, fromPort, to, port)
	}
	if n > mostInOne {
		return sendFragments(m, n, from, fromPort, to, port)
	}
	b := frameBuffer()
	if b == 0 {
		return n
	}
	if e := m.copyTo(b+frameHead+inet.UDPLen, 0, n); e != 0 {
		return errno(e)
	}
	putDatagram(b, n, from, fromPort, to, port)
	sendTo(to, frameHead+inet.UDPLen+n, sendUDP, nanotime())
	nicFlush()
	return n
}

// putDatagram writes the headers of a datagram of n bytes that are in place.
func putDatagram(b, n uint64, from ip, fromPort uint16, to ip, port uint16) {
	h := bytesAt(b+inet.EthernetLen, inet.IPv4Len+inet.UDPLen)
	inet.PutIPv4(h, uint32(from.lo), uint32(to.lo), inet.ProtoUDP, 0, int(inet.UDPLen+n))
	sum := inet.PseudoIPv4(uint32(from.lo), uint32(to.lo), inet.ProtoUDP, int(inet.UDPLen+n))
	inet.PutUDP(h[inet.IPv4Len:], fromPort, port, int(n), inet.Fold(sum))
}

// sendFragments sends a datagram in several packets (RFC 791, 3.2), without a checksum of its own.
func sendFragments(m *message, n uint64, from ip, fromPort uint16, to ip, port uint16) uint64 {
	nextPacketID()
	now := nanotime()
	for at, total := uint64(0), n+inet.UDPLen; at < total; at += mostPart {
		b := frameBuffer()
		if b == 0 {
			break
		}
		k := min(mostPart, total-at)
		payload, skip, left := b+frameHead, at-inet.UDPLen, k
		if at == 0 {
			inet.PutUDP(bytesAt(payload, inet.UDPLen), fromPort, port, int(n), 0)
			payload, skip, left = payload+inet.UDPLen, 0, k-inet.UDPLen
		}
		if e := m.copyTo(payload, skip, left); e != 0 {
			return errno(e)
		}
		sendFragment(b, from, to, inet.ProtoUDP, at, k, at+k < total, now)
	}
	return n
}

// copyTo copies n bytes of a message, from the given one on, to address b.
func (m *message) copyTo(b, skip, n uint64) uint64 {
	if m.vectors == 0 && skip == 0 && n <= m.n {
		if !userRange(m.p, n, false) {
			return eFAULT
		}
		copy(bytesAt(b, n), bytesAt(m.p, n))
		return 0
	}
	for i := uint64(0); i < m.count && n != 0; i++ {
		p, k := m.part(i)
		if skip >= k {
			skip -= k
			continue
		}
		p, k = p+skip, min(k-skip, n)
		skip = 0
		if !userRange(p, k, false) {
			return eFAULT
		}
		copy(bytesAt(b, k), bytesAt(p, k))
		b, n = b+k, n-k
	}
	if n != 0 { // the program changed the message meanwhile
		return eFAULT
	}
	return 0
}

// sendSegment builds and posts a segment of connection c.
func sendSegment(c *connection, s *inet.Segment, now uint64) {
	s.From, s.To = c.localPort, c.remotePort
	b := nicBuffer()
	head := uint64(s.HeaderLen())
	headers, command := frameHead+head, uint64(sendTCP)
	if !c.remote.is4() {
		headers, command = frameHead6+head, sendTCP6
	}
	n := headers + uint64(s.Len)
	if s.Len != 0 {
		c.out.copyOut(bytesAt(b+headers, uint64(s.Len)), uint64(s.Offset))
	}
	putSegment(b, s, c.local, c.remote)
	if s.Cut != 0 {
		sendLong(c.remote, n, headers, uint64(s.Cut), command, now)
		return
	}
	neighbourFor(hopTo(c.remote)).pass(n, command, now)
}

// sendLong posts a frame of TCP in nicBuffer that the device is to cut. If nobody knows to whom, it is lost, as frames are: what comes
// again is shorter.
func sendLong(to ip, n, headers, cut, command, now uint64) {
	nb := neighbourFor(hopTo(to))
	if !nb.known(now) {
		nb.ask(now)
		return
	}
	putEthernet(nicBuffer(), nb.mac, nb.kind())
	nicSendLong(n, headers, cut, command)
}

// putSegment writes the headers of a segment whose data are in place. What they say of its length the device puts in when it is cut.
func putSegment(b uint64, s *inet.Segment, from, to ip) {
	head := uint64(s.HeaderLen())
	n := int(head) + int(s.Len)
	if s.Cut != 0 {
		n = 0
	}
	if !to.is4() {
		putSegment6(b, s, from, to, n)
		return
	}
	h := bytesAt(b+inet.EthernetLen, inet.IPv4Len+head)
	inet.PutIPv4(h, uint32(from.lo), uint32(to.lo), inet.ProtoTCP, 0, n)
	if s.Cut != 0 {
		inet.PutBe16(h[2:], 0)
	}
	s.Put(h[inet.IPv4Len:], inet.Fold(inet.PseudoIPv4(uint32(from.lo), uint32(to.lo), inet.ProtoTCP, n)))
}

// sendBare sends a segment that belongs to no connection.
func sendBare(s *inet.Segment, from, to ip, now uint64) {
	if b := frameBuffer(); b != 0 {
		s.Len = 0
		putSegment(b, s, from, to)
		if !to.is4() {
			neighbourFor(nextHop6(to)).pass(frameHead6+uint64(s.HeaderLen()), sendTCP6, now)
			return
		}
		sendTo(to, frameHead+uint64(s.HeaderLen()), sendTCP, now)
	}
}

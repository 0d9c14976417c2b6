package inplace

import (
	"encoding/binary"

	"nom.dev/nom/lib/nic"
)

// The first 8 bytes of an ARP packet as they lie in memory: Ethernet, IPv4, lengths 6 and 4, operation.
const (
	arpRequest = 0x0100_0406_0008_0100
	arpReply   = 0x0200_0406_0008_0100
)

// arp handles a packet for the whole network or for this station: RFC 826.
func (s *Stack) arp(frame []byte, h *[headers]byte, status nic.Status) Answer {
	le := binary.LittleEndian
	operation := le.Uint64(h[14:22])
	to := le.Uint64(h[0:8]) & mask48
	mac, addr := le.Uint64(h[22:30])&mask48, le.Uint32(h[28:32])
	switch {
	case operation != arpRequest && operation != arpReply:
		return drop(&s.Malformed)
	case to != s.mac && to != broadcastMAC:
		return drop(&s.NotMine)
	case mac&groupBit != 0 || mac == 0 || mac == s.mac:
		return drop(&s.Source)
	case le.Uint32(h[38:42]) != s.addr:
		// Somebody says that its address moved (RFC 5227, announcement). It concerns who knows the address.
		if addr != le.Uint32(h[38:42]) {
			return drop(&s.ARPIgnored)
		}
		known := s.neighbours.known(addr)
		if known {
			s.neighbours.learn(addr, mac, s.now)
		}
		switch {
		case s.next != nil:
			return s.pass(nil, frame, status)
		case !known:
			return drop(&s.ARPIgnored)
		}
		return Answer{}
	}
	// A sender without an address yet asks whether its future one is free (RFC 5227): it is answered but not learned.
	probe := addr == 0 && operation == arpRequest
	if !probe && (!s.sourceOK(addr) || !s.onLink(addr)) {
		return drop(&s.Source)
	}
	if operation == arpReply {
		mine := s.neighbours.answered(addr, mac, s.now)
		switch {
		case s.next != nil:
			return s.pass(nil, frame, status) // perhaps the next stack has asked
		case !mine:
			return drop(&s.ARPIgnored)
		}
		return Answer{}
	}
	if !probe && s.neighbours.learn(addr, mac, s.now) {
		s.NeighboursReplaced++
	}
	s.ARPReplies++
	return s.arpPacket(h, arpReply, mac, mac, addr)
}

// ask makes a question for the Ethernet address of a neighbour, or nothing when it was asked within this second.
func (s *Stack) ask(h *[headers]byte, addr uint32) Answer {
	if !s.neighbours.asking(addr, s.now) {
		return Answer{}
	}
	binary.LittleEndian.PutUint16(h[12:14], etherARP)
	return s.arpPacket(h, arpRequest, broadcastMAC, 0, addr)
}

// Announce makes the packet by which a station that has just come tells its neighbours where its address is now (RFC 5227 section 3):
// they may remember who had it before.
func (s *Stack) Announce(buffer []byte) Answer {
	h := (*[headers]byte)(buffer)
	binary.LittleEndian.PutUint16(h[12:14], etherARP)
	return s.arpPacket(h, arpRequest, broadcastMAC, 0, s.addr)
}

// arpPacket writes a whole ARP packet from this station.
func (s *Stack) arpPacket(h *[headers]byte, operation, to, targetMAC uint64, target uint32) Answer {
	le := binary.LittleEndian
	s.ether(h, to)
	le.PutUint64(h[14:22], operation)
	le.PutUint64(h[22:30], s.mac|uint64(s.addr)<<48)
	le.PutUint16(h[30:32], uint16(s.addr>>16))
	le.PutUint32(h[32:36], uint32(targetMAC))
	le.PutUint16(h[36:38], uint16(targetMAC>>32))
	le.PutUint32(h[38:42], target)
	return Answer{N: headers}
}

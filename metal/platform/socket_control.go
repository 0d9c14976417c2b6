package main

import "math/bits"

// Control messages of datagrams (cmsg(3), ip(7), ipv6(7)): the address that a datagram was sent to, and the one to answer from.

const (
	ipPacketInfo   = 8  // IP_PKTINFO
	ipv6PacketInfo = 50 // IPV6_PKTINFO

	controlHead  = 16 // struct cmsghdr: its length with the data, level, type
	packetInfo   = 12 // struct in_pktinfo: interface, address to send from, address that it was sent to
	packetInfo6  = 20 // struct in6_pktinfo: address, interface
	mostControls = 16
	msgCtrunc    = 8

	interfaceLoopback = 1
	interfaceOutside  = 2
)

// fetchControl reads the control messages that are sent along: the address to send from is all that they may say.
func (s *socket) fetchControl(h *msghdr, m *message) uint64 {
	p, left := h.control, h.controlSz
	if left == 0 {
		return 0
	}
	if s.kind != sockDatagram || s.domain == afUnix {
		return eINVAL
	}
	if !userRange(p, left, false) {
		return eFAULT
	}
	for n := 0; left >= controlHead; n++ {
		size, kind := load64(p), uint64(load32(p+8))<<8|uint64(load32(p+12))
		if size < controlHead || size > left || n == mostControls {
			return eINVAL
		}
		var from ip
		switch {
		case kind == levelIP<<8|ipPacketInfo && size == controlHead+packetInfo:
			from = ip{0, mapped | uint64(bits.ReverseBytes32(load32(p+controlHead+4)))}
		case kind == levelIPv6<<8|ipv6PacketInfo && size == controlHead+packetInfo6 && s.domain == afInet6:
			from = ip{bits.ReverseBytes64(load64(p + controlHead)), bits.ReverseBytes64(load64(p + controlHead + 8))}
		default:
			return eINVAL
		}
		switch {
		case from.isAny() || from.isHere():
		case from.is4():
			return eNETUNREACH
		default:
			return eINVAL
		}
		m.local = from
		space := min((size+7)&^7, left)
		p, left = p+space, left-space
	}
	return 0
}

// putControl tells where a datagram was sent to, if the program wants to know.
func (s *socket) putControl(h *msghdr, m *message) uint64 {
	room := h.controlSz
	h.controlSz = 0
	if s.options&optPacketInfo == 0 || s.kind != sockDatagram || m.local.isAny() {
		return 0
	}
	level, name, size := uint32(levelIP), uint32(ipPacketInfo), uint64(controlHead+packetInfo)
	if s.domain == afInet6 {
		level, name, size = levelIPv6, ipv6PacketInfo, controlHead+packetInfo6
	}
	if room < size {
		m.result |= msgCtrunc
		return 0
	}
	space := min((size+7)&^7, room)
	p := h.control
	if !userRange(p, space, true) {
		return eFAULT
	}
	clear(bytesAt(p, space))
	store64(p, size)
	store32(p+8, level)
	store32(p+12, name)
	where := uint32(interfaceOutside)
	if m.local.isLoopback() {
		where = interfaceLoopback
	}
	p += controlHead
	if s.domain == afInet6 {
		store64(p, bits.ReverseBytes64(m.local.hi))
		store64(p+8, bits.ReverseBytes64(m.local.lo))
		store32(p+16, where)
	} else {
		store32(p, where)
		store32(p+4, bits.ReverseBytes32(uint32(m.local.lo)))
		store32(p+8, bits.ReverseBytes32(uint32(m.local.lo)))
	}
	h.controlSz = space
	return 0
}

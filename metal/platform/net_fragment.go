package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// Datagrams that arrive in fragments are put together in memory that is taken when the first of them comes and kept. How many at a
// time, and for how long, inet.Reassembler bounds.

const fragmentMemory = 256 << 10

var (
	fragmentsReady bool
	reassembler    inet.Reassembler
)

// prepareFragments takes the memory, if the program does not need it.
func prepareFragments() bool {
	if fragmentsReady {
		return true
	}
	memLock.lock()
	pa := uint64(0)
	if pool.nfree > pool.reserved+fileReserve()+fragmentMemory/pageSize {
		pa = pool.contiguous(fragmentMemory, pageSize)
	}
	memLock.unlock()
	if pa == 0 {
		drop(abi.DropFull)
		return false
	}
	reassembler.Use(bytesAt(direct(pa), fragmentMemory))
	fragmentsReady = true
	return true
}

// inputFragment takes a part of a datagram. When that was the last one missing, p gets all of it.
func inputFragment(from, to ip, p *inet.IPv4, now uint64) bool {
	k := inet.FragmentKey{From: inet.Address{Hi: from.hi, Lo: from.lo}, To: inet.Address{Hi: to.hi, Lo: to.lo},
		ID: uint32(p.ID), Proto: p.Proto}
	p.Payload = putTogether(&k, p.Fragment, p.More, p.Payload, now)
	return p.Payload != nil && (p.Proto == inet.ProtoUDP || p.Proto == inet.ProtoICMP)
}

// putTogether takes a part of datagram k. It returns all of it when that was the last one missing.
func putTogether(k *inet.FragmentKey, offset uint16, more bool, data []byte, now uint64) []byte {
	if k.Proto == inet.ProtoTCP || !prepareFragments() {
		return nil
	}
	return reassembler.Add(k, uint32(offset), more, data, now)
}

// sendCut sends the payload of a packet, built elsewhere, in fragments (RFC 791, 3.2).
func sendCut(from, to ip, proto uint8, whole []byte, now uint64) {
	for done := 0; done < len(whole); done += mostPart {
		part := whole[done:min(done+mostPart, len(whole))]
		b := frameBuffer()
		if b == 0 {
			return
		}
		copy(bytesAt(b+frameHead, uint64(len(part))), part)
		sendFragment(b, from, to, proto, uint64(done), uint64(len(part)), done+len(part) < len(whole), now)
	}
}

// mostPart is how much of a payload a fragment has, but the last.
const mostPart = (mtu - inet.IPv4Len) &^ 7

// nextPacketID numbers a packet that is cut.
func nextPacketID() {
	if packetID++; packetID == 0 {
		packetID++
	}
}

// sendFragment sends a fragment of n bytes, which are in nicBuffer; its place is at bytes behind the first.
func sendFragment(b uint64, from, to ip, proto uint8, at, n uint64, more bool, now uint64) {
	h := bytesAt(b+inet.EthernetLen, inet.IPv4Len)
	inet.PutIPv4(h, uint32(from.lo), uint32(to.lo), proto, packetID, int(n))
	field := uint16(at / 8)
	if more {
		field |= 0x2000
	}
	inet.PutBe16(h[6:], field)
	inet.PutBe16(h[10:], inet.Checksum(0, h))
	sendTo(to, frameHead+n, sendPlain, now)
	nicFlush()
}

const (
	fragmentHead6 = 8
	nextFragment  = 44
	mostPart6     = (mtu - inet.IPv6Len - fragmentHead6) &^ 7
)

// packetID6 numbers packets of IPv6 that are cut. It begins where nobody can guess (RFC 7739).
var packetID6 uint32

// sendFragments6 sends a datagram in several packets (RFC 8200, 4.5). Unlike in IPv4 it must have a checksum, so its bytes are read
// twice: a program that changes them meanwhile sends what nobody takes.
func sendFragments6(m *message, n uint64, from ip, fromPort uint16, to ip, port uint16) uint64 {
	total := n + inet.UDPLen
	var head [inet.UDPLen]byte
	inet.PutUDP(head[:], fromPort, port, int(n), 0)
	sum := inet.Sum(pseudo(from, to, inet.ProtoUDP, int(total)), head[:])
	b := nicBuffer()
	for at := uint64(0); at < n && b != 0; at += mostPart6 {
		k := min(mostPart6, n-at)
		if e := m.copyTo(b, at, k); e != 0 {
			return errno(e)
		}
		sum = inet.Sum(sum, bytesAt(b, k))
	}
	field := ^inet.Fold(sum)
	if field == 0 {
		field = 0xffff // 0 would say that there is none
	}
	inet.PutBe16(head[sumInUDP:], field)
	packetID6++
	now := nanotime()
	for at := uint64(0); at < total; at += mostPart6 {
		if b = frameBuffer(); b == 0 {
			break
		}
		k := min(mostPart6, total-at)
		payload, skip, left := b+frameHead6+fragmentHead6, at-inet.UDPLen, k
		if at == 0 {
			copy(bytesAt(payload, inet.UDPLen), head[:])
			payload, skip, left = payload+inet.UDPLen, 0, k-inet.UDPLen
		}
		if e := m.copyTo(payload, skip, left); e != 0 {
			return errno(e)
		}
		sendFragment6(b, from, to, at, k, at+k < total, now)
	}
	return n
}

// sendFragment6 sends a fragment of n bytes, which are in nicBuffer; its place is at bytes behind the first.
func sendFragment6(b uint64, from, to ip, at, n uint64, more bool, now uint64) {
	h := bytesAt(b+inet.EthernetLen, inet.IPv6Len+fragmentHead6)
	inet.PutIPv6(h, from.hi, from.lo, to.hi, to.lo, nextFragment, hopLimit, int(fragmentHead6+n))
	h = h[inet.IPv6Len:]
	h[0], h[1] = inet.ProtoUDP, 0
	field := uint16(at)
	if more {
		field |= 1
	}
	inet.PutBe16(h[2:], field)
	inet.PutBe32(h[4:], packetID6)
	sendTo6(to, frameHead6+fragmentHead6+n, now)
	nicFlush()
}

package main

import "nom.dev/nom/metal/inet"

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
		netCount.noMemory++
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
	netCount.fragments++
	if k.Proto == inet.ProtoTCP || !prepareFragments() {
		return nil
	}
	return reassembler.Add(k, uint32(offset), more, data, now)
}

// sendCut sends the payload of a packet, built elsewhere, in fragments (RFC 791, 3.2).
func sendCut(from, to ip, proto uint8, whole []byte, now uint64) {
	for done := 0; done < len(whole); done += mostPart {
		part := whole[done:min(done+mostPart, len(whole))]
		b := nicBuffer()
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

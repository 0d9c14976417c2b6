package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// Frames that arrive. Every byte of them is hostile.

// netCount counts what was dropped, by cause, SYN cookies that were sent, and connections that are half open.
var netCount struct {
	dropped           [abi.NumDrops]uint64
	cookies, halfOpen uint64
}

// drop counts something that is dropped, and tells the parent.
func drop(cause uint64) {
	netCount.dropped[cause]++
	if bootPage.Console != 0 {
		atomic.StoreUint64(&at[abi.ConsoleRing](direct(bootPage.Console)).Dropped[cause], netCount.dropped[cause])
	}
}

// netInput handles a frame to its end.
func netInput(f *received, now uint64) {
	var d plainDatagram
	if d.parse(f) {
		if r := d.receiver(); r != 0 {
			deliverBytes(r, d.payload, d.address, d.from)
			return
		}
	}
	if len(f.b) < inet.EthernetLen {
		return
	}
	payload := f.b[inet.EthernetLen:]
	switch inet.Be16(f.b[12:]) {
	case inet.TypeIPv4:
		inputIPv4(f, payload, now)
	case inet.TypeARP:
		inputARP(payload, now)
	case inet.TypeIPv6:
		inputIPv6(f, payload, now)
	}
}

func inputIPv4(f *received, b []byte, now uint64) {
	var p inet.IPv4
	if f.hi&(igb.RxIP|igb.RxIPError) == igb.RxIP|igb.RxIPError || !inet.ParseIPv4(b, f.hi&igb.RxIP != 0, &p) {
		drop(abi.DropMalformed)
		return
	}
	from, to := ip{0, mapped | uint64(p.From)}, ip{0, mapped | uint64(p.To)}
	if inputDHCP(f.hi&(igb.RxUDP|igb.RxTCP|igb.RxL4Error), &p, from, to, now) {
		return
	}
	if !to.equal(net.address) && !isBroadcast(to) || from.isHere() || !isUnicast(from) {
		drop(abi.DropForeign)
		return
	}
	hardware := f.hi & (igb.RxUDP | igb.RxTCP | igb.RxL4Error)
	if p.More || p.Fragment != 0 {
		if !inputFragment(from, to, &p, now) {
			return
		}
		hardware, b = 0, nil
	}
	switch p.Proto {
	case inet.ProtoTCP:
		if checked(hardware, from, to, p.Proto, p.Payload) && to.equal(net.address) {
			inputTCP(from, to, p.Payload, now)
		}
	case inet.ProtoUDP:
		inputUDP(hardware, b, from, to, p.Payload)
	case inet.ProtoICMP:
		inputICMP(from, to, p.Payload, now)
	}
}

// checked tells whether the checksum of TCP or UDP is right: the device says it, or else it is added up.
func checked(hardware uint64, from, to ip, proto uint8, b []byte) bool {
	switch {
	case hardware&igb.RxL4Error != 0:
	case hardware != 0:
		return true
	case inet.Checksum(pseudo(from, to, proto, len(b)), b) == 0:
		return true
	}
	drop(abi.DropChecksum)
	return false
}

func isBroadcast(a ip) bool {
	return a.is4() && (uint32(a.lo) == ^uint32(0) || (a.lo^net.address.lo)&net.mask == 0 && uint32(a.lo|net.mask) == ^uint32(0))
}

// inputUDP handles a datagram. packet is what is quoted if nobody wants it; nil: nothing is said.
func inputUDP(hardware uint64, packet []byte, from, to ip, b []byte) {
	var u inet.UDP
	if !inet.ParseUDP(b, &u) || !u.Sum && !to.is4() {
		drop(abi.DropMalformed)
		return
	}
	if u.Sum && !checked(hardware, from, to, inet.ProtoUDP, b) {
		return
	}
	r := findReceiver(sockDatagram, to, u.To, from, u.From)
	if r == 0 {
		drop(abi.DropNoSocket)
		if packet != nil && to.isOwn() {
			unreachable(packet, from, to)
		}
		return
	}
	deliverBytes(r, u.Payload, from, u.From)
}

// deliverBytes puts a datagram into what socket i received, unless there is no room.
func deliverBytes(i uint32, b []byte, from ip, port uint16) {
	s := socketAt(uint64(i))
	n := uint64(len(b))
	if s.shut&shutIn != 0 {
		return
	}
	if s.in.room() < datagramHead+n {
		drop(abi.DropFull)
		return
	}
	if p := s.in.place(datagramHead + n); p != 0 {
		store64(p, from.hi)
		store64(p+8, from.lo)
		store32(p+16, uint32(port)|uint32(n)<<16)
		copy(bytesAt(p+datagramHead, n), b)
		s.in.head += datagramHead + n
		socketEvent(i)
		return
	}
	head := datagramHeader(from, port, n)
	old := s.in.head
	if !s.in.putAll(head[:]) || !s.in.putAll(b) {
		s.in.head = old
		drop(abi.DropFull)
		return
	}
	socketEvent(i)
}

package inplace

import (
	"encoding/binary"
	"math/bits"

	"nom.dev/nom/lib/nic"
)

// This file is about what nearly every frame is: a UDP datagram for this station whose checksums the device found right. It is
// checked and answered in as few instructions as possible, with the headers read and written in words of 8 bytes. Nothing here
// does what the longer way, anyFrame, would not do: a test compares the two.

// Masks and values of two words of the headers, as they lie in memory.
const (
	plainStart     = 0x0045_0008 // type IPv4, version 4, 5 words of header
	plainStartMask = 0x00ff_ffff // not the type of service
	plainUDP       = 0x1100_0000 // UDP, no fragment
	plainUDPMask   = 0xff00_ff3f // not DF, nor the time to live
)

// Input handles a frame. It may write over all of its buffer, to the slice's capacity.
func (s *Stack) Input(frame []byte, status nic.Status) Answer {
	if len(frame) < headers {
		return s.anyFrame(frame, status)
	}
	le := binary.LittleEndian
	h := (*[headers]byte)(frame)
	start, ports := le.Uint64(h[0:8]), le.Uint32(h[34:38])
	if start<<16 != s.mac<<16 || start>>48&groupBit != 0 || le.Uint32(h[12:16])&plainStartMask != plainStart ||
		le.Uint32(h[20:24])&plainUDPMask != plainUDP || le.Uint32(h[30:34]) != s.addr || uint16(ports) == 0 ||
		!s.offload || !status.UDPOK() || !s.sourceOK(le.Uint32(h[26:30])) {
		return s.anyFrame(frame, status)
	}
	total := int(bits.ReverseBytes16(le.Uint16(h[16:18])))
	n := int(bits.ReverseBytes16(le.Uint16(h[38:40])))
	page := s.ports[ports>>16&255]
	if n < udpLen || n > total-ipLen || total > len(frame)-etherLen || page == nil || page[ports>>24] == nil {
		return s.anyFrame(frame, status)
	}
	s.Requests++
	r := page[ports>>24](Endpoint{le.Uint32(h[26:30]), bits.ReverseBytes16(uint16(ports))}, frame[headers:headers+n-udpLen])
	if uint(r) > uint(s.largest) || headers+r > cap(frame) {
		return s.noReply(r)
	}
	s.Replies++
	size := uint64(bits.ReverseBytes16(uint16(udpLen + r)))
	all := uint64(bits.ReverseBytes16(uint16(ipLen + udpLen + r)))
	to := uint64(le.Uint32(h[26:30]))
	// The pseudo header's sum: two addresses, protocol, length. Folding to 16 bits is taking the rest of a division by 2^16-1.
	le.PutUint16(h[40:42], uint16((to+s.pseudo+size)%0xffff))
	// From the end to the beginning: the Ethernet addresses are still to be read.
	le.PutUint64(h[32:40], to>>16|uint64(bits.RotateLeft32(ports, 16))<<16|size<<48)
	le.PutUint64(h[24:32], s.addrWord|to<<48)
	le.PutUint64(h[16:24], all|plainFlags)
	station := le.Uint64(h[6:14])
	le.PutUint64(h[8:16], s.macWord)
	le.PutUint64(h[0:8], station&mask48|s.mac<<48)
	return Answer{N: headers + r, Offload: nic.UDP}
}

// plainFlags is identification 0, DF, time to live and protocol: bytes 18 to 23.
const plainFlags = dontFrag>>16<<32 | hops<<48 | protoUDP<<56

// words are what is the same in all answers.
type words struct {
	pseudo   uint64 // own address and protocol in the pseudo header's sum
	macWord  uint64 // bytes 8 to 15: the end of the own Ethernet address, plainStart
	addrWord uint64 // bytes 24 to 31: no checksum, own address, and room for the other
}

func (s *Stack) setWords() {
	s.words = words{uint64(s.addr) + protoUDP<<8, s.mac>>16 | plainStart<<32, uint64(s.addr) << 16}
}

// noReply is what becomes of the result r of a handler that is not an answer that fits.
func (s *Stack) noReply(r int) Answer {
	switch {
	case r == Taken:
		return Answer{N: Taken}
	case r >= 0:
		return drop(&s.TooLong)
	}
	return Answer{}
}

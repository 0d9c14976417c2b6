package inplace

import (
	"encoding/binary"
	"math/bits"
)

// The internet checksum does not depend on the byte order in which the words are added (RFC 1071, section 2), so everything here
// adds them as they lie in memory, little-endian, 8 bytes at a time.

// add adds b to a sum that is not folded yet.
func add(sum uint64, b []byte) uint64 {
	carry := uint64(0)
	for len(b) >= 32 {
		h := (*[32]byte)(b)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(h[0:8]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(h[8:16]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(h[16:24]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(h[24:32]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) >= 4 {
		sum, carry = bits.Add64(sum, uint64(binary.LittleEndian.Uint32(b)), carry)
		b = b[4:]
	}
	last := uint64(0)
	if len(b) >= 2 {
		last = uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		last += uint64(b[0])
	}
	sum, carry = bits.Add64(sum, last, carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return sum + carry
}

// fold folds a sum to 16 bits.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffff_ffff
	sum = sum>>32 + sum&0xffff_ffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// pseudo is the sum of the pseudo header of UDP and TCP: addresses as they lie in memory, protocol, length.
func pseudo(source, destination uint32, protocol uint8, length int) uint64 {
	return uint64(source) + uint64(destination) + uint64(protocol)<<8 + uint64(bits.ReverseBytes16(uint16(length)))
}

// headerSum is the sum of an IPv4 header without options, 0xffff when its checksum is right.
func headerSum(h *[headers]byte) uint16 {
	le := binary.LittleEndian
	return fold(uint64(le.Uint32(h[14:18])) + uint64(le.Uint32(h[18:22])) + uint64(le.Uint32(h[22:26])) +
		uint64(le.Uint32(h[26:30])) + uint64(le.Uint32(h[30:34])))
}

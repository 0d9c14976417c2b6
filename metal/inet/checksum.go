package inet

// Sum adds the 16-bit words of b to a sum that is not folded yet (RFC 1071). An odd last byte counts as the upper half of a word.
func Sum(sum uint64, b []byte) uint64 {
	for len(b) >= 8 {
		sum += uint64(Be32(b)) + uint64(Be32(b[4:]))
		b = b[8:]
	}
	for len(b) >= 2 {
		sum += uint64(b[0])<<8 | uint64(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// Fold makes 16 bits of a sum, not complemented.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffff_ffff
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// Checksum is the Internet checksum of b behind a sum.
func Checksum(sum uint64, b []byte) uint16 { return ^Fold(Sum(sum, b)) }

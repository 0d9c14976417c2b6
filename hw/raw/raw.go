// Package raw reads bytes that others wrote: firmware, loaders, devices. Everything is little endian, reads beyond the end answer 0
// or nil, and nothing here can panic: the code is written so that the compiler sees it, and a test asks the compiler.
//
// The package runs without a Go runtime: plain functions on slices.
package raw

// Memory shows n bytes of physical memory at an address, or nil where there is none. The bytes must stay as they are while
// something read from them is used. Where there is no Go runtime it must be a plain function.
type Memory func(address, n uint64) []byte

// Show asks for memory and does not trust the answer's length: it is exactly n bytes or nil.
func Show(mem Memory, address, n uint64) []byte {
	if address+n < address {
		return nil
	}
	return First(mem(address, n), n)
}

// U8 is the byte at an offset, 0 beyond the end.
func U8(b []byte, at uint64) uint8 {
	if at >= uint64(len(b)) {
		return 0
	}
	return b[at]
}

// U16 is the word of 16 bits at an offset, 0 unless all of it is there.
func U16(b []byte, at uint64) uint16 {
	if b = From(b, at); len(b) < 2 {
		return 0
	}
	return uint16(b[0]) | uint16(b[1])<<8
}

// U32 is the word of 32 bits at an offset, 0 unless all of it is there.
func U32(b []byte, at uint64) uint32 {
	if b = From(b, at); len(b) < 4 {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// U64 is the word of 64 bits at an offset, 0 unless all of it is there.
func U64(b []byte, at uint64) uint64 {
	if b = From(b, at); len(b) < 8 {
		return 0
	}
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 |
		uint64(b[6])<<48 | uint64(b[7])<<56
}

// From is the bytes from an offset on, or nil beyond the end.
func From(b []byte, at uint64) []byte {
	if at > uint64(len(b)) {
		return nil
	}
	return b[at:]
}

// First is the first n bytes, or nil unless all of them are there.
func First(b []byte, n uint64) []byte {
	if n > uint64(len(b)) {
		return nil
	}
	return b[:n]
}

// Cut is the n bytes at an offset, or nil unless all of them are there.
func Cut(b []byte, at, n uint64) []byte { return First(From(b, at), n) }

// Sum is the sum of all bytes, modulo 256; many tables choose a byte so that theirs is 0.
func Sum(b []byte) uint8 {
	total := uint8(0)
	for _, v := range b {
		total += v
	}
	return total
}

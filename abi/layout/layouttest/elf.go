// Package layouttest makes small ELF files for tests. It must never be imported by anything but tests.
package layouttest

import "encoding/binary"

// Types of a program header.
const (
	Load   = 1
	Interp = 3
)

// Segment is a program header and its bytes in the file.
type Segment struct {
	Type  uint32 // 0 = Load
	VA    uint64
	Data  []byte
	Zero  uint64 // bytes of memory beyond Data
	Flags uint32
	Shift uint64 // moves Data in the file away from a page boundary
}

// ELF makes a static x86-64 executable. Data lies at page boundaries plus VA%4096 plus Shift.
func ELF(entry uint64, segs ...Segment) []byte {
	le := binary.LittleEndian
	b := make([]byte, 64+56*len(segs))
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], entry)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], uint16(len(segs)))
	for i, s := range segs {
		start := (len(b)+4095)&^4095 + int(s.VA&4095+s.Shift)
		b = append(b, make([]byte, start-len(b))...)
		b = append(b, s.Data...)
		ph := b[64+56*i:]
		le.PutUint32(ph, max(s.Type, Load))
		le.PutUint32(ph[4:], s.Flags)
		le.PutUint64(ph[8:], uint64(start))
		le.PutUint64(ph[16:], s.VA)
		le.PutUint64(ph[24:], s.VA)
		le.PutUint64(ph[32:], uint64(len(s.Data)))
		le.PutUint64(ph[40:], uint64(len(s.Data))+s.Zero)
		le.PutUint64(ph[48:], 4096)
	}
	return b
}

// Bytes makes n bytes that differ from zero and from their neighbours.
func Bytes(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%251)*3 + seed | 1
	}
	return b
}

// Platform is an executable at 0x70000000 with text, read-only data and data with zero memory behind it.
func Platform() []byte {
	return ELF(0x7000_1000,
		Segment{VA: 0x7000_0000, Data: Bytes(0x1800, 1), Flags: 5},
		Segment{VA: 0x7000_2000, Data: Bytes(0x900, 2), Flags: 4},
		Segment{VA: 0x7020_3000, Data: Bytes(0x123, 3), Zero: 0x4000, Flags: 6})
}

// Program is an executable as the Go linker lays it out: text, read-only data, and data with zero memory behind it.
func Program() []byte {
	return ELF(0x40_1000,
		Segment{VA: 0x40_0000, Data: Bytes(0x2345, 4), Flags: 5},
		Segment{VA: 0x40_3000, Data: Bytes(0x1001, 5), Flags: 4},
		Segment{VA: 0x40_5000, Data: Bytes(0x777, 6), Zero: 0x3_0000, Flags: 6})
}

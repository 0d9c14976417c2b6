package acpi

// Little-endian reads that answer 0 beyond the end, so that a short table can do no harm.

func u8(b []byte, at uint64) uint8 {
	if at >= uint64(len(b)) {
		return 0
	}
	return b[at]
}

func u16(b []byte, at uint64) uint16 {
	if b = cut(b, at, 2); b == nil {
		return 0
	}
	return uint16(b[0]) | uint16(b[1])<<8
}

func u32(b []byte, at uint64) uint32 {
	if b = cut(b, at, 4); b == nil {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func u64(b []byte, at uint64) uint64 {
	if b = cut(b, at, 8); b == nil {
		return 0
	}
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 |
		uint64(b[6])<<48 | uint64(b[7])<<56
}

// cut is the n bytes at an offset, or nil unless all of them are there.
func cut(b []byte, at, n uint64) []byte {
	size := uint64(len(b))
	if at > size || n > size-at {
		return nil
	}
	return b[at : at+n]
}

func sum(b []byte) uint8 {
	total := uint8(0)
	for _, v := range b {
		total += v
	}
	return total
}

package layout

import (
	"bytes"
	"encoding/binary"
)

const (
	elfSectSize = 64
	elfSymSize  = 24
	shtSymtab   = 2
)

// symbol returns the value of a symbol of an ELF file, or 0 when the file has none of that name: stripped files have no
// table, and a damaged one is as good as none, because nothing depends on it but a measurement.
func symbol(b []byte, name string) uint64 {
	if len(b) < elfHeadSize {
		return 0
	}
	le := binary.LittleEndian
	off, size, n := le.Uint64(b[40:]), le.Uint16(b[58:]), uint64(le.Uint16(b[60:]))
	sections := within(b, off, n*elfSectSize)
	if size != elfSectSize || sections == nil {
		return 0
	}
	for i := range n {
		s := sections[i*elfSectSize:]
		if le.Uint32(s[4:]) != shtSymtab || uint64(le.Uint32(s[40:])) >= n {
			continue
		}
		str := sections[uint64(le.Uint32(s[40:]))*elfSectSize:]
		table := within(b, le.Uint64(s[24:]), le.Uint64(s[32:]))
		strings := within(b, le.Uint64(str[24:]), le.Uint64(str[32:]))
		return find(table, strings, append([]byte(name), 0))
	}
	return 0
}

func find(table, strings, name []byte) uint64 {
	le := binary.LittleEndian
	for ; len(table) >= elfSymSize; table = table[elfSymSize:] {
		at := uint64(le.Uint32(table))
		if at < uint64(len(strings)) && bytes.HasPrefix(strings[at:], name) {
			return le.Uint64(table[8:])
		}
	}
	return 0
}

// within is b[off:off+n], or nil when that lies outside.
func within(b []byte, off, n uint64) []byte {
	if off > uint64(len(b)) || n > uint64(len(b))-off {
		return nil
	}
	return b[off : off+n]
}

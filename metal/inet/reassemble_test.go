package inet

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// Datagrams that were cut anywhere, and whose pieces come in any order, more than once and among those of others, are whole again.
func TestReassembly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Reassembler
		r.Use(make([]byte, 4<<16))
		type part struct {
			k      FragmentKey
			offset uint32
			more   bool
			data   []byte
		}
		var parts []part
		whole := map[uint32][]byte{}
		twice := rapid.Bool().Draw(t, "some come twice")
		for id := range uint32(rapid.IntRange(1, mostDatagrams).Draw(t, "datagrams")) {
			b := pattern(rapid.IntRange(9, 65535).Draw(t, "size"), int(id))
			whole[id] = b
			size := 8 * max(rapid.IntRange(1, 500).Draw(t, "piece"), len(b)/8/mostPieces+1)
			for at := 0; at < len(b); at += size {
				p := part{FragmentKey{ID: id, Proto: ProtoUDP}, uint32(at), at+size < len(b), b[at:min(at+size, len(b))]}
				parts = append(parts, p)
				if twice && rapid.IntRange(0, 3).Draw(t, "this") == 0 {
					parts = append(parts, p)
				}
			}
		}
		for _, i := range rapid.Permutation(indices(len(parts))).Draw(t, "order") {
			p := parts[i]
			got := r.Add(&p.k, p.offset, p.more, p.data, second)
			if got == nil {
				continue
			}
			if want, ok := whole[p.k.ID]; ok && !bytes.Equal(got, want) {
				t.Fatalf("datagram %d: got %d bytes, want %d", p.k.ID, len(got), len(want))
			}
			delete(whole, p.k.ID)
		}
		// A piece that comes once more after its datagram was whole begins another one, which may take the place of one that waits.
		if !twice && len(whole) != 0 {
			t.Fatalf("%d datagrams are not whole", len(whole))
		}
	})
}

func indices(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// Contradictions discard the datagram and what comes of it later; time and room are bounded.
func TestReassemblyOfContradictions(t *testing.T) {
	b := pattern(64, 1)
	type add struct {
		offset uint32
		more   bool
		n      int
	}
	for i, tc := range [][]add{
		{{0, true, 16}, {8, true, 16}},
		{{8, true, 16}, {0, true, 16}},
		{{0, true, 32}, {8, true, 8}},
		{{8, false, 8}, {16, true, 8}},
		{{16, true, 8}, {0, false, 8}},
		{{8, false, 8}, {8, false, 16}},
		{{0, true, 8}, {0, false, 8}},
		{{65528, false, 16}},
		{{0, true, 8}, {1 << 31, true, 8}},
	} {
		var r Reassembler
		r.Use(make([]byte, 4<<16))
		k := FragmentKey{ID: 1}
		for _, a := range append(tc, add{0, true, 8}, add{8, true, 8}, add{16, false, 8}) {
			if got := r.Add(&k, a.offset, a.more, b[:a.n], second); got != nil {
				t.Errorf("case %d: %d bytes are whole", i, len(got))
			}
		}
		// After a while the number can be used again.
		r.Add(&k, 0, true, b[:8], second+pieceTime)
		if got := r.Add(&k, 8, false, b[8:10], second+pieceTime); !bytes.Equal(got, b[:10]) {
			t.Errorf("case %d: later, got %d bytes, want 10", i, len(got))
		}
	}
	var r Reassembler
	r.Use(make([]byte, 4*16))
	if r.Add(&FragmentKey{}, 16, true, b[:8], second) != nil || !r.datagrams[0].bad {
		t.Error("what does not fit was taken")
	}
	// The other piece has other content.
	r.Use(make([]byte, 4*64))
	r.Add(&FragmentKey{}, 0, true, b[:8], second)
	r.Add(&FragmentKey{}, 0, true, b[8:16], second)
	if r.Add(&FragmentKey{}, 8, false, b[:8], second) != nil {
		t.Error("two that differ were both right")
	}
}

func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 9, 1, 3, 9, 0, 1, 0x83})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Reassembler
		r.Use(make([]byte, 4*2048))
		data := pattern(2048, 1)
		now := uint64(second)
		for ; len(b) >= 3; b = b[3:] {
			k := FragmentKey{ID: uint32(b[0] & 7)}
			offset, n := uint32(b[1])*8, int(b[2]&0x7f)*8
			if b[0]&0x80 != 0 {
				now += 10 * second
			}
			if b[0]&0x40 != 0 {
				n++
			}
			got := r.Add(&k, offset, b[2]&0x80 == 0, data[min(offset, 1024):][:n], now)
			// All pieces have the content of one datagram, as far as they are right.
			if offset <= 1024 && got != nil && len(got) <= 1024 && !bytes.Equal(got, data[:len(got)]) {
				t.Fatalf("%d bytes are not those that were sent", len(got))
			}
		}
	})
}

package raw

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// Every read agrees with encoding/binary where that would not panic, and is 0 where it would.
func TestReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 24).Draw(t, "bytes")
		at := rapid.OneOf(rapid.Uint64Range(0, 30), rapid.Uint64()).Draw(t, "at")
		n := rapid.OneOf(rapid.Uint64Range(0, 30), rapid.Uint64()).Draw(t, "n")
		var rest []byte
		if at <= uint64(len(b)) {
			rest = b[at:]
		}
		padded := func(n int) []byte {
			if len(rest) < n {
				return make([]byte, n)
			}
			return rest
		}
		if got, want := U8(b, at), padded(1)[0]; got != want {
			t.Errorf("U8 = %#x, want %#x", got, want)
		}
		if got, want := U16(b, at), binary.LittleEndian.Uint16(padded(2)); got != want {
			t.Errorf("U16 = %#x, want %#x", got, want)
		}
		if got, want := U32(b, at), binary.LittleEndian.Uint32(padded(4)); got != want {
			t.Errorf("U32 = %#x, want %#x", got, want)
		}
		if got, want := U64(b, at), binary.LittleEndian.Uint64(padded(8)); got != want {
			t.Errorf("U64 = %#x, want %#x", got, want)
		}
		got, inside := Cut(b, at, n), at <= uint64(len(b)) && n <= uint64(len(rest))
		if inside && !bytes.Equal(got, rest[:n]) || !inside && got != nil {
			t.Errorf("Cut(%d, %d) of %d bytes = %d bytes", at, n, len(b), len(got))
		}
		lies := func(uint64, uint64) []byte { return b }
		if shown := Show(lies, at, n); shown != nil && uint64(len(shown)) != n {
			t.Errorf("Show(%d) = %d bytes", n, len(shown))
		}
	})
	if got := Sum([]byte{200, 50, 10}); got != 4 {
		t.Errorf("Sum = %d, want 4", got)
	}
	if Show(func(uint64, uint64) []byte { return make([]byte, 64) }, ^uint64(0)-8, 16) != nil {
		t.Error("Show runs over the end of the address space")
	}
}

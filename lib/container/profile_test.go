package container

import (
	"encoding/binary"
	"slices"
	"testing"

	"nom.dev/nom/abi"
)

func words(list ...uint64) (b []byte) {
	for _, w := range list {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// FuzzSamples: whatever a container says are its samples, they are bounded.
func FuzzSamples(f *testing.F) {
	f.Add(words(3, 2, 0x401000, 0x402000, 1, 0x403000))
	f.Add(words(0, 33, 1))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, samples, err := parseSamples(data)
		if err != nil && samples != nil {
			t.Fatal("samples with an error")
		}
		n := 1
		for _, s := range samples {
			if len(s) == 0 || len(s) > abi.ControlDepth {
				t.Fatalf("a sample of %d addresses", len(s))
			}
			n += 1 + len(s)
		}
		if err == nil && n != len(data)/8 {
			t.Fatalf("%d words were read of %d", n, len(data)/8)
		}
	})
}

func TestSamples(t *testing.T) {
	lost, samples, err := parseSamples(words(3, 2, 11, 12, 1, 13))
	if err != nil || lost != 3 || !slices.EqualFunc(samples, [][]uint64{{11, 12}, {13}}, slices.Equal) {
		t.Errorf("got %d, %v, %v", lost, samples, err)
	}
	for _, bad := range [][]byte{nil, words(), words(0, 0), words(0, 1), words(0, 2, 1), words(0, abi.ControlDepth+1), words(0, 1<<63), {1, 2, 3}} {
		if _, _, err := parseSamples(bad); err == nil {
			t.Errorf("%x: no error", bad)
		}
	}
}

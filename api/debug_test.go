package api

import (
	"bytes"
	"testing"
)

// FuzzReadSamples: whatever a machine sends, samples are bounded and a profile without an end is an error.
func FuzzReadSamples(f *testing.F) {
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}
	f.Add(append(bytes.Clone(one), make([]byte, 16)...))
	f.Add(one)
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		words := 0
		_, err := readSamples(bytes.NewReader(data), func(s []uint64) {
			if len(s) == 0 || len(s) > maxStack {
				t.Fatalf("a sample of %d addresses", len(s))
			}
			words += 1 + len(s)
		})
		if err == nil && (words+2)*8 > len(data) {
			t.Fatalf("%d words out of %d bytes, and no error", words, len(data))
		}
	})
}

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"testing"
)

// TestChaCha20 is the example of RFC 8439, section 2.3.2.
func TestChaCha20(t *testing.T) {
	var key [8]uint32
	for i := range key {
		key[i] = uint32(4*i)*0x01010101 + 0x03020100
	}
	in := chachaKey(key)
	in[12], in[13], in[14] = 1, 0x09000000, 0x4a000000
	var out [16]uint32
	chachaBlock(&out, &in)
	got := make([]byte, 64)
	for i, w := range out {
		binary.LittleEndian.PutUint32(got[4*i:], w)
	}
	const want = "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4ed2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
	if hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

// TestRandom: requests of every length are filled, and no more than that; the key changes with each, is never given out, and what is given
// depends on all of the seed.
func TestRandom(t *testing.T) {
	savedHost, saved := host, hasRDRAND
	host, hasRDRAND = true, false
	defer func() { host, hasRDRAND = savedHost, saved }()
	start := [8]uint32{1, 2, 3, 4, 5, 6, 7, 8}
	give := func(n uint64) []byte {
		b := make([]byte, n+8)
		if got := randomBytes(addressOf(&b[0]), n); got != n || !bytes.Equal(b[n:], make([]byte, 8)) {
			t.Fatalf("%d bytes: got %d, and %x behind", n, got, b[n:])
		}
		return b[:n]
	}
	randomKey = start
	long := give(1000)
	if zeros := bytes.Count(long, []byte{0}); zeros > 30 {
		t.Errorf("%d of 1000 bytes are 0", zeros)
	}
	for n := uint64(1); n < 200; n++ {
		randomKey = start
		if !bytes.Equal(give(n), long[:n]) {
			t.Errorf("%d bytes are not how 1000 begin", n)
		}
		key := make([]byte, 32)
		for i, w := range randomKey {
			binary.LittleEndian.PutUint32(key[4*i:], w)
		}
		if randomKey == start || bytes.Contains(long, key[:8]) {
			t.Errorf("after %d bytes the key is %x", n, key)
		}
		if n > 8 && bytes.Equal(give(n), long[:n]) {
			t.Errorf("the same %d bytes are given twice", n)
		}
	}
	for bit := range 256 {
		randomKey = start
		randomKey[bit/32] ^= 1 << (bit % 32)
		if bytes.Equal(give(16), long[:16]) {
			t.Errorf("bit %d of the key makes no difference", bit)
		}
	}
}

// TestRandomTwice: threads that ask on several CPUs at once do not get the same.
func TestRandomTwice(t *testing.T) {
	savedHost, saved := host, hasRDRAND
	host, hasRDRAND, randomKey = true, false, [8]uint32{1} // who waits for the lock makes no hypercall
	defer func() { host, hasRDRAND = savedHost, saved }()
	const words = 200_000
	var got [2][words]uint64
	var start, done sync.WaitGroup
	start.Add(1)
	for k := range got {
		done.Go(func() {
			start.Wait()
			for i := range got[k] {
				randomBytes(addressOf(&got[k][i]), 8)
			}
		})
	}
	start.Done()
	done.Wait()
	seen := map[uint64]bool{}
	for k := range got {
		for _, w := range got[k] {
			if seen[w] {
				t.Fatalf("%#x was given twice", w)
			}
			seen[w] = true
		}
	}
}

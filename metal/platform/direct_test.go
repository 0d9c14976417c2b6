package main

import "testing"

// TestSwallowed: what a guest had pending when it left its core is kept from the host once, but not the vectors that the host uses, too:
// its own interrupt may have come on top.
func TestSwallowed(t *testing.T) {
	shared := map[uint64]bool{vecTimer: true, vecWake: true, vecShootdown: true}
	for v := uint64(firstDevice); v <= vecSpurious; v++ {
		c := cpuState{}
		c.swallow[v>>6] = 1 << (v & 63)
		if got, want := c.swallowed(v), !shared[v]; got != want {
			t.Errorf("vector %#x of the guest: got %v, want %v", v, got, want)
		}
		if c.swallow != [4]uint64{} || c.swallowed(v) {
			t.Errorf("vector %#x: remembered for longer than once", v)
		}
	}
}

package main

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDefaultShare(t *testing.T) {
	for _, c := range []struct {
		name    string
		granted uint64
		seats   int
		atLeast uint64
		atMost  uint64
	}{
		{"one program in 512 MiB", 440 * mib, 1, 256 * mib, 256 * mib},
		{"three programs in 512 MiB", 440 * mib, 3, 130 * mib, 136 * mib},
		{"one program in 8 GiB", 8000 * mib, 1, 4000 * mib, 4000 * mib},
		{"two programs in 8 GiB", 8000 * mib, 2, 3900 * mib, 4000 * mib},
		{"hundred programs in 1 GiB", 950 * mib, 100, 8 * mib, 10 * mib},
		{"nothing left", 16 * mib, 1, 0, 0},
	} {
		got := newMemory(c.granted, 0).defaultShare(c.seats, 1)
		if got < c.atLeast || got > c.atMost {
			t.Errorf("%s: got %d MiB, want %d to %d", c.name, got/mib, c.atLeast/mib, c.atMost/mib)
		}
	}
}

// All programs that get the default share fit at the same time.
func TestSharesFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory(rapid.Uint64Range(0, 1<<28).Draw(t, "granted"), rapid.Uint64Range(0, 1<<16).Draw(t, "given"))
		seats, vcpus := rapid.IntRange(1, 300).Draw(t, "seats"), rapid.IntRange(1, 16).Draw(t, "vcpus")
		share := m.defaultShare(seats, vcpus)
		if share > 0 && need(share, vcpus)*uint64(seats) > m.spare {
			t.Fatalf("%d programs of %d pages need more than %d", seats, share, m.spare)
		}
		if share > 0 && m.check(share, vcpus) != nil {
			t.Fatalf("the share %d does not pass: %v", share, m.check(share, vcpus))
		}
	})
}

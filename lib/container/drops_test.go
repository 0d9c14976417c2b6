package container

import (
	"testing"

	"nom.dev/nom/abi"
)

// TestDropped: whatever the container writes, its counters only rise, are bounded, and stay when the ring is gone.
func TestDropped(t *testing.T) {
	r := new(abi.ConsoleRing)
	c := &Container{console: &ring{r: r}}
	for _, s := range []struct{ write, want uint64 }{{3, 3}, {9, 9}, {1, 9}, {1 << 63, mostDropped}, {0, mostDropped}} {
		r.Dropped[abi.DropChecksum] = s.write
		if got := c.Dropped(); got != [abi.NumDrops]uint64{abi.DropChecksum: s.want} {
			t.Errorf("after %d: got %v, want %d", s.write, got, s.want)
		}
	}
	r.Dropped[abi.DropFull] = 2
	c.drops.end(c)
	r.Dropped[abi.DropFull] = 5
	if got := c.Dropped()[abi.DropFull]; got != 2 {
		t.Errorf("after the end: got %d, want 2", got)
	}
	if got := new(Container).Dropped(); got != [abi.NumDrops]uint64{} {
		t.Errorf("without a console: %v", got)
	}
}

package main

import "testing"

// Whatever the table has, and while it shrinks and grows, the result is the same.
func TestSearch(t *testing.T) {
	for _, c := range []struct {
		limit uint64
		best  uint64
		steps int
	}{{2, 0, 0}, {10, 9, 19}, {1000, 871, 178}, {100_000, 77031, 350}, {1_500_000, 1117065, 527}} {
		for blocks := range 3 {
			var tab table
			for range blocks {
				tab.blocks = append(tab.blocks, make([]byte, blockSize))
			}
			s := search{limit: c.limit, next: 1}
			for turn := 0; s.advance(&tab, 100_000); turn++ {
				switch {
				case turn == 3 && len(tab.blocks) > 0:
					tab.blocks = tab.blocks[:len(tab.blocks)-1]
				case turn == 6:
					tab.blocks = append(tab.blocks, make([]byte, blockSize))
				}
			}
			if s.best != c.best && c.limit > 2 || s.steps != c.steps {
				t.Errorf("below %d with %d blocks: got %d with %d steps, want %d with %d", c.limit, blocks, s.best, s.steps, c.best, c.steps)
			}
		}
	}
}

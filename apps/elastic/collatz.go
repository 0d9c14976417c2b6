package main

import "encoding/binary"

// From a number n, the chain goes to n/2 if n is even, else to 3n+1. All chains that anybody ever followed reach 1.

// blockSize is how many bytes of table are taken and returned at a time, blockNumbers how many chains they hold.
const (
	blockSize    = 2 << 20
	blockNumbers = blockSize / 2
)

// table remembers the lengths of chains, two bytes each, 0 = not known: block i has the numbers from i*blockNumbers on.
// Blocks come and go at the end.
type table struct{ blocks [][]byte }

// length is how many steps the chain from n has, n at least 1.
func (t *table) length(n uint64) int {
	steps, m := 0, n
	for m != 1 {
		if known := t.get(m); known != 0 {
			steps += known
			break
		}
		if m%2 == 0 {
			m /= 2
		} else {
			m = 3*m + 1
		}
		steps++
	}
	t.set(n, steps)
	return steps
}

func (t *table) get(n uint64) int {
	if n/blockNumbers >= uint64(len(t.blocks)) {
		return 0
	}
	return int(binary.LittleEndian.Uint16(t.blocks[n/blockNumbers][n%blockNumbers*2:]))
}

func (t *table) set(n uint64, steps int) {
	if n/blockNumbers < uint64(len(t.blocks)) && steps < 1<<16 {
		binary.LittleEndian.PutUint16(t.blocks[n/blockNumbers][n%blockNumbers*2:], uint16(steps))
	}
}

// search looks for the longest chain, a piece at a time.
type search struct {
	limit uint64 // numbers below it
	next  uint64
	best  uint64 // the number with the longest chain so far, and its length
	steps int
}

// advance looks at up to count more numbers and says whether there are more.
func (s *search) advance(t *table, count uint64) bool {
	end := min(s.next+count, s.limit)
	for ; s.next < end; s.next++ {
		if steps := t.length(s.next); steps > s.steps {
			s.best, s.steps = s.next, steps
		}
	}
	return s.next < s.limit
}

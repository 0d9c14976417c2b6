package main

import (
	"testing"

	"nom.dev/nom/abi"
	"pgregory.net/rapid"
)

// The pool gives every frame out once, zeroed, and counts right, whatever the order of taking and giving back.
func TestFramePool(t *testing.T) {
	const huge = 8
	memory := alignedBytes(t, (huge+1)*hugeSize)
	start := (addressOf(&memory[0])+hugeSize-1)&^(hugeSize-1) - abi.DirectMap
	rapid.Check(t, func(t *rapid.T) {
		for a := start; a < start+huge*hugeSize; a += pageSize { // dirty
			store64(direct(a), ^uint64(0))
			store64(direct(a)+pageSize-8, ^uint64(0))
		}
		var p framePool
		low := rapid.Uint64Range(0, 3).Draw(t, "low") * hugeSize
		p.add(abi.Range{Addr: start + pageSize, Size: low})
		p.add(abi.Range{Addr: start + low + 2*pageSize, Size: huge*hugeSize - low - 2*pageSize})
		total := p.total
		taken := map[uint64]uint64{} // address to size
		count := uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			switch rapid.IntRange(0, 4).Draw(t, "operation") {
			case 0:
				for range rapid.IntRange(1, 700).Draw(t, "frames") {
					count += take(t, &p, taken, pageSize, p.frame(), true)
				}
			case 1, 2:
				count += take(t, &p, taken, hugeSize, p.contiguous(hugeSize, hugeSize), false)
			case 3:
				n := rapid.Uint64Range(1, 40).Draw(t, "pages") * pageSize
				count += take(t, &p, taken, n, p.contiguous(n, pageSize), false)
			case 4:
				for a, n := range taken {
					if n == hugeSize {
						p.putHuge(a)
					} else {
						for o := uint64(0); o < n; o += pageSize {
							p.put(a + o)
						}
					}
					count -= n / pageSize
					delete(taken, a)
					if len(taken)%3 == 0 {
						break
					}
				}
			}
			if p.nfree+count != total {
				t.Fatalf("nfree: got %d with %d of %d frames taken", p.nfree, count, total)
			}
		}
		for a := range taken {
			if load64(direct(a)) != a {
				t.Fatalf("the frame at %#x was given to somebody else", a)
			}
		}
	})
}

// take checks what the pool gave and marks every frame with its address. It returns the number of frames. A single frame is
// refused only when there is none.
func take(t *rapid.T, p *framePool, taken map[uint64]uint64, size, a uint64, single bool) uint64 {
	t.Helper()
	if a == 0 {
		if single && p.nfree != 0 {
			t.Fatalf("no frame, and %d are free", p.nfree)
		}
		return 0
	}
	for o := uint64(0); o < size; o += pageSize {
		if load64(direct(a+o)) != 0 || load64(direct(a+o)+pageSize-8) != 0 {
			t.Fatalf("the frame at %#x is not zeroed, or was taken already", a+o)
		}
		store64(direct(a+o), a+o)
		store64(direct(a+o)+pageSize-8, ^uint64(0))
	}
	taken[a] = size
	return size / pageSize
}

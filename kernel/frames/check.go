package frames

import "fmt"

// Check tells whether the tables agree with each other: for tests, it visits every page.
func (a *Allocator) Check() error {
	owned := make(map[uint32]uint64)
	avail := uint64(0)
	for i, owner := range a.owner {
		isFree := a.free[i/64]>>(i%64)&1 != 0
		if isFree != (owner == 0) {
			return fmt.Errorf("frames: page %#x has owner %d and free bit %v", a.addr(i), owner, isFree)
		}
		switch owner {
		case 0:
			avail++
			if a.shares[i] != 0 {
				return fmt.Errorf("frames: free page %#x is shared", a.addr(i))
			}
		case unmanaged:
		default:
			owned[owner]++
		}
	}
	if avail != a.avail {
		return fmt.Errorf("frames: %d pages are free, the counter says %d", avail, a.avail)
	}
	for o, n := range owned {
		if a.owned[o] != n {
			return fmt.Errorf("frames: %d owns %d pages, the counter says %d", o, n, a.owned[o])
		}
		avail += n
	}
	if len(owned) != len(a.owned) || avail != a.total {
		return fmt.Errorf("frames: %d owners and %d pages, the counters say %d and %d", len(owned), avail, len(a.owned), a.total)
	}
	return a.checkLists()
}

func (a *Allocator) checkLists() error {
	seen := 0
	for l := listScattered; l < numLists; l++ {
		prev := int32(-1)
		for b := a.heads[l]; b >= 0; prev, b = b, a.blocks[b].next {
			if a.blocks[b].list != uint8(l) || a.blocks[b].prev != prev {
				return fmt.Errorf("frames: block %d is linked wrongly in list %d", b, l)
			}
			if seen++; seen > len(a.blocks) {
				return fmt.Errorf("frames: list %d runs in a circle", l)
			}
		}
	}
	for b := range a.blocks {
		was := a.blocks[b]
		if a.recount(b); a.blocks[b] != was {
			return fmt.Errorf("frames: the summary of block %d was out of date", b)
		}
		if was.list == listFull {
			seen++
		}
	}
	if seen != len(a.blocks) {
		return fmt.Errorf("frames: %d blocks in lists, there are %d", seen, len(a.blocks))
	}
	return nil
}

package main

// Commit accounting: a writable mapping placed at a fixed address inside a reservation is how Go grows its heap, and all
// of it will be touched; it is refused with ENOMEM when the page pool could not back it, so that Go ends with its own
// message. Other mappings (sparse tables of the runtime, most of which are never touched) are charged page by page.
// Guarded by memLock.
//
// pool.reserved is the number of promised pages: those of heap mappings that were never touched since they were mapped.
// What MADV_DONTNEED drops is promised no more, so that it can be returned to whoever granted it; it stays mapped, and
// when it is touched again it is charged like a page of any other mapping. So that this touch does not take a promise
// from the count that was never in it, dropping leaves pteDropped in the page table entry (of 4 KiB or 2 MiB).
//
// The count is exact, but for one case: to divide 2 MiB, there or dropped, when some of it is unmapped takes a frame for a
// table. If there is none, all of it stays as it is, and if a heap mapping then takes the place of the part, it is charged
// for up to 512 pages whose first touch is not noticed. Less is promised then than could be, never more.

const commitSlack = 64 // frames kept back for page tables and stacks

// pteDropped marks an entry that is not present: what it mapped was dropped, and is not promised.
const pteDropped = 1 << 9

func canCommit(n uint64) bool { return pool.nfree >= pool.reserved+n/pageSize+commitSlack }

func commit(n uint64) { pool.reserved += n / pageSize }

// uncommit gives back the promise for the pages of [lo, hi) that were never touched.
func uncommit(lo, hi uint64) {
	untouched := uint64(0)
	for a := lo; a < hi; {
		next := min(hi, (a+hugeSize)&^(hugeSize-1))
		pde := entryAt(a, 2, false)
		switch {
		case pde == nil || *pde == 0:
			untouched += (next - a) / pageSize
		case *pde&(pteP|ptePS) == pteP:
			for ; a < next; a += pageSize {
				if *entryAt(a, 1, false) == 0 {
					untouched++
				}
			}
		}
		a = next
	}
	pool.reserved -= min(pool.reserved, untouched)
}

// touched takes n pages of a heap mapping from the promised ones, unless old, the entry that led to them, says that they
// were dropped.
func (e *vma) touched(old, n uint64) {
	if e.heap && old&pteDropped == 0 {
		pool.reserved -= min(pool.reserved, n)
	}
}

// divideDropped turns the mark of a dropped 2 MiB into marks of its pages.
func divideDropped(pde *uint64) bool {
	t := pool.frame()
	if t == 0 {
		return false
	}
	markDropped(t)
	*pde = t | pteP | pteW | pteU
	return true
}

// markDropped fills a page table.
func markDropped(t uint64) {
	for i := uint64(0); i < pageSize; i += 8 {
		store64(direct(t)+i, pteDropped)
	}
}

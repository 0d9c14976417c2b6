package main

// Commit accounting: a writable mapping placed at a fixed address inside a reservation is how Go grows its heap, and all
// of it will be touched; it is refused with ENOMEM when the page pool could not back it, so that Go ends with its own
// message. Other mappings (sparse tables of the runtime, most of which are never touched) are charged page by page.
// Guarded by memLock.

const commitSlack = 64 // frames kept back for page tables and stacks

func canCommit(n uint64) bool { return pool.nfree >= pool.reserved+n/pageSize+commitSlack }

func commit(n uint64) { pool.reserved += n / pageSize }

// uncommit gives back the promise for the pages of [lo, hi) that were never touched.
func uncommit(lo, hi uint64) {
	untouched := uint64(0)
	for a := lo; a < hi; a += pageSize {
		if _, ok := translate(a); !ok {
			untouched++
		}
	}
	pool.reserved -= min(pool.reserved, untouched)
}

package main

// Memory of the file system: frames from the page pool, and tables of small things in them.

// fileReserve is how many frames files leave to the program: 1/32 of the pool and never less than 64.
func fileReserve() uint64 { return max(pool.total/32, commitSlack) }

// fileFrame returns a zeroed frame, or 0 when files have used all that they may have.
func fileFrame() uint64 {
	memLock.lock()
	pa := uint64(0)
	if pool.nfree > pool.reserved+fileReserve() {
		pa = pool.frame()
	}
	memLock.unlock()
	return pa
}

func putFileFrame(pa uint64) {
	memLock.lock()
	pool.put(pa)
	memLock.unlock()
}

// tablePages bounds a table: 32768 inodes or directory entries.
const tablePages = 1024

// table holds things of one size in frames. Numbers start at 1, so that 0 can mean none; what is free is chained through
// its first four bytes.
type table struct {
	pages [tablePages]uint64
	size  uint64 // of one thing: divides the page size
	made  uint32
	free  uint32
}

// at is the address of thing i.
func (t *table) at(i uint32) uint64 {
	per := pageSize / t.size
	return direct(t.pages[uint64(i)/per]) + uint64(i)%per*t.size
}

// take returns a zeroed thing's number, or 0 when there is no room.
func (t *table) take() uint32 {
	if i := t.free; i != 0 {
		t.free = load32(t.at(i))
		clear(bytesAt(t.at(i), t.size))
		return i
	}
	i := max(t.made, 1)
	page := uint64(i) / (pageSize / t.size)
	if page == tablePages {
		return 0
	}
	if t.pages[page] == 0 {
		if t.pages[page] = fileFrame(); t.pages[page] == 0 {
			return 0
		}
	}
	t.made = i + 1
	return i
}

func (t *table) put(i uint32) {
	store32(t.at(i), t.free)
	t.free = i
}

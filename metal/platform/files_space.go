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

// tableFrames bounds a table: each of its index frames names 512 frames of things. So there are at most 65536 inodes.
const tableFrames = 4

// table holds things of one size in frames. Numbers start at 1, so that 0 can mean none; what is free is chained through
// its first four bytes.
type table struct {
	index [tableFrames]uint64
	size  uint64 // of one thing: divides the page size
	made  uint32
	free  uint32
}

// slot is where the frame of thing i is named, or nil without memory for the index.
func (t *table) slot(i uint32) *uint64 {
	page := uint64(i) / (pageSize / t.size)
	f := &t.index[page/512]
	if *f == 0 {
		if *f = fileFrame(); *f == 0 {
			return nil
		}
	}
	return at[uint64](direct(*f) + page%512*8)
}

// at is the address of thing i.
func (t *table) at(i uint32) uint64 {
	at := uint64(i) * t.size
	page := at / pageSize
	return direct(load64(direct(t.index[page/512])+page%512*8)) + at%pageSize
}

// take returns a zeroed thing's number, or 0 when there is no room.
func (t *table) take() uint32 {
	if i := t.free; i != 0 {
		t.free = load32(t.at(i))
		clear(bytesAt(t.at(i), t.size))
		return i
	}
	i := max(t.made, 1)
	if uint64(i)/(pageSize/t.size) == tableFrames*512 {
		return 0
	}
	frame := t.slot(i)
	if frame == nil {
		return 0
	}
	if *frame == 0 {
		if *frame = fileFrame(); *frame == 0 {
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

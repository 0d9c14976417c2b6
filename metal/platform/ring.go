package main

// Bytes on their way through a pipe or a socket: a ring of frames that come with the first bytes. Guarded by kernelLock.

const (
	ringFrames   = 16
	ringCapacity = ringFrames * pageSize

	// A ring that grew has its frames in a list of its own, of which frames[0] is the address, and in the bits that are 0 in addresses how
	// many they are: 2 to the power of that number.
	mostRingFrames = pageSize / 8
	ringGrown      = pageSize - 1
)

type ring struct {
	head, tail uint64 // bytes put and taken so far
	frames     [ringFrames]uint64
}

func (r *ring) used() uint64 { return r.head - r.tail }
func (r *ring) room() uint64 { return ringCapacity - r.used() }

// slot is where the frame is named that has the byte at a position.
func (r *ring) slot(position uint64) *uint64 {
	if n := r.frames[0] & ringGrown; n != 0 {
		return at[uint64](direct(r.frames[0]&^ringGrown) + position/pageSize&(1<<n-1)*8)
	}
	return &r.frames[position/pageSize%ringFrames]
}

func (r *ring) capacity() uint64 {
	if n := r.frames[0] & ringGrown; n != 0 {
		return pageSize << n
	}
	return ringCapacity
}

// grow makes room for so many bytes from the tail on. Only who was allowed that asks for more than ringCapacity.
func (r *ring) grow(bytes uint64) bool {
	old := r.capacity() / pageSize
	n := uint64(5)
	for ; pageSize<<n < bytes; n++ {
	}
	if 1<<n > mostRingFrames {
		return false
	}
	list := fileFrame()
	if list == 0 {
		return false
	}
	// The last byte that there is room for may lie in the frame that has the first: it gets one of its own.
	base, part := r.tail/pageSize, r.tail%pageSize
	if first := *r.slot(r.tail); first != 0 && part != 0 {
		f := ringFrame()
		if f == 0 {
			putFileFrame(list)
			return false
		}
		copyBytes(bytesAt(direct(f), part), bytesAt(direct(first), part))
		*at[uint64](direct(list) + (base+old)&(1<<n-1)*8) = f
	}
	for k := base; k < base+old; k++ {
		*at[uint64](direct(list) + k&(1<<n-1)*8) = *r.slot(k * pageSize)
	}
	if r.frames[0]&ringGrown != 0 {
		putFileFrame(r.frames[0] &^ ringGrown)
	}
	r.frames = [ringFrames]uint64{list | n}
	return true
}

// ringFrame is a frame of which the contents do not matter, or 0.
func ringFrame() uint64 {
	memLock.lock()
	pa := uint64(0)
	if pool.nfree > pool.reserved+fileReserve() {
		pa = pool.usedFrame()
	}
	memLock.unlock()
	return pa
}

// put copies the first of the bytes, for which there is room, up to the end of a frame. It returns how many; 0 when there is
// no memory.
func (r *ring) put(b []byte) uint64 {
	k := r.putAt(r.head, b)
	r.head += k
	return k
}

// putAt copies the first of the bytes to a position of the ring, up to the end of a frame.
func (r *ring) putAt(position uint64, b []byte) uint64 {
	offset := position % pageSize
	n := min(pageSize-offset, uint64(len(b)))
	if end := position + n - r.tail; end > ringCapacity && end > r.capacity() && !r.grow(end) {
		return 0
	}
	f := r.slot(position)
	if *f == 0 {
		if *f = ringFrame(); *f == 0 {
			return 0
		}
	}
	return copyBytes(bytesAt(direct(*f)+offset, n), b)
}

// copyBytes is copy. Go's own, which knows nothing of the processor here, copies more than 2 KiB byte by byte unless all is aligned.
func copyBytes(to, from []byte) uint64 {
	n := min(len(to), len(from))
	to, from = to[:n], from[:n]
	for len(from) > 2048 {
		copy(to[:2048], from[:2048])
		to, from = to[2048:], from[2048:]
	}
	copy(to, from)
	return uint64(n)
}

// place is where the next n bytes go, for which there is room, if they lie in one frame that is there; or 0.
func (r *ring) place(n uint64) uint64 {
	f, offset := r.frames[r.head/pageSize%ringFrames], r.head%pageSize
	if f == 0 || offset+n > pageSize {
		return 0
	}
	return direct(f) + offset
}

// peek is where the first bytes are, if n of them lie in one frame; or 0.
func (r *ring) peek(n uint64) uint64 {
	offset := r.tail % pageSize
	if offset+n > pageSize {
		return 0
	}
	return direct(r.frames[r.tail/pageSize%ringFrames]) + offset
}

// putAhead copies bytes to where they will be when what is missing before them has come: at a distance from the head, within
// the ring. It returns how many found memory. Meanwhile nothing may be dropped but by pass.
func (r *ring) putAhead(distance uint64, b []byte) uint32 {
	done := uint64(0)
	for done < uint64(len(b)) {
		k := r.putAt(r.head+distance+done, b[done:])
		if k == 0 {
			break
		}
		done += k
	}
	return uint32(done)
}

// putAll copies all of the bytes, for which there is room, unless memory is short.
func (r *ring) putAll(b []byte) bool {
	for len(b) != 0 {
		k := r.put(b)
		if k == 0 {
			return false
		}
		b = b[k:]
	}
	return true
}

// copyOut fills b with the bytes from the given distance behind the tail on, which are there.
func (r *ring) copyOut(b []byte, distance uint64) {
	for from := r.tail + distance; len(b) != 0; {
		offset := from % pageSize
		k := copyBytes(b, bytesAt(direct(*r.slot(from))+offset, pageSize-offset))
		b = b[k:]
		from += k
	}
}

// drop removes the first n bytes. An empty ring keeps one frame only: most connections are idle most of the time.
func (r *ring) drop(n uint64) {
	r.tail += n
	if r.used() != 0 {
		return
	}
	used := r.head
	r.head, r.tail = 0, 0
	if r.frames[0]&ringGrown != 0 {
		r.release()
		return
	}
	if used <= pageSize { // frames are used from the first on
		return
	}
	for i := range r.frames[1:] {
		putRingFrame(&r.frames[i+1])
	}
}

// pass removes the first n bytes of a ring in which others lie ahead.
func (r *ring) pass(n uint64) { r.tail += n }

// release gives all frames back.
func (r *ring) release() {
	if n := r.frames[0] & ringGrown; n != 0 {
		list := r.frames[0] &^ ringGrown
		for i := range uint64(1) << n {
			putRingFrame(at[uint64](direct(list) + i*8))
		}
		r.frames[0] = list
	}
	for i := range r.frames {
		putRingFrame(&r.frames[i])
	}
}

func putRingFrame(pa *uint64) {
	if *pa != 0 {
		putFileFrame(*pa)
		*pa = 0
	}
}

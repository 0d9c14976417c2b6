package main

// Bytes on their way through a pipe or a socket: a ring of frames that come with the first bytes. Guarded by kernelLock.

const (
	ringFrames   = 16
	ringCapacity = ringFrames * pageSize
)

type ring struct {
	head, tail uint64 // bytes put and taken so far
	frames     [ringFrames]uint64
}

func (r *ring) used() uint64 { return r.head - r.tail }
func (r *ring) room() uint64 { return ringCapacity - r.used() }

// put copies the first of the bytes, for which there is room, up to the end of a frame. It returns how many; 0 when there is
// no memory.
func (r *ring) put(b []byte) uint64 {
	k := r.putAt(r.head, b)
	r.head += k
	return k
}

// putAt copies the first of the bytes to a position of the ring, up to the end of a frame.
func (r *ring) putAt(position uint64, b []byte) uint64 {
	f := &r.frames[position/pageSize%ringFrames]
	if *f == 0 {
		if *f = fileFrame(); *f == 0 {
			return 0
		}
	}
	offset := position % pageSize
	return uint64(copy(bytesAt(direct(*f)+offset, pageSize-offset), b))
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
		k := copy(b, bytesAt(direct(r.frames[from/pageSize%ringFrames])+offset, pageSize-offset))
		b = b[k:]
		from += uint64(k)
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

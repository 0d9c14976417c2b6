package main

import "nom.dev/nom/abi"

// The page pool: physical frames that the program and the platform use. 4 KiB frames are taken from the low end of the
// free ranges and 2 MiB frames from the high end; what is freed goes to lists threaded through the frames themselves.
// All of it is guarded by memLock.

const (
	pageSize = abi.PageSize
	hugeSize = 2 << 20
)

var memLock spinLock

type framePool struct {
	ranges   [8]abi.Range // untouched memory; ascending
	n        int
	clean    bool   // untouched memory is known to be zero
	free     uint64 // list of dirty 4 KiB frames, by physical address; 0 = empty
	freeHuge uint64 // list of dirty 2 MiB frames
	nfree    uint64 // frames on both lists and in ranges, in 4 KiB units
	total    uint64
	reserved uint64 // frames promised to heap mappings that have not touched them yet, see commit.go
}

var pool framePool

func (p *framePool) add(r abi.Range) {
	if r.Size < pageSize || p.n == len(p.ranges) {
		return
	}
	p.ranges[p.n] = r
	p.n++
	p.nfree += r.Size / pageSize
	p.total += r.Size / pageSize
}

// frame returns a zeroed 4 KiB frame or 0.
func (p *framePool) frame() uint64 {
	if p.free == 0 && p.untouched() == 0 {
		p.splitHuge()
	}
	if pa := p.free; pa != 0 {
		p.free = load64(direct(pa))
		p.nfree--
		clear(bytesAt(direct(pa), pageSize))
		return pa
	}
	for i := 0; i < p.n; i++ {
		r := &p.ranges[i]
		if r.Size == 0 {
			continue
		}
		pa := r.Addr
		r.Addr += pageSize
		r.Size -= pageSize
		p.nfree--
		if !p.clean {
			clear(bytesAt(direct(pa), pageSize))
		}
		return pa
	}
	return 0
}

// usedFrame is frame for who writes before he reads: it may have what others left.
func (p *framePool) usedFrame() uint64 {
	if pa := p.free; pa != 0 {
		p.free = load64(direct(pa))
		p.nfree--
		return pa
	}
	return p.frame()
}

func (p *framePool) untouched() uint64 {
	n := uint64(0)
	for i := 0; i < p.n; i++ {
		n += p.ranges[i].Size
	}
	return n
}

func (p *framePool) splitHuge() {
	pa := p.freeHuge
	if pa == 0 {
		return
	}
	p.freeHuge = load64(direct(pa))
	for i := uint64(0); i < hugeSize; i += pageSize {
		store64(direct(pa+i), p.free)
		p.free = pa + i
	}
}

// contiguous returns size zeroed bytes aligned to align from the top of the pool, or 0.
func (p *framePool) contiguous(size, align uint64) uint64 {
	if size == hugeSize && align == hugeSize && p.freeHuge != 0 {
		pa := p.freeHuge
		p.freeHuge = load64(direct(pa))
		p.nfree -= hugeSize / pageSize
		clear(bytesAt(direct(pa), hugeSize))
		return pa
	}
	for i := p.n - 1; i >= 0; i-- {
		r := &p.ranges[i]
		if r.Size < size {
			continue
		}
		pa := (r.Addr + r.Size - size) &^ (align - 1)
		if pa < r.Addr {
			continue
		}
		tail := r.Addr + r.Size - pa - size
		r.Size = pa - r.Addr
		p.nfree -= size / pageSize
		for o := uint64(0); o < tail; o += pageSize {
			store64(direct(pa+size+o), p.free)
			p.free = pa + size + o
		}
		if !p.clean {
			clear(bytesAt(direct(pa), size))
		}
		return pa
	}
	return 0
}

func (p *framePool) put(pa uint64) {
	store64(direct(pa), p.free)
	p.free = pa
	p.nfree++
}

func (p *framePool) putHuge(pa uint64) {
	store64(direct(pa), p.freeHuge)
	p.freeHuge = pa
	p.nfree += hugeSize / pageSize
}

package main

import "sync/atomic"

// The program's mappings: a sorted table of address ranges with their protection, and demand paging. Guarded by memLock.

const (
	protNone  = 0
	protRead  = 1
	protWrite = 2
	protExec  = 4

	mapFixed          = 0x10
	mapAnonymous      = 0x20
	mapFixedNoReplace = 0x100000

	userEnd = 1 << 47
	mmapTop = 0x7f00_0000_0000 // mappings without a hint grow down from here and never reuse an address
)

type vma struct {
	lo, hi uint64
	prot   uint32
	heap   bool // charged in full when mapped: see commit
}

type vmaTable struct {
	t [4096]vma
	n int
}

var (
	vmas     vmaTable
	mmapNext uint64 = mmapTop
)

// find returns the index of the first vma that ends above a.
func (v *vmaTable) find(a uint64) int {
	lo, hi := 0, v.n
	for lo < hi {
		m := (lo + hi) / 2
		if v.t[m].hi > a {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

func (v *vmaTable) remove(i int) {
	copy(v.t[i:v.n-1], v.t[i+1:v.n])
	v.n--
}

func (v *vmaTable) insertAt(i int, e vma) {
	copy(v.t[i+1:v.n+1], v.t[i:v.n])
	v.t[i] = e
	v.n++
}

// full leaves room for the splits of one more operation.
func (v *vmaTable) full() bool { return v.n+4 > len(v.t) }

// insert adds a range that does not overlap any, joined with equal neighbours.
func (v *vmaTable) insert(lo, hi uint64, prot uint32) { v.add(vma{lo: lo, hi: hi, prot: prot}) }

func (v *vmaTable) add(e vma) {
	i := v.find(e.lo)
	same := func(a *vma) bool { return a.prot == e.prot && a.heap == e.heap }
	left := i > 0 && v.t[i-1].hi == e.lo && same(&v.t[i-1])
	right := i < v.n && v.t[i].lo == e.hi && same(&v.t[i])
	switch {
	case left && right:
		v.t[i-1].hi = v.t[i].hi
		v.remove(i)
	case left:
		v.t[i-1].hi = e.hi
	case right:
		v.t[i].lo = e.lo
	default:
		v.insertAt(i, e)
	}
}

// clear removes [lo, hi) from the table. It reports whether anything accessible was there.
func (v *vmaTable) clear(lo, hi uint64) (accessible bool) {
	atomic.AddUint64(&vmaShrinks, 1)
	i := v.find(lo)
	for i < v.n && v.t[i].lo < hi {
		e := &v.t[i]
		if e.prot != protNone {
			accessible = true
			if e.heap {
				uncommit(max(lo, e.lo), min(hi, e.hi))
			}
		}
		switch {
		case e.lo < lo && e.hi > hi:
			rest := *e
			rest.lo = hi
			e.hi = lo
			v.insertAt(i+1, rest)
			return
		case e.lo < lo:
			e.hi = lo
			i++
		case e.hi > hi:
			e.lo = hi
			return
		default:
			v.remove(i)
		}
	}
	return
}

func (v *vmaTable) overlaps(lo, hi uint64) bool {
	i := v.find(lo)
	return i < v.n && v.t[i].lo < hi
}

func pageUp(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

func sysMmap(addr, n, prot, flags uint64) uint64 {
	if flags&mapAnonymous == 0 {
		return errno(eNODEV)
	}
	n = pageUp(n)
	if n == 0 || n >= userEnd || addr&(pageSize-1) != 0 && flags&mapFixed != 0 {
		return errno(eINVAL)
	}
	memLock.lock()
	r := mmapLocked(addr, n, uint32(prot&7), flags)
	memLock.unlock()
	return r
}

func mmapLocked(addr, n uint64, prot uint32, flags uint64) uint64 {
	if vmas.full() {
		return errno(eNOMEM)
	}
	e := vma{prot: prot, heap: flags&mapFixed != 0 && prot&protWrite != 0}
	fixed := flags&(mapFixed|mapFixedNoReplace) != 0
	if fixed && (addr < 1<<32 || addr+n > userEnd) {
		return errno(eINVAL)
	}
	if flags&mapFixedNoReplace != 0 && vmas.overlaps(addr, addr+n) {
		return errno(eEXIST)
	}
	if e.heap && !canCommit(n) {
		return errno(eNOMEM)
	}
	if !fixed {
		addr = placeMapping(addr, n)
		if addr == 0 {
			return errno(eNOMEM)
		}
	} else {
		vmas.clear(addr, addr+n)
		zap(addr, addr+n, 0) // of what cannot be accessed, too: frames that mprotect hid, marks
	}
	e.lo, e.hi = addr, addr+n
	vmas.add(e)
	if e.heap {
		commit(n)
	}
	return addr
}

// placeMapping honours a free hint above 4 GiB, else takes the next addresses below the last mapping.
func placeMapping(hint, n uint64) uint64 {
	if hint >= 1<<32 && hint&(pageSize-1) == 0 && hint+n < userEnd && !vmas.overlaps(hint, hint+n) {
		return hint
	}
	align := uint64(pageSize)
	if n >= hugeSize {
		align = hugeSize
	}
	a := (mmapNext - n) &^ (align - 1)
	for a > 1<<32 && a < mmapNext && vmas.overlaps(a, a+n) {
		a = (vmas.t[vmas.find(a)].lo - n) &^ (align - 1)
	}
	if a <= 1<<32 || a >= mmapNext {
		return 0
	}
	mmapNext = a
	return a
}

func sysMunmap(addr, n uint64) uint64 {
	n = pageUp(n)
	if addr&(pageSize-1) != 0 || n == 0 || addr < 1<<32 || addr+n > userEnd || addr+n < addr {
		return errno(eINVAL)
	}
	memLock.lock()
	r := uint64(0)
	if vmas.full() {
		r = errno(eNOMEM)
	} else {
		vmas.clear(addr, addr+n)
		zap(addr, addr+n, 0)
	}
	memLock.unlock()
	return r
}

// sysMprotect changes protection; pages that are present change with it.
func sysMprotect(addr, n, prot uint64) uint64 {
	n = pageUp(n)
	if addr&(pageSize-1) != 0 || addr+n > userEnd || addr+n < addr {
		return errno(eINVAL)
	}
	if addr < 1<<32 {
		return 0 // the program's image keeps its protection
	}
	memLock.lock()
	r := protectLocked(addr, addr+n, uint32(prot&7))
	memLock.unlock()
	return r
}

func protectLocked(lo, hi uint64, prot uint32) uint64 {
	if vmas.full() {
		return errno(eNOMEM)
	}
	for a := lo; a < hi; { // first check that all of it is mapped
		i := vmas.find(a)
		if i >= vmas.n || vmas.t[i].lo > a {
			return errno(eNOMEM)
		}
		a = vmas.t[i].hi
	}
	for a := lo; a < hi; {
		e := vmas.t[vmas.find(a)]
		e.lo, e.hi = max(a, e.lo), min(hi, e.hi)
		a = e.hi
		if vmas.full() {
			return errno(eNOMEM)
		}
		vmas.clear(e.lo, e.hi)
		e.prot, e.heap = prot, false
		vmas.add(e)
	}
	reprotect(lo, hi, prot)
	return 0
}

const madvDontNeed = 4

func sysMadvise(addr, n, advice uint64) uint64 {
	if advice != madvDontNeed {
		return 0
	}
	n = pageUp(n)
	if addr&(pageSize-1) != 0 || addr < 1<<32 || addr+n > userEnd || addr+n < addr {
		return errno(eINVAL)
	}
	memLock.lock()
	zap(addr, addr+n, pteDropped)
	memLock.unlock()
	return 0
}

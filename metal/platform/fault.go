package main

import "nom.dev/nom/abi"

// Demand paging of the program's mappings. Guarded by memLock.

// pageFault backs the page at address if a mapping covers it. errorCode is the hardware's (APM vol. 2 section 8.4.2).
func pageFault(address, errorCode uint64) bool {
	if errorCode&0x11 == 0x11 && address&^(pageSize-1) == mainPage {
		return reachMain()
	}
	if errorCode&1 != 0 || address < pageSize || address >= userEnd {
		return false
	}
	memLock.lock()
	ok := populate(address, errorCode>>1&1 != 0, errorCode>>4&1 != 0)
	memLock.unlock()
	return ok
}

// mainPage is the page of main.main: it is mapped without the right to execute until something in it first runs, and that
// moment is noted. What else lies there is package main's too.
var mainPage = never

func hideMain(b *abi.BootPage) {
	if b.Main == 0 || host {
		return
	}
	if e := entryAt(b.Main, 1, false); e != nil && *e&pteP != 0 {
		*e |= pteNX
		mainPage = b.Main &^ (pageSize - 1)
	}
}

func reachMain() bool {
	memLock.lock()
	e := entryAt(mainPage, 1, false)
	first := *e&pteNX != 0
	*e &^= pteNX
	memLock.unlock()
	if first {
		vmmcall(uint64(abi.CallMark), abi.MarkMain, 0, 0, 0, 0, 0)
	}
	return true // a CPU that had the old translation comes here once, too
}

func populate(address uint64, write, fetch bool) bool {
	i := vmas.find(address)
	if i >= vmas.n || vmas.t[i].lo > address {
		return false
	}
	e := &vmas.t[i]
	if e.prot == protNone || write && e.prot&protWrite == 0 || fetch && e.prot&protExec == 0 {
		return false
	}
	bits := protBits(e.prot&protExec != 0, e.prot&protWrite != 0)
	if populateHuge(address, e, bits) {
		return true
	}
	pte := entryAt(address, 1, true)
	if pte == nil {
		return outOfMemory()
	}
	if *pte&addrMask != 0 { // another CPU was faster, or mprotect hid the page
		*pte = *pte&addrMask | bits
		return true
	}
	f := pool.frame()
	if f == 0 {
		return outOfMemory()
	}
	e.touched(*pte, 1)
	*pte = f | bits
	stats.faults++
	return true
}

// hugeAfter is how many pages a program must have touched before it gets 2 MiB at a time: a small one stays small.
const hugeAfter = 512

// populateHuge backs a whole 2 MiB when the mapping covers it, nothing is there yet and memory is plentiful.
func populateHuge(address uint64, e *vma, bits uint64) bool {
	base := address &^ (hugeSize - 1)
	if e.lo > base || e.hi < base+hugeSize || !e.heap || stats.faults < hugeAfter || pool.nfree < pool.total/4 || pool.nfree < pool.reserved {
		return false
	}
	pde := entryAt(address, 2, true)
	if pde == nil {
		return false
	}
	if *pde&pteP != 0 {
		return *pde&ptePS != 0
	}
	pa := pool.contiguous(hugeSize, hugeSize)
	if pa == 0 {
		return false
	}
	e.touched(*pde, hugeSize/pageSize)
	*pde = pa | bits | ptePS
	stats.hugeFaults++
	return true
}

// outOfMemory: a page was promised and there is none. Commit accounting keeps this from happening to heaps; a program
// that maps sparsely more than it has can get here, by itself or by a system call that works on its memory. It ends with
// Go's words and exit code for the same thing. The platform may hold any lock here, the console's included, and this CPU
// may be on the page fault stack, from which no other thread can be run: the words go where there is room, now.
func outOfMemory() bool {
	memLock.unlock()
	dying = true
	consoleLock.unlock()
	print0("fatal error: out of memory: the container's grant is used up\n")
	endProgram(2)
	return false
}

// prefault makes n bytes at a present: a #PF while on the #PF stack would restart that stack at its top. False: they are
// not the program's to write to.
func prefault(a, n uint64) bool {
	if !userRange(a, n, true) {
		return false
	}
	for p := a &^ (pageSize - 1); p < a+n; p += pageSize {
		memLock.lock()
		_, ok := translate(p)
		if !ok {
			ok = populate(p, true, false)
		}
		memLock.unlock()
		if !ok {
			return false
		}
	}
	return true
}

// zap drops the pages of [lo, hi). Their frames return to the pool after every CPU has forgotten them. mark is what is left
// in their entries: pteDropped, or 0 when the mapping goes, too.
func zap(lo, hi, mark uint64) {
	for a := lo; a < hi; {
		a = zapOne(a, lo, hi, mark)
		if deferred.n == len(deferred.pa) {
			deferred.release()
		}
	}
	if deferred.n != 0 {
		deferred.release()
	}
}

// zapOne unmaps what lies at a and returns the next address to look at.
func zapOne(a, lo, hi, mark uint64) uint64 {
	pde := entryAt(a, 2, false)
	if pde == nil {
		return (a + 1<<30) &^ (1<<30 - 1)
	}
	base := a &^ (hugeSize - 1)
	whole := base >= lo && base+hugeSize <= hi
	if *pde&pteP == 0 {
		switch {
		case *pde == 0 || mark != 0: // nothing there, or marked already
		case whole:
			*pde = 0
		case divideDropped(pde):
			return a
		}
		return base + hugeSize
	}
	if *pde&ptePS != 0 {
		if whole {
			deferred.add(*pde&addrMask | 1)
			*pde = mark
			return base + hugeSize
		}
		if !splitHugePage(pde) {
			return base + hugeSize // keeps the page: its contents are forfeit, not its frame
		}
		return a
	}
	switch pte := entryAt(a, 1, false); {
	case *pte&addrMask != 0:
		deferred.add(*pte & addrMask)
		*pte = mark
	case mark == 0:
		*pte = 0
	}
	return a + pageSize
}

// deferred holds frames between their unmapping and the flush that makes them free; bit 0 marks a 2 MiB frame.
type deferredFrames struct {
	pa [256]uint64
	n  int
}

var deferred deferredFrames

func (d *deferredFrames) add(pa uint64) {
	d.pa[d.n] = pa
	d.n++
}

func (d *deferredFrames) release() {
	flushTLBs()
	for i := 0; i < d.n; i++ {
		if pa := d.pa[i]; pa&1 != 0 {
			pool.putHuge(pa &^ (hugeSize - 1))
		} else {
			pool.put(pa)
		}
	}
	d.n = 0
}

func splitHugePage(pde *uint64) bool {
	t := pool.frame()
	if t == 0 {
		return false
	}
	v := *pde
	for i := uint64(0); i < 512; i++ {
		store64(direct(t)+i*8, v&^ptePS+i*pageSize)
	}
	*pde = t | pteP | pteW | pteU
	return true
}

// reprotect rewrites the protection of the pages of [lo, hi) that have frames. With PROT_NONE the frame stays in an entry that
// is not present, for populate to bring back.
func reprotect(lo, hi uint64, prot uint32) {
	bits := protBits(prot&protExec != 0, prot&protWrite != 0)
	if prot == protNone {
		bits = 0
	}
	for a := lo; a < hi; {
		pde := entryAt(a, 2, false)
		if pde == nil || *pde&pteP == 0 {
			a = (a + hugeSize) &^ (hugeSize - 1)
			continue
		}
		if *pde&ptePS != 0 && !splitHugePage(pde) {
			break // what was changed already is flushed all the same
		}
		if pte := entryAt(a, 1, false); *pte&addrMask != 0 {
			*pte = *pte&addrMask | bits
		}
		a += pageSize
	}
	flushTLBs()
}

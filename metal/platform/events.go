package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// What the nonkernel says through the event page: memory and cores come and go while the program runs. The platform gives
// back what is free without asking the program; a program that wants to decide itself opens abi.VectorEvent first and
// is told, too.

// holdings is what this container has, as far as the platform has taken note.
var holdings struct {
	pages    uint64 // granted
	limit    uint64 // first address beyond its memory
	returned [512]abi.Range
	n        int // of returned: what comes back first stands last
}

// eventPageAddr is a variable for tests only.
var eventPageAddr uint64 = abi.EventPageAddr

func eventPage() *abi.EventPage { return at[abi.EventPage](direct(eventPageAddr)) }

func initHoldings(b *abi.BootPage) {
	holdings.pages = atomic.LoadUint64(&eventPage().Pages)
	for i := uint32(0); i < b.NumFree; i++ {
		holdings.limit = max(holdings.limit, b.Free[i].Addr+b.Free[i].Size)
	}
}

// handleEvents runs on vCPU 0 in the event interrupt. It leaves the Pending bits to the program.
func handleEvents() {
	checkControl()
	p := eventPage()
	memLock.lock()
	takeGrant(atomic.LoadUint64(&p.Pages))
	returnPages(atomic.LoadUint64(&p.ReclaimPages))
	memLock.unlock()
	for i := range min(ncpu, abi.MaxVCPUs) {
		core := atomic.LoadUint32(&p.Core[i])
		slots := atomic.LoadUint32(&p.Slots[i])
		if asked := atomic.LoadUint32(&p.ReclaimSlots[i]) & slots; asked != 0 {
			returnSlots(&cpus[i], asked, slots)
		} else if core != abi.NoCore && cpus[i].parked {
			unpark(&cpus[i])
		} else if core == abi.NoCore && i != 0 && cpus[i].online != 0 {
			forsake(&cpus[i])
		}
	}
}

// takeGrant adds pages that were granted: first those that were returned, in reverse order, then new ones at the limit.
func takeGrant(pages uint64) {
	if pages <= holdings.pages {
		holdings.pages = pages
		return
	}
	n := pages - holdings.pages
	holdings.pages = pages
	for n > 0 && holdings.n > 0 {
		r := &holdings.returned[holdings.n-1]
		k := min(n, r.Size/pageSize)
		r.Size -= k * pageSize
		pool.grow(abi.Range{Addr: r.Addr + r.Size, Size: k * pageSize})
		n -= k
		if r.Size == 0 {
			holdings.n--
		}
	}
	if end := min(holdings.limit+n*pageSize, bootPage.MemoryTop); end > holdings.limit {
		pool.grow(abi.Range{Addr: holdings.limit, Size: end - holdings.limit})
		holdings.limit = end
	}
}

// returnPages gives back up to n pages that are free and not promised to anybody.
func returnPages(n uint64) {
	spare := uint64(0)
	if keep := pool.reserved + commitSlack; pool.nfree > keep {
		spare = pool.nfree - keep
	}
	for n = min(n, spare); n > 0 && holdings.n < len(holdings.returned); {
		r := pool.cut(n * pageSize)
		if r.Size == 0 {
			return
		}
		k := r.Size / pageSize
		if res := vmmcall(uint64(abi.CallReturnPages), r.Addr, k, 0, 0, 0, 0); int64(res) < 0 {
			for o := uint64(0); o < r.Size; o += pageSize {
				pool.put(r.Addr + o)
			}
			pool.total += k
			return
		}
		holdings.returned[holdings.n] = r
		holdings.n++
		holdings.pages -= k
		n -= k
	}
}

// grow adds memory that the nonkernel has just granted: zero, and not touched yet.
func (p *framePool) grow(r abi.Range) {
	p.total += r.Size / pageSize
	for i := 0; i < p.n; i++ {
		q := &p.ranges[i]
		switch {
		case q.Size == 0:
			*q = r
		case q.Addr+q.Size == r.Addr:
			q.Size += r.Size
		case r.Addr+r.Size == q.Addr:
			q.Addr = r.Addr
			q.Size += r.Size
		default:
			continue
		}
		p.nfree += r.Size / pageSize
		return
	}
	for o := uint64(0); o < r.Size; o += pageSize {
		p.put(r.Addr + o)
	}
}

// cut removes up to size bytes of free memory from the pool, contiguous: untouched memory first, then a free frame.
func (p *framePool) cut(size uint64) abi.Range {
	for i := p.n - 1; i >= 0; i-- {
		if r := &p.ranges[i]; r.Size != 0 {
			k := min(r.Size, size)
			r.Size -= k
			p.nfree -= k / pageSize
			p.total -= k / pageSize
			return abi.Range{Addr: r.Addr + r.Size, Size: k}
		}
	}
	if p.free == 0 {
		p.splitHuge()
	}
	if p.free == 0 {
		return abi.Range{}
	}
	pa := p.free
	p.free = load64(direct(pa))
	p.nfree--
	p.total--
	return abi.Range{Addr: pa, Size: pageSize}
}

// returnSlots gives back what was asked of c's slots. A CPU that loses all of them is emptied first; vCPU 0 keeps one, because
// without it nobody could take part in anything any more.
func returnSlots(c *cpuState, asked, held uint32) {
	if asked == held {
		if c.id == 0 {
			asked &= asked - 1
		} else {
			park(c)
		}
	}
	if asked != 0 {
		vmmcall(uint64(abi.CallReturnCore), c.id, uint64(asked), 0, 0, 0, 0)
	}
}

// park takes c off line and waits until it is away: then it can stop at any time without holding anything. Until then its threads
// may go to sleep on it; those that sleep are moved last. When the core is taken before, as the notice is over, nothing is left to wait for.
func park(c *cpuState) {
	kernelLock.lock()
	c.online = 0
	c.parked = true
	c.drain()
	for atomic.LoadUint32(&c.away) == 0 && atomic.LoadUint32(&eventPage().Core[c.id]) != abi.NoCore {
		sendIPI(c.apicID, vecWake)
		kernelLock.unlock()
		for n := range patience {
			ackShootdown()
			spin(n + 1)
		}
		kernelLock.lock()
	}
	c.moveSleepers(&cpus[0])
	kernelLock.unlock()
}

// forsake takes c off line after it has lost its core without having been asked, wherever it was then. What waits on it goes elsewhere; a
// thread that it ran stops until c has a core again. If it ran none, nobody misses it.
func forsake(c *cpuState) {
	kernelLock.lock()
	c.online = 0
	c.parked = true
	if c.current == c.idle {
		atomic.StoreUint32(&c.away, 1)
	}
	c.drain()
	c.moveSleepers(&cpus[0])
	kernelLock.unlock()
}

// drain hands the threads that wait for their turn on c, which is off line, to others.
func (c *cpuState) drain() {
	for t := c.queue.take(never); t != nil; t = c.queue.take(never) {
		t.state = threadBlocked
		ready(t)
	}
}

func unpark(c *cpuState) {
	kernelLock.lock()
	c.parked = false
	c.online = 1
	atomic.StoreUint32(&c.away, 0)
	kernelLock.unlock()
	sendIPI(c.apicID, vecWake)
}

// obey does on a parked CPU what park waits for: its thread goes elsewhere, and when it idles already, it is away from now on.
func (c *cpuState) obey() {
	if c.current == c.idle {
		atomic.StoreUint32(&c.away, 1)
		return
	}
	t := c.current
	t.state = threadBlocked
	ready(t)
	schedule()
}

// ignored handles interrupts of a CPU that is away, without a lock: it may stop before it could give one back.
func (c *cpuState) ignored(vector uint64) bool {
	if atomic.LoadUint32(&c.away) == 0 {
		return false
	}
	switch {
	case vector == vecSpurious:
		return true
	case vector == vecTimer:
		c.timer = never
	case vector >= firstDevice && vector < lastDevice:
		sendIPI(cpus[0].apicID, vector)
	}
	endOfInterrupt()
	return true
}

// moveSleepers makes another CPU wake the threads that sleep on c.
func (c *cpuState) moveSleepers(to *cpuState) {
	if c.sleep.head == nil {
		return
	}
	for c.sleep.head != nil {
		t := c.sleep.head
		c.sleep.remove(t)
		t.cpu = to
		to.sleep.add(t)
	}
	if to == cpu() {
		to.armTimer()
		return
	}
	sendIPI(to.apicID, vecTimer) // look at the list and arm
}

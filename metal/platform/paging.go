package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// The page tables of the platform: 4 levels, AMD64 APM vol. 2 section 5.3. Guarded by memLock.

const (
	pteP   = 1 << 0
	pteW   = 1 << 1
	pteU   = 1 << 2
	ptePWT = 1 << 3
	ptePCD = 1 << 4
	pteA   = 1 << 5
	pteD   = 1 << 6
	ptePS  = 1 << 7
	pteNX  = 1 << 63

	addrMask = 0x000f_ffff_ffff_f000
)

var rootTable uint64 // physical address of the PML4

// entryAt returns the address of the page table entry that covers va at level (1 = 4 KiB, 2 = 2 MiB), or 0 when a table on the
// way is missing and not to be made, or when a larger page covers va.
func entryAt(va uint64, level uint, create bool) *uint64 {
	t := rootTable
	for l := uint(4); l > level; l-- {
		e := at[uint64](direct(t) + va>>(12+9*(l-1))&511*8)
		if *e&pteP == 0 {
			if !create {
				return nil
			}
			f := pool.frame()
			if f == 0 {
				return nil
			}
			if *e&pteDropped != 0 {
				markDropped(f)
			}
			*e = f | pteP | pteW | pteU
		} else if *e&ptePS != 0 {
			return nil
		}
		t = *e & addrMask
	}
	return at[uint64](direct(t) + va>>(12+9*(level-1))&511*8)
}

// translate returns the physical address behind va.
func translate(va uint64) (uint64, bool) {
	if e := entryAt(va, 2, false); e != nil && *e&(pteP|ptePS) == pteP|ptePS {
		return *e&addrMask&^(hugeSize-1) | va&(hugeSize-1), true
	}
	if e := entryAt(va, 1, false); e != nil && *e&pteP != 0 {
		return *e&addrMask | va&(pageSize-1), true
	}
	return 0, false
}

func mapPage(va, pa, bits uint64) bool {
	e := entryAt(va, 1, true)
	if e == nil {
		return false
	}
	*e = pa | bits | pteP
	return true
}

// mapRange maps size bytes at boot, by entries of level; it walks once for each table that it fills.
func mapRange(va, pa, size uint64, level uint, bits uint64) {
	step := uint64(pageSize) << (9 * (level - 1))
	for end := va + size; va < end; {
		e := entryAt(va, level, true)
		if e == nil {
			fatal("no memory for page tables")
		}
		for a := addressOf(e); va < end; a += 8 {
			store64(a, pa|bits|pteP)
			va += step
			pa += step
			if va&(step<<9-1) == 0 {
				break
			}
		}
	}
}

// protBits turns ELF or mmap style protection into page table bits: writable never executable unless asked for.
func protBits(exec, write bool) uint64 {
	b := uint64(pteP)
	if write {
		b |= pteW
	}
	if !exec {
		b |= pteNX
	}
	return b
}

// buildTables makes the final tables: every segment with its own protection, physical memory at abi.DirectMap, nothing at
// page 0. Until then the entry tables are in force, in which everything is reachable.
func buildTables(b *abi.BootPage) {
	rootTable = pool.frame()
	mapRange(direct(0), 0, b.MemoryTop, 2, pteW|ptePS|pteNX)
	for i := range min(b.NumDevices, abi.MaxDevices) { // registers: not cached; large pages of their own
		d := b.Devices[i].BAR
		mapRange(direct(d.Addr&^(hugeSize-1)), d.Addr&^(hugeSize-1), hugeSize, 2, pteW|ptePS|pteNX|ptePCD|ptePWT)
	}
	for i := uint32(0); i < b.NumSegments; i++ {
		s := &b.Segments[i]
		bits := protBits(s.Prot&abi.ProtExec != 0, s.Prot&abi.ProtWrite != 0)
		mapRange(s.VA, s.PA, s.Size, 1, bits)
		if s.Zero != 0 {
			vmas.insert(s.VA+s.Size, s.VA+s.Size+s.Zero, protRead|protWrite)
		}
	}
	hideMain(b)
	setCR3(rootTable)
}

// TLB shootdown. A CPU that is idle or runs a world is lazy: it touches only memory whose mapping never changes, and
// flushes when it stops being lazy, so nobody waits for it.

var shootdownSeq uint64

// flushOwn makes this CPU forget; tests, which have no CPU of their own, replace it.
var flushOwn = setCR3

// flushTLBs makes every CPU forget stale translations before it returns. memLock is held, interrupts are off.
func flushTLBs() {
	flushOwn(rootTable)
	if ncpu == 1 {
		return
	}
	me := cpu()
	seq := atomic.AddUint64(&shootdownSeq, 1)
	atomic.StoreUint64(&me.tlbSeq, seq)
	for i := range cpus[:ncpu] {
		if c := &cpus[i]; c != me && atomic.LoadUint32(&c.lazy) == 0 {
			sendIPI(c.apicID, vecShootdown)
		}
	}
	for i := range cpus[:ncpu] {
		c := &cpus[i]
		for n := 1; c != me && atomic.LoadUint32(&c.lazy) == 0 && atomic.LoadUint64(&c.tlbSeq) < seq; n++ {
			spin(n)
		}
	}
	stats.shootdowns++
}

func ackShootdown() {
	if ncpu == 1 {
		return
	}
	c := cpu()
	if s := atomic.LoadUint64(&shootdownSeq); atomic.LoadUint64(&c.tlbSeq) != s {
		setCR3(rootTable)
		atomic.StoreUint64(&c.tlbSeq, s)
	}
}

// goLazy and leaveLazy bracket a stretch in which the CPU needs no shootdowns.
func goLazy(c *cpuState) { atomic.StoreUint32(&c.lazy, 1) }

func leaveLazy(c *cpuState) {
	atomic.SwapUint32(&c.lazy, 0)
	ackShootdown()
}

package main

import (
	"testing"

	"pgregory.net/rapid"
)

// What TestCommit knows about a page.
type pageModel struct {
	mapped, heap, writable bool
	promised               bool   // heap, and never touched since it was mapped
	value                  uint64 // what was stored there; 0 after it was mapped or dropped
}

const (
	commitBase  = 1 << 40
	commitPages = 3 * hugeSize / pageSize
)

type commitModel [commitPages]pageModel

// part draws a range: often whole multiples of 2 MiB, else anything.
func (m *commitModel) part(t *rapid.T) (first, n uint64) {
	const whole = hugeSize / pageSize
	if rapid.Bool().Draw(t, "whole") {
		first = rapid.Uint64Range(0, 2).Draw(t, "first")
		return first * whole, rapid.Uint64Range(1, 3-first).Draw(t, "count") * whole
	}
	first = rapid.Uint64Range(0, commitPages-1).Draw(t, "page")
	return first, rapid.Uint64Range(1, min(commitPages-first, 700)).Draw(t, "pages")
}

// touch writes to a page, and checks what was there.
func (m *commitModel) touch(t *rapid.T, i uint64) {
	a := commitBase + i*pageSize
	p := &m[i]
	if _, there := translate(a); !there || !present(a, true) {
		if got, want := pageFault(a, 2), p.mapped && p.writable; got != want {
			t.Fatalf("write to page %d: handled %t, want %t", i, got, want)
		}
	}
	if !p.mapped || !p.writable {
		return
	}
	pa, ok := translate(a)
	if !ok {
		t.Fatalf("page %d is not there after it was touched", i)
	}
	if got := load64(direct(pa)); got != p.value {
		t.Fatalf("page %d: found %d, want %d", i, got, p.value)
	}
	p.value = i + 1
	store64(direct(pa), p.value)
}

// noteHuge takes note of pages that came with another one.
func (m *commitModel) noteHuge() (promised uint64) {
	for i := range m {
		p := &m[i]
		if _, there := translate(commitBase + uint64(i)*pageSize); there {
			p.promised = false
		}
		if p.promised {
			promised++
		}
	}
	return promised
}

func (m *commitModel) step(t *rapid.T) {
	first, n := m.part(t)
	lo, size := commitBase+first*pageSize, n*pageSize
	part := m[first : first+n]
	operation := rapid.SampledFrom([]string{"heap", "reserve", "munmap", "drop", "drop", "protect", "touch", "touch", "touch"}).Draw(t, "operation")
	switch operation {
	case "heap":
		if r := sysMmap(lo, size, protRead|protWrite, mapFixed|mapAnonymous); r != lo {
			t.Fatalf("mmap: got %s", result(r))
		}
		for i := range part {
			part[i] = pageModel{mapped: true, heap: true, writable: true, promised: true}
		}
	case "reserve":
		if r := sysMmap(lo, size, protNone, mapFixed|mapAnonymous); r != lo {
			t.Fatalf("mmap: got %s", result(r))
		}
		for i := range part {
			part[i] = pageModel{mapped: true}
		}
	case "munmap":
		if r := sysMunmap(lo, size); r != 0 {
			t.Fatalf("munmap: got %s", result(r))
		}
		clear(part)
	case "drop":
		sysMadvise(lo, size, madvDontNeed)
		for i := range part {
			part[i].value = 0
		}
	case "protect":
		prot := rapid.SampledFrom([]uint64{protNone, protRead, protRead | protWrite}).Draw(t, "protection")
		if sysMprotect(lo, size, prot) != 0 { // not all of it is mapped
			return
		}
		for i := range part {
			part[i].heap, part[i].promised, part[i].writable = false, false, prot&protWrite != 0
		}
	case "touch":
		for i := first; i < first+n; i += rapid.Uint64Range(1, 40).Draw(t, "stride") {
			m.touch(t, i)
		}
	}
}

// tables counts the frames of page tables.
func tables(t uint64, level int) uint64 {
	n := uint64(1)
	for i := uint64(0); i < pageSize && level > 1; i += 8 {
		if e := load64(direct(t) + i); e&pteP != 0 && e&ptePS == 0 {
			n += tables(e&addrMask, level-1)
		}
	}
	return n
}

// Whatever is mapped, touched, dropped, protected and unmapped, and in whatever order: promised are the pages of heap
// mappings that were never touched, memory that comes new is zero, and every frame comes back.
func TestCommit(t *testing.T) {
	flush := flushOwn
	flushOwn = func(uint64) {}
	t.Cleanup(func() { flushOwn = flush })
	var huge uint64
	rapid.Check(t, func(r *rapid.T) {
		fakeMachine(t, 8*commitPages, nil)
		vmas = vmaTable{}
		vmaShrinks++
		stats.hugeFaults = 0
		m := new(commitModel)
		for range rapid.IntRange(1, 40).Draw(r, "operations") {
			stats.faults = hugeAfter * rapid.Uint64Range(0, 1).Draw(r, "large")
			m.step(r)
			if want := m.noteHuge(); pool.reserved != want {
				r.Fatalf("promised: got %d pages, want %d", pool.reserved, want)
			}
		}
		huge += stats.hugeFaults
		if e := sysMunmap(commitBase, commitPages*pageSize); e != 0 || pool.reserved != 0 {
			r.Fatalf("munmap of everything: %s, %d pages promised", result(e), pool.reserved)
		}
		if got := pool.nfree + tables(rootTable, 4); got != pool.total {
			r.Fatalf("%d frames are free or tables, of %d", got, pool.total)
		}
	})
	if huge == 0 {
		t.Error("no page of 2 MiB was ever used")
	}
}

// Without a frame to divide a dropped 2 MiB with, too much may be promised, never too little.
func TestCommitWithoutFrames(t *testing.T) {
	flush := flushOwn
	flushOwn = func(uint64) {}
	t.Cleanup(func() { flushOwn = flush })
	fakeMachine(t, 8*commitPages, nil)
	vmas, stats.faults = vmaTable{}, hugeAfter
	if r := sysMmap(commitBase, hugeSize, protRead|protWrite, mapFixed|mapAnonymous); r != commitBase {
		t.Fatalf("mmap: %s", result(r))
	}
	if !pageFault(commitBase, 2) || stats.hugeFaults == 0 || pool.reserved != 0 {
		t.Fatalf("a page of 2 MiB: %d of them, %d promised", stats.hugeFaults, pool.reserved)
	}
	sysMadvise(commitBase, hugeSize, madvDontNeed)
	before := pool
	pool = framePool{}
	sysMunmap(commitBase, 4*pageSize)
	pool = before
	if pool.reserved != 0 {
		t.Errorf("after munmap of a part: %d promised, want 0", pool.reserved)
	}
	sysMmap(commitBase, 4*pageSize, protRead|protWrite, mapFixed|mapAnonymous)
	pageFault(commitBase, 2)
	if pool.reserved > 4 || pool.reserved == 0 {
		t.Errorf("after mapping it again: %d promised, want at most 4", pool.reserved)
	}
}

// A dropped 2 MiB that comes back by the page takes no promise from others.
func TestCommitDroppedHuge(t *testing.T) {
	flush := flushOwn
	flushOwn = func(uint64) {}
	t.Cleanup(func() { flushOwn = flush })
	fakeMachine(t, 8*commitPages, nil)
	vmas, stats.faults = vmaTable{}, hugeAfter
	sysMmap(commitBase, 2*hugeSize, protRead|protWrite, mapFixed|mapAnonymous)
	pageFault(commitBase, 2)
	sysMadvise(commitBase, hugeSize, madvDontNeed)
	stats.faults = 0
	for i := uint64(0); i < 10; i++ {
		pageFault(commitBase+i*pageSize, 2)
	}
	if want := uint64(hugeSize / pageSize); pool.reserved != want {
		t.Errorf("promised: got %d, want %d", pool.reserved, want)
	}
}

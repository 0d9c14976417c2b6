// Package frames hands out physical page frames: who owns which, which are free, which are known to hold only zeros.
//
// A frame has one owner at a time. It is zeroed before it is granted, and only when something may have been written to
// it. Frames come in three sizes, each aligned to itself: a page of 4 KiB, a chunk of 16 pages and a big frame of 512.
// Memory is divided into blocks the size of a big frame, and each block is in one of four lists (full, scattered pages,
// whole chunks, wholly free), so that every operation costs the same however large the machine is, and small requests
// break up large blocks only when nothing smaller is left.
//
// The metadata are 6.3 bytes a page (100 MiB for a machine of 64 GiB) in slices without pointers; nothing is allocated
// in steady state. The package has no lock: the caller holds one. It must never touch memory except through Config's
// Zero, and never hand out a frame with more than one owner.
package frames

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"nom.dev/nom/abi"
)

// Sizes of what Alloc grants, in bytes.
const (
	Page  = 4 << 10
	Chunk = 64 << 10
	Big   = 2 << 20
)

const (
	blockPages = Big / Page
	blockWords = blockPages / 64
	chunkPages = Chunk / Page
	chunkMask  = 1<<chunkPages - 1

	unmanaged = ^uint32(0) // owner of what lies in a block but in no range
)

// Lists a block can be in, by the largest piece that it has free.
const (
	listFull = iota
	listScattered
	listChunks
	listWhole
	numLists
)

// span is a stretch of blocks without a gap.
type span struct {
	base  uint64
	first int // index of its first block
	count int
}

type block struct {
	next, prev int32
	chunks     uint32 // bit i: chunk i is wholly free
	free       uint16 // pages
	list       uint8
}

// Allocator owns the frames of a machine. The zero Allocator is not usable; see New.
type Allocator struct {
	zero   func(pa, size uint64)
	spans  []span
	blocks []block
	free   []uint64 // a bit a page: nobody owns it
	dirty  []uint64 // a bit a page: may hold something else than zeros
	owner  []uint32
	shares []uint16
	heads  [numLists]int32
	owned  map[uint32]uint64
	total  uint64
	avail  uint64
	scrub  int // the block that Scrub looks at next
}

// New makes an allocator of all whole pages in ranges, which must not overlap. zero fills physical memory with zeros.
func New(ranges []abi.Range, zero func(pa, size uint64)) (*Allocator, error) {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b abi.Range) int {
		if a.Addr < b.Addr {
			return -1
		}
		return 1
	})
	a := &Allocator{zero: zero, owned: make(map[uint32]uint64, abi.MaxContainers)}
	end := uint64(0)
	for _, r := range sorted {
		if r.Addr < end || r.Addr+r.Size < r.Addr {
			return nil, fmt.Errorf("frames: range %#x+%#x overlaps its neighbour: give each stretch of memory once", r.Addr, r.Size)
		}
		end = r.Addr + r.Size
		a.addSpan(r.Addr&^(Big-1), (end+Big-1)&^(Big-1))
	}
	n := len(a.blocks)
	a.free = make([]uint64, n*blockWords)
	a.dirty = make([]uint64, n*blockWords)
	a.owner = make([]uint32, n*blockPages)
	a.shares = make([]uint16, n*blockPages)
	for i := range a.owner {
		a.owner[i] = unmanaged
	}
	for i := range a.heads {
		a.heads[i] = -1
	}
	for _, r := range sorted {
		first, last := (r.Addr+Page-1)&^(Page-1), (r.Addr+r.Size)&^(Page-1)
		for pa := first; pa < last; pa += Page {
			i, _ := a.index(pa)
			a.owner[i] = 0
			a.free[i/64] |= 1 << (i % 64)
			a.dirty[i/64] |= 1 << (i % 64)
			a.total++
		}
	}
	a.avail = a.total
	for b := range a.blocks {
		a.blocks[b].prev, a.blocks[b].next = -1, -1
		a.recount(b)
	}
	return a, nil
}

// addSpan extends the blocks to cover [base, end), joining it to the last span where they touch or share a block.
func (a *Allocator) addSpan(base, end uint64) {
	if n := len(a.spans); n > 0 {
		s := &a.spans[n-1]
		if top := s.base + uint64(s.count)*Big; base <= top {
			if end <= top {
				return
			}
			more := int((end - top) / Big)
			s.count += more
			a.blocks = append(a.blocks, make([]block, more)...)
			return
		}
	}
	s := span{base: base, first: len(a.blocks), count: int((end - base) / Big)}
	a.spans = append(a.spans, s)
	a.blocks = append(a.blocks, make([]block, s.count)...)
}

// index is the number of the page at pa in the tables.
func (a *Allocator) index(pa uint64) (int, bool) {
	for i := range a.spans {
		s := &a.spans[i]
		if off := pa - s.base; pa >= s.base && off < uint64(s.count)*Big {
			return s.first*blockPages + int(off/Page), true
		}
	}
	return 0, false
}

// addr is the inverse of index.
func (a *Allocator) addr(page int) uint64 {
	b := page / blockPages
	for i := range a.spans {
		if s := &a.spans[i]; b >= s.first && b < s.first+s.count {
			return s.base + uint64(page-s.first*blockPages)*Page
		}
	}
	return 0
}

// Alloc grants a zeroed frame of size Page, Chunk or Big to owner, which must not be 0. It fails when none is free.
func (a *Allocator) Alloc(size uint64, owner uint32) (pa uint64, ok bool) {
	if owner == 0 || owner == unmanaged {
		return 0, false
	}
	switch size {
	case Page:
		for l := listScattered; l <= listWhole; l++ {
			if b := a.heads[l]; b >= 0 {
				return a.take(int(b), a.bestPage(int(b)), 1, owner), true
			}
		}
	case Chunk:
		for l := listChunks; l <= listWhole; l++ {
			if b := a.heads[l]; b >= 0 {
				c := bits.TrailingZeros32(a.blocks[b].chunks)
				return a.take(int(b), c*chunkPages, chunkPages, owner), true
			}
		}
	case Big:
		if b := a.heads[listWhole]; b >= 0 {
			return a.take(int(b), 0, blockPages, owner), true
		}
	}
	return 0, false
}

// AllocRun grants pages (1 to 16) that lie next to each other, aligned to the next power of two. It may fail when
// memory is scattered although enough pages are free.
func (a *Allocator) AllocRun(pages int, owner uint32) (pa uint64, ok bool) {
	if owner == 0 || owner == unmanaged || pages < 1 || pages > chunkPages {
		return 0, false
	}
	align := 1 << bits.Len(uint(pages-1))
	const patience = 64 // blocks of scattered pages to look at: bounds the time
	for b, n := a.heads[listScattered], 0; b >= 0 && n < patience; b, n = a.blocks[b].next, n+1 {
		if first, found := a.findRun(int(b), pages, align); found {
			return a.take(int(b), first, pages, owner), true
		}
	}
	for l := listChunks; l <= listWhole; l++ {
		if b := a.heads[l]; b >= 0 {
			c := bits.TrailingZeros32(a.blocks[b].chunks)
			return a.take(int(b), c*chunkPages, pages, owner), true
		}
	}
	return 0, false
}

func (a *Allocator) findRun(b, pages, align int) (first int, ok bool) {
	want := uint64(1)<<pages - 1
	for i, w := range a.free[b*blockWords : (b+1)*blockWords] {
		for off := 0; off < 64 && w>>off != 0; off += align {
			if w>>off&want == want {
				return i*64 + off, true
			}
		}
	}
	return 0, false
}

// bestPage is a free page of block b, one in a chunk that is already broken up where there is one.
func (a *Allocator) bestPage(b int) int {
	best := -1
	for i, w := range a.free[b*blockWords : (b+1)*blockWords] {
		for off := 0; off < 64 && w>>off != 0; off += chunkPages {
			half := w >> off & chunkMask
			if half == 0 {
				continue
			}
			page := i*64 + off + bits.TrailingZeros64(half)
			if half != chunkMask {
				return page
			}
			if best < 0 {
				best = page
			}
		}
	}
	return best
}

// take grants n free pages of block b from page first on, and zeroes those that are dirty.
func (a *Allocator) take(b, first, n int, owner uint32) uint64 {
	base := b*blockPages + first
	a.clean(base, n)
	for i := base; i < base+n; i++ {
		a.free[i/64] &^= 1 << (i % 64)
		a.owner[i] = owner
	}
	a.avail -= uint64(n)
	a.owned[owner] += uint64(n)
	a.recount(b)
	return a.addr(base)
}

// clean zeroes the dirty ones among n pages of one block, in runs as long as they come.
func (a *Allocator) clean(base, n int) {
	run := 0
	for i := base; i < base+n; i++ {
		if a.dirty[i/64]>>(i%64)&1 != 0 {
			a.dirty[i/64] &^= 1 << (i % 64)
			run++
			continue
		}
		a.flush(i, run)
		run = 0
	}
	a.flush(base+n, run)
}

func (a *Allocator) flush(end, run int) {
	if run > 0 {
		a.zero(a.addr(end-run), uint64(run)*Page)
	}
}

// recount brings the summary of block b in line with its bits and moves it to the list where it belongs.
func (a *Allocator) recount(b int) {
	p := &a.blocks[b]
	p.free, p.chunks = 0, 0
	for i, w := range a.free[b*blockWords : (b+1)*blockWords] {
		p.free += uint16(bits.OnesCount64(w))
		for c := range 4 {
			if w>>(c*chunkPages)&chunkMask == chunkMask {
				p.chunks |= 1 << (i*4 + c)
			}
		}
	}
	list := uint8(listScattered)
	switch {
	case p.free == 0:
		list = listFull
	case p.free == blockPages:
		list = listWhole
	case p.chunks != 0:
		list = listChunks
	}
	if list == p.list {
		return
	}
	a.unlink(b)
	p.list = list
	if list == listFull {
		return
	}
	p.prev, p.next = -1, a.heads[list]
	if p.next >= 0 {
		a.blocks[p.next].prev = int32(b)
	}
	a.heads[list] = int32(b)
}

func (a *Allocator) unlink(b int) {
	p := &a.blocks[b]
	if p.list == listFull {
		return
	}
	if p.prev >= 0 {
		a.blocks[p.prev].next = p.next
	} else {
		a.heads[p.list] = p.next
	}
	if p.next >= 0 {
		a.blocks[p.next].prev = p.prev
	}
	p.prev, p.next = -1, -1
}

var errRange = errors.New("not within one block of this machine's memory")

// Free takes back size bytes at pa: any number of whole pages within one big frame, however they were granted. It
// refuses, and changes nothing, unless owner owns each of them and none is shared.
func (a *Allocator) Free(pa, size uint64, owner uint32) error {
	first, ok := a.index(pa)
	n := int(size / Page)
	if !ok || pa%Page != 0 || size == 0 || size%Page != 0 || size > Big || first%blockPages+n > blockPages {
		return fmt.Errorf("frames: free of %#x+%#x: %w", pa, size, errRange)
	}
	for i := first; i < first+n; i++ {
		if a.owner[i] != owner || owner == 0 || owner == unmanaged {
			return fmt.Errorf("frames: free of %#x by %d: it belongs to %d", a.addr(i), owner, a.owner[i])
		}
		if a.shares[i] != 0 {
			return fmt.Errorf("frames: free of %#x by %d: it is shared %d times", a.addr(i), owner, a.shares[i])
		}
	}
	for i := first; i < first+n; i++ {
		a.owner[i] = 0
		a.free[i/64] |= 1 << (i % 64)
		a.dirty[i/64] |= 1 << (i % 64)
	}
	a.avail += uint64(n)
	if a.owned[owner] -= uint64(n); a.owned[owner] == 0 {
		delete(a.owned, owner)
	}
	a.recount(first / blockPages)
	return nil
}

// Scrub zeroes up to pages free dirty pages ahead of need and says how many it did; 0 means there is nothing to do
// among the next few hundred blocks. For idle cores: it holds the caller's lock no longer than that takes.
func (a *Allocator) Scrub(pages int) int {
	done := 0
	for range min(len(a.blocks), 256) {
		if a.scrub >= len(a.blocks) {
			a.scrub = 0
		}
		base := a.scrub * blockWords
		for i := base; i < base+blockWords; i++ {
			for w := a.free[i] & a.dirty[i]; w != 0; w &= w - 1 {
				if done == pages {
					return done
				}
				a.clean(i*64+bits.TrailingZeros64(w), 1)
				done++
			}
		}
		a.scrub++
	}
	return done
}

// Owner says who owns the page at pa: 0 nobody. ok is false when the page is not part of this allocator's memory.
func (a *Allocator) Owner(pa uint64) (owner uint32, ok bool) {
	i, ok := a.index(pa)
	if !ok || a.owner[i] == unmanaged {
		return 0, false
	}
	return a.owner[i], true
}

// MaxShares is how many times one page can be shared.
const MaxShares = 1<<16 - 1

// Share notes that somebody else than its owner can reach the page at pa, which can then not be freed. It fails when
// nobody owns the page or it is shared MaxShares times.
func (a *Allocator) Share(pa uint64) bool {
	i, ok := a.index(pa)
	if !ok || a.owner[i] == unmanaged || a.owner[i] == 0 || a.shares[i] == MaxShares {
		return false
	}
	a.shares[i]++
	return true
}

// Unshare undoes one Share.
func (a *Allocator) Unshare(pa uint64) bool {
	i, ok := a.index(pa)
	if !ok || a.shares[i] == 0 {
		return false
	}
	a.shares[i]--
	return true
}

// Shares is how many times the page at pa is shared.
func (a *Allocator) Shares(pa uint64) int {
	i, ok := a.index(pa)
	if !ok {
		return 0
	}
	return int(a.shares[i])
}

// Total is how many pages there are; Available, how many nobody owns; Owned, how many owner does.
func (a *Allocator) Total() uint64             { return a.total }
func (a *Allocator) Available() uint64         { return a.avail }
func (a *Allocator) Owned(owner uint32) uint64 { return a.owned[owner] }

package iommu

import (
	"testing"

	"pgregory.net/rapid"
)

// ram is memory for tables: as the processors see it, and as it was when it was last written back.
type ram struct {
	t     testing.TB
	m     *model
	pages map[uint64]*[512]uint64
	back  map[uint64]*[512]uint64
	sizes map[uint64]uint64
	next  uint64
	limit int // pages that it has left; -1 = many
}

func newRAM(t testing.TB, m *model) *ram {
	return &ram{t: t, m: m, pages: map[uint64]*[512]uint64{}, back: map[uint64]*[512]uint64{}, sizes: map[uint64]uint64{}, next: 1 << 20, limit: -1}
}

func (r *ram) Alloc(size uint64) (uint64, bool) {
	if r.limit == 0 {
		return 0, false
	}
	r.limit--
	pa := (r.next + size - 1) &^ (size - 1)
	r.next = pa + size
	r.sizes[pa] = size
	for p := pa; p < pa+size; p += PageSize {
		r.pages[p] = new([512]uint64)
		r.back[p] = new([512]uint64)
		for i := range r.back[p] {
			r.back[p][i] = 0xdead_dead_dead_d003 // what was there before it was zeroed
		}
	}
	return pa, true
}

func (r *ram) Free(pa, size uint64) {
	r.t.Helper()
	if r.sizes[pa] != size {
		r.t.Fatalf("free %#x+%#x: it has %#x", pa, size, r.sizes[pa])
	}
	if r.m.uses(pa) {
		r.t.Fatalf("the page %#x is freed while the unit can still walk through it", pa)
	}
	delete(r.sizes, pa)
	for p := pa; p < pa+size; p += PageSize {
		delete(r.pages, p)
		delete(r.back, p)
	}
}

func (r *ram) Table(pa uint64) *[512]uint64 { return r.live(pa) }

func (r *ram) live(pa uint64) *[512]uint64 {
	if p := r.pages[pa]; p != nil {
		return p
	}
	r.t.Fatalf("no page at %#x", pa)
	return nil
}

func (r *ram) seen(pa uint64) *[512]uint64 {
	r.live(pa)
	return r.back[pa]
}

func (r *ram) Flush(pa, size uint64) {
	if size == 0 {
		r.t.Fatal("flush of nothing")
	}
	for at := pa &^ 7; at < pa+size; at += 8 {
		page := at &^ (PageSize - 1)
		r.back[page][at%PageSize/8] = r.live(page)[at%PageSize/8]
	}
}

// draw picks a range of pages: small ones, and such as large pages fit in.
func draw(rt *rapid.T) (first, n uint64) {
	if rapid.Bool().Draw(rt, "large") {
		first = rapid.Uint64Range(0, 3).Draw(rt, "first") * tableE
		return first, min(rapid.Uint64Range(1, 2).Draw(rt, "n")*tableE, historyPages-first)
	}
	first = rapid.Uint64Range(0, historyPages-1).Draw(rt, "first")
	return first, min(rapid.Uint64Range(1, 600).Draw(rt, "n"), historyPages-first)
}

package frames

import (
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
)

var machine = []abi.Range{
	{Addr: 0x150_0000, Size: 7<<20 + 0x3000}, // starts and ends within a block
	{Addr: 0x1d0_4000, Size: 0x1_0000},       // shares a block with the first
	{Addr: 1 << 32, Size: 6 << 20},
}

// fake remembers which pages hold something.
type fake struct {
	written map[uint64]bool
	zeroed  uint64
}

func (f *fake) zero(pa, size uint64) {
	f.zeroed += size
	for p := pa; p < pa+size; p += Page {
		delete(f.written, p)
	}
}

func newFake(t interface{ Fatal(...any) }, ranges []abi.Range) (*Allocator, *fake) {
	f := &fake{written: make(map[uint64]bool)}
	a, err := New(ranges, f.zero)
	if err != nil {
		t.Fatal(err)
	}
	return a, f
}

func TestNewRejectsOverlap(t *testing.T) {
	for _, r := range [][]abi.Range{
		{{Addr: 0, Size: 0x3000}, {Addr: 0x2000, Size: 0x1000}},
		{{Addr: 0x1000, Size: 0x1000}, {Addr: 0x1000, Size: 0x1000}},
		{{Addr: ^uint64(0) - 0xfff, Size: 0x2000}},
	} {
		if _, err := New(r, nil); err == nil {
			t.Errorf("New(%#x): no error", r)
		}
	}
}

func TestTotal(t *testing.T) {
	a, _ := newFake(t, machine)
	want := uint64(7<<20+0x3000)/Page + 0x1_0000/Page + (6<<20)/Page
	if a.Total() != want || a.Available() != want {
		t.Errorf("got %d total, %d available, want %d", a.Total(), a.Available(), want)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
}

func TestZeroedOnlyWhenDirty(t *testing.T) {
	a, f := newFake(t, []abi.Range{{Addr: Big, Size: Big}})
	pa, _ := a.Alloc(Big, 1)
	if f.zeroed != Big {
		t.Fatalf("zeroed %#x bytes at first, want all", f.zeroed)
	}
	if err := a.Free(pa, Page, 1); err != nil {
		t.Fatal(err)
	}
	if n := a.Scrub(10); n != 1 {
		t.Fatalf("scrubbed %d pages, want 1", n)
	}
	f.zeroed = 0
	if got, _ := a.Alloc(Page, 1); got != pa || f.zeroed != 0 {
		t.Fatalf("got %#x after zeroing %#x bytes, want the clean page %#x", got, f.zeroed, pa)
	}
}

func TestFreeRefuses(t *testing.T) {
	a, _ := newFake(t, machine)
	pa, _ := a.Alloc(Chunk, 7)
	for _, c := range []struct {
		name     string
		pa, size uint64
		owner    uint32
	}{
		{"another's", pa, Page, 8},
		{"nobody's", pa, Page, 0},
		{"partly free", pa, Chunk + Page, 7},
		{"unaligned", pa + 1, Page, 7},
		{"nothing", pa, 0, 7},
		{"outside", 0x1000, Page, 7},
		{"unmanaged", 0x140_0000, Page, unmanaged},
		{"across blocks", pa, 2 * Big, 7},
	} {
		if err := a.Free(c.pa, c.size, c.owner); err == nil {
			t.Errorf("%s: freed", c.name)
		}
	}
	a.Share(pa + Page)
	if err := a.Free(pa, Chunk, 7); err == nil {
		t.Error("freed a shared page")
	}
	a.Unshare(pa + Page)
	if err := a.Free(pa, Chunk, 7); err != nil {
		t.Error(err)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
}

func TestSmallRequestsKeepBigFramesWhole(t *testing.T) {
	a, _ := newFake(t, []abi.Range{{Addr: 0, Size: 4 * Big}})
	var pages []uint64
	for range blockPages {
		pa, _ := a.Alloc(Page, 1)
		pages = append(pages, pa)
	}
	for _, pa := range pages[:100] {
		a.Free(pa, Page, 1)
	}
	for range 100 {
		a.Alloc(Page, 2)
	}
	for i := range 3 {
		if _, ok := a.Alloc(Big, 3); !ok {
			t.Errorf("big frame %d: none left", i)
		}
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	a, _ := newFake(t, []abi.Range{{Addr: 0, Size: 4 * Big}})
	keep, _ := a.Alloc(Page, 1)
	got := testing.AllocsPerRun(100, func() {
		for _, size := range []uint64{Page, Chunk, Big} {
			pa, _ := a.Alloc(size, 1)
			a.Share(pa)
			a.Unshare(pa)
			a.Free(pa, size, 1)
		}
	})
	if got > 0.5 { // the fake's map aside
		t.Errorf("got %v allocations, want 0", got)
	}
	a.Free(keep, Page, 1)
}

// TestHistories lets random owners allocate, write, share and free, against a plain map of who has what.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, f := newFake(t, machine)
		model := make(map[uint64]uint32)
		type grant struct {
			pa, size uint64
			owner    uint32
		}
		var grants []grant
		add := func(pa, size uint64, owner uint32) {
			for p := pa; p < pa+size; p += Page {
				if model[p] != 0 {
					t.Fatalf("%#x granted to %d belongs to %d", p, owner, model[p])
				}
				if f.written[p] {
					t.Fatalf("%#x was granted unzeroed", p)
				}
				if o, ok := a.Owner(p); !ok || o != owner {
					t.Fatalf("owner of %#x: got %d, %v, want %d", p, o, ok, owner)
				}
				model[p], f.written[p] = owner, true
			}
			grants = append(grants, grant{pa, size, owner})
		}
		for p := uint64(0x150_0000); p < 0x200_0000; p += Page {
			f.written[p] = true // what the firmware left
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if err := a.Check(); err != nil {
					t.Fatal(err)
				}
				if got, want := a.Total()-a.Available(), uint64(len(model)); got != want {
					t.Fatalf("%d pages are owned, want %d", got, want)
				}
			},
			"alloc": func(t *rapid.T) {
				size := rapid.SampledFrom([]uint64{Page, Page, Page, Chunk, Chunk, Big}).Draw(t, "size")
				owner := rapid.Uint32Range(1, 5).Draw(t, "owner")
				if pa, ok := a.Alloc(size, owner); ok {
					if pa%size != 0 {
						t.Fatalf("frame of %#x at %#x", size, pa)
					}
					add(pa, size, owner)
				} else if size == Page && a.Available() > 0 {
					t.Fatalf("no page although %d are free", a.Available())
				}
			},
			"run": func(t *rapid.T) {
				n := rapid.IntRange(1, 16).Draw(t, "pages")
				if pa, ok := a.AllocRun(n, 6); ok {
					add(pa, uint64(n)*Page, 6)
				}
			},
			"free": func(t *rapid.T) {
				if len(grants) == 0 {
					return
				}
				i := rapid.IntRange(0, len(grants)-1).Draw(t, "which")
				g := grants[i]
				if g.size == Big && rapid.Bool().Draw(t, "split") { // give part of it back
					grants[i] = grant{g.pa + Chunk, g.size - Chunk, g.owner}
					g.size = Chunk
				} else {
					grants = append(grants[:i], grants[i+1:]...)
				}
				if err := a.Free(g.pa, g.size, g.owner); err != nil {
					t.Fatal(err)
				}
				for p := g.pa; p < g.pa+g.size; p += Page {
					delete(model, p)
				}
			},
			"scrub": func(t *rapid.T) { a.Scrub(rapid.IntRange(1, 2000).Draw(t, "pages")) },
		})
	})
}

func BenchmarkPage(b *testing.B) {
	a, _ := New([]abi.Range{{Addr: 0, Size: 1 << 30}}, func(pa, size uint64) {})
	for b.Loop() {
		pa, _ := a.Alloc(Page, 1)
		a.Free(pa, Page, 1)
	}
}

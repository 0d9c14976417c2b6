package npt

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// memory is a fake of physical memory that holds only page tables.
type memory struct {
	tables map[uint64]*[512]uint64
	next   uint64
	left   int
}

func newMemory(left int) *memory {
	return &memory{tables: make(map[uint64]*[512]uint64), next: 0x10_0000, left: left}
}

func (m *memory) source() Source {
	return Source{
		Table: func(pa uint64) *[512]uint64 { return m.tables[pa] },
		Alloc: func() (uint64, bool) {
			if m.left == 0 {
				return 0, false
			}
			m.left--
			m.next += Size4K
			m.tables[m.next] = new([512]uint64)
			return m.next, true
		},
		Free: func(pa uint64) { delete(m.tables, pa); m.left++ },
	}
}

func TestPages(t *testing.T) {
	for _, c := range []struct{ memory, want uint64 }{
		{Size4K, 4},
		{Size2M, 4},
		{Size2M + Size4K, 5},
		{64 << 20, 1 + 32 + 1 + 1},
		{1 << 30, 1 + 512 + 1 + 1},
		{1<<39 + Size4K, 1 + (1<<18 + 1) + 513 + 2},
	} {
		if got := Pages(c.memory); got != c.want {
			t.Errorf("Pages(%#x): got %d, want %d", c.memory, got, c.want)
		}
	}
}

// TestFormat pins the bits that the processor sees.
func TestFormat(t *testing.T) {
	m := newMemory(10)
	nt, err := New(1<<30, m.source())
	if err != nil {
		t.Fatal(err)
	}
	if err := nt.Map(0x40_3000, 0x1234_5000, Size4K, W); err != nil {
		t.Fatal(err)
	}
	if err := nt.Map(0x60_0000, 0x4000_0000, Size2M, Lent); err != nil {
		t.Fatal(err)
	}
	l3 := m.tables[nt.Root][0]
	l2 := m.tables[l3&^0xfff][0]
	l1 := m.tables[l2&^0xfff][2]
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"top", l3 & 0xfff, 0x67},
		{"third", l2 & 0xfff, 0x67},
		{"second", l1 & 0xfff, 0x67},
		{"page", m.tables[l1&^0xfff][3], 0x1234_5067},
		{"large lent page", m.tables[l2&^0xfff][3], 0x4000_02e5},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	m := newMemory(5)
	nt, _ := New(16<<20, m.source())
	nt.Map(0x20_0000, 0x20_0000, Size2M, W)
	nt.Map(0, 0x1000, Size4K, W)
	for _, c := range []struct {
		name          string
		gpa, pa, size uint64
		want          error
	}{
		{"covered", 0, 0x1000, Size4K, ErrCovered},
		{"inside large", 0x20_1000, 0x1000, Size4K, ErrCovered},
		{"over table", 0, 0, Size2M, ErrCovered},
		{"unaligned", 0x1001, 0, Size4K, ErrAlign},
		{"frame unaligned", 0x40_0000, 0x1000, Size2M, ErrAlign},
		{"size", 0x40_0000, 0, 0x2000, ErrAlign},
		{"beyond", 16 << 20, 0, Size4K, ErrAlign},
		{"no table", 0x40_0000, 0, Size4K, nil},
		{"none left", 0x60_0000, 0, Size4K, ErrNoTable},
	} {
		if err := nt.Map(c.gpa, c.pa, c.size, W); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if err := nt.Split(0x20_0000); !errors.Is(err, ErrNoTable) {
		t.Errorf("split: got %v, want ErrNoTable", err)
	}
	if err := nt.Mark(0, 2); !errors.Is(err, ErrCovered) {
		t.Errorf("mark: got %v, want ErrCovered", err)
	}
}

// TestHistories compares random edits with a map of pages, and takes everything apart at the end.
func TestHistories(t *testing.T) {
	const size = 3 << 30
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory(int(Pages(size)))
		nt, err := New(size, m.source())
		if err != nil {
			t.Fatal(err)
		}
		type page struct {
			pa    uint64
			write bool
			mark  uint64
		}
		model := make(map[uint64]page)
		addr := func(t *rapid.T) uint64 {
			return rapid.SampledFrom([]uint64{0, 0x20_0000, 1 << 30, 2<<30 - Size2M, size - Size2M}).Draw(t, "area") +
				uint64(rapid.IntRange(0, 511).Draw(t, "page"))*Size4K
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if nt.Count != uint64(len(m.tables)) || nt.Count > Pages(size) {
					t.Fatalf("counts %d tables, there are %d, at most %d", nt.Count, len(m.tables), Pages(size))
				}
				n := 0
				nt.Visit(func(gpa uint64, e Entry, size uint64) {
					for off := uint64(0); off < size; off += Size4K {
						want := model[gpa+off]
						if e.Present() && (want.pa != e.Addr()+off || want.write != e.Writable()) || !e.Present() && want.mark != uint64(e) {
							t.Fatalf("%#x: got %#x, want %+v", gpa+off, e, want)
						}
						n++
					}
				})
				if n != len(model) {
					t.Fatalf("%d pages mapped, want %d", n, len(model))
				}
			},
			"map": func(t *rapid.T) {
				gpa, write := addr(t), rapid.Bool().Draw(t, "write")
				bits := Entry(0)
				if write {
					bits = W
				}
				_, covered := model[gpa]
				if err := nt.Map(gpa, gpa+1<<36, Size4K, bits); (err == nil) == covered {
					t.Fatalf("map %#x: %v, covered %v", gpa, err, covered)
				} else if err == nil {
					model[gpa] = page{gpa + 1<<36, write, 0}
				}
			},
			"map2M": func(t *rapid.T) {
				gpa := addr(t) &^ (Size2M - 1)
				if empty := nt.Empty(gpa, Size2M); empty != (nt.Map(gpa, gpa+1<<36, Size2M, W) == nil) {
					t.Fatalf("%#x empty: %v", gpa, empty)
				} else if empty {
					for p := gpa; p < gpa+Size2M; p += Size4K {
						model[p] = page{p + 1<<36, true, 0}
					}
				}
			},
			"unmap": func(t *rapid.T) {
				gpa := addr(t)
				if rapid.Bool().Draw(t, "split") {
					if err := nt.Split(gpa); err != nil {
						t.Fatal(err)
					}
				}
				was, size, removed := nt.Unmap(gpa)
				if removed != (model[gpa].pa != 0) || removed && was.Addr() != model[gpa&^(size-1)].pa {
					t.Fatalf("unmap %#x: got %#x, %v, want %+v", gpa, was, removed, model[gpa])
				}
				for p := gpa &^ (size - 1); p < gpa&^(size-1)+size; p += Size4K {
					delete(model, p)
				}
			},
			"mark": func(t *rapid.T) {
				gpa, word := addr(t), rapid.Uint64Range(0, 1<<52).Draw(t, "word")<<1
				if nt.Mark(gpa, word) == nil {
					if delete(model, gpa); word != 0 {
						model[gpa] = page{0, false, word}
					}
				}
			},
			"protect": func(t *rapid.T) {
				gpa := addr(t)
				_, size := nt.Lookup(gpa)
				write := rapid.Bool().Draw(t, "write")
				before := model[gpa]
				if got, want := nt.Protect(gpa, write), before.pa != 0 && before.write && !write; got != want {
					t.Fatalf("protect %#x: removed %v, want %v", gpa, got, want)
				}
				if before.pa != 0 {
					for p := gpa &^ (size - 1); p < gpa&^(size-1)+size; p += Size4K {
						model[p] = page{model[p].pa, write, 0}
					}
				}
			},
			"empty": func(t *rapid.T) {
				gpa := addr(t) &^ 0xffff
				want := true
				for p := gpa; p < gpa+0x10000; p += Size4K {
					_, covered := model[p]
					want = want && !covered
				}
				if got := nt.Empty(gpa, 0x10000); got != want {
					t.Fatalf("empty %#x: got %v, want %v", gpa, got, want)
				}
			},
		})
		pages := uint64(0)
		budget := rapid.IntRange(1, 2000).Draw(t, "budget")
		for range 100_000 {
			if nt.Destroy(budget, func(e Entry, size uint64) { pages += size / Size4K }) {
				break
			}
		}
		for _, p := range model {
			if p.pa == 0 {
				pages++
			}
		}
		if len(m.tables) != 0 || nt.Count != 0 || pages != uint64(len(model)) {
			t.Fatalf("%d tables and %d of %d pages left", len(m.tables), uint64(len(model))-pages, len(model))
		}
	})
}

func TestMapRun(t *testing.T) {
	m := newMemory(20)
	one, err := New(1<<30, m.source())
	if err != nil {
		t.Fatal(err)
	}
	run, err := New(1<<30, m.source())
	if err != nil {
		t.Fatal(err)
	}
	const gpa, pa, n = 5<<20 + 3*Size4K, 7 << 20, 16
	if err := run.MapRun(gpa, pa, n, W); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(n) {
		if err := one.Map(gpa+i*Size4K, pa+i*Size4K, Size4K, W); err != nil {
			t.Fatal(err)
		}
	}
	for g := uint64(4 << 20); g < 7<<20; g += Size4K {
		got, _ := run.Lookup(g)
		want, _ := one.Lookup(g)
		if got != want {
			t.Fatalf("at %#x: got %#x, want %#x", g, got, want)
		}
	}
	if err := run.MapRun(gpa+(n-1)*Size4K, pa, 2, W); err != ErrCovered {
		t.Errorf("over what is there: got %v, want %v", err, ErrCovered)
	}
	if err := run.MapRun(2<<20-Size4K, pa, 2, W); err != ErrAlign {
		t.Errorf("across a table: got %v, want %v", err, ErrAlign)
	}
}

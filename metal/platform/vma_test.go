package main

import (
	"testing"

	"pgregory.net/rapid"
)

// pageMap is the model of vmaTable: the protection of each page of a small address space.
type pageMap map[uint64]uint32

const (
	modelBase  = 1 << 33
	modelPages = 64
)

func modelRange(t *rapid.T) (lo, hi uint64) {
	a := rapid.Uint64Range(0, modelPages-1).Draw(t, "page")
	n := rapid.Uint64Range(1, modelPages-a).Draw(t, "pages")
	return modelBase + a*pageSize, modelBase + (a+n)*pageSize
}

// The table of mappings says of every page what a map of single pages says, and stays sorted, joined and free of overlaps.
func TestMappings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rootTable = 0
		table := new(vmaTable)
		model := pageMap{}
		for range rapid.IntRange(1, 80).Draw(t, "operations") {
			lo, hi := modelRange(t)
			switch rapid.IntRange(0, 2).Draw(t, "operation") {
			case 0:
				prot := uint32(rapid.SampledFrom([]int{protNone, protRead, protRead | protWrite}).Draw(t, "protection"))
				if got, want := table.overlaps(lo, hi), model.any(lo, hi); got != want {
					t.Fatalf("overlaps(%#x, %#x): got %t, want %t", lo, hi, got, want)
				}
				table.clear(lo, hi)
				table.insert(lo, hi, prot)
				for a := lo; a < hi; a += pageSize {
					model[a] = prot
				}
			case 1:
				want := false
				for a := lo; a < hi; a += pageSize {
					want = want || model[a] != protNone
					delete(model, a)
				}
				if got := table.clear(lo, hi); got != want {
					t.Fatalf("clear(%#x, %#x): got %t, want %t", lo, hi, got, want)
				}
			case 2:
				if got, want := table.overlaps(lo, hi), model.any(lo, hi); got != want {
					t.Fatalf("overlaps(%#x, %#x): got %t, want %t", lo, hi, got, want)
				}
			}
			checkTable(t, table, model)
		}
	})
}

func (m pageMap) any(lo, hi uint64) bool {
	for a := lo; a < hi; a += pageSize {
		if _, ok := m[a]; ok {
			return true
		}
	}
	return false
}

func checkTable(t *rapid.T, table *vmaTable, model pageMap) {
	t.Helper()
	for i := range table.n {
		e := &table.t[i]
		if e.lo >= e.hi {
			t.Fatalf("mapping %d is empty: %+v", i, *e)
		}
		if i == 0 {
			continue
		}
		if p := &table.t[i-1]; p.hi > e.lo || p.hi == e.lo && p.prot == e.prot && p.heap == e.heap {
			t.Fatalf("mappings %d and %d overlap, or should be one: %+v, %+v", i-1, i, *p, *e)
		}
	}
	for a := uint64(modelBase); a < modelBase+modelPages*pageSize; a += pageSize {
		i := table.find(a)
		got := i < table.n && table.t[i].lo <= a
		prot, want := model[a]
		if got != want || got && table.t[i].prot != prot {
			t.Fatalf("page %#x: got mapped %t, want %t with protection %d", a, got, want, prot)
		}
	}
}

// Mappings without an address never overlap another and never reuse an address.
func TestPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vmas, mmapNext = vmaTable{}, mmapTop
		last := uint64(mmapTop)
		for range rapid.IntRange(1, 50).Draw(t, "mappings") {
			n := rapid.Uint64Range(1, 3000).Draw(t, "pages") * pageSize
			if rapid.Bool().Draw(t, "hint") {
				hint := last - rapid.Uint64Range(0, 5000).Draw(t, "below")*pageSize
				if a := placeMapping(hint, n); a == hint {
					vmas.insert(a, a+n, protRead)
				}
				continue
			}
			a := placeMapping(0, n)
			if a == 0 || a&(pageSize-1) != 0 || a+n > last || vmas.overlaps(a, a+n) {
				t.Fatalf("placeMapping(0, %#x): got %#x, last was %#x", n, a, last)
			}
			vmas.insert(a, a+n, protRead|protWrite)
			last = a
		}
	})
}

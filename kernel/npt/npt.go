// Package npt edits the nested page tables of a container: the map from guest-physical to physical memory that the
// processor walks beneath the guest's own page tables (AMD64 Architecture Programmer's Manual, volume 2, 15.25).
//
// The tables are ordinary four-level tables of the host's format (5.3). Every nested access is a user access (15.25.5),
// so U must be set at every level; A and D are set from the start, so that the walker never has to write them.
// Protection is decided in the last entry alone: all entries above allow everything.
//
// Bits that the processor ignores hold what the nonkernel needs to know about a page, so that there is no second table
// beside this one: the mark of a lent or reserved page in an entry that is present, and any word without bit 0 in one
// that is not. Memory is reached only through the accessor that the owner injects, page tables come from the owner too;
// no more than Pages(size) of them are ever asked for. The package has no lock: the caller holds one. It must never
// flush a translation: edits that take rights away say so, and the caller flushes before it reuses what was mapped.
package npt

import (
	"errors"
	"fmt"
)

// Entry is one entry of a page table.
type Entry uint64

// Bits of an entry. Lent, Reserved and Host are the nonkernel's; the processor ignores them.
const (
	P  Entry = 1 << 0
	W  Entry = 1 << 1
	U  Entry = 1 << 2
	A  Entry = 1 << 5
	D  Entry = 1 << 6
	PS Entry = 1 << 7

	Device   Entry = 1<<8 | 1<<4 // registers of a device: not memory, not cached (PCD)
	Lent     Entry = 1 << 9      // belongs to an ancestor, or to the host
	Reserved Entry = 1 << 10     // the nonkernel's own page in the container's space

	addrMask Entry = 0x000f_ffff_ffff_f000
	inner          = P | W | U | A | D
)

// Sizes that one last-level entry maps, in bytes.
const (
	Size4K = 4 << 10
	Size2M = 2 << 20
)

// MaxMemory is the largest guest-physical address space that four levels map.
const MaxMemory = 1 << 48

// Present says that the entry maps something.
func (e Entry) Present() bool { return e&P != 0 }

// Writable says that the guest may write.
func (e Entry) Writable() bool { return e&(P|W) == P|W }

// Addr is the physical address that the entry maps.
func (e Entry) Addr() uint64 { return uint64(e & addrMask) }

// Errors of Map and Mark; the caller can prevent all of them.
var (
	ErrCovered = errors.New("npt: something is mapped there already")
	ErrAlign   = errors.New("npt: address is not aligned to the size, or beyond the address space")
	ErrNoTable = errors.New("npt: no page left for a page table")
)

// Source provides the pages that the tables are made of.
type Source struct {
	Table func(pa uint64) *[512]uint64 // memory of a table
	Alloc func() (pa uint64, ok bool)  // a zeroed page
	Free  func(pa uint64)
}

// Tables are the nested page tables of one container.
type Tables struct {
	Root   uint64 // physical address of the top table, for nCR3
	Count  uint64 // pages that the tables take now
	memory uint64
	source Source
	cursor [4]int // where Destroy is, by level
}

// Pages is how many pages the tables of a guest-physical space of memory bytes can take at most.
func Pages(memory uint64) uint64 {
	n := uint64(1)
	for shift := 21; shift <= 39; shift += 9 {
		n += (memory + 1<<shift - 1) >> shift
	}
	return n
}

// New makes empty tables for memory bytes.
func New(memory uint64, source Source) (*Tables, error) {
	if memory > MaxMemory || memory%Size4K != 0 {
		return nil, fmt.Errorf("%w: space of %#x bytes", ErrAlign, memory)
	}
	root, ok := source.Alloc()
	if !ok {
		return nil, ErrNoTable
	}
	return &Tables{Root: root, Count: 1, memory: memory, source: source}, nil
}

// Memory is the size of the guest-physical space, in bytes.
func (t *Tables) Memory() uint64 { return t.memory }

// index is the place of gpa in a table of level l: 3 is the top, 0 the last.
func index(gpa uint64, l int) int { return int(gpa >> (12 + 9*l) & 511) }

// walk goes down to the entry of gpa at level stop, or to a large page or an absent table above it.
func (t *Tables) walk(gpa uint64, stop int) (slot *uint64, level int) {
	if gpa >= t.memory {
		return nil, 3
	}
	table := t.source.Table(t.Root)
	for l := 3; ; l-- {
		slot = &table[index(gpa, l)]
		e := Entry(*slot)
		if l == stop || !e.Present() || e&PS != 0 {
			return slot, l
		}
		table = t.source.Table(e.Addr())
	}
}

// grow goes down to the entry of gpa at level stop and makes the tables that are missing. A large page in the way is
// ErrCovered.
func (t *Tables) grow(gpa uint64, stop int) (*uint64, error) {
	if gpa >= t.memory {
		return nil, ErrAlign
	}
	for {
		slot, l := t.walk(gpa, stop)
		if l == stop {
			return slot, nil
		}
		if *slot != 0 {
			return nil, ErrCovered
		}
		pa, ok := t.source.Alloc()
		if !ok {
			return nil, ErrNoTable
		}
		t.Count++
		*slot = uint64(Entry(pa) | inner)
	}
}

// Map maps size bytes (Size4K or Size2M) at gpa to pa. bits are W, Lent and Reserved, or none. Nothing may be there.
func (t *Tables) Map(gpa, pa, size uint64, bits Entry) error {
	level := 0
	if size == Size2M {
		level = 1
		bits |= PS
	}
	if size != Size4K && size != Size2M || gpa%size != 0 || pa%size != 0 || gpa+size > t.memory {
		return ErrAlign
	}
	slot, err := t.grow(gpa, level)
	if err != nil {
		return err
	}
	if *slot != 0 {
		return ErrCovered
	}
	*slot = uint64(Entry(pa) | P | U | A | D | bits&(W|Device|Lent|Reserved|PS))
	return nil
}

// MapRun maps pages small pages from gpa on to those from pa on, all in one last-level table (2 MiB). It is Map for each of
// them, in one walk; on an error nothing has changed.
func (t *Tables) MapRun(gpa, pa uint64, pages int, bits Entry) error {
	first := index(gpa, 0)
	if (gpa|pa)%Size4K != 0 || pages < 1 || first+pages > 512 || gpa+uint64(pages)*Size4K > t.memory {
		return ErrAlign
	}
	if _, err := t.grow(gpa, 0); err != nil {
		return err
	}
	slot, _ := t.walk(gpa, 1)
	run := t.source.Table(Entry(*slot).Addr())[first : first+pages]
	for _, e := range run {
		if e != 0 {
			return ErrCovered
		}
	}
	e := uint64(Entry(pa) | P | U | A | D | bits&(W|Lent|Reserved))
	for i := range run {
		run[i] = e + uint64(i)*Size4K
	}
	return nil
}

// Lookup finds the entry of gpa and the size that it maps. The entry's address is that of the whole; see Translate.
func (t *Tables) Lookup(gpa uint64) (e Entry, size uint64) {
	slot, l := t.walk(gpa, 0)
	if slot == nil {
		return 0, Size4K
	}
	return Entry(*slot), Size4K << (9 * l)
}

// Translate is the physical address of gpa.
func (t *Tables) Translate(gpa uint64) (pa uint64, e Entry, ok bool) {
	e, size := t.Lookup(gpa)
	return e.Addr() + gpa&(size-1), e, e.Present()
}

// Unmap clears the entry of the page at gpa and returns what it was; the part of a large page must be split off first
// (Split). removed says that a translation went away and must be flushed.
func (t *Tables) Unmap(gpa uint64) (was Entry, size uint64, removed bool) {
	slot, l := t.walk(gpa, 0)
	if slot == nil || l > 0 && Entry(*slot)&PS == 0 {
		return 0, Size4K, false
	}
	was = Entry(*slot)
	*slot = 0
	return was, Size4K << (9 * l), was.Present()
}

// Protect allows or forbids writing to what the entry of gpa maps. removed says that a right went away.
func (t *Tables) Protect(gpa uint64, write bool) (removed bool) {
	slot, _ := t.walk(gpa, 0)
	if slot == nil || !Entry(*slot).Present() {
		return false
	}
	was := Entry(*slot)
	if write {
		*slot = uint64(was | W)
		return false
	}
	*slot = uint64(was &^ W)
	return was&W != 0
}

// Split replaces a 2 MiB entry around gpa by 512 small ones that map the same with the same rights: nothing to flush.
// Where there is no large entry it does nothing.
func (t *Tables) Split(gpa uint64) error {
	slot, l := t.walk(gpa, 0)
	if slot == nil || l != 1 || Entry(*slot)&(P|PS) != P|PS {
		return nil
	}
	big := Entry(*slot)
	pa, ok := t.source.Alloc()
	if !ok {
		return ErrNoTable
	}
	t.Count++
	small := t.source.Table(pa)
	for i := range small {
		small[i] = uint64(big&^PS) + uint64(i)*Size4K
	}
	*slot = uint64(Entry(pa) | inner)
	return nil
}

// Mark leaves word, which must not have bit 0, in the absent last-level entry of gpa: with 0 it takes the mark away.
func (t *Tables) Mark(gpa, word uint64) error {
	if Entry(word).Present() {
		return ErrAlign
	}
	slot, err := t.grow(gpa, 0)
	if err != nil {
		return err
	}
	if Entry(*slot).Present() {
		return ErrCovered
	}
	*slot = word
	return nil
}

// Empty says that nothing is mapped or marked in size bytes (a power of two, Size4K to Size2M) at gpa, aligned to it.
// A 2 MiB stretch below which there is already a table is not empty for this purpose even if the table is.
func (t *Tables) Empty(gpa, size uint64) bool {
	if gpa+size > t.memory {
		return false
	}
	if size == Size2M {
		slot, _ := t.walk(gpa, 1)
		return *slot == 0
	}
	slot, l := t.walk(gpa, 0)
	if l > 0 {
		return *slot == 0
	}
	table, _ := t.walk(gpa, 1)
	first := index(gpa, 0)
	for _, e := range t.source.Table(Entry(*table).Addr())[first : first+int(size/Size4K)] {
		if e != 0 {
			return false
		}
	}
	return *slot == 0
}

package iommu

import (
	"fmt"
)

// Domain is what the functions of one container can reach: addresses in their DMA are the container's guest-physical ones.
//
// The tables grow by the pages that are mapped and stay until Close. A table holds 512 entries; level 0 maps pages of 4 KiB, level 1
// leads to it or maps pages of 2 MiB. Entries are written whole, while the unit may be reading them.
type Domain struct {
	Name   string // of the container, for messages
	Memory uint64 // addresses below it can be mapped
	Count  uint64 // pages that the tables take now

	pages  Pages
	enc    encoding
	unit   flusher
	root   uint64
	levels int
	id     uint16

	dirty      bool // Flush has work: from dirtyFirst on, below dirtyEnd
	dirtyFirst uint64
	dirtyEnd   uint64

	attached int // functions; guarded by the unit's lock
	closed   bool
}

// encoding is how a kind of unit writes the entries of a table. An entry of 0 maps nothing.
type encoding interface {
	leaf(pa uint64, write bool, level int) uint64
	table(pa uint64, level int) uint64
	isTable(e uint64, level int) bool
	address(e uint64) uint64
	large() bool    // there are leaves at level 1
	coherent() bool // the unit looks into the processors' caches
	eager() bool    // the unit must be told of new entries, too
}

// flusher drops what a unit has cached of a domain's addresses.
type flusher interface {
	flush(d *Domain, first, end uint64) error
	release(d *Domain) error
}

const (
	size2M = 2 << 20
	tableE = 512 // entries of a table
)

// DMA to these addresses is an interrupt on every PC and never goes through the tables. Map leaves them out: a container that is so
// large must not let a device write there.
const (
	InterruptStart = 0xfee0_0000 // a multiple of 2 MiB
	InterruptEnd   = 0xfef0_0000
)

// DomainPages is how many pages the tables of a domain of memory bytes can take at most.
func DomainPages(memory uint64) uint64 {
	n := uint64(1)
	for shift := 21; shift <= 39; shift += 9 {
		n += (memory + 1<<shift - 1) >> shift
	}
	return n
}

// levelSpan is how many addresses an entry at a level spans.
func levelSpan(level int) uint64 { return PageSize << (9 * level) }

func tableIndex(gpa uint64, level int) uint64 { return gpa >> (12 + 9*level) & (tableE - 1) }

// newDomain makes the top table.
func newDomain(name string, memory uint64, pages Pages, levels int, enc encoding, unit flusher) (*Domain, error) {
	d := &Domain{Name: name, Memory: memory, pages: pages, enc: enc, unit: unit, levels: levels}
	root, err := d.newTable()
	if err != nil {
		return nil, err
	}
	d.root = root
	return d, nil
}

func (d *Domain) newTable() (uint64, error) {
	pa, ok := d.pages.Alloc(PageSize)
	if !ok {
		return 0, fmt.Errorf("iommu: tables of %q: %w", d.Name, ErrNoTable)
	}
	d.Count++
	d.publish(pa, PageSize)
	return pa, nil
}

// publish lets a unit see what was written to a table.
func (d *Domain) publish(pa, size uint64) {
	if !d.enc.coherent() {
		d.pages.Flush(pa, size)
	}
}

// set writes n entries of a table from index on; each maps step more than the one before.
func (d *Domain) set(table, index, n, first, step uint64) {
	run := d.pages.Table(table)[index : index+n]
	for i := range run {
		run[i] = first + uint64(i)*step
	}
	d.publish(table+index*8, n*8)
}

// down goes to the table at level stop in which gpa's entry is, or to the last one on the way there. The one above it has no table
// there then, or a leaf.
func (d *Domain) down(gpa uint64, stop int) (table uint64, level int) {
	table = d.root
	for level = d.levels - 1; level > stop; level-- {
		e := d.pages.Table(table)[tableIndex(gpa, level)]
		if !d.enc.isTable(e, level) {
			return table, level
		}
		table = d.enc.address(e)
	}
	return table, level
}

// grow is down that makes the tables that are missing.
func (d *Domain) grow(gpa uint64, stop int) (uint64, error) {
	for {
		table, level := d.down(gpa, stop)
		if level == stop {
			return table, nil
		}
		index := tableIndex(gpa, level)
		if d.pages.Table(table)[index] != 0 {
			return 0, ErrCovered
		}
		pa, err := d.newTable()
		if err != nil {
			return 0, err
		}
		d.set(table, index, 1, d.enc.table(pa, level), 0)
	}
}

func (d *Domain) check(what string, gpa, pa, size uint64) error {
	if d.closed || (gpa|pa|size)%PageSize != 0 || size == 0 || gpa+size < gpa || gpa+size > d.Memory || pa+size < pa {
		return fmt.Errorf("iommu: %s %#x bytes at %#x of %q, which has %#x: %w", what, size, gpa, d.Name, d.Memory, ErrAlign)
	}
	return nil
}

// Map lets devices read size bytes at gpa, which are at pa, and with write also write them. Nothing may be mapped there. The mapping
// may be used when Flush has returned. On an error nothing is mapped, but Flush must follow.
func (d *Domain) Map(gpa, pa, size uint64, write bool) error {
	if err := d.check("map", gpa, pa, size); err != nil {
		return err
	}
	for done := uint64(0); done < size; {
		n, err := d.mapSome(gpa+done, pa+done, size-done, write)
		if err != nil {
			if done > 0 {
				_ = d.Unmap(gpa, done) // cannot fail: it begins and ends where mapSome did
			}
			return fmt.Errorf("iommu: map %#x bytes at %#x of %q: %w", size, gpa, d.Name, err)
		}
		done += n
	}
	if d.enc.eager() {
		d.note(gpa, gpa+size)
	}
	return nil
}

// mapSome maps the first of size bytes, and says how many: a page of 2 MiB, or what one table holds.
func (d *Domain) mapSome(gpa, pa, size uint64, write bool) (uint64, error) {
	end := min(gpa+size, gpa&^(size2M-1)+size2M)
	if gpa >= InterruptStart && gpa < InterruptEnd {
		return min(end, InterruptEnd) - gpa, nil
	}
	if d.enc.large() && (gpa|pa)%size2M == 0 && end-gpa == size2M {
		table, err := d.grow(gpa, 1)
		if err != nil {
			return 0, err
		}
		if index := tableIndex(gpa, 1); d.pages.Table(table)[index] == 0 {
			d.set(table, index, 1, d.enc.leaf(pa, write, 1), 0)
			return size2M, nil
		}
		// Smaller pages were there once. Their table stays, so that nothing must be flushed.
	}
	table, err := d.grow(gpa, 0)
	if err != nil {
		return 0, err
	}
	index, n := tableIndex(gpa, 0), (end-gpa)/PageSize
	for _, e := range d.pages.Table(table)[index : index+n] {
		if e != 0 {
			return 0, ErrCovered
		}
	}
	d.set(table, index, n, d.enc.leaf(pa, write, 0), PageSize)
	return end - gpa, nil
}

// Unmap takes size bytes at gpa from devices, whether or not all of it is mapped. They are out of reach when Flush has returned. It
// can fail only when a page of 2 MiB must be taken apart and there is no page for the table; the rest is unmapped then.
func (d *Domain) Unmap(gpa, size uint64) error {
	if err := d.check("unmap", gpa, 0, size); err != nil {
		return err
	}
	var failed error
	for end := gpa + size; gpa < end; {
		table, level := d.down(gpa, 0)
		span := levelSpan(level)
		if level == 0 {
			first := tableIndex(gpa, 0)
			n := min((end-gpa)/PageSize, tableE-first)
			d.clear(table, first, n, gpa)
			gpa += n * PageSize
			continue
		}
		next := min(end, gpa&^(span-1)+span)
		e := d.pages.Table(table)[tableIndex(gpa, level)]
		if e != 0 && next-gpa < span {
			if err := d.split(table, tableIndex(gpa, level), gpa&^(span-1)); err != nil {
				failed = err
				gpa = next
			}
			continue
		}
		if e != 0 {
			d.clear(table, tableIndex(gpa, level), 1, gpa)
			d.note(gpa, next)
		}
		gpa = next
	}
	return failed
}

// clear empties n entries of a table.
func (d *Domain) clear(table, first, n, gpa uint64) {
	t := d.pages.Table(table)
	for i := first; i < first+n; i++ {
		if t[i] != 0 {
			d.note(gpa+(i-first)*PageSize, gpa+(i-first+1)*PageSize)
		}
	}
	d.set(table, first, n, 0, 0)
}

// split replaces a page of 2 MiB by 512 small ones that map the same. All of it must be flushed when part of it is taken away, because
// the unit may have cached the whole.
func (d *Domain) split(table, index, gpa uint64) error {
	small, err := d.newTable()
	if err != nil {
		return err
	}
	old := d.pages.Table(table)[index]
	d.set(small, 0, tableE, d.enc.leaf(d.enc.address(old), writable(d.enc, old), 0), PageSize)
	d.set(table, index, 1, d.enc.table(small, 1), 0)
	d.note(gpa, gpa+size2M)
	return nil
}

// writable says whether a leaf at level 1 lets devices write.
func writable(enc encoding, e uint64) bool { return e == enc.leaf(enc.address(e), true, 1) }

// note remembers what Flush must drop.
func (d *Domain) note(first, end uint64) {
	if !d.dirty {
		d.dirty, d.dirtyFirst, d.dirtyEnd = true, first, end
		return
	}
	d.dirtyFirst, d.dirtyEnd = min(d.dirtyFirst, first), max(d.dirtyEnd, end)
}

// Flush returns when no device can use what was changed before the call as it was before.
func (d *Domain) Flush() error {
	if !d.dirty {
		return nil
	}
	if err := d.unit.flush(d, d.dirtyFirst, d.dirtyEnd); err != nil {
		return fmt.Errorf("iommu: flush %q: %w", d.Name, err)
	}
	d.dirty = false
	return nil
}

// Translate is where a device's access to gpa would go, by the tables.
func (d *Domain) Translate(gpa uint64) (pa uint64, write, ok bool) {
	if gpa >= d.Memory || d.closed {
		return 0, false, false
	}
	table, level := d.down(gpa, 0)
	e := d.pages.Table(table)[tableIndex(gpa, level)]
	if e == 0 {
		return 0, false, false
	}
	pa = d.enc.address(e)
	return pa | gpa&(levelSpan(level)-1), e == d.enc.leaf(pa, true, level), true
}

// Close frees tables of a domain that has no functions, at most limit pages, and says whether that was all. After the first call
// nothing else may be done with it. Calling it on after an error is allowed.
func (d *Domain) Close(limit int) (done bool, err error) {
	if !d.closed {
		if err := d.unit.release(d); err != nil {
			return false, fmt.Errorf("iommu: close %q: %w", d.Name, err)
		}
		d.closed = true
	}
	if d.root != 0 && d.drop(d.root, d.levels-1, &limit) {
		d.root = 0
	}
	return d.root == 0, nil
}

// drop frees a table and those below it, while the budget lasts.
func (d *Domain) drop(table uint64, level int, budget *int) bool {
	t := d.pages.Table(table)
	for i, e := range t {
		if level > 0 && d.enc.isTable(e, level) && !d.drop(d.enc.address(e), level-1, budget) {
			return false
		}
		t[i] = 0
	}
	if *budget <= 0 {
		return false
	}
	*budget--
	d.Count--
	d.pages.Free(table, PageSize)
	return true
}

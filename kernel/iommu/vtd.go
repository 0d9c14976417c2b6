package iommu

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"nom.dev/nom/hw/vtd"
)

// VTDOptions say where a unit is and what it may use.
type VTDOptions struct {
	Base   uint64 // of its registers, from the DMAR
	Memory Memory
	Clock  Clock
	Pages  Pages // for what belongs to no domain: VTDPages
}

// VTDPages is how many pages a unit takes for itself at most, beside a page for each bus that has functions with a domain.
const VTDPages = 3 + BlockSize/PageSize

const (
	waitLimit  = time.Second
	maxDomains = 4096
	numRemaps  = BlockSize / vtd.IRTESize
	remapBits  = 12 // numRemaps is 1 << remapBits
)

// VTD is a unit of VT-d.
type VTD struct {
	o    VTDOptions
	cap  uint64
	ecap uint64

	mu       sync.Mutex
	failed   error // the unit has stopped answering: nothing that it held may be used again
	root     uint64
	contexts [256]uint64 // context table of each bus, or 0
	owners   map[RID]*Domain
	ids      [maxDomains]bool // domain ids in use; 0 stays free, as caching mode demands
	queue    queue
	remaps   uint64
	routes   map[route]uint16
	handles  [numRemaps]bool
}

var _ Unit = (*VTD)(nil)

// OpenVTD takes a unit over and switches it on: from then on no device reaches memory but through a domain, and none raises an
// interrupt but such as was routed. What firmware left in the unit is forgotten.
func OpenVTD(o VTDOptions) (*VTD, error) {
	v := &VTD{o: o, owners: make(map[RID]*Domain), routes: make(map[route]uint16)}
	if version := v.read(vtd.VER); version == 0 || version == 0xffff_ffff {
		return nil, fmt.Errorf("iommu: no VT-d unit at %#x: its version reads %#x", o.Base, version)
	}
	v.cap, v.ecap = v.read64(vtd.CAP), v.read64(vtd.ECAP)
	const need = vtd.EcapQI | vtd.EcapIR | vtd.EcapEIM
	if v.ecap&need != need {
		return nil, fmt.Errorf("iommu: VT-d unit at %#x (ECAP %#x) lacks queued invalidation, interrupt remapping or x2APIC mode "+
			"(QEMU: -device intel-iommu,intremap=on,eim=on): %w", o.Base, v.ecap, ErrUnsupported)
	}
	if v.cap&(vtd.CapWidth39|vtd.CapWidth48) == 0 {
		return nil, fmt.Errorf("iommu: VT-d unit at %#x (CAP %#x) has tables of neither 3 nor 4 levels: %w", o.Base, v.cap, ErrUnsupported)
	}
	if err := v.allocate(); err != nil {
		return nil, err
	}
	if err := v.enable(); err != nil {
		return nil, fmt.Errorf("iommu: enable the VT-d unit at %#x: %w", o.Base, err)
	}
	return v, nil
}

func (v *VTD) allocate() error {
	for _, a := range []struct {
		pa   *uint64
		size uint64
	}{{&v.root, PageSize}, {&v.queue.pa, PageSize}, {&v.queue.status, PageSize}, {&v.remaps, BlockSize}} {
		pa, ok := v.o.Pages.Alloc(a.size)
		if !ok {
			return fmt.Errorf("iommu: tables of the VT-d unit at %#x: %w", v.o.Base, ErrNoTable)
		}
		*a.pa = pa
		v.publish(pa, a.size)
	}
	return nil
}

// enable switches everything off and then on in the order of 6.5, 5.1 and 11.4.
func (v *VTD) enable() error {
	for _, bit := range []uint32{vtd.TE, vtd.IRE, vtd.QIE} {
		if err := v.command(0, bit); err != nil {
			return err
		}
	}
	if v.cap&(vtd.CapPLMR|vtd.CapPHMR) != 0 {
		v.write(vtd.PMEN, 0)
	}
	v.write(vtd.FECTL, vtd.EventMasked)
	v.Faults(func(Fault) {})
	v.write64(vtd.IQA, vtd.QueueAddress(v.queue.pa))
	v.write64(vtd.IQT, 0)
	if err := v.command(vtd.QIE, 0); err != nil {
		return err
	}
	v.write64(vtd.RTADDR, v.root)
	if err := v.command(vtd.SRTP, 0); err != nil {
		return err
	}
	v.write64(vtd.IRTA, vtd.Remaps(v.remaps, remapBits))
	if err := v.command(vtd.SIRTP, 0); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.submit(desc(vtd.InvalidateContexts()), desc(vtd.InvalidateTranslations(v.cap)), desc(vtd.InvalidateInterrupts())); err != nil {
		return err
	}
	if err := v.command(vtd.TE, 0); err != nil {
		return err
	}
	return v.command(vtd.IRE, 0)
}

// command sets or clears one bit of the global command, or gives a one-shot command, and waits until the unit has done it. 11.4.4.
func (v *VTD) command(set, clear uint32) error {
	v.write(vtd.GCMD, v.read(vtd.GSTS)&vtd.Persistent&^clear|set)
	bit, want := set|clear, set
	if set == vtd.WBF {
		want = 0 // this one reads as 1 while it is under way
	}
	if !v.wait(func() bool { return v.read(vtd.GSTS)&bit == want }) {
		return fmt.Errorf("command %#x, status %#x: %w", set|clear, v.read(vtd.GSTS), ErrStuck)
	}
	return nil
}

// wait polls until done or the time is over.
func (v *VTD) wait(done func() bool) bool {
	for end := v.o.Clock.Now() + waitLimit; !done(); {
		if v.o.Clock.Now() >= end {
			return done()
		}
	}
	return true
}

func (v *VTD) read(r uint64) uint32         { return v.o.Memory.Read32(v.o.Base + r) }
func (v *VTD) write(r uint64, value uint32) { v.o.Memory.Write32(v.o.Base+r, value) }

// read64 and write64 reach registers of 64 bits by halves, low half first. 11.2.
func (v *VTD) read64(r uint64) uint64 { return uint64(v.read(r)) | uint64(v.read(r+4))<<32 }
func (v *VTD) write64(r uint64, value uint64) {
	v.write(r, uint32(value))
	v.write(r+4, uint32(value>>32))
}

// publish lets the unit see what was written to its tables.
func (v *VTD) publish(pa, size uint64) {
	if !v.coherent() {
		v.o.Pages.Flush(pa, size)
	}
}

// Encoding of a domain's tables.

func (v *VTD) leaf(pa uint64, write bool, level int) uint64 { return vtd.Leaf(pa, write, level > 0) }
func (v *VTD) table(pa uint64, _ int) uint64                { return vtd.Table(pa) }
func (v *VTD) isTable(e uint64, level int) bool             { return e != 0 && level > 0 && e&vtd.Large == 0 }
func (v *VTD) address(e uint64) uint64                      { return vtd.Address(e) }
func (v *VTD) large() bool                                  { return v.cap&vtd.CapPage2M != 0 }
func (v *VTD) coherent() bool                               { return v.ecap&vtd.EcapCoherent != 0 }
func (v *VTD) eager() bool                                  { return v.cap&(vtd.CapCM|vtd.CapRWBF) != 0 }

// NewDomain makes an empty domain.
func (v *VTD) NewDomain(name string, memory uint64, pages Pages) (*Domain, error) {
	levels := 3
	if memory > 1<<39 || v.cap&vtd.CapWidth39 == 0 {
		levels = 4
	}
	if levels == 4 && v.cap&vtd.CapWidth48 == 0 || memory > 1<<min(48, vtd.AddressBits(v.cap)) {
		return nil, fmt.Errorf("iommu: a domain of %#x bytes for %q: devices have %d bits of address: %w", memory, name, vtd.AddressBits(v.cap), ErrUnsupported)
	}
	v.mu.Lock()
	id, ok := v.freeID()
	v.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("iommu: a domain for %q: all %d ids are taken: end another container: %w", name, id, ErrBusy)
	}
	d, err := newDomain(name, memory, pages, levels, v, v)
	if err != nil {
		v.mu.Lock()
		v.ids[id] = false
		v.mu.Unlock()
		return nil, err
	}
	d.id = id
	return d, nil
}

// freeID takes a domain id.
func (v *VTD) freeID() (uint16, bool) {
	n := uint16(min(vtd.Domains(v.cap), maxDomains))
	for id := uint16(1); id < n; id++ {
		if !v.ids[id] {
			v.ids[id] = true
			return id, true
		}
	}
	return n - 1, false
}

// release gives the id of a domain back, whose functions were detached and its translations flushed with them.
func (v *VTD) release(d *Domain) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d.attached > 0 {
		return fmt.Errorf("%d functions are attached: detach them first: %w", d.attached, ErrBusy)
	}
	if v.failed != nil {
		return v.failed
	}
	v.ids[d.id] = false
	return nil
}

// flush drops what is cached of addresses of a domain: of a few pages, or of all.
func (v *VTD) flush(d *Domain, first, end uint64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d.attached == 0 {
		return v.failed // Detach has flushed it
	}
	if v.cap&vtd.CapPSI != 0 {
		if mask := pageMask(first, end); mask <= vtd.MaxMask(v.cap) {
			return v.submit(desc(vtd.InvalidatePages(v.cap, d.id, first>>(12+mask)<<(12+mask), mask)))
		}
	}
	return v.submit(desc(vtd.InvalidateDomain(v.cap, d.id)))
}

// Attach gives a function to a domain.
func (v *VTD) Attach(rid RID, d *Domain) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if owner := v.owners[rid]; owner != nil {
		return fmt.Errorf("iommu: attach %v to %q: it belongs to %q: %w", rid, d.Name, owner.Name, ErrBusy)
	}
	if v.failed != nil {
		return fmt.Errorf("iommu: attach %v to %q: %w", rid, d.Name, v.failed)
	}
	table, err := v.contextTable(rid.Bus())
	if err != nil {
		return err
	}
	low, high := vtd.ContextEntry(d.root, d.id, d.levels)
	at := uint64(rid&0xff) * vtd.EntrySize
	words := v.o.Pages.Table(table)
	atomic.StoreUint64(&words[at/8+1], high)
	atomic.StoreUint64(&words[at/8], low)
	v.publish(table+at, vtd.EntrySize)
	v.owners[rid] = d
	d.attached++
	if v.eager() {
		if err := v.submit(desc(vtd.InvalidateContexts()), desc(vtd.InvalidateDomain(v.cap, d.id))); err != nil {
			return fmt.Errorf("iommu: attach %v to %q: %w", rid, d.Name, err)
		}
	}
	return nil
}

// contextTable is the table of a bus; it is made when the bus has its first function with a domain, and stays.
func (v *VTD) contextTable(bus uint8) (uint64, error) {
	if pa := v.contexts[bus]; pa != 0 {
		return pa, nil
	}
	pa, ok := v.o.Pages.Alloc(PageSize)
	if !ok {
		return 0, fmt.Errorf("iommu: context table of bus %d: %w", bus, ErrNoTable)
	}
	v.publish(pa, PageSize)
	at := uint64(bus) * vtd.EntrySize
	atomic.StoreUint64(&v.o.Pages.Table(v.root)[at/8], vtd.RootEntry(pa))
	v.publish(v.root+at, vtd.EntrySize)
	v.contexts[bus] = pa
	return pa, nil
}

// Detach takes a function from its domain.
func (v *VTD) Detach(rid RID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	d := v.owners[rid]
	if d == nil {
		return nil
	}
	table := v.contexts[rid.Bus()]
	at := uint64(rid&0xff) * vtd.EntrySize
	words := v.o.Pages.Table(table)
	atomic.StoreUint64(&words[at/8], 0)
	atomic.StoreUint64(&words[at/8+1], 0)
	v.publish(table+at, vtd.EntrySize)
	if err := v.submit(desc(vtd.InvalidateContext(uint16(rid), d.id)), desc(vtd.InvalidateDomain(v.cap, d.id))); err != nil {
		return fmt.Errorf("iommu: detach %v from %q: %w", rid, d.Name, err)
	}
	delete(v.owners, rid)
	d.attached--
	return nil
}

// Owner is the domain of a function, or nil.
func (v *VTD) Owner(rid RID) *Domain {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.owners[rid]
}

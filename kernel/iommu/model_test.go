package iommu

import (
	"testing"
	"time"

	"nom.dev/nom/hw/vtd"
)

// model is a VT-d unit in software. It translates by walking the tables that it was given and remembers what it read, contexts, tables,
// translations and interrupt entries, for as long as no descriptor tells it to forget: a flush that is missing shows. When it is not
// coherent it sees memory as it was when it was last written back from the caches.
type model struct {
	t   testing.TB
	ram *ram
	now time.Duration

	version uint32
	cap     uint64
	ecap    uint64
	regs    map[uint64]uint32
	gsts    uint32
	root    uint64 // as latched
	remaps  uint64
	entries uint32
	head    uint64
	stuck   bool // does nothing any more
	deaf    bool // does not take commands

	contexts   map[RID]context
	tables     map[tableKey]uint64
	iotlb      map[pageKey]translation
	interrupts map[uint16]vtd.IRTE
	faults     []vtd.Fault // records with F
	events     []uint32    // data of fault events
	flushes    map[vtd.Kind]int
	pages      int // that selective invalidations dropped by page
}

type context struct {
	top    uint64
	domain uint16
	levels int
}

type tableKey struct {
	domain uint16
	level  int
	prefix uint64
}

type pageKey struct {
	domain uint16
	page   uint64
}

type translation struct {
	pa    uint64 // of the page of 4 KiB
	write bool
}

const unitBase = 0xfed9_0000

// What the model says of itself: as QEMU does.
const (
	modelCap  = 0x00d2_008c_222f_0606
	modelEcap = 0x00f0_0f5a
)

func newModel(t testing.TB) *model {
	m := &model{
		t: t, version: 0x10, cap: modelCap, ecap: modelEcap, regs: map[uint64]uint32{}, contexts: map[RID]context{}, tables: map[tableKey]uint64{},
		iotlb: map[pageKey]translation{}, interrupts: map[uint16]vtd.IRTE{}, flushes: map[vtd.Kind]int{},
	}
	m.ram = newRAM(t, m)
	return m
}

func (m *model) options() VTDOptions {
	return VTDOptions{Base: unitBase, Memory: m, Clock: m, Pages: m.ram}
}

func (m *model) Now() time.Duration { m.now += 10 * time.Microsecond; return m.now }

// open makes a unit over the model.
func (m *model) open() *VTD {
	m.t.Helper()
	v, err := OpenVTD(m.options())
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

func (m *model) Read32(pa uint64) uint32 {
	r := pa - unitBase
	switch r {
	case vtd.VER:
		return m.version
	case vtd.CAP, vtd.ECAP:
		return uint32(map[uint64]uint64{vtd.CAP: m.cap, vtd.ECAP: m.ecap}[r])
	case vtd.CAP + 4, vtd.ECAP + 4:
		return uint32(map[uint64]uint64{vtd.CAP: m.cap, vtd.ECAP: m.ecap}[r-4] >> 32)
	case vtd.GSTS:
		return m.gsts
	case vtd.FSTS:
		v := m.regs[vtd.FSTS]
		if len(m.faults) > 0 {
			v |= vtd.FaultPending
		}
		return v
	case vtd.IQH:
		return uint32(m.head)
	}
	if offset, _ := vtd.FaultRecords(m.cap); r >= uint64(offset) && r < uint64(offset)+16 {
		return m.readFault(r - uint64(offset))
	}
	return m.regs[r]
}

func (m *model) readFault(at uint64) uint32 {
	if len(m.faults) == 0 {
		return 0
	}
	low, high := m.faults[0].Encode()
	return []uint32{uint32(low), uint32(low >> 32), uint32(high), uint32(high >> 32)}[at/4]
}

func (m *model) Write32(pa uint64, v uint32) {
	r := pa - unitBase
	if m.deaf {
		return
	}
	if offset, _ := vtd.FaultRecords(m.cap); r == uint64(offset)+vtd.FaultLast && v&vtd.FaultValid != 0 {
		m.faults = nil
		return
	}
	switch r {
	case vtd.GCMD:
		m.command(v)
	case vtd.FSTS:
		m.regs[r] &^= v & vtd.FaultClear
	case vtd.IQT:
		m.regs[r] = v
		m.run()
	default:
		m.regs[r] = v
	}
}

func (m *model) reg64(r uint64) uint64 { return uint64(m.regs[r]) | uint64(m.regs[r+4])<<32 }

// command takes a global command, which must change one thing.
func (m *model) command(v uint32) {
	const oneShot = vtd.SRTP | vtd.SIRTP | vtd.WBF
	const kept = vtd.TE | vtd.IRE | vtd.QIE
	changed := (v^m.gsts)&kept | v&oneShot
	if changed&(changed-1) != 0 || v&vtd.CFI != 0 {
		m.t.Fatalf("command %#x while the status is %#x: more than one change", v, m.gsts)
	}
	if v&vtd.TE != 0 && m.gsts&(vtd.SRTP|vtd.QIE) != vtd.SRTP|vtd.QIE || v&vtd.IRE != 0 && m.gsts&vtd.SIRTP == 0 {
		m.t.Fatalf("command %#x while the status is %#x: what it needs is not set up", v, m.gsts)
	}
	m.gsts = m.gsts&^kept | v&kept
	switch {
	case v&vtd.SRTP != 0:
		m.root = m.reg64(vtd.RTADDR)
		m.gsts |= vtd.SRTP
	case v&vtd.SIRTP != 0:
		if m.reg64(vtd.IRTA)>>11&1 == 0 {
			m.t.Fatal("not in x2APIC mode")
		}
		m.remaps, m.entries = vtd.DecodeRemaps(m.reg64(vtd.IRTA) &^ (1 << 11))
		m.gsts |= vtd.SIRTP
	}
}

// run does what is in the queue.
func (m *model) run() {
	if m.gsts&vtd.QIE == 0 {
		m.head = 0
		return
	}
	queue := m.ram.live(m.reg64(vtd.IQA)) // the queue is always coherent
	for m.head != uint64(m.regs[vtd.IQT]) && !m.stuck {
		i := m.head / 8
		d := vtd.Decode(queue[i], queue[i+1])
		if d.Kind == vtd.KindInvalid {
			m.regs[vtd.FSTS] |= vtd.QueueError
			m.t.Fatalf("invalid descriptor %#x %#x", queue[i], queue[i+1])
		}
		m.flushes[d.Kind]++
		m.invalidate(d)
		m.head = (m.head + vtd.DescriptorSize) % PageSize
	}
}

func (m *model) invalidate(d vtd.Descriptor) {
	switch d.Kind {
	case vtd.KindWait:
		m.ram.live(d.Address &^ (PageSize - 1))[d.Address%PageSize/8] = uint64(d.Status)
	case vtd.KindContext:
		for rid, c := range m.contexts {
			if d.Scope == vtd.ScopeAll || c.domain == d.Domain && (d.Scope == vtd.ScopeDomain || uint16(rid) == d.Source) {
				delete(m.contexts, rid)
			}
		}
	case vtd.KindInterrupt:
		for i := range m.interrupts {
			if d.Scope == vtd.ScopeAll || i>>d.Mask == d.Index>>d.Mask {
				delete(m.interrupts, i)
			}
		}
	case vtd.KindTranslation:
		m.invalidateTranslations(d)
	}
}

func (m *model) invalidateTranslations(d vtd.Descriptor) {
	first, n := d.Address>>12, uint64(1)<<d.Mask
	if d.Scope == vtd.ScopeOne && (first%n != 0 || d.Mask > vtd.MaxMask(m.cap) || m.cap&vtd.CapPSI == 0) {
		m.t.Fatalf("invalidation of 2^%d pages at %#x", d.Mask, d.Address)
	}
	all := func(domain uint16) bool {
		return d.Scope == vtd.ScopeAll || d.Scope == vtd.ScopeDomain && domain == d.Domain
	}
	for k := range m.iotlb {
		// Of what caches a large leaf only the pages that are named are dropped: a unit may keep it in pieces.
		hit := k.domain == d.Domain && k.page >= first && k.page < first+n
		if all(k.domain) || d.Scope == vtd.ScopeOne && hit {
			delete(m.iotlb, k)
			m.pages++
		}
	}
	for k := range m.tables {
		span := levelSpan(k.level) >> 12 // of an entry of the level above it
		span *= tableE
		from := k.prefix * span
		if all(k.domain) || d.Scope == vtd.ScopeOne && k.domain == d.Domain && from < first+n && first < from+span {
			delete(m.tables, k)
		}
	}
}

// see is memory as the unit sees it.
func (m *model) see(pa uint64) *[512]uint64 {
	if m.ecap&vtd.EcapCoherent != 0 {
		return m.ram.live(pa)
	}
	return m.ram.seen(pa)
}

func (m *model) fault(f vtd.Fault) {
	if len(m.faults) > 0 {
		if m.faults[0].Source != f.Source { // those of the same source are compressed
			m.regs[vtd.FSTS] |= vtd.FaultOverflow
		}
		return
	}
	m.faults = append(m.faults, f)
	if m.regs[vtd.FECTL]&vtd.EventMasked == 0 {
		m.events = append(m.events, m.regs[vtd.FEDATA])
	}
}

// dma is what becomes of a device's access.
func (m *model) dma(rid RID, address uint64, write bool) (pa uint64, ok bool) {
	if m.gsts&vtd.TE == 0 {
		return address, true
	}
	c, reason := m.context(rid)
	if reason == 0 {
		pa, reason = m.translate(c, address, write)
	}
	if reason != 0 {
		m.fault(vtd.Fault{Source: uint16(rid), Reason: reason, Read: !write, Address: address &^ (PageSize - 1)})
		return 0, false
	}
	return pa, true
}

func (m *model) context(rid RID) (context, vtd.Reason) {
	if c, ok := m.contexts[rid]; ok {
		return c, 0
	}
	root := m.see(m.root)[2*rid.Bus()]
	if root&vtd.Present == 0 {
		return context{}, vtd.RootAbsent
	}
	entries := m.see(vtd.Address(root))
	top, domain, levels, ok := vtd.DecodeContext(entries[2*(rid&0xff)], entries[2*(rid&0xff)+1])
	if !ok {
		return context{}, vtd.ContextAbsent
	}
	if levels != 3 && levels != 4 || domain == 0 {
		return context{}, vtd.ContextInvalid
	}
	m.contexts[rid] = context{top, domain, levels}
	return m.contexts[rid], 0
}

func (m *model) translate(c context, address uint64, write bool) (uint64, vtd.Reason) {
	denied := vtd.ReadDenied
	if write {
		denied = vtd.WriteDenied
	}
	if address>>(12+9*c.levels) != 0 {
		return 0, vtd.AddressTooLarge
	}
	e, ok := m.iotlb[pageKey{c.domain, address >> 12}]
	if !ok {
		if e, ok = m.walk(c, address); !ok {
			return 0, denied
		}
		m.iotlb[pageKey{c.domain, address >> 12}] = e
	}
	if write && !e.write {
		return 0, denied
	}
	return e.pa | address%PageSize, 0
}

// walk goes through the tables, and remembers those on the way.
func (m *model) walk(c context, address uint64) (translation, bool) {
	table := c.top
	for level := c.levels - 1; level >= 0; level-- {
		key := tableKey{c.domain, level, address / levelSpan(level) / tableE}
		if cached, ok := m.tables[key]; ok && level < c.levels-1 {
			table = cached
		}
		m.tables[key] = table
		e := m.see(table)[tableIndex(address, level)]
		if e&(vtd.Read|vtd.Write) == 0 {
			return translation{}, false
		}
		if e&0x7ff0_0000_0000_0f7c != 0 || e&vtd.Large != 0 && level != 1 {
			m.t.Fatalf("reserved bits in the entry %#x at level %d", e, level)
		}
		if level > 0 && e&vtd.Large == 0 {
			table = vtd.Address(e)
			continue
		}
		span := levelSpan(level)
		if vtd.Address(e)%span != 0 {
			m.t.Fatalf("a leaf at level %d leads to %#x", level, vtd.Address(e))
		}
		return translation{vtd.Address(e) + address&(span-1)&^(PageSize-1), e&vtd.Write != 0}, true
	}
	return translation{}, false
}

// interrupt is what becomes of a device's message.
func (m *model) interrupt(rid RID, address uint64) (vector uint8, apic uint32, ok bool) {
	handle, remappable := vtd.DecodeMessage(address)
	if !remappable {
		m.fault(vtd.Fault{Source: uint16(rid), Reason: vtd.Compatibility})
		return 0, 0, false
	}
	if uint32(handle) >= m.entries {
		m.fault(vtd.Fault{Source: uint16(rid), Reason: vtd.IndexTooLarge, Index: handle})
		return 0, 0, false
	}
	e, cached := m.interrupts[handle]
	if !cached {
		at := m.remaps + uint64(handle)*vtd.IRTESize
		words := m.see(at &^ (PageSize - 1))
		verified := false
		e, verified = vtd.DecodeIRTE(words[at%PageSize/8], words[at%PageSize/8+1])
		if e.Present && !verified {
			m.t.Fatalf("entry %d lets every source pass", handle)
		}
	}
	if !e.Present {
		m.fault(vtd.Fault{Source: uint16(rid), Reason: vtd.RemapAbsent, Index: handle})
		return 0, 0, false
	}
	m.interrupts[handle] = e
	if e.Source != uint16(rid) {
		m.fault(vtd.Fault{Source: uint16(rid), Reason: vtd.SourceDenied, Index: handle})
		return 0, 0, false
	}
	return e.Vector, e.Dest, true
}

// uses says that the unit may still walk through a page.
func (m *model) uses(pa uint64) bool {
	for _, t := range m.tables {
		if t == pa {
			return true
		}
	}
	for _, c := range m.contexts {
		if c.top == pa {
			return true
		}
	}
	return false
}

package iommu

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/hw/pci"
	"nom.dev/nom/hw/vtd"
	"pgregory.net/rapid"
)

var vf = pci.NewRID(1, 16, 0)

const gib = 1 << 30

func newDomainOf(t testing.TB, v *VTD, name string, memory uint64) *Domain {
	t.Helper()
	d, err := v.NewDomain(name, memory, v.o.Pages)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	m := newModel(t)
	m.gsts = 0 // as firmware leaves it
	m.open()
	if want := uint32(vtd.TE | vtd.IRE | vtd.QIE | vtd.SRTP | vtd.SIRTP); m.gsts != want {
		t.Errorf("status %#x, want %#x", m.gsts, want)
	}
	if m.entries != numRemaps || m.flushes[vtd.KindContext] != 1 || m.flushes[vtd.KindTranslation] != 1 || m.flushes[vtd.KindInterrupt] != 1 {
		t.Errorf("%d entries, flushes %v", m.entries, m.flushes)
	}
	if n := len(m.ram.pages); n > VTDPages {
		t.Errorf("it took %d pages, want at most %d", n, VTDPages)
	}
	if pa, ok := m.dma(vf, 0x1000, false); ok {
		t.Errorf("a function without a domain reaches %#x", pa)
	}
	// A second time, as after firmware that left everything on.
	m.contexts[vf] = context{0, 1, 3}
	if m.open(); len(m.contexts) != 0 {
		t.Error("a context of before survived")
	}
}

func TestOpenFails(t *testing.T) {
	for name, change := range map[string]func(m *model){
		"absent":       func(m *model) { m.version = 0xffff_ffff },
		"no queue":     func(m *model) { m.ecap &^= vtd.EcapQI },
		"no remapping": func(m *model) { m.ecap &^= vtd.EcapIR },
		"no x2APIC":    func(m *model) { m.ecap &^= vtd.EcapEIM },
		"no levels":    func(m *model) { m.cap &^= vtd.CapWidth39 | vtd.CapWidth48 },
		"no memory":    func(m *model) { m.ram.limit = 2 },
		"deaf":         func(m *model) { m.deaf = true },
		"stuck":        func(m *model) { m.stuck = true },
	} {
		m := newModel(t)
		change(m)
		if _, err := OpenVTD(m.options()); err == nil {
			t.Errorf("%s: opened", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
		if m.now > 5*time.Second {
			t.Errorf("%s: it took %v", name, m.now)
		}
	}
}

// TestDMA maps, unmaps and moves functions, and looks at what devices can reach: with the flush, and without it.
func TestDMA(t *testing.T) {
	m := newModel(t)
	v := m.open()
	web, db := newDomainOf(t, v, "web", gib), newDomainOf(t, v, "db", gib)
	do(t, web.Map(0x1000, 0x4000_1000, 0x3000, true))
	do(t, web.Map(0x20_0000, 0x5000_0000-0x20_0000, 0x40_0000, true)) // two large pages
	do(t, web.Map(0x8000, 0x6000_0000, 0x1000, false))
	do(t, db.Map(0x1000, 0x7000_0000, 0x1000, true))
	do(t, v.Attach(vf, web))
	reach := func(what string, address uint64, write bool, want uint64) {
		t.Helper()
		if pa, ok := m.dma(vf, address, write); pa != want || ok != (want != 0) {
			t.Errorf("%s: access to %#x (write %v) reaches %#x, want %#x", what, address, write, pa, want)
		}
	}
	reach("mapped", 0x1004, true, 0x4000_1004)
	reach("mapped", 0x3fff, false, 0x4000_3fff)
	reach("large", 0x2f_f123, true, 0x4fef_f123)
	reach("large", 0x5f_ffff, true, 0x501f_ffff)
	reach("read-only", 0x8000, false, 0x6000_0000)
	reach("read-only", 0x8000, true, 0)
	reach("never mapped", 0x7000, false, 0)
	reach("beyond", 1<<39, false, 0)
	if e := m.tables[tableKey{web.id, 0, 0x20_0000 >> 21}]; e != 0 {
		t.Error("large pages are small")
	}

	do(t, web.Unmap(0x2000, 0x1000))
	reach("unmapped, not flushed, never used", 0x2000, true, 0)
	do(t, web.Unmap(0x1000, 0x1000))
	reach("unmapped, not flushed", 0x1000, true, 0x4000_1000) // the model is no better than hardware
	do(t, web.Flush())
	reach("flushed", 0x1000, true, 0)
	reach("still mapped", 0x3000, true, 0x4000_3000)

	before := m.flushes[vtd.KindTranslation]
	do(t, web.Flush())
	do(t, web.Map(0x1000, 0x4100_0000, 0x1000, true))
	do(t, web.Flush())
	if m.flushes[vtd.KindTranslation] != before {
		t.Error("a flush with nothing to flush")
	}
	reach("mapped anew", 0x1000, true, 0x4100_0000)

	do(t, v.Detach(vf))
	reach("detached", 0x1000, true, 0)
	do(t, v.Attach(vf, db))
	reach("another's", 0x1000, true, 0x7000_0000)
	reach("the former one's", 0x3000, true, 0)
	if err := v.Attach(vf, web); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), `"db"`) {
		t.Errorf("attached twice: %v", err)
	}
	if v.Owner(vf) != db || v.Owner(0) != nil {
		t.Error("wrong owner")
	}
	if _, err := db.Close(1000); !errors.Is(err, ErrBusy) {
		t.Errorf("closed while attached: %v", err)
	}
	do(t, v.Detach(vf))
	do(t, v.Detach(vf))
}

// TestDetachWithoutFlush holds the model to its purpose.
func TestDetachWithoutFlush(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d := newDomainOf(t, v, "web", gib)
	do(t, d.Map(0, 0x4000_0000, 0x1000, true))
	do(t, v.Attach(vf, d))
	if _, ok := m.dma(vf, 0, true); !ok {
		t.Fatal("not mapped")
	}
	table := v.o.Pages.Table(v.contexts[vf.Bus()])
	table[2*(vf&0xff)] = 0
	v.publish(v.contexts[vf.Bus()], PageSize)
	if _, ok := m.dma(vf, 0, true); !ok {
		t.Error("the model has no context cache: no missing flush would show")
	}
}

// TestSplit takes part of a large page away.
func TestSplit(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d := newDomainOf(t, v, "web", gib)
	do(t, d.Map(0x20_0000, 0x4000_0000, 0x20_0000, false))
	do(t, v.Attach(vf, d))
	for page := uint64(0x20_0000); page < 0x40_0000; page += 0x1000 {
		m.dma(vf, page, false)
	}
	do(t, d.Unmap(0x20_3000, 0x1000))
	do(t, d.Flush())
	for page := uint64(0x20_0000); page < 0x40_0000; page += 0x1000 {
		want := uint64(0x4000_0000 + page - 0x20_0000)
		if page == 0x20_3000 {
			want = 0
		}
		if pa, _ := m.dma(vf, page, false); pa != want {
			t.Fatalf("%#x reaches %#x, want %#x", page, pa, want)
		}
	}
	if _, write, _ := d.Translate(0x20_0000); write {
		t.Error("splitting made a read-only page writable")
	}
	// The whole comes back in small pages, because the table stays.
	do(t, d.Unmap(0x20_0000, 0x20_0000))
	do(t, d.Flush())
	count := d.Count
	do(t, d.Map(0x20_0000, 0x4020_0000, 0x20_0000, true))
	if pa, ok := m.dma(vf, 0x3f_f000, true); pa != 0x403f_f000 || !ok || d.Count != count {
		t.Errorf("mapped again: %#x, %v, %d tables, want %d", pa, ok, d.Count, count)
	}
	// Without a page for the table nothing of a large page can be taken, and the error says so.
	do(t, d.Map(0x40_0000, 0x4080_0000, 0x20_0000, true))
	m.ram.limit = 0
	if err := d.Unmap(0x40_0000, 0x1000); !errors.Is(err, ErrNoTable) {
		t.Errorf("split without memory: %v", err)
	}
}

func TestMapFails(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d := newDomainOf(t, v, "web", 4*gib)
	do(t, v.Attach(vf, d))
	do(t, d.Map(0x40_0000, 0x4000_0000, 0x20_0000, true))
	do(t, d.Map(0x3000, 0x5000_0000, 0x1000, true))
	for _, c := range []struct {
		gpa, pa, size uint64
		want          error
	}{
		{0x3000, 0, 0x1000, ErrCovered}, {0x1000, 0x1000, 0x3000, ErrCovered}, {0x40_1000, 0, 0x1000, ErrCovered}, {0x40_0000, 0, 0x20_0000, ErrCovered},
		{0x3f_f000, 0, 0x2000, ErrCovered}, {0, 0, 0, ErrAlign}, {0x800, 0, 0x1000, ErrAlign}, {0, 0x800, 0x1000, ErrAlign}, {0, 0, 0x1800, ErrAlign},
		{4 * gib, 0, 0x1000, ErrAlign}, {4*gib - 0x1000, 0, 0x2000, ErrAlign}, {^uint64(0xfff), 0, 0x2000, ErrAlign}, {0, ^uint64(0xfff), 0x2000, ErrAlign},
	} {
		if err := d.Map(c.gpa, c.pa, c.size, true); !errors.Is(err, c.want) {
			t.Errorf("map %#x bytes at %#x: %v, want %v", c.size, c.gpa, err, c.want)
		}
		do(t, d.Flush())
		if _, _, ok := d.Translate(0x1000); ok {
			t.Fatalf("map %#x bytes at %#x left something behind", c.size, c.gpa)
		}
	}
	if d.Unmap(4*gib, 0x1000) == nil {
		t.Error("unmapped beyond the domain")
	}
	m.ram.limit = 1
	if err := d.Map(0x100_0000-0x1000, 0x6000_0000, 0x2000, true); !errors.Is(err, ErrNoTable) {
		t.Errorf("map without memory: %v", err)
	}
	if _, _, ok := d.Translate(0x100_0000 - 0x1000); ok {
		t.Error("a mapping that failed left something behind")
	}
}

// TestInterruptWindow maps over the addresses at which DMA is an interrupt.
func TestInterruptWindow(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d := newDomainOf(t, v, "web", 5*gib)
	do(t, d.Map(0xfe00_0000, 0x1_0000_0000, 0x200_0000, true))
	for _, c := range []struct {
		gpa uint64
		ok  bool
	}{{0xfe00_0000, true}, {0xfedf_f000, true}, {0xfee0_0000, false}, {0xfeef_f000, false}, {0xfef0_0000, true}, {0xffff_f000, true}} {
		pa, _, ok := d.Translate(c.gpa)
		if ok != c.ok || ok && pa != 0x1_0000_0000+c.gpa-0xfe00_0000 {
			t.Errorf("%#x reaches %#x, %v", c.gpa, pa, ok)
		}
	}
}

func TestSizes(t *testing.T) {
	m := newModel(t)
	v := m.open()
	large := newDomainOf(t, v, "large", 1<<40)
	do(t, large.Map(1<<39, 0x4000_0000, 0x1000, true))
	do(t, v.Attach(vf, large))
	if pa, ok := m.dma(vf, 1<<39, true); pa != 0x4000_0000 || !ok {
		t.Errorf("4 levels: %#x, %v", pa, ok)
	}
	if _, err := v.NewDomain("too large", 1<<49, m.ram); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a domain of 2^49 bytes: %v", err)
	}
	m.ram.limit = 0
	if _, err := v.NewDomain("no memory", gib, m.ram); !errors.Is(err, ErrNoTable) {
		t.Errorf("a domain without memory: %v", err)
	}
	m.ram.limit = -1
	v.cap &^= 7 // 16 ids
	var last error
	n := 0
	for ; last == nil; n++ {
		_, last = v.NewDomain("one more", gib, m.ram)
	}
	if n != 15 || !errors.Is(last, ErrBusy) {
		t.Errorf("%d domains: %v", n, last)
	}
	if got := DomainPages(gib); got != 1+512+1+1 {
		t.Errorf("DomainPages(1 GiB) = %d", got)
	}
}

// TestClose frees a domain in steps while another one works.
func TestClose(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d, other := newDomainOf(t, v, "web", gib), newDomainOf(t, v, "db", gib)
	before := len(m.ram.sizes)
	do(t, other.Map(0, 0x5000_0000, 0x1000, true))
	for i := range uint64(20) {
		do(t, d.Map(i*0x200_0000, 0x4000_0000, 0x3000, true))
	}
	do(t, v.Attach(vf, d))
	do(t, v.Attach(vf+2, other))
	m.dma(vf, 0x1000, true)
	m.dma(vf+2, 0, true)
	do(t, v.Detach(vf))
	steps := 0
	for done := false; !done; steps++ {
		var err error
		count := d.Count
		done, err = d.Close(3)
		do(t, err)
		if count-d.Count > 3 {
			t.Errorf("a step freed %d pages", count-d.Count)
		}
	}
	if want := before + 2 + 1 - 1; steps < 7 || d.Count != 0 || len(m.ram.sizes) != want { // the other's tables and a context table, less a root
		t.Errorf("%d steps, %d tables left, %d pages, want %d", steps, d.Count, len(m.ram.sizes), want)
	}
	if d.Map(0, 0, 0x1000, true) == nil || d.Unmap(0, 0x1000) == nil {
		t.Error("a closed domain takes edits")
	}
	if pa, ok := m.dma(vf+2, 0, true); !ok || pa != 0x5000_0000 {
		t.Error("the other one lost its memory")
	}
}

func TestRoute(t *testing.T) {
	m := newModel(t)
	v := m.open()
	first, err := v.Route(vf, 0, 0x51, 3)
	do(t, err)
	second, err := v.Route(vf, 1, 0x52, 0x1_0000)
	do(t, err)
	foreign, err := v.Route(vf+2, 0, 0x53, 1)
	do(t, err)
	check := func(what string, rid RID, msg pci.Message, vector uint8, apic uint32) {
		t.Helper()
		if gotVector, gotAPIC, ok := m.interrupt(rid, msg.Address); gotVector != vector || gotAPIC != apic || ok != (vector != 0) {
			t.Errorf("%s: vector %#x at %#x, want %#x at %#x", what, gotVector, gotAPIC, vector, apic)
		}
	}
	check("first", vf, first, 0x51, 3)
	check("second", vf, second, 0x52, 0x1_0000)
	check("foreign", vf+2, foreign, 0x53, 1)
	check("another's", vf, foreign, 0, 0)
	check("not remapped", vf, pci.Message{Address: 0xfee0_0000}, 0, 0)
	check("not routed", vf, pci.Message{Address: 0xfee0_0000 | 1<<4 | 77<<5}, 0, 0)
	check("beyond the table", vf, pci.Message{Address: 0xfeef_fff4}, 0, 0)
	if first.Data != 0 {
		t.Errorf("data %#x", first.Data)
	}
	again, err := v.Route(vf, 0, 0x61, 7)
	do(t, err)
	if again != first {
		t.Errorf("routed anew: message %#x, want %#x", again, first)
	}
	check("routed anew", vf, first, 0x61, 7)
	do(t, v.Unroute(vf))
	check("taken", vf, first, 0, 0)
	check("taken", vf, second, 0, 0)
	check("not taken", vf+2, foreign, 0x53, 1)
	do(t, v.Unroute(vf))
	if _, err := v.Route(vf, 0, 31, 0); err == nil {
		t.Error("routed to an exception")
	}
	for i := range numRemaps - 1 {
		_, err := v.Route(vf, i, 0x40, 0)
		do(t, err)
	}
	if _, err := v.Route(vf+4, 0, 0x40, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("routed more than there is room for: %v", err)
	}
	last, err := v.Route(vf, numRemaps-2, 0x41, 2)
	do(t, err)
	check("the last one", vf, last, 0x41, 2)
}

func TestFaults(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d := newDomainOf(t, v, "web", gib)
	do(t, d.Map(0x1000, 0x4000_0000, 0x1000, false))
	do(t, v.Attach(vf, d))
	v.FaultEvent(0x55, 0x102)
	if m.regs[vtd.FEADDR] != 0xfee0_2000 || m.regs[vtd.FEUADDR] != 0x100 {
		t.Errorf("event goes to %#x %#x", m.regs[vtd.FEUADDR], m.regs[vtd.FEADDR])
	}
	for _, c := range []struct {
		do   func()
		want string
	}{
		{func() { m.dma(vf, 0x5123, true) }, `iommu: blocked write to 0x5000 by 01:10.0, which belongs to "web": not mapped for writing`},
		{func() { m.dma(vf, 0x5123, false) }, `iommu: blocked read from 0x5000 by 01:10.0, which belongs to "web": not mapped for reading`},
		{func() { m.dma(vf, 0x1000, true) }, `iommu: blocked write to 0x1000 by 01:10.0, which belongs to "web": not mapped for writing`},
		{func() { m.dma(vf, 1<<40, true) }, `iommu: blocked write to 0x10000000000 by 01:10.0, which belongs to "web": address beyond the domain`},
		{func() { m.dma(vf+2, 0, true) }, `iommu: blocked write to 0x0 by 01:10.2, which belongs to nobody: no context entry`},
		{func() { m.dma(0x300, 0, true) }, `iommu: blocked write to 0x0 by 03:00.0, which belongs to nobody: no root entry`},
		{func() { m.interrupt(vf, 0xfee0_0000|1<<4|9<<5) }, `iommu: blocked interrupt 9 by 01:10.0, which belongs to "web": interrupt not routed`},
	} {
		c.do()
		var got []string
		if v.Faults(func(f Fault) { got = append(got, f.String()) }) {
			t.Error("something is said to be lost")
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("faults %q, want %q", got, c.want)
		}
	}
	if len(m.events) != 7 || m.events[0] != 0x55 {
		t.Errorf("events %#x", m.events)
	}
	m.dma(vf, 0x5000, true)
	m.dma(vf+2, 0x5000, true)
	n := 0
	if lost := v.Faults(func(Fault) { n++ }); !lost || n != 1 {
		t.Errorf("two faults: %d reported, lost %v", n, lost)
	}
	if lost := v.Faults(func(Fault) { n++ }); lost || n != 1 {
		t.Errorf("no faults: %d reported, lost %v", n, lost)
	}
}

// TestStuck has a unit that stops answering: everything that would take something back fails, and quickly after the first time.
func TestStuck(t *testing.T) {
	m := newModel(t)
	v := m.open()
	d, idle := newDomainOf(t, v, "web", gib), newDomainOf(t, v, "idle", gib)
	do(t, d.Map(0, 0x4000_0000, 0x2000, true))
	do(t, v.Attach(vf, d))
	_, err := v.Route(vf, 0, 0x51, 0)
	do(t, err)
	do(t, d.Unmap(0, 0x1000))
	m.stuck = true
	start := m.now
	for range 2 {
		for what, f := range map[string]func() error{
			"flush":   d.Flush,
			"detach":  func() error { return v.Detach(vf) },
			"unroute": func() error { return v.Unroute(vf) },
			"route":   func() error { _, err := v.Route(vf, 0, 0x52, 0); return err },
		} {
			if err := f(); !errors.Is(err, ErrStuck) {
				t.Errorf("%s: %v, want that the unit is stuck", what, err)
			}
		}
	}
	if err := v.Attach(vf+2, idle); !errors.Is(err, ErrStuck) {
		t.Errorf("attach: %v, want that the unit is stuck", err)
	}
	if _, err := idle.Close(10); !errors.Is(err, ErrStuck) {
		t.Errorf("close: %v, want that the unit is stuck", err)
	}
	if took := m.now - start; took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if v.Owner(vf) != d || d.dirty == false {
		t.Error("what could not be taken back is said to be free")
	}
}

// TestHistory does things at random, on units of several kinds, and compares what devices reach with what they may.
func TestHistory(t *testing.T) {
	for name, c := range map[string]struct{ cap, ecap uint64 }{
		"qemu":     {modelCap, modelEcap},
		"coherent": {modelCap, modelEcap | vtd.EcapCoherent},
		"no PSI":   {modelCap &^ vtd.CapPSI, modelEcap},
		"no 2 MiB": {modelCap &^ (vtd.CapPage2M | vtd.CapPage1G), modelEcap},
		"4 levels": {modelCap &^ vtd.CapWidth39, modelEcap},
		"caching":  {modelCap | vtd.CapCM | vtd.CapRWBF, modelEcap},
		"masks":    {modelCap&^(0x3f<<48) | 2<<48, modelEcap},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { history(t, rt, c.cap, c.ecap) })
		})
	}
}

// world is what should be: for each domain its pages, and for each function its domain.
type world struct {
	domains []*Domain
	pages   []map[uint64]reached
	owners  map[RID]int
}

type reached struct {
	pa    uint64
	write bool
}

const historyPages = 4 * tableE

func history(t *testing.T, rt *rapid.T, capability, extended uint64) {
	m := newModel(t)
	m.cap, m.ecap = capability, extended
	v := m.open()
	w := world{owners: map[RID]int{}}
	rids := []RID{vf, vf + 2, 0x200, 0x0f8}
	for i := range 3 {
		w.domains = append(w.domains, newDomainOf(t, v, fmt.Sprint("container ", i), historyPages*PageSize))
		w.pages = append(w.pages, map[uint64]reached{})
	}
	for range rapid.IntRange(1, 40).Draw(rt, "steps") {
		n := rapid.IntRange(0, 2).Draw(rt, "domain")
		rid := rapid.SampledFrom(rids).Draw(rt, "rid")
		switch rapid.IntRange(0, 5).Draw(rt, "step") {
		case 0, 1:
			w.mapSome(t, rt, n)
		case 2:
			w.unmapSome(t, rt, n)
		case 3:
			_, taken := w.owners[rid]
			if err := v.Attach(rid, w.domains[n]); (err != nil) != taken {
				t.Fatalf("attach %v: %v", rid, err)
			}
			if !taken {
				w.owners[rid] = n
			}
		case 4:
			do(t, v.Detach(rid))
			delete(w.owners, rid)
		case 5: // nothing but looking
		}
		if rapid.Bool().Draw(rt, "flush") {
			for _, d := range w.domains {
				do(t, d.Flush())
			}
			w.compare(t, rt, m, rids)
		}
	}
	for _, rid := range rids {
		do(t, v.Detach(rid))
	}
	for _, d := range w.domains {
		if d.Count > DomainPages(d.Memory) {
			t.Errorf("%d tables, at most %d were promised", d.Count, DomainPages(d.Memory))
		}
		if done, err := d.Close(1 << 20); !done || err != nil || d.Count != 0 {
			t.Fatalf("close: %v, %v, %d tables left", done, err, d.Count)
		}
	}
	if n := len(m.ram.sizes); n > 4+3 {
		t.Fatalf("%d allocations are left", n)
	}
}

func (w *world) mapSome(t *testing.T, rt *rapid.T, domain int) {
	first, n := draw(rt)
	pa := rapid.Uint64Range(1<<10, 1<<20).Draw(rt, "pa") << 12
	if rapid.Bool().Draw(rt, "aligned") {
		pa = pa &^ (size2M - 1)
	}
	write := rapid.Bool().Draw(rt, "write")
	covered := false
	for i := range n {
		if _, ok := w.pages[domain][first+i]; ok {
			covered = true
		}
	}
	if err := w.domains[domain].Map(first*PageSize, pa, n*PageSize, write); errors.Is(err, ErrCovered) != covered || !covered && err != nil {
		t.Fatalf("map %d pages at %d: %v, covered %v", n, first, err, covered)
	}
	if covered {
		return
	}
	for i := range n {
		w.pages[domain][first+i] = reached{pa + i*PageSize, write}
	}
}

func (w *world) unmapSome(t *testing.T, rt *rapid.T, domain int) {
	first, n := draw(rt)
	do(t, w.domains[domain].Unmap(first*PageSize, n*PageSize))
	for i := range n {
		delete(w.pages[domain], first+i)
	}
}

// compare lets all functions try some pages.
func (w *world) compare(t *testing.T, rt *rapid.T, m *model, rids []RID) {
	for _, rid := range rids {
		owner, attached := w.owners[rid]
		start := rapid.Uint64Range(0, 96).Draw(rt, "look")
		for page := start; page < historyPages; page += 97 {
			want := w.pages[owner][page]
			if !attached {
				want = reached{}
			}
			pa, ok := m.dma(rid, page*PageSize, false)
			if ok != (want != reached{}) || pa != want.pa {
				t.Fatalf("%v reads page %d at %#x, %v, want %+v", rid, page, pa, ok, want)
			}
			if _, ok := m.dma(rid, page*PageSize, true); ok != want.write {
				t.Fatalf("%v writes page %d: %v, want %+v", rid, page, ok, want)
			}
		}
	}
}

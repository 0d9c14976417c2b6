package pci

import (
	"errors"
	"slices"
	"testing"
	"time"

	"nom.dev/nom/hw/acpi"
	"nom.dev/nom/hw/pci"
)

func scanned(t *testing.T, o Options) (*Machine, *Function) {
	t.Helper()
	m, err := Scan(o)
	if err != nil {
		t.Fatal(err)
	}
	found := m.Find(0x8086, 0x10c9)
	if len(found) != 1 {
		t.Fatalf("found %d igb", len(found))
	}
	return m, found[0]
}

func TestScan(t *testing.T) {
	_, o := newFake(t)
	m, igb := scanned(t, o)
	var rids []RID
	for _, f := range m.Functions {
		rids = append(rids, f.RID)
	}
	if want := []RID{0, 8, 0x100, 0xf8, 0xfa}; !slices.Equal(rids, want) {
		t.Errorf("functions %v, want %v", rids, want)
	}
	if igb.Class != pci.ClassEthernet || igb.Parent == nil || igb.Parent.RID != 8 || igb.String() != "01:00.0 [8086:10c9]" || igb.TotalVFs() != 8 {
		t.Errorf("%v: class %#x, %d VFs, behind %v", igb, igb.Class, igb.TotalVFs(), igb.Parent)
	}
	want := [6]pci.BAR{{Base: 0xfe60_0000, Size: 128 << 10}, {}, {Base: 0xc000, Size: 32, IO: true}, {Base: 0xfea0_0000, Size: 16 << 10, Wide: true, Prefetchable: true}}
	if igb.BARs != want {
		t.Errorf("BARs %+v, want %+v", igb.BARs, want)
	}
	if n := len(m.FindClass(pci.ClassEthernet)); n != 1 {
		t.Errorf("%d Ethernet controllers", n)
	}
	if v := o.Config.Read32(0x100, pci.RegBAR0); v != 0xfe60_0000 {
		t.Errorf("BAR0 is %#x after the scan", v)
	}
	if m.Functions[0].TotalVFs() != 0 {
		t.Error("the host bridge has virtual functions")
	}
}

// TestScanNumbers scans bridges that the firmware did not number, and such as lie about their buses.
func TestScanNumbers(t *testing.T) {
	f, o := newFake(t)
	f.addIgb(0x200, f.addPort(pci.NewRID(0, 2, 0), 0))
	f.addPort(pci.NewRID(0, 3, 0), 1)                                                // bus 1 again
	f.addPort(pci.NewRID(1, 1, 0), 0)                                                // without a number, and not on the root bus
	f.addPort(pci.NewRID(1, 2, 0), 9)                                                // outside of its parent's
	f.addPort(pci.NewRID(0, 4, 0), 7).put(pci.RegBuses, pci.EncodeBuses(0, 0, 7, 3)) // backwards
	m, err := Scan(o)
	if err != nil {
		t.Fatal(err)
	}
	if found := m.Find(0x8086, 0x10c9); len(found) != 2 || found[1].RID != 0x200 {
		t.Errorf("found %v", found)
	}
	if len(m.Functions) != 11 {
		t.Errorf("found %v", m.Functions)
	}
	o.Free.Limit = 1 << 33
	if _, err := Scan(o); err == nil {
		t.Error("addresses above 4 GiB were taken")
	}
}

func TestEnableVFs(t *testing.T) {
	f, o := newFake(t)
	m, igb := scanned(t, o)
	if err := igb.Start(true); err != nil {
		t.Fatal(err)
	}
	before := f.now
	vfs, err := igb.EnableVFs(7)
	if err != nil {
		t.Fatal(err)
	}
	if took := f.now - before; took < 100*time.Millisecond || took > 110*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	var all []pci.Window
	for n, v := range vfs {
		if v.Number != n || v.RID != 0x180+2*RID(n) || v.Physical != igb || v.Vendor != 0x8086 || v.Device != 0x10ca || v.Vectors() != 3 {
			t.Errorf("function %d: %v, %d vectors", n, v, v.Vectors())
		}
		for _, i := range []int{0, 3} {
			b := v.BARs[i]
			if b.Size != 16<<10 || b.Base%b.Size != 0 || b.Base+b.Size > 1<<32 {
				t.Errorf("%v: BAR%d = %+v", v, i, b)
			}
			all = append(all, pci.Window{Base: b.Base, Limit: b.Base + b.Size - 1})
			o.Memory.Read32(b.Base)
			o.Memory.Read32(b.Base + b.Size - 4)
		}
		if c := o.Config.Read32(v.RID, pci.RegCommand) & pci.CommandMask; c != pci.CommandMemory {
			t.Errorf("%v: command %#x", v, c)
		}
	}
	o.Memory.Read32(igb.BARs[0].Base)
	o.Memory.Read32(igb.BARs[3].Base) // moved with the window
	for _, other := range m.Functions {
		for _, b := range other.BARs {
			if b.Size != 0 && !b.IO {
				all = append(all, pci.Window{Base: b.Base, Limit: b.Base + b.Size - 1})
			}
		}
	}
	slices.SortFunc(all, func(a, b pci.Window) int { return int(int64(a.Base) - int64(b.Base)) })
	for i := range all[1:] {
		if all[i].Limit >= all[i+1].Base {
			t.Errorf("%#x overlaps %#x", all[i], all[i+1])
		}
	}
	if o.Config.Read32(8, 0x54+pci.ExpressDevCtl2)&pci.DevCtl2ARI == 0 {
		t.Error("the root port does not pass on functions above 7")
	}
	// Once more, with fewer: the functions that are on are switched off first, and the window moves again.
	if vfs, err = igb.EnableVFs(2); err != nil || len(vfs) != 2 || f.now-before < time.Second {
		t.Fatalf("again: %v, %v", vfs, err)
	}
	o.Memory.Read32(vfs[1].BARs[3].Base)
}

// TestWindowAbove has firmware that put the window, and what is in it, above 4 GiB.
func TestWindowAbove(t *testing.T) {
	f, o := newFake(t)
	f.funcs[8].put(pci.RegPrefetchBase, 8)
	f.funcs[8].put(pci.RegPrefetchLimit, 8)
	f.funcs[0x100].put(pci.RegBAR0+16, 8)
	_, igb := scanned(t, o)
	if igb.BARs[3].Base != 0x8_fea0_0000 {
		t.Fatalf("BAR3 is at %#x", igb.BARs[3].Base)
	}
	vfs, err := igb.EnableVFs(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := igb.Start(true); err != nil {
		t.Fatal(err)
	}
	o.Memory.Read32(vfs[1].BARs[0].Base)
	o.Memory.Read32(igb.BARs[3].Base)
	if igb.BARs[3].Base > 1<<32 {
		t.Errorf("BAR3 is at %#x", igb.BARs[3].Base)
	}
}

func TestEnableVFsFails(t *testing.T) {
	for name, c := range map[string]struct {
		n      int
		change func(f *fake, o *Options)
	}{
		"none":           {0, func(*fake, *Options) {}},
		"too many":       {9, func(*fake, *Options) {}},
		"no room":        {7, func(_ *fake, o *Options) { o.Free = pci.Window{Base: 0xfea0_0000, Limit: 0xfebf_ffff} }},
		"on no bus":      {1, func(f *fake, _ *Options) { f.funcs[0x100].put(0x160+pci.SRIOVPlace, 0x0002_0180) }},
		"on the PF":      {1, func(f *fake, _ *Options) { f.funcs[0x100].put(0x160+pci.SRIOVPlace, 0x0002_0000) }},
		"on one another": {2, func(f *fake, _ *Options) { f.funcs[0x100].put(0x160+pci.SRIOVPlace, 0x0000_0080) }},
		"no registers":   {1, func(f *fake, _ *Options) { f.funcs[0x100].noVFBARs() }},
		"no reset":       {1, func(f *fake, _ *Options) { f.funcs[0x180].put(0xa4, 0) }},
		"pages of 64 K":  {1, func(f *fake, _ *Options) { f.funcs[0x100].put(0x160+pci.SRIOVPages, 0x10) }},
		"refusal":        {1, func(f *fake, _ *Options) { f.funcs[0x100].mask(0x160+pci.SRIOVControl, 0x18) }},
		"huge registers": {1, func(f *fake, _ *Options) { f.funcs[0x100].mask(0x160+0x24, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			f, o := newFake(t)
			c.change(f, &o)
			_, igb := scanned(t, o)
			if vfs, err := igb.EnableVFs(c.n); err == nil {
				t.Errorf("enabled %v", vfs)
			} else {
				t.Log(err)
			}
			if o.Config.Read32(0x100, 0x160+pci.SRIOVControl)&pci.SRIOVEnable != 0 {
				t.Error("functions are left on")
			}
		})
	}
}

// TestSwitch has a function behind two bridges, where windows are not moved.
func TestSwitch(t *testing.T) {
	f, o := newFake(t)
	f.funcs[8].put(pci.RegBuses, pci.EncodeBuses(0, 0, 1, 4))
	f.addIgb(0x300, f.addPort(pci.NewRID(1, 2, 0), 3))
	m, err := Scan(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, igb := range m.Find(0x8086, 0x10c9) {
		if _, err := igb.EnableVFs(1); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: error %v, want that it is not supported", igb, err)
		}
	}
}

// TestStart gives a place to a register that the firmware left out, in a port and on the root bus.
func TestStart(t *testing.T) {
	f, o := newFake(t)
	f.funcs[0x100].put(pci.RegBAR0, 0)
	f.addIgb(pci.NewRID(0, 5, 0), nil)
	f.funcs[0x28].put(pci.RegBAR0, 0)
	f.funcs[0x28].put(pci.RegBAR0+12, 0xc)
	m, err := Scan(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, igb := range m.Find(0x8086, 0x10c9) {
		if err := igb.Start(true); err != nil {
			t.Fatal(err)
		}
		o.Memory.Read32(igb.BARs[0].Base)
		o.Memory.Read32(igb.BARs[3].Base)
		if c := o.Config.Read32(igb.RID, pci.RegCommand) & 6; c != 6 {
			t.Errorf("%v: command %#x", igb, c)
		}
		igb.Stop()
		if c := o.Config.Read32(igb.RID, pci.RegCommand) & 6; c != 2 {
			t.Errorf("%v: command %#x after Stop", igb, c)
		}
	}
	if found := m.Find(0x8086, 0x10c9); found[0].BARs[0].Base == found[1].BARs[0].Base {
		t.Errorf("both have BAR0 at %#x", found[0].BARs[0].Base)
	}
}

func TestReset(t *testing.T) {
	f, o := newFake(t)
	_, igb := scanned(t, o)
	vfs, err := igb.EnableVFs(2)
	if err != nil {
		t.Fatal(err)
	}
	vf, d := vfs[1], f.funcs[0x182]
	vf.EnableVectors(true)
	if err := vf.Start(true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		busy       time.Duration
		least, max time.Duration
	}{{"idle", 0, 100, 105}, {"busy", 50, 150, 155}, {"busy for ever", 1 << 20, 200, 210}} {
		start := f.now
		d.busy = start + c.busy*time.Millisecond
		d.resets = 0
		if err := vf.Reset(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if took := f.now - start; took < c.least*time.Millisecond || took > c.max*time.Millisecond || d.resets != 1 {
			t.Errorf("%s: it took %v, %d resets", c.name, took, d.resets)
		}
	}
	if c := d.get(pci.RegCommand) & pci.CommandMask; c != pci.CommandMemory || d.get(0x70)&pci.MSIXEnable != 0 {
		t.Errorf("after the reset: command %#x, MSI-X %#x", c, d.get(0x70))
	}
	d.deaf = true
	if err := vf.Reset(); err == nil {
		t.Error("a function that does not come back was reset")
	}
	bar0, bar3 := igb.BARs[0].Base, igb.BARs[3].Base
	if err := igb.Reset(); err != nil || igb.BARs[0].Base != bar0 || f.funcs[0x100].get(pci.RegBAR0) != uint32(bar0) || f.funcs[0x100].get(pci.RegBAR0+12)&^15 != uint32(bar3) {
		t.Errorf("reset of the physical function: %v, BAR0 %#x, want %#x", err, f.funcs[0x100].get(pci.RegBAR0), bar0)
	}
	f.funcs[0x100].put(0xa4, 0)
	if err := igb.Reset(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("reset of a function that cannot: %v", err)
	}
}

func TestVectors(t *testing.T) {
	f, o := newFake(t)
	m, igb := scanned(t, o)
	vfs, err := igb.EnableVFs(2)
	if err != nil {
		t.Fatal(err)
	}
	vf := vfs[1]
	at := vf.BARs[3].Base + 2*16
	if err := vf.SetVector(2, pci.Message{Address: 0x1_fee0_00b0, Data: 7}); err != nil {
		t.Fatal(err)
	}
	if f.mmio[at] != 0xfee0_00b0 || f.mmio[at+4] != 1 || f.mmio[at+8] != 7 || f.mmio[at+12] != 0 {
		t.Errorf("entry = %#x %#x %#x %#x", f.mmio[at], f.mmio[at+4], f.mmio[at+8], f.mmio[at+12])
	}
	if err := vf.MaskVector(2); err != nil || f.mmio[at+12] != 1 {
		t.Errorf("masked: %#x, %v", f.mmio[at+12], err)
	}
	vf.EnableVectors(true)
	if f.funcs[0x182].get(0x70)&(pci.MSIXEnable|pci.MSIXMask) != pci.MSIXEnable {
		t.Errorf("control = %#x", f.funcs[0x182].get(0x70))
	}
	vf.EnableVectors(false)
	if f.funcs[0x182].get(0x70)&pci.MSIXEnable != 0 {
		t.Error("still enabled")
	}
	if vf.SetVector(3, pci.Message{}) == nil || vf.SetVector(-1, pci.Message{}) == nil || vf.MaskVector(3) == nil || m.Functions[0].SetVector(0, pci.Message{}) == nil {
		t.Error("a vector that is not there was set")
	}
	for _, place := range []uint32{0x4003, 0x3fe3, 7, 0xffff_fff8} {
		f.funcs[0x182].put(0x74, place)
		if vf.SetVector(2, pci.Message{}) == nil {
			t.Errorf("the table at %#x was believed", place)
		}
	}
	m.Functions[0].EnableVectors(true)
}

// hostile is a configuration space in which everything is there and says what a fuzzer likes.
type hostile []byte

func (h hostile) Read32(rid RID, at uint32) uint32 {
	v, x := uint32(0), uint64(rid)*pci.ConfigSize+uint64(at)
	for i := range uint64(4) {
		if len(h) > 0 {
			v |= uint32(h[(x+i)%uint64(len(h))]) << (8 * i)
		}
	}
	return v
}

func (hostile) Write32(RID, uint32, uint32) {}

// FuzzScan scans machines that lie, and enables what they say is there: it must come to an end, inside of what is free.
func FuzzScan(f *testing.F) {
	f.Add([]byte{0x86, 0x80, 0xc9, 0x10, 0x07, 0x00, 0x10, 0x00, 1, 0, 4, 6, 0, 0, 0x81, 0})
	f.Add([]byte{0x40, 0xff, 0x10, 0, 0, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		clock, _ := newFake(t)
		free := pci.Window{Base: 0xc000_0000, Limit: 0xfebf_ffff}
		m, err := Scan(Options{Config: hostile(b), Memory: flat{}, Clock: clock, Last: 2, Free: free})
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range m.Functions {
			if i%50 != 0 {
				continue
			}
			vfs, _ := d.EnableVFs(3)
			for _, v := range vfs {
				for _, bar := range v.BARs {
					if bar.Size != 0 && (bar.Base < free.Base || bar.Base+bar.Size-1 > free.Limit) {
						t.Fatalf("%v: placed at %+v", v, bar)
					}
				}
			}
			_ = d.Reset()
			_ = d.SetVector(0, pci.Message{})
		}
		for _, size := range []uint64{1, 4096, 1 << 20, 1 << 30} {
			if at, err := m.hole(size, 1<<20); err == nil && (at < free.Base || at+size-1 > free.Limit || at%(1<<20) != 0) {
				t.Fatalf("%#x bytes at %#x", size, at)
			}
		}
	})
}

func TestECAM(t *testing.T) {
	mem := flat{}
	e := ECAM{mem, acpi.ConfigSpace{Base: 0xb000_0000, First: 0, Last: 3}}
	e.Write32(pci.NewRID(1, 16, 2), 0x10, 42)
	if mem[0xb018_2010] != 42 || e.Read32(0x182, 0x10) != 42 {
		t.Errorf("memory is %v", mem)
	}
	e.Write32(pci.NewRID(4, 0, 0), 0, 1)
	if v := e.Read32(pci.NewRID(4, 0, 0), 0); v != pci.Absent || len(mem) != 1 {
		t.Errorf("a bus that is not mapped reads %#x; memory is %v", v, mem)
	}
}

type flat map[uint64]uint32

func (m flat) Read32(pa uint64) uint32     { return m[pa] }
func (m flat) Write32(pa uint64, v uint32) { m[pa] = v }

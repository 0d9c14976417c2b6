package acpi

import (
	"slices"
	"testing"
)

func TestFADTOfQ35(t *testing.T) {
	img := loadImage(t, "q35-intel-iommu")
	got, ok := must(t, img, q35RSDP, SigFADT).FADT()
	want := FADT{
		DSDT: 0x7fe0040, SCI: 9, SMICommand: 0xb2, ACPIEnable: 2, Century: 0x32, BootArch: Boot8042, Flags: 0x84a5, ResetValue: 0xf,
		PM1aControl: Address{Space: SpaceIO, BitWidth: 16, Address: 0x604},
		PMTimer:     Address{Space: SpaceIO, BitWidth: 32, Address: 0x608},
		Reset:       Address{Space: SpaceIO, BitWidth: 8, Address: 0xcf9},
	}
	if !ok || got != want {
		t.Errorf("FADT = %+v, want %+v", got, want)
	}
	if got.Flags&FlagTimer32 != 0 {
		t.Error("the PM timer of q35 has 24 bits")
	}
	dsdt, problem := Load(img.memory, got.DSDT)
	if problem != None || dsdt.Signature() != SigDSDT {
		t.Fatalf("DSDT: %s, %s", dsdt.Signature(), problem)
	}
	if a, b, ok := SleepTypes(dsdt, 5); !ok || a != 0 || b != 0 || PM1Sleep(a) != 0x2000 {
		t.Errorf("SleepTypes(5) = %d, %d, %v", a, b, ok)
	}
	if a, _, ok := SleepTypes(dsdt, 3); !ok || a != 1 {
		t.Errorf("SleepTypes(3) = %d, %v, want 1", a, ok)
	}
	if _, _, ok := SleepTypes(dsdt, 2); ok {
		t.Error("q35 has no S2")
	}
}

func TestFADTOfMicrovm(t *testing.T) {
	img := loadImage(t, "microvm")
	got, ok := must(t, img, microvmRSDP, SigFADT).FADT()
	want := FADT{
		DSDT: 0x7fff2c0, Flags: FlagHardwareReduced | FlagResetRegister, ResetValue: 0x42,
		Reset:        Address{Space: SpaceMemory, BitWidth: 8, Address: 0xfea0_0202},
		SleepControl: Address{Space: SpaceMemory, BitWidth: 8, Address: 0xfea0_0200},
		SleepStatus:  Address{Space: SpaceMemory, BitWidth: 8, Address: 0xfea0_0201},
	}
	if !ok || got != want {
		t.Errorf("FADT = %+v, want %+v", got, want)
	}
	dsdt, _ := Load(img.memory, got.DSDT)
	if a, b, ok := SleepTypes(dsdt, 5); !ok || a != 5 || b != 0 || ReducedSleep(a) != 0x34 {
		t.Errorf("SleepTypes(5) = %d, %d, %v, sleep control %#x", a, b, ok, ReducedSleep(a))
	}
}

func TestMADTOfQ35(t *testing.T) {
	m, ok := must(t, loadImage(t, "q35-intel-iommu"), q35RSDP, SigMADT).MADT()
	if !ok || m.LocalAddress() != 0xfee0_0000 || !m.HasPIC() {
		t.Errorf("MADT: local APICs at %#x, PIC %v", m.LocalAddress(), m.HasPIC())
	}
	var got []MADTEntry
	for e, at, ok := m.Next(0); ok; e, at, ok = m.Next(at) {
		got = append(got, e)
	}
	const flags = INTIActiveHigh | INTILevel
	want := []MADTEntry{
		{Type: MADTLocalAPIC, ID: 0, Processor: 0, Flags: MADTEnabled},
		{Type: MADTLocalAPIC, ID: 1, Processor: 1, Flags: MADTEnabled},
		{Type: MADTLocalAPIC, ID: 2, Processor: 2, Flags: MADTEnabled},
		{Type: MADTLocalAPIC, ID: 3, Processor: 3, Flags: MADTEnabled},
		{Type: MADTIOAPIC, Address: 0xfec0_0000},
		{Type: MADTOverride, Source: 0, GSI: 2},
		{Type: MADTOverride, Source: 5, GSI: 5, Flags: flags},
		{Type: MADTOverride, Source: 9, GSI: 9, Flags: flags},
		{Type: MADTOverride, Source: 10, GSI: 10, Flags: flags},
		{Type: MADTOverride, Source: 11, GSI: 11, Flags: flags},
		{Type: MADTLocalNMI, Processor: MADTAllProcessors, LINT: 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("MADT entries\n got %+v\nwant %+v", got, want)
	}
	if !got[0].Usable() || got[4].Usable() {
		t.Error("Usable is wrong for a processor or an IOAPIC")
	}
}

// Entries that QEMU's machines of this size do not have, built by hand from the specification.
func TestMADTOtherEntries(t *testing.T) {
	b := make([]byte, madtHeader)
	copy(b, "APIC")
	b = append(b, 9, 16, 0, 0, 0x00, 0x01, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0)                   // x2APIC 0x100
	b = append(b, 0, 4, 1, 1)                                                              // too short for a local APIC
	b = append(b, 10, 12, 5, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0)                        // x2APIC NMI
	b = append(b, 3, 8, 0xd, 0, 0x22, 0, 0, 0)                                             // NMI source
	b = append(b, 5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0)                               // address override
	b = append(b, 0x7f, 3, 0)                                                              // of a type to come
	b = append(b, 16, 16, 0, 0, 0, 0, 0, 0, 0x00, 0x10, 0, 0, 0, 0, 0, 0)                  // wakeup mailbox
	b = append(b, 0, 8, 9, 9, 2, 0, 0, 0)                                                  // online capable
	b = append(b, 1, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // length 0: the end
	m, _ := Table(b).MADT()
	var got []MADTEntry
	for e, at, ok := m.Next(0); ok; e, at, ok = m.Next(at) {
		got = append(got, e)
	}
	want := []MADTEntry{
		{Type: MADTLocalX2APIC, ID: 0x100, Processor: 7, Flags: MADTEnabled | MADTOnline},
		{Type: MADTLocalX2NMI, Processor: MADTAllProcessors, Flags: INTIActiveHigh | INTIEdge, LINT: 1},
		{Type: MADTNMISource, Flags: INTIActiveHigh | INTILevel, GSI: 0x22},
		{Type: MADTAddress, Address: 0x1_fee0_0000},
		{Type: 0x7f},
		{Type: MADTWakeup, Address: 0x1000},
		{Type: MADTLocalAPIC, ID: 9, Processor: 9, Flags: MADTOnline},
	}
	if !slices.Equal(got, want) {
		t.Errorf("MADT entries\n got %+v\nwant %+v", got, want)
	}
}

func TestMCFGAndHPET(t *testing.T) {
	img := loadImage(t, "q35-intel-iommu")
	mcfg := must(t, img, q35RSDP, SigMCFG)
	c, ok := mcfg.ConfigSpace(0)
	if want := (ConfigSpace{Base: 0xb000_0000, Last: 255}); !ok || c != want {
		t.Errorf("ConfigSpace(0) = %+v, %v", c, ok)
	}
	if c, ok := mcfg.ConfigSpace(1); ok {
		t.Errorf("ConfigSpace(1) = %+v", c)
	}
	if at, ok := c.Function(1, 16, 2); !ok || at != 0xb018_2000 {
		t.Errorf("Function(1, 16, 2) = %#x, %v", at, ok)
	}
	for _, f := range [][3]uint8{{5, 0, 0}, {3, 32, 0}, {3, 0, 8}} {
		if at, ok := (ConfigSpace{First: 2, Last: 4}).Function(f[0], f[1], f[2]); ok {
			t.Errorf("Function(%v) = %#x, want refused", f, at)
		}
	}
	h, ok := must(t, img, q35RSDP, SigHPET).HPET()
	if !ok || h.Block.Address != 0xfed0_0000 || h.Comparators != 3 || !h.Counter64 || !h.Legacy {
		t.Errorf("HPET = %+v, %v", h, ok)
	}
}

func TestDMAR(t *testing.T) {
	d, ok := must(t, loadImage(t, "q35-intel-iommu"), q35RSDP, SigDMAR).DMAR()
	if !ok || d.AddressBits() != 48 || d.Flags() != DMARInterruptRemap {
		t.Errorf("DMAR: %d address bits, flags %#x", d.AddressBits(), d.Flags())
	}
	r, at, ok := d.Next(0)
	if !ok || r.Type != DMARUnit || r.Base != 0xfed9_0000 || r.All || r.Segment != 0 {
		t.Errorf("first structure = %+v, %v", r, ok)
	}
	if s, _, ok := d.Next(at); ok {
		t.Errorf("second structure = %+v", s)
	}
	var got []uint16
	for s, at, ok := r.Scope(0); ok; s, at, ok = r.Scope(at) {
		id, single := s.Requester()
		if !single {
			t.Errorf("scope %+v has %d hops", s, s.Hops())
		}
		if len(got) == 0 && s.Type != ScopeIOAPIC {
			t.Errorf("first scope = %+v, want the IOAPIC", s)
		}
		got = append(got, id)
	}
	if want := []uint16{0xff00, 0x0000, 0x00f8, 0x00fa, 0x00fb}; !slices.Equal(got, want) {
		t.Errorf("requesters = %#x, want %#x", got, want)
	}
}

func TestDMARReserved(t *testing.T) {
	b := make([]byte, dmarHeader)
	copy(b, "DMAR")
	b = append(b, 1, 0, 34, 0, 0, 0, 2, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0xff, 0x1f, 0, 0, 0, 0, 0, 0, 2, 10, 0, 0, 0, 3, 0x1c, 1, 2, 0)
	b = append(b, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0, 1, 0, 0, 0)
	d, _ := Table(b).DMAR()
	r, at, ok := d.Next(0)
	if !ok || r.Type != DMARReserved || r.Segment != 2 || r.Base != 0x1000 || r.Limit != 0x1fff {
		t.Fatalf("RMRR = %+v, %v", r, ok)
	}
	s, _, ok := r.Scope(0)
	device, function := s.Hop(1)
	if _, single := s.Requester(); !ok || single || s.Type != ScopeBridge || s.Bus != 3 || s.Hops() != 2 || device != 2 || function != 0 {
		t.Errorf("scope = %+v, %v", s, ok)
	}
	if r, _, ok = d.Next(at); !ok || r.Type != DMARAffinity || r.Base != 0xfed9_0000 || r.Domain != 1 {
		t.Errorf("RHSA = %+v, %v", r, ok)
	}
}

func TestIVRS(t *testing.T) {
	v, ok := must(t, loadImage(t, "q35-amd-iommu"), q35RSDP, SigIVRS).IVRS()
	if !ok || v.Info() != 0x2801 {
		t.Errorf("IVRS: info %#x, %v", v.Info(), ok)
	}
	var kinds []uint8
	for b, at, ok := v.Next(0); ok; b, at, ok = v.Next(at) {
		kinds = append(kinds, b.Type)
		if !b.IsUnit() || b.Base != 0xfed8_0000 || b.Device != 0x08 || b.Capability != 0x40 || b.Segment != 0 {
			t.Errorf("block = %+v", b)
		}
		if b.Type == IVRSUnit11 && b.Features != 0x29d3 {
			t.Errorf("features = %#x", b.Features)
		}
		var last IVHDEntry
		n := 0
		for e, at, ok := b.Entry(0); ok; e, at, ok = b.Entry(at) {
			last = e
			n++
		}
		if want := (IVHDEntry{Type: IVHDSpecial, Source: 0xa0, Variety: SpecialIOAPIC}); n != 6 || last != want {
			t.Errorf("%d entries, last %+v, want 6 and %+v", n, last, want)
		}
	}
	if !slices.Equal(kinds, []uint8{IVRSUnit10, IVRSUnit11}) {
		t.Errorf("blocks = %#x", kinds)
	}
}

func TestIVRSMemory(t *testing.T) {
	b := make([]byte, ivrsHeader)
	copy(b, "IVRS")
	b = append(b, 0x22, 8, 32, 0, 0x10, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0)
	v, _ := Table(b).IVRS()
	got, _, ok := v.Next(0)
	if !ok || got.Type != IVRSMemoryRange || got.Device != 0x10 || got.Aux != 0x20 || got.Base != 0x1000 || got.Size != 0x2000 || got.IsUnit() {
		t.Errorf("IVMD = %+v, %v", got, ok)
	}
}

func TestSRAT(t *testing.T) {
	s, ok := must(t, loadImage(t, "q35-amd-iommu"), q35RSDP, SigSRAT).SRAT()
	if !ok {
		t.Fatal("no SRAT")
	}
	var got []Affinity
	for a, at, ok := s.Next(0); ok; a, at, ok = s.Next(at) {
		if a.Flags&AffinityEnabled != 0 {
			got = append(got, a)
		}
	}
	want := []Affinity{
		{Type: SRATLocalAPIC, Domain: 0, Flags: 1, APICID: 0},
		{Type: SRATLocalAPIC, Domain: 1, Flags: 1, APICID: 1},
		{Type: SRATMemory, Domain: 0, Flags: 1, Base: 0, Size: 640 << 10},
		{Type: SRATMemory, Domain: 0, Flags: 1, Base: 1 << 20, Size: 63 << 20},
		{Type: SRATMemory, Domain: 1, Flags: 1, Base: 64 << 20, Size: 64 << 20},
	}
	if !slices.Equal(got, want) {
		t.Errorf("SRAT entries\n got %+v\nwant %+v", got, want)
	}
}

func TestSleepTypes(t *testing.T) {
	for _, c := range []struct {
		name string
		aml  string
		a, b uint8
		ok   bool
	}{
		{"bytes", "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x06\x00\x00", 5, 6, true},
		{"rooted", "\x08\\_S5_\x12\x06\x02\x0a\x05\x01", 5, 1, true},
		{"two bytes of PkgLength", "\x08_S5_\x12\x47\x00\x02\x0a\x05\x0a\x05", 5, 5, true},
		{"one element", "\x08_S5_\x12\x04\x01\x0a\x07", 7, 0, true},
		{"words", "\x08_S5_\x12\x08\x02\x0b\x05\x00\x0c\x04\x00\x00\x00", 5, 4, true},
		{"a reference first", "\x5c_S5_\x70\x08_S5_\x12\x06\x02\x01\x01", 1, 1, true},
		{"not defined here", "\x5b_S5_\x12\x06\x02\x01\x01", 0, 0, false},
		{"a method", "\x14\x08_S5_\x00\xa4\x12", 0, 0, false},
		{"cut off", "\x08_S5_\x12\x06\x02\x0a", 0, 0, false},
		{"empty package", "\x08_S5_\x12\x02\x00", 0, 0, false},
		{"computed", "\x08_S5_\x12\x06\x02\x68\x69", 0, 0, false},
	} {
		table := append(make([]byte, HeaderSize), c.aml...)
		if a, b, ok := SleepTypes(table, 5); a != c.a || b != c.b || ok != c.ok {
			t.Errorf("%s: SleepTypes = %d, %d, %v, want %d, %d, %v", c.name, a, b, ok, c.a, c.b, c.ok)
		}
	}
}

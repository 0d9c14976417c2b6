package vtd

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What QEMU 10.0.2's unit says of itself with eim=on.
const (
	qemuCap  = 0x00d2_008c_222f_0606
	qemuEcap = 0x0000_0000_00f0_0f5a
)

func TestCapabilities(t *testing.T) {
	offset, records := FaultRecords(qemuCap)
	if offset != 0x220 || records != 1 {
		t.Errorf("fault records = %#x, %d, want 0x220, 1", offset, records)
	}
	if Domains(qemuCap) != 1<<16 || AddressBits(qemuCap) != 48 || MaxMask(qemuCap) != 18 {
		t.Errorf("%d domains, %d bits, mask %d", Domains(qemuCap), AddressBits(qemuCap), MaxMask(qemuCap))
	}
	for _, c := range []struct {
		name string
		got  uint64
		want bool
	}{
		{"RWBF", qemuCap & CapRWBF, false}, {"CM", qemuCap & CapCM, false}, {"39 bits", qemuCap & CapWidth39, true},
		{"48 bits", qemuCap & CapWidth48, true}, {"57 bits", qemuCap & CapWidth57, false}, {"2 MiB", qemuCap & CapPage2M, true},
		{"1 GiB", qemuCap & CapPage1G, true}, {"PSI", qemuCap & CapPSI, true}, {"DWD", qemuCap & CapDWD, true}, {"DRD", qemuCap & CapDRD, true},
		{"C", qemuEcap & EcapCoherent, false}, {"QI", qemuEcap & EcapQI, true}, {"IR", qemuEcap & EcapIR, true},
		{"EIM", qemuEcap & EcapEIM, true}, {"PT", qemuEcap & EcapPT, true},
	} {
		if c.got != 0 != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got != 0, c.want)
		}
	}
}

// TestEncodings compares with values that were seen to work in QEMU.
func TestEncodings(t *testing.T) {
	type pair struct{ low, high uint64 }
	two := func(low, high uint64) pair { return pair{low, high} }
	e := IRTE{Vector: 0x51, Dest: 3, Source: 0x180, Present: true}
	for _, c := range []struct {
		name      string
		got, want pair
	}{
		{"context entry, 39 bits", two(ContextEntry(0x12_3000, 7, 3)), pair{0x12_3001, 0x701}},
		{"context entry, 48 bits", two(ContextEntry(0x12_3000, 0xffff, 4)), pair{0x12_3001, 0xff_ff02}},
		{"all contexts", two(InvalidateContexts()), pair{0x11, 0}},
		{"context", two(InvalidateContext(0x180, 7)), pair{0x180_0007_0031, 0}},
		{"all translations", two(InvalidateTranslations(qemuCap)), pair{0xd2, 0}},
		{"domain", two(InvalidateDomain(qemuCap, 7)), pair{0x700e2, 0}},
		{"domain, undrained", two(InvalidateDomain(0, 7)), pair{0x70022, 0}},
		{"pages", two(InvalidatePages(qemuCap, 7, 0x20_0000, 9)), pair{0x700f2, 0x20_0009}},
		{"all interrupts", two(InvalidateInterrupts()), pair{4, 0}},
		{"interrupt", two(InvalidateInterrupt(5, 2)), pair{5<<32 | 2<<27 | 0x14, 0}},
		{"wait", two(Wait(0x1234, 0x7000)), pair{0x1234_0000_0025, 0x7000}},
		{"IRTE", two(e.Encode()), pair{0x3_0051_0001, 0x4_0180}},
		{"IRTA", pair{Remaps(0x8000, 8), 0}, pair{0x8807, 0}},
		{"root", pair{RootEntry(0x9000), 0}, pair{0x9001, 0}},
		{"leaf", pair{Leaf(0xa000, false, false), Leaf(0x20_0000, true, true)}, pair{0xa001, 0x20_0083}},
		{"table", pair{Table(0xb000), Address(0x7ff0_0000_0000_bfff)}, pair{0xb003, 0xb000}},
	} {
		if c.got != c.want {
			t.Errorf("%s = %#x, want %#x", c.name, c.got, c.want)
		}
	}
	if address, data := Message(5); address != 0xfee0_00b0 || data != 0 {
		t.Errorf("Message(5) = %#x, %#x", address, data)
	}
	if address, upper, data := EventMessage(0x55, 0x1_02); address != 0xfee0_2000 || upper != 0x100 || data != 0x55 {
		t.Errorf("EventMessage = %#x, %#x, %#x", address, upper, data)
	}
	if set := uint32(TE | QIE | IRE); set&Persistent != set || uint32(SRTP|SIRTP|WBF)&Persistent != 0 {
		t.Error("Persistent keeps the wrong bits")
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		handle := rapid.Uint16().Draw(t, "handle")
		address, _ := Message(handle)
		if got, ok := DecodeMessage(address); got != handle || !ok || address>>20 != 0xfee {
			t.Errorf("handle %#x came back as %#x, %v", handle, got, ok)
		}
		e := IRTE{rapid.Uint8().Draw(t, "vector"), rapid.Uint32().Draw(t, "dest"), rapid.Uint16().Draw(t, "source"), rapid.Bool().Draw(t, "present")}
		if got, verified := DecodeIRTE(e.Encode()); got != e || !verified {
			t.Errorf("IRTE %+v came back as %+v, %v", e, got, verified)
		}
		top, domain, levels := rapid.Uint64Range(0, 1<<40-1).Draw(t, "top")<<12, rapid.Uint16().Draw(t, "domain"), rapid.IntRange(2, 6).Draw(t, "levels")
		if a, d, l, ok := DecodeContext(ContextEntry(top, domain, levels)); a != top || d != domain || l != levels || !ok {
			t.Errorf("context entry %#x %d %d came back as %#x %d %d", top, domain, levels, a, d, l)
		}
		bits := uint8(rapid.IntRange(1, 16).Draw(t, "bits"))
		if table, n := DecodeRemaps(Remaps(top, bits)); table != top || n != 1<<bits {
			t.Errorf("IRTA %#x of 2^%d came back as %#x of %d", top, bits, table, n)
		}
		f := Fault{Source: rapid.Uint16().Draw(t, "source"), Reason: WriteDenied, Read: rapid.Bool().Draw(t, "read"), Address: top}
		if rapid.Bool().Draw(t, "interrupt") {
			f.Reason, f.Address, f.Index = RemapAbsent, 0, handle
		}
		if got, ok := DecodeFault(f.Encode()); got != f || !ok {
			t.Errorf("fault %+v came back as %+v, %v", f, got, ok)
		}
	})
	if _, ok := DecodeFault(0, 1<<62); ok {
		t.Error("a record without F is a fault")
	}
}

func TestDecode(t *testing.T) {
	type pair struct{ low, high uint64 }
	two := func(low, high uint64) pair { return pair{low, high} }
	for _, c := range []struct {
		in   pair
		want Descriptor
	}{
		{two(InvalidateContexts()), Descriptor{Kind: KindContext}},
		{two(InvalidateContext(0x180, 7)), Descriptor{Kind: KindContext, Scope: ScopeOne, Domain: 7, Source: 0x180}},
		{two(InvalidateTranslations(qemuCap)), Descriptor{Kind: KindTranslation}},
		{two(InvalidateDomain(qemuCap, 7)), Descriptor{Kind: KindTranslation, Scope: ScopeDomain, Domain: 7}},
		{two(InvalidatePages(0, 7, 0x20_0000, 9)), Descriptor{Kind: KindTranslation, Scope: ScopeOne, Domain: 7, Address: 0x20_0000, Mask: 9}},
		{two(InvalidateInterrupts()), Descriptor{Kind: KindInterrupt}},
		{two(InvalidateInterrupt(40, 3)), Descriptor{Kind: KindInterrupt, Scope: ScopeOne, Index: 40, Mask: 3}},
		{two(Wait(9, 0x7004)), Descriptor{Kind: KindWait, Status: 9, Address: 0x7004}},
		{pair{0x35, 0x7000}, Descriptor{}}, // both requests: ends QEMU
		{pair{0x15, 0}, Descriptor{}}, {pair{0, 0}, Descriptor{}}, {pair{2, 0}, Descriptor{}},
	} {
		got := Decode(c.in.low, c.in.high)
		if got.Kind == KindInterrupt || got.Kind == KindTranslation && got.Scope == ScopeAll || got.Kind == KindInvalid {
			got.Domain = 0
		}
		if got != c.want {
			t.Errorf("Decode(%#x) = %+v, want %+v", c.in, got, c.want)
		}
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	check := func(first, last Reason, interrupt bool) {
		for r := first; r <= last; r++ {
			if name := r.String(); strings.HasPrefix(name, "reason") || seen[name] || r.Interrupt() != interrupt {
				t.Errorf("reason %#x: %s, interrupt %v", uint8(r), name, r.Interrupt())
			}
			seen[r.String()] = true
		}
	}
	check(RootAbsent, TypeBlocked, false)
	check(RequestReserved, SourceDenied, true)
	if got := Reason(0x77).String(); got != "reason 0x77" {
		t.Errorf("unknown reason: %q", got)
	}
}

package x2apic

import (
	"testing"

	"pgregory.net/rapid"
)

func TestOffsets(t *testing.T) {
	for _, c := range []struct {
		name     string
		msr, got uint32
	}{
		{"id", ID, 0x20}, {"tpr", TPR, 0x80}, {"eoi", EOI, 0xb0}, {"svr", SVR, 0xf0}, {"isr", ISR0, 0x100}, {"tmr", TMR0, 0x180},
		{"irr", IRR0, 0x200}, {"esr", ESR, 0x280}, {"icr", ICR, 0x300}, {"timer", LVTTimer, 0x320}, {"lint0", LVTLINT0, 0x350},
		{"lint1", LVTLINT1, 0x360}, {"error", LVTError, 0x370}, {"initial", InitialCount, 0x380}, {"current", CurrentCount, 0x390},
		{"divide", DivideConfig, 0x3e0}, {"ext", ExtFeature, 0x400}, {"ier", IER0, 0x480}, {"ext lvt", ExtLVT0, 0x500},
	} {
		if got := Offset(c.msr); got != c.got {
			t.Errorf("Offset(%s) = %#x, want %#x", c.name, got, c.got)
		}
	}
}

func TestCommands(t *testing.T) {
	sipi, ok := SIPI(2, 0x8000)
	if !ok {
		t.Fatal("SIPI(2, 0x8000) refused")
	}
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"fixed", Fixed(3, 0x40), 0x3_0000_4040},
		{"nmi", NMI(1), 0x1_0000_4400},
		{"nmi others", NMIOthers(), 0xc_4400},
		{"init", INIT(1), 0x1_0000_4500},
		{"sipi", sipi, 0x2_0000_4608},
	} {
		if c.got != c.want {
			t.Errorf("%s = %#x, want %#x", c.name, c.got, c.want)
		}
		if !Command(c.got).Valid() {
			t.Errorf("%s = %#x has reserved bits set", c.name, c.got)
		}
	}
	for _, entry := range []uint64{1, 0x8001, 1 << 20, 1 << 32} {
		if v, ok := SIPI(0, entry); ok {
			t.Errorf("SIPI(0, %#x) = %#x, want refused", entry, v)
		}
	}
	if high, low := XAPIC(sipi); high != 0x0200_0000 || low != 0x4608 {
		t.Errorf("XAPIC(sipi) = %#x, %#x", high, low)
	}
	for _, bad := range []Command{1 << 12, 1 << 13, 1 << 16, 1 << 20, 1 << 31} {
		if bad.Valid() {
			t.Errorf("Command(%#x).Valid() = true", uint64(bad))
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		name         string
		icr          uint64
		target, self uint32
		want         bool
	}{
		{"physical", Fixed(3, 1), 3, 0, true},
		{"physical other", Fixed(3, 1), 2, 0, false},
		{"broadcast", Fixed(Broadcast, 1), 7, 0, true},
		{"self", ShortSelf << 18, 4, 4, true},
		{"self other", ShortSelf << 18, 5, 4, false},
		{"all", ShortAll << 18, 4, 4, true},
		{"others", ShortAllButOne << 18, 5, 4, true},
		{"others self", ShortAllButOne << 18, 4, 4, false},
		{"logical", 0x0001_0005<<32 | ICRLogical, 0x12, 0, true},
		{"logical other bit", 0x0001_0005<<32 | ICRLogical, 0x11, 0, false},
		{"logical other cluster", 0x0001_0005<<32 | ICRLogical, 0x02, 0, false},
	} {
		if got := Command(c.icr).Addresses(c.target, c.self); got != c.want {
			t.Errorf("%s: Addresses(%d, %d) = %v, want %v", c.name, c.target, c.self, got, c.want)
		}
	}
}

func TestLVT(t *testing.T) {
	e := LVTEntry(LVT(ModeFixed, 0x30) | LVTPeriodic)
	if e.Vector() != 0x30 || e.Mode() != ModeFixed || e.Masked() || e.TimerMode() != LVTPeriodic || uint32(e) != 0x2_0030 {
		t.Errorf("periodic timer entry = %#x", uint32(e))
	}
	if got := LVT(ModeNMI, 0); got != 0x400 {
		t.Errorf("LVT(NMI) = %#x, want 0x400", got)
	}
	if !LVTEntry(LVTMasked).Masked() {
		t.Error("a masked entry is not Masked")
	}
}

func TestDivide(t *testing.T) {
	for by := uint32(0); by <= 256; by++ {
		v, ok := Divide(by)
		if want := by != 0 && by <= 128 && by&(by-1) == 0; ok != want {
			t.Errorf("Divide(%d) ok = %v, want %v", by, ok, want)
		}
		if ok && Divisor(v) != by {
			t.Errorf("Divisor(Divide(%d)) = %d", by, Divisor(v))
		}
	}
}

func TestAPICBase(t *testing.T) {
	const reset = DefaultBase | BaseBSP
	if got := EnableX1(reset); got != 0xfee0_0900 {
		t.Errorf("EnableX1 = %#x", got)
	}
	if got := EnableX2(EnableX1(reset)); got != 0xfee0_0d00 {
		t.Errorf("EnableX2 = %#x", got)
	}
}

func TestCommandRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		apic, vector := rapid.Uint32().Draw(t, "apic"), rapid.Uint8().Draw(t, "vector")
		c := Command(Fixed(apic, vector))
		if c.Dest() != apic || c.Vector() != vector || c.Mode() != ModeFixed || c.Logical() || !c.Assert() || c.Shorthand() != ShortNone {
			t.Fatalf("Fixed(%#x, %#x) = %#x does not read back", apic, vector, uint64(c))
		}
		if !c.Addresses(apic, 0) {
			t.Fatalf("Fixed(%#x) does not address it", apic)
		}
		register, bit := VectorBit(vector)
		if register >= VectorRegisters || register*32+uint32(log2(bit)) != uint32(vector) {
			t.Fatalf("VectorBit(%d) = %d, %#x", vector, register, bit)
		}
		logical := LogicalID(apic)
		if !Command(uint64(logical)<<32|ICRLogical).Addresses(apic, 0) && logical != 0 {
			t.Fatalf("LogicalID(%#x) = %#x does not address it", apic, logical)
		}
	})
}

func log2(v uint32) int {
	n := 0
	for v > 1 {
		v >>= 1
		n++
	}
	return n
}

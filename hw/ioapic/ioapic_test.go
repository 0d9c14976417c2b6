package ioapic

import "testing"

func TestEntries(t *testing.T) {
	if got := Entries(0x0017_0020); got != 24 {
		t.Errorf("Entries(0x170020) = %d, want 24", got)
	}
	if Low(0) != 0x10 || High(0) != 0x11 || Low(23) != 0x3e || High(23) != 0x3f {
		t.Errorf("indices = %#x %#x %#x %#x", Low(0), High(0), Low(23), High(23))
	}
}

func TestFixed(t *testing.T) {
	for _, c := range []struct {
		apic   uint32
		vector uint8
		flags  uint64
		want   uint64
		ok     bool
	}{
		{0, 0x30, 0, 0x30, true},
		{3, 0x41, Level | ActiveLow, 0x0300_0000_0000_a041, true},
		{1, 0x41, Masked | ModeNMI, 0x0100_0000_0000_0041, true},
		{256, 0x41, 0, 0, false},
	} {
		if got, ok := Fixed(c.apic, c.vector, c.flags); got != c.want || ok != c.ok {
			t.Errorf("Fixed(%d, %#x, %#x) = %#x, %v, want %#x, %v", c.apic, c.vector, c.flags, got, ok, c.want, c.ok)
		}
	}
	if Silent != 1<<16 {
		t.Errorf("Silent = %#x", Silent)
	}
}

package cpu

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTSSDescriptor(t *testing.T) {
	low, high := TSSDescriptor(0xffff_8000_1234_5678, TSSSize-1)
	if low != 0x1200_8934_5678_0067 || high != 0xffff_8000 {
		t.Errorf("TSSDescriptor = %#x, %#x", low, high)
	}
}

func TestGate(t *testing.T) {
	low, high := Gate(0xffff_8000_1234_5678, 8, 3, TypeInterrupt, 3)
	if low != 0x1234_ee03_0008_5678 || high != 0xffff_8000 {
		t.Errorf("Gate = %#x, %#x", low, high)
	}
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Uint64().Draw(t, "offset")
		low, high := Gate(offset, rapid.Uint16().Draw(t, "selector"), rapid.Uint8().Draw(t, "ist"), rapid.Uint8().Draw(t, "kind"), rapid.Uint8().Draw(t, "dpl"))
		if got := GateOffset(low, high); got != offset {
			t.Fatalf("GateOffset = %#x, want %#x", got, offset)
		}
		if low>>47&1 != 1 || low>>35&0x1f != 0 || low>>44&1 != 0 {
			t.Fatalf("gate %#x: present clear or reserved bits set", low)
		}
	})
}

func TestTSS(t *testing.T) {
	var tss TSS
	tss.SetRSP(0, 0x1111_2222_3333_4444)
	tss.SetIST(1, 0x5555_6666_7777_8888)
	tss.SetIST(7, 0x9999_aaaa_bbbb_cccc)
	tss.NoIOMap()
	for offset, want := range map[int]uint32{4: 0x3333_4444, 8: 0x1111_2222, 36: 0x7777_8888, 40: 0x5555_6666, 84: 0xbbbb_cccc, 88: 0x9999_aaaa, 100: 104 << 16} {
		if got := tss[offset/4]; got != want {
			t.Errorf("TSS at %d = %#x, want %#x", offset, got, want)
		}
	}
	before := tss
	tss.SetIST(0, 1)
	tss.SetIST(8, 1)
	tss.SetRSP(3, 1)
	if tss != before || tss.IST(0) != 0 || tss.IST(8) != 0 || tss.IST(7) != 0x9999_aaaa_bbbb_cccc {
		t.Error("a stack that does not exist was set or read")
	}
}

func TestPaging(t *testing.T) {
	const va = 0xffff_8123_4567_89ab
	for level, want := range map[uint]uint64{1: 0x78, 2: 0x2b, 3: 0x8d, 4: 0x102} {
		if got := Index(va, level); got != want {
			t.Errorf("Index(%#x, %d) = %#x, want %#x", uint64(va), level, got, want)
		}
	}
	if Span(1) != PageSize || Span(2) != LargeSize || Span(3) != HugeSize || Span(4) != 512<<30 {
		t.Errorf("spans = %#x %#x %#x %#x", Span(1), Span(2), Span(3), Span(4))
	}
	const large = PageNX | PageLargePAT | PagePS | PageP | 0x1234_0020_0000
	if got := LeafAddress(large, 2); got != 0x1234_0020_0000 {
		t.Errorf("LeafAddress = %#x", got)
	}
	for address, want := range map[uint64]bool{0: true, 0x7fff_ffff_ffff: true, 0x8000_0000_0000: false, 0xffff_8000_0000_0000: true,
		0xffff_7fff_ffff_ffff: false, 0xffff_ffff_ffff_ffff: true} {
		if got := Canonical(address); got != want {
			t.Errorf("Canonical(%#x) = %v, want %v", address, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		page := rapid.Uint64Range(0, 1<<36-1).Draw(t, "page")
		sum := uint64(0)
		for level := uint(1); level <= 4; level++ {
			sum += Index(page<<PageShift, level) * Span(level)
		}
		if sum != page<<PageShift {
			t.Fatalf("indices of %#x lead to %#x", page<<PageShift, sum)
		}
	})
}

func TestErrorCodes(t *testing.T) {
	for vector, want := range map[uint8]bool{VectorUD: false, VectorDF: true, VectorGP: true, VectorPF: true, VectorNMI: false, VectorMC: false,
		VectorAC: true, VectorSX: true, VectorHV: false, 0x40: false, 46: false} {
		if got := HasErrorCode(vector); got != want {
			t.Errorf("HasErrorCode(%d) = %v, want %v", vector, got, want)
		}
	}
}

func TestSTAR(t *testing.T) {
	if got := STAR(0x08, 0x18); got != 0x0018_0008_0000_0000 {
		t.Errorf("STAR = %#x", got)
	}
}

package svm

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/hw/svm"
)

// access is how an MSR may be used without an exit.
type access struct{ read, write bool }

// open are all MSRs that guests use without an exit.
var (
	openShared = map[uint32]access{
		0x10:  {true, false},                                          // TSC
		0x174: {true, true}, 0x175: {true, true}, 0x176: {true, true}, // SYSENTER
		0xc000_0081: {true, true}, 0xc000_0082: {true, true}, // STAR, LSTAR
		0xc000_0083: {true, true}, 0xc000_0084: {true, true}, // CSTAR, SFMASK
		0xc000_0100: {true, true}, 0xc000_0101: {true, true}, 0xc000_0102: {true, true}, // FS, GS, kernel GS base
	}
	openDirect = map[uint32]access{
		0x808: {true, true},  // TPR
		0x80b: {false, true}, // EOI
		0x838: {false, true}, // initial count of the timer
	}
)

// TestMSRMaps looks at every MSR that a map covers, and at some that none covers.
func TestMSRMaps(t *testing.T) {
	m := newMemory()
	maps := newMaps(m, mapsAt)
	for _, c := range []struct {
		name string
		pa   uint64
		open []map[uint32]access
	}{
		{"shared", maps.shared, []map[uint32]access{openShared}}, {"direct", maps.direct, []map[uint32]access{openShared, openDirect}},
	} {
		pm := (*[svm.MSRPMSize]byte)(m.Phys(c.pa, svm.MSRPMSize))
		covered := 0
		for _, first := range []uint32{0, 0xc000_0000, 0xc001_0000, 0x4000_0000, 0xffff_e000} {
			for msr := first; msr-first < 0x2000; msr++ {
				var want access
				for _, open := range c.open {
					if a, ok := open[msr]; ok {
						want = a
					}
				}
				got := access{!svm.MSRIntercepted(pm, msr, false), !svm.MSRIntercepted(pm, msr, true)}
				if got != want {
					t.Errorf("%s: MSR %#x: got %+v, want %+v", c.name, msr, got, want)
				}
				if _, ok := svm.MSRPMBit(msr); ok {
					covered++
				}
			}
		}
		if covered != 3*0x2000 {
			t.Errorf("the map covers %d MSRs", covered)
		}
	}
	if maps.shared%4096 != 0 || maps.direct != maps.shared+8192 {
		t.Errorf("maps at %#x and %#x", maps.shared, maps.direct)
	}
}

// TestDirectIsShared: what a guest may touch on a dedicated core it may touch on a shared one, where it exits.
func TestDirectIsShared(t *testing.T) {
	for msr, a := range openDirect {
		w := newWorld(0)
		if _, ok := w.readMSR(msr); a.read && !ok {
			t.Errorf("MSR %#x can be read on a dedicated core, and raises #GP on a shared one", msr)
		}
		if a.write && !w.writeMSR(msr, 0) {
			t.Errorf("MSR %#x can be written on a dedicated core, and raises #GP on a shared one", msr)
		}
	}
}

// TestFillPorts: the map says what has says, whatever stood there before, and what lies beyond port 0xffff is intercepted.
func TestFillPorts(t *testing.T) {
	m := newMemory()
	pm := (*[svm.IOPMSize]byte)(m.Phys(portsAt, svm.IOPMSize))
	(&machine{host: m}).FillPorts(portsAt, nil)
	if !bytes.Equal(pm[:], bytes.Repeat([]byte{0xff}, svm.IOPMSize)) {
		t.Error("without ports, not everything is intercepted")
	}
	(&machine{host: m}).FillPorts(portsAt, func(uint16) bool { return true })
	if svm.PortIntercepted(pm, 0xffff, 1) || !svm.PortIntercepted(pm, 0xffff, 2) || !svm.PortIntercepted(pm, 0xfffd, 4) || svm.PortIntercepted(pm, 0xfffc, 4) {
		t.Error("with all ports, the end of the map is wrong")
	}
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16().Draw(t, "first")
		last := rapid.Uint16Min(first).Draw(t, "last")
		has := func(p uint16) bool { return p >= first && p <= last }
		(&machine{host: m}).FillPorts(portsAt, has)
		for p := range 1 << 16 {
			if got := svm.PortIntercepted(pm, uint16(p), 1); got == has(uint16(p)) {
				t.Fatalf("ports %#x to %#x: port %#x is intercepted: %v", first, last, p, got)
			}
		}
		for _, b := range pm[1<<16/8:] {
			if b != 0xff {
				t.Fatalf("beyond the last port: got %#x, want all ones", b)
			}
		}
	})
}

// TestFillPortsInUse: while a map is rewritten, a port that its owner keeps is never intercepted, and one that it never had never open.
func TestFillPortsInUse(t *testing.T) {
	m := newMemory()
	pm := (*[svm.IOPMSize]byte)(m.Phys(portsAt, svm.IOPMSize))
	(&machine{host: m}).FillPorts(portsAt, func(p uint16) bool { return p == 0x3f8 || p >= 0x2f8 && p < 0x300 })
	(&machine{host: m}).FillPorts(portsAt, func(p uint16) bool {
		if svm.PortIntercepted(pm, 0x3f8, 1) {
			t.Fatalf("port 0x3f8 is intercepted while port %#x is filled in", p)
		}
		if !svm.PortIntercepted(pm, 0x60, 1) {
			t.Fatalf("port 0x60 is open while port %#x is filled in", p)
		}
		return p == 0x3f8
	})
	if !svm.PortIntercepted(pm, 0x2f8, 1) {
		t.Error("port 0x2f8 is still open")
	}
}

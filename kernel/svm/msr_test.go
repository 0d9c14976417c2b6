package svm

import (
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/hw/x2apic"
	"nom.dev/nom/kernel/backend"
)

// rdmsr reads an MSR as the guest does; false = #GP.
func rdmsr(t *testing.T, w *World, msr uint64) (uint64, bool) {
	t.Helper()
	w.gp[gpRCX], w.gp[gpRDX] = msr, ^uint64(0)
	w.vmcb.Save.RAX = ^uint64(0)
	switch _, got := leads(w, svm.ExitMSR, 0, 0); got {
	case outcome{backend.KindResume, abi.ExitMSR, 0, 2}:
		if w.vmcb.Save.RAX>>32 != 0 || w.gp[gpRDX]>>32 != 0 {
			t.Errorf("MSR %#x: upper halves are not zero: %#x, %#x", msr, w.gp[gpRDX], w.vmcb.Save.RAX)
		}
		return w.gp[gpRDX]<<32 | w.vmcb.Save.RAX, true
	case outcome{backend.KindResume, abi.ExitMSR, injectGP, 0}:
		if w.vmcb.Save.RAX != ^uint64(0) || w.gp[gpRDX] != ^uint64(0) {
			t.Errorf("MSR %#x: #GP, and yet registers changed", msr)
		}
		return 0, false
	default:
		t.Errorf("MSR %#x: got %+v", msr, got)
		return 0, false
	}
}

// wrmsr writes an MSR as the guest does; false = #GP.
func wrmsr(t *testing.T, w *World, msr, value uint64) bool {
	t.Helper()
	const high = 0x7654_3210 << 32
	w.gp[gpRCX], w.gp[gpRDX], w.vmcb.Save.RAX = high|msr, high|value>>32, high|value&0xffff_ffff
	switch _, got := leads(w, svm.ExitMSR, 1, 0); got {
	case outcome{backend.KindResume, abi.ExitMSR, 0, 2}:
		return true
	case outcome{backend.KindResume, abi.ExitMSR, injectGP, 0}:
		return false
	default:
		t.Errorf("MSR %#x = %#x: got %+v", msr, value, got)
		return false
	}
}

func TestReadMSR(t *testing.T) {
	want := map[uint64]uint64{
		0xc000_0080: 0xd00, 0x277: 0x0007_0406_0007_0406, 0x1b: 0xfee0_0c00, 0x802: 5, 0x803: 0x5_0014, 0x808: 0x20, 0x80f: 0x1ff,
		0x832: 0x1_0000, 0x83e: 0xb, 0x828: 0, 0x833: 0, 0x834: 0, 0x835: 0, 0x836: 0, 0x837: 0,
	}
	for i := range uint64(24) { // ISR, TMR, IRR
		want[0x810+i] = 0
	}
	w := newWorld(5)
	w.Call.TPR = 0x20
	for _, first := range []uint64{0, 0x800, 0xc000_0000, 0xc001_0000, 0x4000_0000, 0xffff_f000} {
		for msr := first; msr < first+0x1000; msr++ {
			got, ok := rdmsr(t, w, msr)
			if v, can := want[msr]; ok != can || got != v {
				t.Errorf("MSR %#x: got %#x, %v, want %#x, %v", msr, got, ok, v, can)
			}
		}
	}
}

// TestWriteMSR: which MSRs take a write, and that no other changes the world.
func TestWriteMSR(t *testing.T) {
	harmless := map[uint64]bool{ // take 0
		0xc000_0080: true, 0x277: true, 0x1b: true, 0x808: true, 0x80b: true, 0x80f: true, 0x828: true, 0x830: true, 0x832: true,
		0x833: true, 0x834: true, 0x835: true, 0x836: true, 0x837: true, 0x838: true, 0x83f: true,
	}
	for _, first := range []uint64{0, 0x800, 0xc000_0000, 0xc001_0000, 0x4000_0000, 0xffff_f000} {
		for msr := first; msr < first+0x1000; msr++ {
			w := newWorld(5)
			w.gp[gpRCX], w.gp[gpRDX], w.vmcb.Save.RAX = msr, 0, 0
			w.vmcb.Control.ExitInfo1, w.vmcb.Control.ExitCode = 1, svm.ExitMSR
			before := *w.vmcb
			exit(w, noCPUID)
			ok := w.vmcb.Control.EventInj == 0
			if ok != harmless[msr] {
				t.Errorf("MSR %#x = 0: got %v, want %v", msr, ok, harmless[msr])
			}
			before.Control.EventInj = injectGP
			if !ok && *w.vmcb != before {
				t.Errorf("MSR %#x: #GP, and yet the world changed", msr)
			}
		}
	}
}

func TestEFER(t *testing.T) {
	for _, c := range []struct {
		value uint64
		ok    bool
		want  uint64 // as the guest reads it
	}{
		{0xd00, true, 0xd00}, {0xd01, true, 0xd01}, {0x501, true, 0x501}, {0, true, 0x500}, {0x100, true, 0x500}, {0x801, true, 0xd01},
		{0x1d01, false, 0xd00}, {0x2d00, false, 0xd00}, {0x4d00, false, 0xd00}, {0x8d00, false, 0xd00}, {1<<18 | 0xd00, false, 0xd00},
		{1<<63 | 0xd00, false, 0xd00}, {^uint64(0), false, 0xd00}, {2, false, 0xd00},
	} {
		w := newWorld(0)
		if ok := wrmsr(t, w, 0xc000_0080, c.value); ok != c.ok {
			t.Errorf("EFER = %#x: got %v, want %v", c.value, ok, c.ok)
		}
		if got, _ := rdmsr(t, w, 0xc000_0080); got != c.want {
			t.Errorf("EFER = %#x: reads %#x, want %#x", c.value, got, c.want)
		}
		if w.vmcb.Save.EFER&0x1000 == 0 {
			t.Errorf("EFER = %#x: SVME is off: VMRUN would refuse", c.value)
		}
	}
}

func TestPAT(t *testing.T) {
	for v := range uint64(256) {
		valid := v == 0 || v == 1 || v >= 4 && v <= 7
		for i := range 8 {
			w := newWorld(0)
			value := uint64(0x0007_0406_0007_0406)&^(0xff<<(8*i)) | v<<(8*i)
			if ok := wrmsr(t, w, 0x277, value); ok != valid {
				t.Errorf("PAT = %#x: got %v, want %v", value, ok, valid)
			}
			want := uint64(0x0007_0406_0007_0406)
			if valid {
				want = value
			}
			if got, _ := rdmsr(t, w, 0x277); got != want || w.vmcb.Save.GPAT != want {
				t.Errorf("PAT = %#x: reads %#x, G_PAT %#x", value, got, w.vmcb.Save.GPAT)
			}
		}
	}
}

// TestAPIC: the timer, the task priority and the self IPI of the emulated local APIC.
func TestAPIC(t *testing.T) {
	w := newWorld(0)
	for _, c := range []struct{ value, want uint64 }{
		{0x40, 0x40}, {0x1_0040, 0x1_0040}, {0xffff_ffff_ffff_ffff, 0x1_00ff}, {0x6_0041, 0x41}, {0x1f, 0x1_001f}, {0x20, 0x20}, {0, 0x1_0000},
	} {
		if ok := wrmsr(t, w, 0x832, c.value); !ok || w.Call.LVTT != c.want {
			t.Errorf("LVT timer = %#x: got %#x, want %#x", c.value, w.Call.LVTT, c.want)
		}
	}
	w.Call.TimerTSC = 1000
	if !wrmsr(t, w, 0x838, 0) || w.Call.TimerTSC != 0 {
		t.Errorf("initial count = 0: the timer is armed for %d", w.Call.TimerTSC)
	}
	if !wrmsr(t, w, 0x83e, 0xb) || wrmsr(t, w, 0x83e, 0) {
		t.Error("the timer divides by something else than one")
	}
	if !wrmsr(t, w, 0x808, 0x1234) || w.Call.TPR != 0x34 {
		t.Errorf("TPR: got %#x, want 0x34", w.Call.TPR)
	}
	for _, v := range []uint64{0x40, 0xff, 0x141, 31, 0} {
		wrmsr(t, w, 0x83f, v)
	}
	if got, want := w.Call.Pending, [4]uint64{0, 1<<0 | 1<<1, 0, 1 << 63}; got != want {
		t.Errorf("self IPIs: got %#x, want %#x", got, want)
	}
}

// TestICR: who gets what a guest sends.
func TestICR(t *testing.T) {
	sipi, _ := x2apic.SIPI(2, 0x8000)
	nothing := backend.Exit{Kind: backend.KindResume, Reason: abi.ExitMSR}
	sends := func(e backend.Exit) backend.Exit {
		e.Kind, e.Reason = backend.KindIPI, abi.ExitMSR
		return e
	}
	for _, c := range []struct {
		name string
		icr  uint64
		want backend.Exit
	}{
		{"one", x2apic.Fixed(2, 0x41), sends(backend.Exit{Vector: 0x41, Target: 2})}, {"the first", x2apic.Fixed(0, 0xff), sends(backend.Exit{Vector: 0xff})},
		{"far away", x2apic.Fixed(1<<31, 0x41), sends(backend.Exit{Vector: 0x41, Target: 1 << 31})},
		{"broadcast", x2apic.Fixed(x2apic.Broadcast, 0x41), sends(backend.Exit{Vector: 0x41, Target: nobody, All: true, AndSelf: true})},
		{"self", 1<<18 | 0x41, sends(backend.Exit{Vector: 0x41, Target: nobody, AndSelf: true})},
		{"self, with a destination", 2<<32 | 1<<18 | 0x41, sends(backend.Exit{Vector: 0x41, Target: nobody, AndSelf: true})},
		{"all", 2 << 18, sends(backend.Exit{Target: nobody, All: true, AndSelf: true})},
		{"all but one", 3<<18 | 0x41, sends(backend.Exit{Vector: 0x41, Target: nobody, All: true})},
		{"NMI", x2apic.NMI(2), nothing}, {"NMI to others", x2apic.NMIOthers(), nothing}, {"INIT", x2apic.INIT(2), nothing}, {"SIPI", sipi, nothing},
		{"SMI", 2<<32 | x2apic.ModeSMI<<8, nothing}, {"lowest priority", 2<<32 | x2apic.ModeLowest<<8 | 0x41, nothing},
		{"ExtINT", 2<<32 | x2apic.ModeExtINT<<8, nothing}, {"mode 3", 2<<32 | 3<<8, nothing},
	} {
		w := newWorld(1)
		w.gp[gpRCX], w.gp[gpRDX], w.vmcb.Save.RAX = 0x830, c.icr>>32, c.icr&0xffff_ffff
		e, got := leads(w, svm.ExitMSR, 1, 0)
		if e != c.want || got.skip != 2 || got.inject != 0 {
			t.Errorf("%s: got %+v, %+v, want %+v", c.name, e, got, c.want)
		}
	}
}

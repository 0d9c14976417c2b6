package svm

import (
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/kernel/backend"
)

// Events as the processor writes them into EXITINTINFO and EVENTINJ. APM vol. 2, 15.20.
const (
	injectDB = 0x8000_0301
	injectUD = 0x8000_0306
	injectGP = 0x8000_0b0d
	injectAC = 0x8000_0b11
)

// outcome is what an exit leads to.
type outcome struct {
	kind   backend.Kind
	reason int
	inject uint64 // EVENTINJ
	skip   uint64 // how far RIP moves
}

// leads lets a guest exit and says what came of it.
func leads(w *World, code, info1, info2 uint64) (backend.Exit, outcome) {
	c, s := &w.vmcb.Control, &w.vmcb.Save
	c.ExitCode, c.ExitInfo1, c.ExitInfo2 = code, info1, info2
	rip := s.RIP
	e := exit(w, play(epyc))
	return e, outcome{e.Kind, e.Reason, c.EventInj, s.RIP - rip}
}

// TestExitCodes: what each code leads to, all others end the container.
func TestExitCodes(t *testing.T) {
	refused := outcome{backend.KindResume, abi.ExitOther, injectUD, 0}
	want := map[uint64]outcome{
		0x41: {backend.KindResume, abi.ExitOther, injectDB, 0}, 0x51: {backend.KindResume, abi.ExitOther, injectAC, 0},
		0x60: {backend.KindInterrupt, abi.ExitInterrupt, 0, 0}, 0x61: {backend.KindNMI, abi.ExitNMI, 0, 0}, 0x62: {backend.KindInterrupt, abi.ExitInterrupt, 0, 0},
		0x64: {backend.KindInterrupt, abi.ExitInterrupt, 0, 0}, 0x65: {backend.KindResume, abi.ExitOther, injectGP, 0}, 0x6f: refused, 0x72: {backend.KindResume, abi.ExitCPUID, 0, 2}, 0x73: refused,
		0x76: {backend.KindResume, abi.ExitOther, 0, 2}, 0x78: {backend.KindHalt, abi.ExitHalt, 0, 1}, 0x7a: refused,
		0x7b: {backend.KindResume, abi.ExitPort, 0, 5}, 0x7c: {backend.KindResume, abi.ExitMSR, injectGP, 0}, 0x7f: {backend.KindShutdown, abi.ExitOther, 0, 0},
		0x80: refused, 0x81: {backend.KindHypercall, abi.ExitHypercall, 0, 0}, 0x82: refused, 0x83: refused, 0x84: refused, 0x85: refused, 0x86: refused,
		0x87: refused, 0x88: refused, 0x89: {backend.KindResume, abi.ExitOther, 0, 2}, 0x8a: refused, 0x8b: refused, 0x8c: refused,
		0x8d: {backend.KindResume, abi.ExitOther, injectGP, 0}, 0x8e: refused, 0xa3: refused, 0x400: {backend.KindPageFault, abi.ExitPageFault, 0, 0},
	}
	for code := uint64(0); code < 0x40; code++ { // control and debug registers
		want[code] = refused
	}
	check := func(code uint64) {
		w := newWorld(0)
		e, got := leads(w, code, 0, w.vmcb.Save.RIP+5)
		o, ok := want[code]
		if !ok {
			o = outcome{backend.KindIllegal, abi.ExitOther, 0, 0}
			if full := svm.Code(code); e.Code != full {
				t.Errorf("code %#x: says %#x", code, e.Code)
			}
		}
		if got != o {
			t.Errorf("code %#x: got %+v, want %+v", code, got, o)
		}
	}
	for code := uint64(0); code < 0x500; code++ {
		check(code)
	}
	for _, code := range []uint64{0xffff_ffff, 0xffff_fffe, ^uint64(0), ^uint64(1), 1 << 32, 1<<32 | 0x81, 1<<63 | 0x78, 0x7fff_ffff} {
		check(code)
	}
}

// TestInterrupted: what was on its way into the guest goes there again.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		name     string
		was, now uint64
	}{
		{"nothing", 0, 0}, {"an invalid event", 0x0b0e, 0}, {"an invalid event with a code", 0xffff_ffff_7fff_ffff, 0},
		{"an interrupt", 0x8000_0040, 0x8000_0040}, {"an NMI", 0x8000_0202, 0x8000_0202},
		{"#UD", injectUD, injectUD}, {"#PF with its code", 0x6_8000_0b0e, 0x6_8000_0b0e}, {"#GP with its code", 0x18_8000_0b0d, 0x18_8000_0b0d},
		{"an interrupt as QEMU writes it", 0x8000_0340, 0x8000_0040}, {"vector 32 as QEMU writes it", 0x8000_0320, 0x8000_0020},
		{"INT 0x80", 0x8000_0480, 0}, {"INT 3 by INTn", 0x8000_0403, 0}, {"INT3", 0x8000_0303, 0}, {"INTO", 0x8000_0304, 0},
	} {
		for _, code := range []uint64{svm.ExitNPF, svm.ExitINTR, svm.ExitNMI} {
			w := newWorld(0)
			w.vmcb.Control.ExitIntInfo = c.was
			w.vmcb.Control.EventInj = 0x8000_0355 // left over
			_, got := leads(w, code, 0, 0)
			if got.inject != c.now {
				t.Errorf("%s, exit %#x: got %#x, want %#x", c.name, code, got.inject, c.now)
			}
		}
	}
}

// TestNotEntered: a guest that was to get an exception and did not enter, because its runner was kicked, gets it at the next entry.
func TestNotEntered(t *testing.T) {
	for _, code := range []uint64{svm.ExitVMRUN, svm.ExitException + 17, svm.ExitXSETBV} {
		w := newWorld(0)
		_, first := leads(w, code, 0, 0)
		w.vmcb.Control.ExitIntInfo = w.vmcb.Control.EventInj // as the platform's notEntered
		if _, again := leads(w, svm.ExitINTR, 0, 0); again.inject != first.inject || first.inject == 0 {
			t.Errorf("code %#x: got %#x, then %#x", code, first.inject, again.inject)
		}
	}
}

func TestHypercall(t *testing.T) {
	w := newWorld(0)
	w.vmcb.Save.RAX = 0xdead_0000_0003
	*w.gp = [14]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	before := *w.gp
	rip := w.vmcb.Save.RIP
	w.vmcb.Control.IntState = svm.IntShadow
	e, got := leads(w, svm.ExitVMMCALL, 0, 0)
	if got != (outcome{backend.KindHypercall, abi.ExitHypercall, 0, 0}) || e.Call != 0xdead_0000_0003 {
		t.Errorf("got %+v, call %#x", got, e.Call)
	}
	if want := [6]uint64{5, 4, 3, 9, 7, 8}; e.Args != want { // RDI, RSI, RDX, R10, R8, R9
		t.Errorf("arguments: got %v, want %v", e.Args, want)
	}
	w.Return(abi.EINVAL.RAX())
	if got := w.vmcb.Save.RIP - rip; got != 3 || w.vmcb.Save.RAX != abi.EINVAL.RAX() || *w.gp != before || w.vmcb.Control.IntState != 0 {
		t.Errorf("after it: RIP moved by %d, RAX %#x, registers %v, shadow %#x", got, w.vmcb.Save.RAX, *w.gp, w.vmcb.Control.IntState)
	}
}

// TestHypercallOfUser: from rings 1 to 3, VMMCALL is no instruction.
func TestHypercallOfUser(t *testing.T) {
	for ring := range uint16(4) {
		w := newWorld(0)
		w.vmcb.Save.SS.Attrib = w.vmcb.Save.SS.Attrib&^svm.AttribDPL | ring<<5
		_, got := leads(w, svm.ExitVMMCALL, 0, 0)
		want := outcome{backend.KindResume, abi.ExitHypercall, injectUD, 0}
		if ring == 0 {
			want = outcome{backend.KindHypercall, abi.ExitHypercall, 0, 0}
		}
		if got != want {
			t.Errorf("ring %d: got %+v, want %+v", ring, got, want)
		}
	}
}

func TestPorts(t *testing.T) {
	const rax = 0x1122_3344_5566_7788
	for _, c := range []struct {
		name   string
		info   uint64
		rax    uint64
		inject uint64
		skip   uint64
	}{
		{"IN AL", svm.IOIn | svm.IOSize8, 0x1122_3344_5566_77ff, 0, 2}, {"IN AX", svm.IOIn | svm.IOSize16, 0x1122_3344_5566_ffff, 0, 2},
		{"IN EAX", svm.IOIn | svm.IOSize32, 0xffff_ffff, 0, 2}, {"OUT AL", svm.IOSize8, rax, 0, 2}, {"OUT AX", svm.IOSize16, rax, 0, 2},
		{"OUT EAX", svm.IOSize32, rax, 0, 2}, {"INSB", svm.IOIn | svm.IOString | svm.IOSize8 | svm.IOAddr64, rax, injectGP, 0},
		{"REP OUTSD", svm.IOString | svm.IORep | svm.IOSize32 | svm.IOAddr32, rax, injectGP, 0},
		{"no size at all", svm.IOIn, rax, 0, 2}, {"every size", svm.IOIn | svm.IOSize8 | svm.IOSize16 | svm.IOSize32, 0x11ff_ffff_ffff_ffff, 0, 2},
	} {
		w := newWorld(0)
		w.vmcb.Save.RAX = rax
		w.vmcb.Control.IntState = svm.IntShadow
		_, got := leads(w, svm.ExitIOIO, 0x3f8<<16|c.info, w.vmcb.Save.RIP+2)
		if want := (outcome{backend.KindResume, abi.ExitPort, c.inject, c.skip}); got != want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, want)
		}
		if w.vmcb.Save.RAX != c.rax {
			t.Errorf("%s: RAX: got %#x, want %#x", c.name, w.vmcb.Save.RAX, c.rax)
		}
		if shadow := w.vmcb.Control.IntState != 0; shadow != (c.skip == 0) {
			t.Errorf("%s: interrupt shadow: got %v", c.name, shadow)
		}
	}
}

func TestXSETBV(t *testing.T) {
	const high = 0xabcd << 32 // the upper halves of registers mean nothing
	for _, c := range []struct {
		rcx, rax, rdx uint64
		ok            bool
	}{
		{0, 7, 0, true}, {high, high | 7, high, true}, {0, 3, 0, false}, {0, 1, 0, false}, {0, 0, 0, false}, {0, 0xe7, 0, false}, {0, 0x207, 0, false},
		{1, 7, 0, false}, {0, 7, 1, false}, {0xffff_ffff, 7, 0, false}, {0, 0xffff_ffff, 0xffff_ffff, false},
	} {
		w := newWorld(0)
		w.gp[gpRCX], w.vmcb.Save.RAX, w.gp[gpRDX] = c.rcx, c.rax, c.rdx
		want := outcome{backend.KindResume, abi.ExitOther, injectGP, 0}
		if c.ok {
			want = outcome{backend.KindResume, abi.ExitOther, 0, 3}
		}
		if _, got := leads(w, svm.ExitXSETBV, 0, 0); got != want {
			t.Errorf("XCR%d = %#x:%#x: got %+v, want %+v", c.rcx, c.rdx, c.rax, got, want)
		}
	}
}

// TestCPUID: the answer fills four registers, with upper halves zero; OSXSAVE is what the guest itself set.
func TestCPUID(t *testing.T) {
	for _, c := range []struct {
		cr4, want uint64
	}{{0x20, 0}, {0x4_0020, 1}} {
		w := newWorld(5)
		w.vmcb.Save.CR4 = c.cr4
		w.vmcb.Save.RAX, w.gp[gpRCX] = 0xffff_ffff_0000_0001, 0xffff_ffff_0000_0000
		w.gp[gpRBX], w.gp[gpRDX] = ^uint64(0), ^uint64(0)
		if _, got := leads(w, svm.ExitCPUID, 0, 0); got != (outcome{backend.KindResume, abi.ExitCPUID, 0, 2}) {
			t.Errorf("got %+v", got)
		}
		got := [4]uint64{w.vmcb.Save.RAX, w.gp[gpRBX], w.gp[gpRCX], w.gp[gpRDX]}
		if want := [4]uint64{0x00800f12, 0x05010800, 0xf6f83203 | c.want<<27, 0x178bab7d}; got != want {
			t.Errorf("CR4 %#x: got %#x, want %#x", c.cr4, got, want)
		}
	}
}

// TestPageFault: the fault is told as it is, and whatever it interrupted goes on.
func TestPageFault(t *testing.T) {
	w := newWorld(0)
	w.vmcb.Control.ExitIntInfo = 0x8000_0040
	e, got := leads(w, svm.ExitNPF, svm.NPFWrite|svm.NPFUser|svm.NPFFinal, 0xffff_ffff_f000)
	if e.GPA != 0xffff_ffff_f000 || e.Code != 1<<32|6 || got != (outcome{backend.KindPageFault, abi.ExitPageFault, 0x8000_0040, 0}) {
		t.Errorf("got %+v, %+v", e, got)
	}
}

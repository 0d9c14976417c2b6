package core

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
)

// restless is a program of random computing, sleeping and yielding.
func restless(r *rand.Rand) func() action {
	return func() action {
		a := action{compute: 1 + r.Uint64N(1<<r.Uint64N(23))}
		switch r.IntN(4) {
		case 0:
			a.exit, a.call = svm.ExitVMMCALL, abi.CallYield
		case 1:
			a.exit, a.call = svm.ExitVMMCALL, abi.CallVersion
		case 2:
			a.exit = svm.ExitHLT // until somebody sends an interrupt
		default:
			a.exit, a.timer = svm.ExitHLT, 1+r.Uint64N(1<<r.Uint64N(24))
		}
		return a
	}
}

// TestTimetables: whatever the timetable is, and while it changes, and however vCPUs compute, sleep, wake each other and yield: a core
// sleeps only when none of its holders wants to run, owners run in their slots, nobody waits longer than a frame, and no wake-up is lost.
func TestTimetables(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cores := rapid.IntRange(1, 3).Draw(rt, "cores")
		vcpus := rapid.IntRange(1, 6).Draw(rt, "vCPUs")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		s := newSim(t, cores, vcpus, vcpus)
		defer s.close()
		for _, v := range s.root.VCPUs {
			s.guest(v).program = restless(r)
		}
		for range rapid.IntRange(0, 10).Draw(rt, "grants") {
			s.grant(r)
		}
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			if err := s.run(s.now64 + r.Uint64N(1<<r.Uint64N(24))); err != nil {
				rt.Fatal(err)
			}
			if r.IntN(4) == 0 {
				s.grant(r)
				continue
			}
			s.m.Interrupt(s.root.VCPUs[r.IntN(vcpus)], otherVector)
		}
		if err := s.run(s.now64 + 3*abi.FrameSlots*slotTime); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestYield: who spins and yields leaves the core to who computes, in its own slots too, and loses nothing by it but the slot.
func TestYield(t *testing.T) {
	s := newSim(t, 1, 2, 2)
	defer s.close()
	s.try(abi.CallGrantCore, 0, 1, 0, 0x00ff)
	spins, computes := s.guest(s.root.VCPUs[0]), s.guest(s.root.VCPUs[1])
	spins.program = func() action { return action{compute: 1000, exit: svm.ExitVMMCALL, call: abi.CallYield} }
	ended := false
	computes.program = func() action {
		if ended {
			return action{compute: 1, exit: svm.ExitHLT}
		}
		return action{compute: 100_000, exit: svm.ExitVMMCALL, call: abi.CallVersion}
	}
	if err := s.run(s.now64 + 10*abi.FrameSlots*slotTime); err != nil {
		t.Fatal(err)
	}
	if all := uint64(10 * abi.FrameSlots * slotTime); computes.ran < all*9/10 || spins.ran == 0 {
		t.Errorf("of %d, who computes ran %d, who yields %d", all, computes.ran, spins.ran)
	}
	ended = true
	if err := s.run(s.now64 + abi.FrameSlots*slotTime); err != nil {
		t.Fatal(err)
	}
	before := spins.ran
	if err := s.run(s.now64 + abi.FrameSlots*slotTime); err != nil {
		t.Fatal(err)
	}
	if got := spins.ran - before; got < abi.FrameSlots*slotTime/2 {
		t.Errorf("alone, who yields ran %d of %d", got, abi.FrameSlots*slotTime)
	}
}

// TestSpareSlots: the slots of one who sleeps go to the others in turn, not to the one whose slot comes before them.
func TestSpareSlots(t *testing.T) {
	s := newSim(t, 1, 3, 3)
	defer s.close()
	s.try(abi.CallGrantCore, 0, 1, 0, 1<<1)
	s.try(abi.CallGrantCore, 0, 2, 0, 1<<15)
	owner := s.guest(s.root.VCPUs[0]) // of slots 0 and 2 to 14
	owner.program = func() action { return action{compute: 1, exit: svm.ExitHLT} }
	if err := s.run(s.now64 + 20*abi.FrameSlots*slotTime); err != nil {
		t.Fatal(err)
	}
	a, b := s.guest(s.root.VCPUs[1]).ran, s.guest(s.root.VCPUs[2]).ran
	if a < b*9/10 || b < a*9/10 {
		t.Errorf("in 20 frames, two with a slot each and fourteen to spare ran %d and %d slots", a/slotTime, b/slotTime)
	}
}

// TestDeadlineElsewhere: a demand with notice made on another core is carried out in time, though core 0 sleeps for ever.
func TestDeadlineElsewhere(t *testing.T) {
	s := newSim(t, 2, 2, 2)
	defer s.close()
	id := makeChild(t, s.m, s.root)
	s.try(abi.CallGrantCore, id, 0, 1, 0xff00)
	s.guest(s.root.VCPUs[0]).program = func() action { return action{compute: 1, exit: svm.ExitHLT} }
	calls := 0
	s.guest(s.root.VCPUs[1]).program = func() action {
		if calls++; calls > 1 {
			return action{compute: 1, exit: svm.ExitHLT}
		}
		return action{compute: 20 * slotTime, exit: svm.ExitVMMCALL, call: abi.CallReclaimCore, args: [6]uint64{id, 0, 0xff00, 5000}}
	}
	start := s.now64
	mask := func() uint32 { return s.m.kernel.Timetable().Mask(1, s.root.VCPUs[1]) }
	if err := s.run(start + 24*slotTime); err != nil {
		t.Fatal(err)
	}
	if got := mask(); got != 0x00ff {
		t.Fatalf("before the deadline root has slots %#x, want 0xff", got)
	}
	if err := s.run(start + 26*slotTime); err != nil {
		t.Fatal(err)
	}
	if got := mask(); got != 0xffff {
		t.Errorf("after the deadline root has slots %#x, want all", got)
	}
}

// TestIPI: who gets what a guest sends, by the bits that are pending.
func TestIPI(t *testing.T) {
	for _, c := range []struct {
		name string
		icr  uint64
		want [4]bool
	}{
		{"one", 2<<32 | otherVector, [4]bool{2: true}}, {"oneself", 1<<32 | otherVector, [4]bool{1: true}},
		{"one that has not started", 3<<32 | otherVector, [4]bool{}}, {"one that does not exist", 4<<32 | otherVector, [4]bool{}},
		{"self", 1<<18 | otherVector, [4]bool{1: true}}, {"self, with a destination", 2<<32 | 1<<18 | otherVector, [4]bool{1: true}},
		{"all", 2<<18 | otherVector, [4]bool{true, true, true}}, {"all but self", 3<<18 | otherVector, [4]bool{true, false, true}},
		{"broadcast", 0xffff_ffff<<32 | otherVector, [4]bool{true, true, true}}, {"NMI to all", 2<<18 | 4<<8 | otherVector, [4]bool{}},
		{"an exception's vector", 2<<18 | 14, [4]bool{}},
	} {
		_, m, root := quiet(t, 4, 3)
		from := root.VCPUs[1]
		u := from.Backend.(*vcpu)
		w := u.world.Platform()
		v := m.hw.(*stressMachine).vmcb(w.VMCB)
		v.Control.ExitCode, v.Control.ExitInfo1 = svm.ExitMSR, 1
		w.GPRs[1], w.GPRs[2], v.Save.RAX = 0x830, c.icr>>32, c.icr&0xffff_ffff
		for _, v := range root.VCPUs {
			v.Backend.(*vcpu).world.Platform().Pending = [4]uint64{}
		}
		m.runners[1].handle(u, u.world.Exit())
		for i, v := range root.VCPUs {
			if got := v.Backend.(*vcpu).world.Platform().Pending[0]>>otherVector&1 != 0; got != c.want[i] {
				t.Errorf("%s: pending at vCPU %d: got %v, want %v", c.name, i, got, c.want[i])
			}
		}
	}
}

func TestEarlier(t *testing.T) {
	for _, c := range [][3]uint64{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {5, 7, 5}, {7, 5, 5}, {5, 5, 5}} {
		if got := earlier(c[0], c[1]); got != c[2] {
			t.Errorf("%d, %d: got %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestPrintable(t *testing.T) {
	if got, want := string(printable([]byte("a\x1b[2J\tb\x00\x7f\r\xc3\xbc\n"))), "a.[2J\tb...\xc3\xbc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

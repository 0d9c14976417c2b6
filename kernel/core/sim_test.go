package core

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/kernel/container"
	svmbackend "nom.dev/nom/kernel/svm"
	"nom.dev/nom/metal/call"
)

// A machine in simulated time: each core is a coroutine that runs the real runner and stops where the hardware would keep it: in
// VMRUN and in its sleep. Time passes only there. All is repeatable.

// cost is how long the nonkernel takes from one exit to the next entry, and slack how long it may take until the right one runs.
const (
	cost  = 200
	slack = 20 * cost
)

type sim struct {
	fakeRAM
	now64  uint64
	cores  []*simCore
	guests map[uint64]*simGuest // by the physical address of the VMCB
	m      *Machine
	root   *container.Container
	failed error
}

// simCore is one core and what it does now.
type simCore struct {
	*sim
	id      int
	kicked  bool
	wakeAt  uint64
	asleep  bool // in waitKick
	stopped bool
	yieldTo func(struct{}) bool
	next    func() (struct{}, bool)
	stop    func()
}

// action is what a guest does when it has computed for a while.
type action struct {
	compute uint64
	exit    uint64   // svm.ExitHLT or svm.ExitVMMCALL
	timer   uint64   // with ExitHLT: what it arms its timer for, from now; 0 = nothing
	call    abi.Call // with ExitVMMCALL
	args    [6]uint64
}

// simGuest is the program of one vCPU, and what is known about it without asking the code under test.
type simGuest struct {
	v       *container.VCPU
	w       *call.World
	program func() action
	doing   action
	halted  bool
	inside  *simCore // nil = no core is in the guest
	since   uint64   // wants to run since, and does not
	wants   bool
	yielded uint64 // slot in which it gave its turn away
	ran     uint64
}

func newSim(t testing.TB, cores, vcpus, started int) *sim {
	s := &sim{fakeRAM: newRAM(), now64: 100 * slotTime, guests: map[uint64]*simGuest{}}
	for i := range cores {
		s.cores = append(s.cores, &simCore{sim: s, id: i})
	}
	m, err := newMachine(s, cores, fakeHz, svmbackend.New)
	if err != nil {
		t.Fatal(err)
	}
	s.m = m
	s.root = bootFake(t, m, cores, vcpus, started, nil)
	for i, c := range s.cores {
		r := m.runners[i]
		r.hw = c
		c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
			c.yieldTo = yield
			for !c.stopped {
				r.turn()
			}
		})
	}
	for _, v := range s.root.VCPUs {
		s.guest(v).program = func() action { return action{compute: 1 << 40} }
	}
	return s
}

// guest is the guest of a vCPU.
func (s *sim) guest(v *container.VCPU) *simGuest {
	w := v.Backend.(*vcpu).world.Platform()
	g := s.guests[w.VMCB]
	if g == nil {
		g = &simGuest{v: v, w: w, yielded: ^uint64(0)}
		s.guests[w.VMCB] = g
	}
	return g
}

func (s *sim) fail(format string, args ...any) {
	if s.failed == nil {
		s.failed = fmt.Errorf("at slot %d.%03d: "+format, append([]any{s.now64 / slotTime, s.now64 % slotTime / 1000}, args...)...)
	}
}

func (s *sim) pin(int) error           { return nil }
func (s *sim) now() uint64             { return s.now64 }
func (s *sim) yield()                  { s.fail("the nonkernel spins") }
func (s *sim) powerOff(int)            { s.fail("the nonkernel switched the machine off") }
func (s *sim) vmRun(*call.World) error { return errors.New("not on a core") }
func (s *sim) waitKick(uint64) error   { return errors.New("not on a core") }

func (s *sim) kick(core int) error {
	s.cores[core].kicked = true
	return nil
}

// block lets time pass on this core until at, or until it is kicked.
func (c *simCore) block(at uint64) {
	c.wakeAt = max(at, c.now64+cost)
	if !c.yieldTo(struct{}{}) {
		c.stopped = true
	}
}

func (c *simCore) waitKick(deadline uint64) error {
	if c.kicked {
		c.kicked = false
		c.block(0)
		return nil
	}
	if deadline == 0 {
		deadline = ^uint64(0)
	}
	c.asleep = true
	c.block(deadline)
	c.asleep, c.kicked = false, false
	return nil
}

func (c *simCore) vmRun(w *call.World) error {
	v := c.vmcb(w.VMCB)
	g := c.guests[w.VMCB]
	if c.kicked {
		c.kicked = false
		notEntered(w, v)
		c.block(0)
		return nil
	}
	if g.inside != nil {
		c.fail("cores %d and %d run %v", g.inside.id, c.id, g)
	}
	if c.m.kernel.Timetable().Mask(c.id, g.v) == 0 {
		c.fail("core %d runs %v, which has no slots there", c.id, g)
	}
	dedicated := c.m.kernel.Timetable().Dedicated(c.id) == g.v && c.id != 0
	if got := w.Direct == 1; got != dedicated || got && w.Deadline != 0 {
		c.fail("core %d runs %v, direct %v with deadline %d", c.id, g, got, w.Deadline)
	}
	v.Control.ExitIntInfo, v.Control.EventInj = 0, 0
	v.Control.TLBControl = svm.TLBNothing
	v.Save.RFLAGS |= flagIF
	inject(w, v, c.now64)
	if _, took := take(v); g.halted && !took {
		c.fail("%v was woken by nothing", g)
	}
	g.halted, g.inside, g.wants = false, c, false
	c.guestRuns(g, v)
	g.inside = nil
	return nil
}

func (c *simCore) guestRuns(g *simGuest, v *svm.VMCB) {
	if g.doing.compute == 0 {
		g.doing = g.program()
	}
	start, end := c.now64, c.now64+g.doing.compute
	until := end
	for _, t := range []uint64{g.w.Deadline, g.w.TimerTSC} {
		if t != 0 {
			until = min(until, t)
		}
	}
	c.block(until)
	g.ran += c.now64 - start
	if c.now64 < end || c.stopped {
		g.doing.compute = max(end, c.now64+1) - c.now64
		v.Control.ExitCode = svm.ExitINTR
		if g.w.Direct != 0 {
			v.Control.ExitCode = svm.ExitNMI
		}
		return
	}
	g.doing.compute = 0
	v.Control.ExitCode = g.doing.exit
	switch g.doing.exit {
	case svm.ExitHLT:
		g.halted = true
		g.w.LVTT, g.w.TimerTSC = timerVector, 0
		if g.doing.timer != 0 {
			g.w.TimerTSC = c.now64 + g.doing.timer
		}
	case svm.ExitVMMCALL:
		if g.doing.call == abi.CallYield {
			g.yielded = c.now64 / slotTime
		}
		v.Save.RAX = uint64(g.doing.call)
		a := g.doing.args
		g.w.GPRs = [14]uint64{4: a[0], 3: a[1], 2: a[2], 8: a[3], 6: a[4], 7: a[5]} // RDI RSI RDX R10 R8 R9
	}
}

func (g *simGuest) String() string { return fmt.Sprintf("vCPU %d", g.v.Index) }

// runnable says that the guest has something to do.
func (g *simGuest) runnable(now uint64) bool {
	if !g.v.Started() || g.v.Core() < 0 {
		return false
	}
	return !g.halted || g.w.Pending != [4]uint64{} || g.w.TimerTSC != 0 && g.w.TimerTSC <= now
}

// advance lets the next thing happen that is due before end; false = nothing is.
func (s *sim) advance(end uint64) bool {
	var first *simCore
	for _, c := range s.cores {
		if c.kicked && c.wakeAt > s.now64+cost {
			c.wakeAt = s.now64 + cost
		}
		if first == nil || c.wakeAt < first.wakeAt {
			first = c
		}
	}
	if first.wakeAt >= end {
		s.now64 = end
		return false
	}
	s.now64 = max(s.now64, first.wakeAt)
	first.next()
	return true
}

// run lets time pass until end, and holds all the time that the right ones run.
func (s *sim) run(end uint64) error {
	for s.advance(end) && s.failed == nil {
		s.check()
	}
	return s.failed
}

// check holds what a core owes to its holders.
func (s *sim) check() {
	for _, v := range s.root.VCPUs {
		g := s.guest(v)
		if g.inside != nil || !g.runnable(s.now64) {
			g.wants = false
			continue
		}
		if !g.wants {
			g.wants, g.since = true, s.now64
		}
		if waits := s.now64 - g.since; waits > abi.FrameSlots*slotTime+slack {
			s.fail("%v wants to run since slot %d and does not", g, g.since/slotTime)
		}
	}
	slot := s.now64 / slotTime
	for _, c := range s.cores {
		f := s.m.kernel.Timetable().Frame(c.id)
		owner := f.Slots[slot%abi.FrameSlots]
		for _, v := range f.Holders() {
			g := s.guest(v)
			if !g.wants || s.now64-g.since < slack {
				continue
			}
			if c.asleep {
				s.fail("core %d sleeps, and %v wants to run since slot %d", c.id, g, g.since/slotTime)
			}
			if v == owner && s.now64%slotTime > slack && g.yielded != slot {
				s.fail("%v does not run in its own slot, of core %d", g, c.id)
			}
		}
	}
}

// changed is to be told that the timetable is another: who waits may have to wait anew.
func (s *sim) changed() {
	for _, g := range s.guests {
		g.wants = false
	}
}

func (s *sim) close() {
	for _, c := range s.cores {
		c.stopped = true
		c.stop()
	}
}

// grant gives root's own slots to one of its vCPUs; what that has on another core goes to a neighbour first.
func (s *sim) grant(r *rand.Rand) {
	v, core := s.root.VCPUs[r.IntN(len(s.root.VCPUs))], r.IntN(len(s.cores))
	if at := v.Core(); at >= 0 && at != core {
		for _, o := range s.root.VCPUs {
			if o != v && (o.Core() == at || o.Core() < 0) {
				s.try(abi.CallGrantCore, 0, uint64(o.Index), uint64(at), uint64(s.m.kernel.Timetable().Mask(at, v)))
				break
			}
		}
	}
	mask := uint64(abi.AllSlots)
	if r.IntN(4) > 0 {
		mask = 1 + r.Uint64N(abi.AllSlots)
	}
	s.try(abi.CallGrantCore, 0, uint64(v.Index), uint64(core), mask)
	s.changed()
}

// try is a call of root that may fail.
func (s *sim) try(nr abi.Call, args ...uint64) {
	var a [6]uint64
	copy(a[:], args)
	s.m.kernel.Hypercall(s.root.VCPUs[0], nr, a)
}

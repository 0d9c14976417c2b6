// Package core runs containers on the cores of the machine: one runner for each core follows the core's timetable, enters the
// vCPU whose turn it is, and answers its exits.
//
// A runner is ordinary Go on a thread that is pinned to its core. It decides nothing about resources: who may run when
// stands in the timetable (package timetable), what a hypercall may do is decided in package container. It must never
// hold the kernel's lock while a guest runs, and must leave the guest when it is kicked, so that a shootdown ends.
package core

import (
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/backend"
	"nom.dev/nom/kernel/container"
)

// vcpu is what this package keeps of a container.VCPU.
type vcpu struct {
	v     *container.VCPU
	world backend.World

	// inside is odd while a runner is between deciding to enter the guest and having read its exit. Who raises flush or
	// ends the container and then finds it even knows that the next to enter will see that first.
	inside   atomic.Uint64
	where    atomic.Pointer[runner] // who is or was inside last
	handling atomic.Bool            // a runner is between entering and having answered the exit
	flush    atomic.Bool            // translations must be flushed before the next entry

	// Of whoever is inside, or handles the exit.
	ran    *runner // has its translations, unless others ran there since
	ready  bool    // Start has been applied
	halted bool
	answer bool // rax is to be returned by the next entry
	rax    uint64
}

// enter tries to get inside, for r. First it says where, then it looks whether it may: who takes the right away and then kicks
// whom it finds there is either seen here, or finds r.
func (u *vcpu) enter(r *runner) bool {
	n := u.inside.Load()
	if n&1 != 0 || !u.inside.CompareAndSwap(n, n+1) {
		return false
	}
	u.where.Store(r)
	if u.handling.Load() || !u.v.Started() {
		u.leave()
		return false
	}
	return true
}

func (u *vcpu) leave() { u.inside.Add(1) }

// runner drives one core.
type runner struct {
	m        *Machine
	hw       hardware // as its core sees it
	core     int
	last     *vcpu // ran here last: its translations are still there
	yielded  *vcpu // gave its turn away: picked only if nobody else wants to run
	runnable func(*container.VCPU) bool
	now      uint64
}

func newRunner(m *Machine, core int) *runner {
	r := &runner{m: m, hw: m.hw, core: core}
	r.runnable = r.isRunnable
	return r
}

// loop never ends.
func (r *runner) loop() {
	if err := r.hw.pin(r.core); err != nil {
		r.m.fatal("pinning the runner of core %d: %v", r.core, err)
	}
	for {
		r.turn()
	}
}

// turn runs whoever's turn it is until an exit, or sleeps.
func (r *runner) turn() {
	k := r.m.kernel
	r.now = r.hw.now()
	if r.core == 0 {
		k.Tick(r.now)
	}
	slot := r.now / r.m.slotTicks
	v := k.Timetable().Pick(r.core, slot, r.runnable)
	if u := r.yielded; u != nil {
		r.yielded = nil
		if v == nil && u.v.Core() == r.core && r.isRunnable(u.v) {
			v = u.v
		}
	}
	if v == nil {
		r.idle()
		return
	}
	direct := r.core != 0 && k.Timetable().Dedicated(r.core) == v
	r.run(v.Backend.(*vcpu), slot, direct)
}

// isRunnable says that v has something to do now.
func (r *runner) isRunnable(v *container.VCPU) bool {
	if !v.Started() {
		return false
	}
	u := v.Backend.(*vcpu)
	if u == r.yielded || u.inside.Load()&1 != 0 || u.handling.Load() {
		return false // it moved here while another core is still at it; that core kicks this one when it is done
	}
	return !u.halted || u.world.Waiting(r.now)
}

// idle sleeps until somebody on this core has something to do. Before, core 0 zeroes memory ahead of need.
func (r *runner) idle() {
	deadline := uint64(0)
	if r.core == 0 {
		if r.m.scrub() {
			return
		}
		deadline = r.m.kernel.NextTick()
	}
	for _, v := range r.m.kernel.Timetable().Frame(r.core).Holders() {
		deadline = earlier(deadline, v.Backend.(*vcpu).alarm(r.now))
	}
	_ = r.hw.waitKick(deadline)
}

// alarm is when the timer of u, which sleeps, will wake it; 0 = it will not. Who is awake already needs no alarm.
func (u *vcpu) alarm(now uint64) uint64 {
	if !u.halted || !u.v.Started() {
		return 0
	}
	if t := u.world.Alarm(); t > now {
		return t
	}
	return 0
}

// earlier is the first of two times of which 0 means never.
func earlier(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// until is how long u may run now: for ever while nobody else wants this core, else to the end of its own slots, or of this spare one. The
// timer of one who sleeps ends it too. What else makes a vCPU runnable kicks the core.
func (r *runner) until(u *vcpu, slot uint64) uint64 {
	f := r.m.kernel.Timetable().Frame(r.core)
	deadline := uint64(0)
	if r.core == 0 {
		deadline = r.m.kernel.NextTick()
	}
	wanted := false
	for _, v := range f.Holders() {
		if o := v.Backend.(*vcpu); o != u {
			deadline = earlier(deadline, o.alarm(r.now))
			wanted = wanted || r.isRunnable(v)
		}
	}
	if !wanted {
		return deadline
	}
	end := slot + 1
	if f.Slots[slot%abi.FrameSlots] == u.v {
		for f.Slots[end%abi.FrameSlots] == u.v { // one at least is another's
			end++
		}
	}
	return earlier(deadline, end*r.m.slotTicks)
}

// run enters u until an exit, and answers it.
func (r *runner) run(u *vcpu, slot uint64, direct bool) {
	if !u.enter(r) {
		return
	}
	u.handling.Store(true)
	w := u.world
	if !u.ready {
		w.Start(u.v.Start)
		u.v.Container.Entered(r.now)
		u.ready = true
	}
	if u.answer {
		w.Return(u.rax)
		u.answer = false
	}
	// A flush that was asked for happens on one core only: on others, old translations wait for u to come back.
	flush := u.flush.Swap(false) || r.last != u || u.ran != r
	r.last, u.ran = u, r
	w.Prepare(direct, flush)
	p := w.Platform()
	p.Deadline = 0
	if !direct {
		p.Deadline = r.until(u, slot)
	}
	before := p.Ran
	err := r.hw.vmRun(p)
	ran := p.Ran - before
	exit := w.Exit()
	u.leave()
	if err != nil {
		r.m.fatal("core %d cannot run containers: %v", r.core, err)
	}
	u.v.CPUTime.Add(ran)
	u.v.Exits[exit.Reason].Add(1)
	r.handle(u, exit)
	u.handling.Store(false)
	if core := u.v.Core(); core != r.core && core >= 0 {
		_ = r.hw.kick(core) // it was moved meanwhile
	}
}

func (r *runner) handle(u *vcpu, e backend.Exit) {
	k, v := r.m.kernel, u.v
	u.halted = false
	switch e.Kind {
	case backend.KindHypercall:
		if e.Call == abi.CallYield {
			u.rax, u.answer, r.yielded = 0, true, u
			return
		}
		due := k.NextTick()
		res := k.Hypercall(v, e.Call, e.Args)
		if r.core != 0 && k.NextTick() != due {
			_ = r.hw.kick(0) // which calls Tick, and may sleep beyond the new deadline
		}
		u.rax, u.answer = res.RAX, !res.Exit
	case backend.KindPageFault:
		k.PageFault(v, e.GPA, e.Code)
	case backend.KindHalt:
		u.halted = true
	case backend.KindIPI:
		r.m.sendIPI(v, e)
	case backend.KindShutdown:
		k.End(v.Container, abi.EndShutdown, 0, 0)
	case backend.KindIllegal:
		k.End(v.Container, abi.EndIllegal, 0, e.Code)
	}
}

package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/kernel/container"
	svmbackend "nom.dev/nom/kernel/svm"
	"nom.dev/nom/metal/call"
)

// A machine of goroutines: each core is one that runs the real runner, whose guests do nothing but use the translations
// that their core has cached. It finds guests that run with older ones than a finished shootdown allows, on two cores at
// once, or after their end.

const stressCores = 3

// tables is what guests see of one container's nested page tables: a generation, by their root.
type tables struct {
	generation atomic.Uint64 // of the tables now
	required   atomic.Uint64 // no guest may use an older one: a shootdown has ended
}

// stressMachine is the hardware as everybody sees it.
type stressMachine struct {
	fakeRAM
	t      testing.TB
	start  time.Time
	cores  [stressCores]*stressCore
	tables sync.Map // nested CR3 -> *tables
	guests sync.Map // physical address of the VMCB -> *guest
	stop   atomic.Bool
	failed atomic.Pointer[string]
}

// guest is one vCPU as the hardware knows it: by its VMCB.
type guest struct {
	busy    atomic.Bool // a core is inside
	freed   atomic.Bool
	entries atomic.Uint64
	taken   atomic.Uint64 // interrupts
}

// stressCore is the hardware as one core sees it.
type stressCore struct {
	*stressMachine
	id     int
	kicked atomic.Bool
	wake   chan struct{}
	rand   *rand.Rand
	tlb    map[uint64]uint64 // nested CR3 -> oldest generation cached, under the one ASID
}

func newStressMachine(t testing.TB) *stressMachine {
	s := &stressMachine{fakeRAM: newRAM(), t: t, start: time.Now()}
	for i := range s.cores {
		s.cores[i] = &stressCore{
			stressMachine: s, id: i, wake: make(chan struct{}, 1),
			rand: rand.New(rand.NewPCG(uint64(i), 1)), tlb: map[uint64]uint64{},
		}
	}
	return s
}

func (s *stressMachine) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.failed.CompareAndSwap(nil, &text)
	s.stop.Store(true)
}

func (s *stressMachine) pin(int) error               { return nil }
func (s *stressMachine) now() uint64                 { return uint64(time.Since(s.start)) + slotTime }
func (s *stressMachine) yield()                      { runtime.Gosched() }
func (s *stressMachine) powerOff(int)                { s.fail("the nonkernel switched the machine off") }
func (s *stressMachine) vmRun(*call.World) error     { return errors.New("not on a core") }
func (s *stressMachine) waitKick(uint64) error       { return errors.New("not on a core") }
func (s *stressMachine) of(nestedCR3 uint64) *tables { return load[tables](&s.tables, nestedCR3) }

func load[T any](m *sync.Map, key uint64) *T {
	if x, ok := m.Load(key); ok {
		return x.(*T)
	}
	x, _ := m.LoadOrStore(key, new(T))
	return x.(*T)
}

func (s *stressMachine) kick(core int) error {
	c := s.cores[core]
	c.kicked.Store(true)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

func (c *stressCore) waitKick(deadline uint64) error {
	if c.kicked.Swap(false) {
		return nil
	}
	timeout := time.Hour
	if deadline != 0 {
		timeout = time.Duration(deadline) - time.Duration(c.now())
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.wake:
	case <-timer.C:
	}
	c.kicked.Store(false)
	return nil
}

// vmRun is the platform and VMRUN.
func (c *stressCore) vmRun(w *call.World) error {
	v := c.vmcb(w.VMCB)
	g := load[guest](&c.guests, w.VMCB)
	if c.kicked.Swap(false) {
		notEntered(w, v)
		return nil
	}
	if !g.busy.CompareAndSwap(false, true) {
		c.fail("two cores run the vCPU at %#x", w.VMCB)
		return nil
	}
	if v.Control.TLBControl == svm.TLBFlushAll {
		clear(c.tlb)
	}
	v.Control.ExitIntInfo, v.Control.EventInj = 0, 0
	g.entries.Add(1)
	inject(w, v, c.now())
	c.guestRuns(w, v, g)
	v.Control.TLBControl = svm.TLBNothing
	g.busy.Store(false)
	return nil
}

// guestRuns is the guest until its exit.
func (c *stressCore) guestRuns(w *call.World, v *svm.VMCB, g *guest) {
	v.Save.RFLAGS |= flagIF
	if _, ok := take(v); ok {
		g.taken.Add(1)
	}
	for n := c.rand.IntN(60); ; n-- {
		c.touch(v, g)
		switch {
		case c.kicked.Load() || c.stop.Load():
			v.Control.ExitCode = svm.ExitINTR
			if w.Direct != 0 {
				v.Control.ExitCode = svm.ExitNMI
			}
			return
		case w.Deadline != 0 && c.now() >= w.Deadline:
			v.Control.ExitCode = svm.ExitINTR
			return
		case n <= 0:
			c.exit(w, v)
			return
		}
		if n%8 == 0 {
			runtime.Gosched()
		}
	}
}

// touch uses all translations that the core has cached: there is one ASID, so whoever runs can hit any of them.
func (c *stressCore) touch(v *svm.VMCB, g *guest) {
	mine := v.Control.NestedCR3
	for root, generation := range c.tlb {
		if root != mine {
			c.fail("core %d: a guest of the tables at %#x runs with translations of those at %#x", c.id, mine, root)
		}
		if need := c.of(root).required.Load(); generation < need {
			c.fail("core %d: a guest runs with translations of generation %d after a shootdown of all before %d", c.id, generation, need)
		}
	}
	if g.freed.Load() {
		c.fail("core %d runs a vCPU that was freed", c.id)
	}
	if _, ok := c.tlb[mine]; !ok {
		c.tlb[mine] = c.of(mine).generation.Load()
	}
}

// exit is something that the guest does.
func (c *stressCore) exit(w *call.World, v *svm.VMCB) {
	switch c.rand.IntN(6) {
	case 0:
		v.Control.ExitCode, v.Save.RAX = svm.ExitVMMCALL, uint64(abi.CallYield)
	case 1:
		v.Control.ExitCode, v.Save.RAX = svm.ExitVMMCALL, uint64(abi.CallVersion)
	case 2: // an interrupt for another vCPU, or nobody
		v.Control.ExitCode, v.Control.ExitInfo1 = svm.ExitMSR, 1
		v.Save.RAX, w.GPRs[1], w.GPRs[2] = otherVector, 0x830, uint64(c.rand.IntN(8))
	case 3:
		v.Control.ExitCode, v.Control.ExitInfo1 = svm.ExitNPF, 2
		v.Control.ExitInfo2 = scratch + uint64(c.rand.IntN(64))*abi.PageSize
	case 4: // sleeps for a while
		w.LVTT, w.TimerTSC = timerVector, c.now()+uint64(c.rand.IntN(300_000))
		v.Control.ExitCode = svm.ExitHLT
	default: // sleeps until somebody sends an interrupt
		v.Control.ExitCode = svm.ExitHLT
	}
}

// watched tells the hardware what the kernel frees.
type watched struct {
	*Machine
	s *stressMachine
}

func (w watched) NewVCPU(v *container.VCPU) error {
	if err := w.Machine.NewVCPU(v); err != nil {
		return err
	}
	u := v.Backend.(*vcpu)
	w.s.guests.Store(u.world.Platform().VMCB, new(guest)) // the page may have been another's
	if t := w.s.of(v.Container.Tables.Root); v.Index == 0 {
		t.required.Store(t.generation.Add(1)) // these tables may lie where those of a dead container were
	}
	return nil
}

func (w watched) FreeVCPU(v *container.VCPU) {
	w.Machine.FreeVCPU(v)
	u, ok := v.Backend.(*vcpu)
	if !ok {
		return
	}
	g := load[guest](&w.s.guests, u.world.Platform().VMCB)
	g.freed.Store(true)
	if g.busy.Load() {
		w.s.fail("a vCPU was freed while a core runs it")
	}
}

// stress is the machine with its runners at work.
type stress struct {
	*stressMachine
	m    *Machine
	root *container.Container
	rand *rand.Rand
	done sync.WaitGroup
}

func newStress(t testing.TB, vcpus, started int) *stress {
	s := newStressMachine(t)
	m, err := newMachine(s, stressCores, fakeHz, svmbackend.New)
	if err != nil {
		t.Fatal(err)
	}
	x := &stress{stressMachine: s, m: m, rand: rand.New(rand.NewPCG(7, 7))}
	x.root = bootFake(t, m, stressCores, vcpus, started, func(m *Machine) container.Machine { return watched{m, s} })
	for i, r := range m.runners {
		r.hw = s.cores[i]
		x.done.Go(func() {
			for !s.stop.Load() {
				r.turn()
			}
		})
	}
	return x
}

// finish ends the runners and reports what the hardware saw.
func (x *stress) finish() {
	x.stop.Store(true)
	for i := range x.cores {
		_ = x.kick(i)
	}
	x.done.Wait()
	if text := x.failed.Load(); text != nil {
		x.t.Fatal(*text)
	}
}

// shootdown changes c's tables and shoots the old translations down.
func (x *stress) shootdown(of *container.Container) {
	x.m.kernel.Containers(func(c *container.Container) {
		if c != of || c.Ending() {
			return
		}
		t := x.of(c.Tables.Root)
		generation := t.generation.Add(1)
		x.m.Shootdown(c)
		t.required.Store(generation)
	})
}

// move gives random slots of a core to a random vCPU of root; what it has on another core goes to a neighbour first.
func (x *stress) move() {
	n := uint64(len(x.root.VCPUs))
	to, core := x.rand.Uint64N(n), x.rand.Uint64N(stressCores)
	v := x.root.VCPUs[to]
	if at := v.Core(); at >= 0 && at != int(core) {
		mask := x.m.kernel.Timetable().Mask(at, v)
		for _, o := range x.root.VCPUs {
			if o != v && (o.Core() == at || o.Core() < 0) {
				x.try(abi.CallGrantCore, 0, uint64(o.Index), uint64(at), uint64(mask))
				break
			}
		}
	}
	mask := uint64(abi.AllSlots)
	if x.rand.IntN(3) > 0 {
		mask = 1 + x.rand.Uint64N(abi.AllSlots)
	}
	x.try(abi.CallGrantCore, 0, to, core, mask)
}

// try is a call of root that may fail.
func (x *stress) try(nr abi.Call, args ...uint64) (uint64, bool) {
	var a [6]uint64
	copy(a[:], args)
	value, err := abi.Result(x.m.kernel.Hypercall(x.root.VCPUs[0], nr, a).RAX)
	return value, err == nil
}

// child makes a child with two vCPUs, of which one starts, on slots of root's.
func (x *stress) child() (uint64, *container.Container) {
	if err := writeSpec(x.m, x.root); err != nil {
		x.fail("%v", err)
		return 0, nil
	}
	id, ok := x.try(abi.CallCreate, scratch)
	if !ok {
		return 0, nil
	}
	x.try(abi.CallGrantCore, id, 0, x.rand.Uint64N(stressCores), 1<<x.rand.Uint64N(abi.FrameSlots))
	x.try(abi.CallStart, id, zeros)
	var made *container.Container
	x.m.kernel.Containers(func(c *container.Container) {
		if c.Parent == x.root && uint64(c.ID) == id {
			made = c
		}
	})
	return id, made
}

// stressTime is how long the stress tests last.
func stressTime() time.Duration {
	if testing.Short() {
		return 300 * time.Millisecond
	}
	return 2 * time.Second
}

// TestShootdown moves vCPUs between cores while shootdowns come and children live and die.
func TestShootdown(t *testing.T) {
	x := newStress(t, 6, 6)
	stop := make(chan struct{})
	reaped := make(chan struct{})
	go func() { x.m.kernel.Reaper(stop); close(reaped) }()
	children := map[uint64]*container.Container{}
	for end := time.Now().Add(stressTime()); time.Now().Before(end) && !x.stop.Load(); {
		switch x.rand.IntN(12) {
		case 0:
			if id, c := x.child(); c != nil {
				children[id] = c
			}
		case 1:
			for id := range children {
				x.try(abi.CallKill, id)
				if _, ok := x.try(abi.CallReap, id); ok {
					delete(children, id)
				}
				break
			}
		case 2, 3, 4:
			x.move()
		case 5:
			for _, c := range children {
				x.shootdown(c)
			}
		case 6, 7:
			v := x.root.VCPUs[x.rand.IntN(len(x.root.VCPUs))]
			x.m.Interrupt(v, otherVector)
		case 8:
			time.Sleep(time.Duration(x.rand.IntN(200)) * time.Microsecond)
		default:
			x.shootdown(x.root)
		}
	}
	close(stop)
	<-reaped
	x.finish()
	if err := x.m.kernel.Invariants(); err != nil {
		t.Error(err)
	}
}

// TestShootdownElsewhere: a shootdown while a vCPU is on another core must not be forgotten when it comes back to one
// where nobody else ran meanwhile.
func TestShootdownElsewhere(t *testing.T) {
	x := newStress(t, 1+stressCores, 1)
	v := x.root.VCPUs[0]
	g := load[guest](&x.guests, v.Backend.(*vcpu).world.Platform().VMCB)
	entered := func() {
		for n := g.entries.Load(); g.entries.Load() == n && !x.stop.Load(); runtime.Gosched() {
			x.m.Interrupt(v, otherVector)
		}
	}
	for end := time.Now().Add(stressTime() / 4); time.Now().Before(end) && !x.stop.Load(); {
		for core := range uint64(stressCores) {
			at := v.Core()
			never := uint64(at) // one that has not started, and has that core or none
			if at == 0 {
				never = stressCores
			}
			x.try(abi.CallGrantCore, 0, never, uint64(at), abi.AllSlots)
			if _, ok := x.try(abi.CallGrantCore, 0, 0, core, abi.AllSlots); !ok {
				t.Fatalf("cannot move to core %d", core)
			}
			entered()
			x.shootdown(x.root)
			entered()
		}
	}
	x.finish()
}

package core

import (
	"fmt"
	"slices"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/backend"
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/metal/call"
)

// paper is a machine without virtualization, and its backend: guests do nothing but exit, for reasons that a test wrote down.
type paper struct {
	fakeRAM
	time   uint64
	off    bool
	filled int // permission maps
}

func (p *paper) pin(int) error         { return nil }
func (p *paper) now() uint64           { return p.time }
func (p *paper) kick(int) error        { return nil }
func (p *paper) waitKick(uint64) error { return nil }
func (p *paper) yield()                {}
func (p *paper) powerOff(int)          { p.off = true }

func (p *paper) vmRun(w *call.World) error {
	w.Ran += 7
	return nil
}

func (p *paper) open(h backend.Host) (backend.Backend, error) {
	return p, nil
}

func (p *paper) Overhead() (vcpu, ports uint64) { return 1, 1 }

func (p *paper) FillPorts(pa uint64, has func(uint16) bool) { p.filled++ }

func (p *paper) NewWorld(pa, tables uint64, index int) backend.World { return &paperWorld{} }

// paperWorld notes what is done to it.
type paperWorld struct {
	call  call.World
	exits []backend.Exit // to come
	did   []string
	alarm uint64
}

func (w *paperWorld) note(format string, args ...any) {
	w.did = append(w.did, fmt.Sprintf(format, args...))
}

func (w *paperWorld) Platform() *call.World      { return &w.call }
func (w *paperWorld) Start(s abi.VCPUState)      { w.note("start %#x", s.RIP) }
func (w *paperWorld) Return(rax uint64)          { w.note("return %d", int64(rax)) }
func (w *paperWorld) Prepare(direct, flush bool) { w.note("enter %v %v", direct, flush) }
func (w *paperWorld) Raise(vector uint8)         { w.note("raise %#x", vector) }
func (w *paperWorld) Waiting(now uint64) bool    { return w.alarm != 0 && w.alarm <= now }
func (w *paperWorld) Alarm() uint64              { return w.alarm }
func (w *paperWorld) SetPorts(pa uint64)         { w.note("ports") }

func (w *paperWorld) Exit() backend.Exit {
	e := w.exits[0]
	w.exits = w.exits[1:]
	return e
}

// newPaper boots a kernel of two cores whose root container has two vCPUs.
func newPaper(t *testing.T) (*paper, *Machine, *container.Container) {
	p := &paper{fakeRAM: newRAM(), time: 100 * slotTime}
	m, err := newMachine(p, 2, fakeHz, p.open)
	if err != nil {
		t.Fatal(err)
	}
	return p, m, bootFake(t, m, 2, 2, 2, nil)
}

func paperOf(v *container.VCPU) *paperWorld { return v.Backend.(*vcpu).world.(*paperWorld) }

// TestBackend: the runner needs nothing of a backend but its interface: what each kind of exit leads to, in order.
func TestBackend(t *testing.T) {
	p, m, root := newPaper(t)
	v, other := root.VCPUs[0], root.VCPUs[1]
	w, r := paperOf(v), m.runners[0]
	w.exits = []backend.Exit{
		{Kind: backend.KindHypercall, Reason: abi.ExitHypercall, Call: abi.CallVersion},
		{Kind: backend.KindPageFault, Reason: abi.ExitPageFault, GPA: scratch, Code: 2},
		{Kind: backend.KindIPI, Reason: abi.ExitMSR, Vector: otherVector, Target: 1},
		{Kind: backend.KindIPI, Reason: abi.ExitMSR, Vector: otherVector, AndSelf: true, Target: ^uint32(0)},
		{Kind: backend.KindResume, Reason: abi.ExitCPUID},
		{Kind: backend.KindHypercall, Reason: abi.ExitHypercall, Call: abi.CallYield},
		{Kind: backend.KindInterrupt, Reason: abi.ExitInterrupt},
		{Kind: backend.KindHalt, Reason: abi.ExitHalt},
	}
	for range 6 {
		r.turn()
	}
	m.Shootdown(root)
	r.turn()
	r.turn()
	if got, want := w.did, []string{
		"ports", "start 0x1000", "enter false true", fmt.Sprintf("return %d", abi.Version), "enter false false", "enter false false", "enter false false",
		"raise 0x31", "enter false false", "enter false false", "return 0", "enter false true", "enter false false",
	}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got, want := paperOf(other).did, []string{"ports", "raise 0x31"}; !slices.Equal(got, want) {
		t.Errorf("the other vCPU: got %q, want %q", got, want)
	}
	if _, _, ok := root.Tables.Translate(scratch); !ok {
		t.Error("the page that the guest touched is not there")
	}
	want := [abi.NumExits]uint64{abi.ExitHypercall: 2, abi.ExitPageFault: 1, abi.ExitMSR: 2, abi.ExitCPUID: 1, abi.ExitInterrupt: 1, abi.ExitHalt: 1}
	for reason := range want {
		if got := v.Exits[reason].Load(); got != want[reason] {
			t.Errorf("exits for reason %d: got %d, want %d", reason, got, want[reason])
		}
	}
	if got := v.CPUTime.Load(); got != 8*7 {
		t.Errorf("CPU time: got %d, want %d", got, 8*7)
	}
	if w.alarm = p.time + 1; r.isRunnable(v) {
		t.Error("who sleeps is runnable before the alarm")
	}
	p.time++
	if r.now = p.time; !r.isRunnable(v) {
		t.Error("who sleeps is not runnable when the alarm is due")
	}
	if p.filled != 1 {
		t.Errorf("%d permission maps were written, want that of root", p.filled)
	}
	if p.off {
		t.Error("the nonkernel switched the machine off")
	}
}

// TestBackendDirect: who has all of a core that is not the first one owns it.
func TestBackendDirect(t *testing.T) {
	_, m, root := newPaper(t)
	hypercall(t, root.VCPUs[0], m, abi.CallGrantCore, 0, 1, 1, abi.AllSlots)
	w := paperOf(root.VCPUs[1])
	w.exits = []backend.Exit{{Kind: backend.KindNMI, Reason: abi.ExitNMI}}
	m.runners[1].turn()
	if want := []string{"ports", "start 0x0", "enter true true"}; !slices.Equal(w.did, want) {
		t.Errorf("got %q, want %q", w.did, want)
	}
}

// TestBackendEnds: exits after which a container cannot go on.
func TestBackendEnds(t *testing.T) {
	for _, c := range []struct {
		exit   backend.Exit
		reason int
		info   uint64
	}{
		{backend.Exit{Kind: backend.KindShutdown, Reason: abi.ExitOther}, abi.EndShutdown, 0},
		{backend.Exit{Kind: backend.KindIllegal, Reason: abi.ExitOther, Code: 0x77}, abi.EndIllegal, 0x77},
		{backend.Exit{Kind: backend.KindPageFault, Reason: abi.ExitPageFault, GPA: 1 << 40}, abi.EndMemory, 1 << 40},
	} {
		_, m, root := newPaper(t)
		paperOf(root.VCPUs[0]).exits = []backend.Exit{c.exit}
		m.runners[0].turn()
		reason, _, info := root.End()
		if !root.Ending() || int(reason) != c.reason || info != c.info {
			t.Errorf("%+v: ending %v, reason %d, info %#x", c.exit, root.Ending(), reason, info)
		}
	}
}

// TestNoBackend: without a backend there is no machine.
func TestNoBackend(t *testing.T) {
	p := &paper{fakeRAM: newRAM()}
	none := func(backend.Host) (backend.Backend, error) { return nil, fmt.Errorf("none here") }
	if m, err := newMachine(p, 1, fakeHz, none); err == nil || m != nil {
		t.Errorf("got %v, %v", m, err)
	}
}

package core

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/backend"
	"nom.dev/nom/kernel/container"
)

// Machine is the hardware side of a container.Kernel: cores, vCPUs, memory. Use New, Use, then Run.
type Machine struct {
	hw        hardware
	backend   backend.Backend
	kernel    *container.Kernel
	runners   []*runner
	slotTicks uint64
	ended     chan *container.Container
	scrubbed  atomic.Int64 // pages zeroed ahead since a container last ended
	hooks     Hooks
	fresh     bool // the debug console is at the start of a line
}

// New prepares the machine that boot describes, with the backend that open makes.
func New(boot *abi.BootPage, open backend.Open) (*Machine, error) {
	return newMachine(bare{}, int(boot.NumCPUs), boot.TSCHz, open)
}

func newMachine(hw hardware, cores int, tscHz uint64, open backend.Open) (*Machine, error) {
	m := &Machine{
		hw:        hw,
		slotTicks: tscHz / 1_000_000 * abi.SlotMicros,
		ended:     make(chan *container.Container, abi.MaxContainers),
		fresh:     true,
	}
	var err error
	if m.backend, err = open(m); err != nil {
		return nil, err
	}
	for i := range cores {
		m.runners = append(m.runners, newRunner(m, i))
	}
	return m, nil
}

// Overhead is how many pages the backend takes for each vCPU, and for the ports of each container.
func (m *Machine) Overhead() (vcpu, ports uint64) { return m.backend.Overhead() }

// Use says which kernel m works for, before that makes its first container.
func (m *Machine) Use(k *container.Kernel) { m.kernel = k }

// Run starts the runners of all cores.
func (m *Machine) Run() {
	for _, r := range m.runners {
		go r.loop()
	}
}

// Endings delivers every container that has ended and returned what it had.
func (m *Machine) Endings() <-chan *container.Container { return m.ended }

func (m *Machine) fatal(format string, args ...any) {
	fmt.Printf("nom: "+format+"\n", args...)
	m.hw.powerOff(125)
}

// What backend.Host and container.Machine ask for.

// Phys is host memory.
func (m *Machine) Phys(pa, n uint64) []byte { return m.hw.phys(pa, n) }

// Pages takes contiguous zeroed memory, for ever.
func (m *Machine) Pages(n int) (uint64, error) { return m.hw.pages(n) }

// CPUID is that of the core it is called on.
func (m *Machine) CPUID(leaf, sub uint32) (a, b, c, d uint32) { return m.hw.cpuid(leaf, sub) }

// NewVCPU builds v's world from its container's overhead.
func (m *Machine) NewVCPU(v *container.VCPU) error {
	c := v.Container
	if c.Backend == nil {
		c.Backend = &ports{}
	}
	pages, _ := m.backend.Overhead()
	pa, ok := m.kernel.AllocPages(c, int(pages))
	if !ok {
		return fmt.Errorf("no pages for vCPU %d of %s", v.Index, c.Name)
	}
	clear(m.Phys(pa, pages*abi.PageSize))
	v.Backend = &vcpu{v: v, world: m.backend.NewWorld(pa, c.Tables.Root, v.Index)}
	return nil
}

// ports is what this package keeps of a container: its own I/O permission map, once it has ports.
type ports struct{ iopm uint64 }

// FreeVCPU waits until no runner is inside v.
func (m *Machine) FreeVCPU(v *container.VCPU) {
	u, ok := v.Backend.(*vcpu)
	if !ok {
		return
	}
	m.expel(u)
}

// expel makes u leave its guest and returns when it has. What was raised before is seen by the next entry.
func (m *Machine) expel(u *vcpu) {
	at := u.inside.Load()
	if at&1 == 0 {
		return
	}
	for u.inside.Load() == at {
		m.kick(u)
		m.hw.yield()
	}
}

// kick makes the runner that u is inside of, or whose turn it would be, look up.
func (m *Machine) kick(u *vcpu) {
	if r := u.where.Load(); r != nil {
		_ = m.hw.kick(r.core)
	}
}

// Kick makes v leave its guest, or its core look whether to run it.
func (m *Machine) Kick(v *container.VCPU) {
	u := v.Backend.(*vcpu)
	m.kick(u)
	if core := v.Core(); core >= 0 {
		_ = m.hw.kick(core)
	}
}

// Shootdown returns when no vCPU of c can use an older translation.
func (m *Machine) Shootdown(c *container.Container) {
	for _, v := range c.VCPUs {
		if u, ok := v.Backend.(*vcpu); ok {
			u.flush.Store(true)
		}
	}
	for _, v := range c.VCPUs {
		if u, ok := v.Backend.(*vcpu); ok {
			m.expel(u)
		}
	}
	if m.hooks.Shootdown != nil {
		m.hooks.Shootdown(c)
	}
}

// Interrupt makes vector pending at v and wakes it.
func (m *Machine) Interrupt(v *container.VCPU, vector uint8) {
	u := v.Backend.(*vcpu)
	u.world.Raise(vector)
	m.Kick(v)
}

// Retime makes a core read its timetable again.
func (m *Machine) Retime(core int) {
	if m.hooks.Retime != nil {
		m.hooks.Retime(core)
	}
	_ = m.hw.kick(core)
}

// Ports rewrites c's I/O permission map.
func (m *Machine) Ports(c *container.Container) {
	p, ok := c.Backend.(*ports)
	if !ok {
		return
	}
	if p.iopm == 0 {
		_, pages := m.backend.Overhead()
		pa, ok := m.kernel.AllocPages(c, int(pages))
		if !ok {
			return
		}
		p.iopm = pa
	}
	m.backend.FillPorts(p.iopm, c.HasPort)
	for _, v := range c.VCPUs {
		v.Backend.(*vcpu).world.SetPorts(p.iopm)
	}
	m.Shootdown(c)
}

// ahead is how many pages are kept zeroed for containers to come.
const ahead = 32 << 20 / abi.PageSize

// scrub zeroes some free pages ahead of need, and says whether there were any.
func (m *Machine) scrub() bool {
	if m.scrubbed.Load() >= ahead {
		return false
	}
	n := m.kernel.Scrub(64)
	m.scrubbed.Add(int64(n))
	return n > 0
}

// Ended hands c to whoever reads Endings; when nobody does, it is forgotten.
func (m *Machine) Ended(c *container.Container) {
	m.scrubbed.Store(0)
	select {
	case m.ended <- c:
	default:
	}
}

// Now is the time stamp counter.
func (m *Machine) Now() uint64 { return m.hw.now() }

// sendIPI makes an interrupt pending at vCPUs of the sender's own container; there is no way to name others.
func (m *Machine) sendIPI(from *container.VCPU, e backend.Exit) {
	for i, v := range from.Container.VCPUs {
		to := !e.All && uint32(i) == e.Target
		if e.All {
			to = v != from
		}
		if e.AndSelf && v == from {
			to = true
		}
		if !to || !v.Started() {
			continue
		}
		u := v.Backend.(*vcpu)
		u.world.Raise(e.Vector)
		if v != from {
			m.Kick(v)
		}
	}
}

// DebugWrite prints what a container says by abi.CallDebugWrite on the machine's console, marked with its name.
func (m *Machine) DebugWrite(c *container.Container, b []byte) {
	for _, line := range bytes.SplitAfter(b, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		if m.fresh {
			fmt.Printf("[%s] ", c.Name)
		}
		m.fresh = line[len(line)-1] == '\n'
		_, _ = os.Stdout.Write(printable(line))
	}
}

// printable replaces what a terminal could take for a command.
func printable(b []byte) []byte {
	for i, ch := range b {
		if ch < ' ' && ch != '\n' && ch != '\t' || ch == 0x7f {
			b[i] = '.'
		}
	}
	return b
}

package container

import (
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// Container is one container. ID to Created do not change once it exists.
type Container struct {
	ID      uint32 // by which its parent knows it: unique among the children that the parent ever had
	Slot    int    // 0 to abi.MaxContainers-1: unique among those that exist, free again when it is reaped
	Name    string
	Parent  *Container // nil for root
	VCPUs   []*VCPU
	Tables  *npt.Tables
	EventPA uint64 // frame of its event page
	PricePA uint64 // frame of its price page
	Created uint64 // TSC
	Backend any    // for the Machine

	state   atomic.Uint32 // abi.StateCreated ...
	ending  atomic.Bool
	entered atomic.Uint64 // TSC of the first entry

	// The rest is guarded by Kernel.mu.

	memory    uint64 // pages of the guest-physical address space
	overhead  uint64 // pages charged to the parent beside granted
	used      uint64 // of overhead, taken
	granted   uint64 // pages of its own
	attached  uint64 // of granted, backed by frames
	given     uint64 // of granted, given to children with their overhead
	peak      uint64
	lent      uint64 // pages borrowed from ancestors or the host
	holes     uint64 // pages that it returned and that have not come back
	restore   uint64 // of holes, granted again but not yet put back in place
	lastHole  uint64 // page number of the hole that comes back first
	limit     uint64 // first page beyond its memory
	reclaim   pageReclaim
	slots     []uint32 // by core: the slots it has, those given to children included
	slotsLent []uint32 // by core: of these, given to children
	ports     *portMap
	portTotal int    // of root: how many ports there are
	runs      []run  // pages of the backend
	backend   uint64 // sum of runs

	depth       int    // root has 0
	lastID      uint32 // of the last child it made
	dma         DMA    // what its devices reach; nil without devices
	dmaPages    uint64 // of overhead, for the tables of that
	dmaUsed     uint64 // of these, taken
	children    []*Container
	childEvents uint64
	generation  uint64 // of the event page
	end         uint32
	code        uint32
	info        uint64
	mainTSC     uint64
	endTSC      uint64
	phase       int                // of its death
	did         []abi.DeviceStatus // of one that has ended: what its devices did
	debug       bucket
}

// VCPU is one virtual processor of a container.
type VCPU struct {
	Container *Container
	Index     int
	Backend   any // for the Machine

	Exits   [16]atomic.Uint64 // by reason: abi.ExitHypercall ...; counted by the Machine
	CPUTime atomic.Uint64     // TSC ticks in the guest; counted by the Machine

	Start   abi.VCPUState // where it begins; valid once Started
	started atomic.Bool

	// The rest is guarded by Kernel.mu; a core reads the timetable instead.

	core    int // where it has slots, or -1
	home    int // where it had slots last, or -1
	slots   uint32
	reclaim slotReclaim
	where   atomic.Int32 // core, to be read without the lock
}

// Core is the core on which v has slots, or -1. It needs no lock.
func (v *VCPU) Core() int { return int(v.where.Load()) }

func (v *VCPU) setCore(core int) {
	v.core = core
	v.where.Store(int32(core))
}

type run struct{ pa, pages uint64 }

// pageReclaim is an outstanding demand for pages.
type pageReclaim struct {
	pages    uint64 // 0 = none
	deadline uint64
	due      bool   // the deadline has passed
	cursor   uint64 // taking has come down to this page
}

// slotReclaim is an outstanding demand for core slots.
type slotReclaim struct {
	slots    uint32 // 0 = none
	core     int
	deadline uint64
}

// Ending says that c must not run any more. It needs no lock; who checks it and then runs c must be reachable by
// Machine.Kick and Machine.Shootdown in between.
func (c *Container) Ending() bool { return c.ending.Load() }

// State is abi.StateCreated, StateRunning or StateEnded. It needs no lock.
func (c *Container) State() uint32 { return c.state.Load() }

// Entered notes the time at which a vCPU of c first ran. It needs no lock.
func (c *Container) Entered(tsc uint64) {
	if c.entered.Load() == 0 {
		c.entered.CompareAndSwap(0, tsc)
	}
}

// Started says that v may run: it has been started and its container is not ending. It needs no lock.
func (v *VCPU) Started() bool { return v.started.Load() && !v.Container.ending.Load() }

// owner is how the frames of c are marked.
func (c *Container) owner() uint32 { return uint32(c.Slot) + 1 }

// available is how many pages c can still attach or give away.
func (c *Container) available() uint64 { return c.granted - c.attached - c.given }

// alive says that c has not ended and is not about to.
func (c *Container) alive() bool { return !c.ending.Load() }

// End says why c ended, with its exit code and further information; for reports, when State is abi.StateEnded.
func (c *Container) End() (reason, code uint32, info uint64) { return c.end, c.code, c.info }

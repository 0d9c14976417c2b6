// Package container is the nonkernel's bookkeeping: the tree of containers, what each holds, and the hypercalls by which
// they give to and take from each other. It knows nothing of the processor: a Machine does what needs hardware.
//
// What always holds is checked by Kernel.Invariants. In short: a frame has one owner; of each resource, what the
// containers hold plus what is free is what the machine has; nobody gives what it does not have; a container that ends
// returns everything to its parent before Status says that it has ended.
//
// # Locks
//
// Kernel has one lock, for control operations (and one for the console, never held together with it); each exported method takes it, unless its comment says that the caller
// holds it or that none is needed. No other lock is taken below it, and every method of Machine is called with it
// held. Machine.Shootdown waits for other cores with the lock held: a core must acknowledge a shootdown without this
// lock, by being outside of the guest. What a core needs in order to choose and enter a vCPU (Timetable,
// VCPU.Runnable, VCPU.Start, Container.Tables.Root) needs no lock.
//
// # Bounds
//
// With the lock held, no call does more than this: zero four big frames (2 MiB each), copy abi.CopyMax bytes, edit
// abi.LendMax entries or free stepPages pages, visit all containers and vCPUs (256 x 16) once, and wait for one
// shootdown. What needs more is done in steps by Reaper.
//
// The package must never trust a number or an address that came from a container, and never read a page twice for one
// decision.
package container

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/frames"
	"nom.dev/nom/kernel/npt"
	"nom.dev/nom/kernel/timetable"
)

// Machine is what the nonkernel's hardware side does for this package. All methods but DebugWrite are called with the
// kernel's lock held and must not call the kernel's exported methods, except AllocPages from NewVCPU and Ports.
type Machine interface {
	// Phys is n bytes of host memory at pa, which do not cross the frame that was granted. The contents may change at
	// any time: guests write there.
	Phys(pa, n uint64) []byte
	// Table is the page at pa as a page table.
	Table(pa uint64) *[512]uint64
	// NewVCPU makes the backend's state of v. Its memory comes from AllocPages, at most Config.VCPUPages for each vCPU
	// and Config.ContainerPages with the first; the kernel frees it.
	NewVCPU(v *VCPU) error
	// FreeVCPU is told that v has ended. After it returns no core may use v or its pages.
	FreeVCPU(v *VCPU)
	// Kick makes v leave its guest soon and look at its flags, or its core look whether to run it.
	Kick(v *VCPU)
	// Shootdown returns when no vCPU of c can use a translation older than the call.
	Shootdown(c *Container)
	// Interrupt makes vector pending at v and wakes it.
	Interrupt(v *VCPU, vector uint8)
	// Retime is told that the timetable of core has changed.
	Retime(core int)
	// Ports is told that Container.HasPort answers differently now.
	Ports(c *Container)
	// Ended is told that c has ended and returned everything.
	Ended(c *Container)
	// DebugWrite prints b on the machine's console, marked with the name of c. It may take its time: the kernel's lock is
	// free, only further DebugWrites wait.
	DebugWrite(c *Container, b []byte)
	// Now is the time stamp counter.
	Now() uint64
}

// PortRange is a stretch of I/O ports.
type PortRange struct{ First, Count uint32 }

// Config says what the kernel manages.
type Config struct {
	Machine Machine
	Memory  []abi.Range // what it grants
	Cores   int
	TSCHz   uint64
	Ports   []PortRange // what root gets; nil = all

	VCPUPages      uint64 // pages that the backend takes for each vCPU, and
	ContainerPages uint64 // for each container

	// DMAPages is how many pages the tables take at most by which devices reach an address space of so many bytes. It is called
	// only for containers that are given a device; nil = there are no devices.
	DMAPages func(memory uint64) uint64

	// BigFrom is the guest-physical address from which on big frames are attached; 0 = DefaultBigFrom. What lies below
	// is touched here and there by every program: attached in smaller pieces, it keeps an idle container small.
	BigFrom uint64

	// Zero clears memory in whole pages; nil = the language's clear.
	Zero func(b []byte)

	// Bug is told when the kernel finds that it made a mistake. It goes on if Bug returns. nil panics.
	Bug func(error)
}

// Kernel is the tree of containers and what it is made of. Use New.
type Kernel struct {
	cfg       Config
	m         Machine
	frames    *frames.Allocator
	timetable *timetable.Table[*VCPU]
	next      atomic.Uint64 // earliest deadline that Tick must look at
	work      chan struct{} // wakes Reaper

	printing sync.Mutex // held during Machine.DebugWrite; never together with mu

	mu    sync.Mutex
	root  *Container
	all   []*Container            // alive or not yet reaped
	taken [abi.MaxContainers]bool // by Container.Slot
	dying []*Container            // to be taken apart, children before parents
	due   []*Container            // to have pages taken by force
	turn  bool                    // of Step: due before dying
	freed []uint64                // scratch: pages to free after the shootdown
	host  []abi.Range             // host memory that was lent

	devices  []*Device
	hardware Devices // nil without devices
}

// DefaultBigFrom is Config.BigFrom unless it says otherwise.
const DefaultBigFrom = 32 << 20

const never = ^uint64(0)

// New makes a kernel without containers.
func New(cfg Config) (*Kernel, error) {
	if cfg.Cores < 1 || cfg.TSCHz == 0 || cfg.Machine == nil {
		return nil, errors.New("container: a kernel needs a machine, at least one core and the rate of its clock")
	}
	if cfg.Zero == nil {
		cfg.Zero = func(b []byte) { clear(b) }
	}
	if cfg.BigFrom == 0 {
		cfg.BigFrom = DefaultBigFrom
	}
	k := &Kernel{
		cfg:       cfg,
		m:         cfg.Machine,
		timetable: timetable.New[*VCPU](cfg.Cores),
		work:      make(chan struct{}, 1),
		all:       make([]*Container, 0, abi.MaxContainers),
		dying:     make([]*Container, 0, abi.MaxContainers),
		due:       make([]*Container, 0, abi.MaxContainers),
		freed:     make([]uint64, 0, stepPages),
	}
	k.next.Store(never)
	var err error
	k.frames, err = frames.New(cfg.Memory, func(pa, size uint64) { cfg.Zero(k.m.Phys(pa, size)) })
	return k, err
}

// Timetable says who runs where. Reading it needs no lock.
func (k *Kernel) Timetable() *timetable.Table[*VCPU] { return k.timetable }

// Memory is how many pages the machine has and how many belong to nobody now.
func (k *Kernel) Memory() (total, free uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.frames.Total(), k.frames.Available()
}

// Scrub zeroes up to pages free pages ahead of need and says how many; for idle cores.
func (k *Kernel) Scrub(pages int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.frames.Scrub(pages)
}

// Overhead is how many pages a container costs its parent beside its grant, for an address space of memory bytes.
func (k *Kernel) Overhead(memory uint64, vcpus int) uint64 {
	return npt.Pages(memory) + fixedPages + k.cfg.ContainerPages + uint64(vcpus)*k.cfg.VCPUPages
}

// fixedPages are the event page and the price page.
const fixedPages = 2

func (k *Kernel) bug(format string, args ...any) {
	err := fmt.Errorf("container: "+format, args...)
	if k.cfg.Bug == nil {
		panic(err)
	}
	k.cfg.Bug(err)
}

// wake makes Reaper look for work.
func (k *Kernel) wake() {
	select {
	case k.work <- struct{}{}:
	default:
	}
}

// Root is the first container, or nil.
func (k *Kernel) Root() *Container {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.root
}

// Containers calls f with each container that is alive or not yet reaped. f runs under the lock.
func (k *Kernel) Containers(f func(c *Container)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.all {
		f(c)
	}
}

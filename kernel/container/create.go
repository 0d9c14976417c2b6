package container

import (
	"errors"
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// RootSpec describes the root container.
type RootSpec struct {
	Name  string
	VCPUs int    // vCPU i gets all slots of core i; slots of further cores stay unassigned until root grants them
	Lent  uint64 // pages of host memory that will be lent to it
	Room  uint64 // bytes of address space behind its memory, for GiveRoot; a multiple of 2 MiB
}

// NewRoot makes the root container: it gets everything the machine has, less its own overhead.
func (k *Kernel) NewRoot(spec RootSpec) (*Container, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.root != nil {
		return nil, errors.New("container: there is a root container already")
	}
	if spec.VCPUs < 1 || spec.VCPUs > abi.MaxVCPUs {
		return nil, fmt.Errorf("container: root with %d vCPUs: give 1 to %d", spec.VCPUs, abi.MaxVCPUs)
	}
	total := k.frames.Available()
	memory := ((total+spec.Lent+abi.ReservedPages)*abi.PageSize + npt.Size2M - 1) &^ (npt.Size2M - 1)
	memory += spec.Room
	overhead, tables := k.Overhead(memory, spec.VCPUs), uint64(0)
	if spec.Room != 0 {
		tables = k.dmaPages(memory)
		overhead += tables
	}
	if memory > abi.MaxMemory || total <= overhead {
		return nil, fmt.Errorf("container: %d pages of memory do not fit a root container with an overhead of %d", total, overhead)
	}
	c, err := k.build(nil, spec.Name, spec.VCPUs, total-overhead, memory)
	if err != nil {
		return nil, err
	}
	c.overhead += tables
	c.dmaPages = tables
	for core := range k.cfg.Cores {
		c.slots[core] = abi.AllSlots
		if core < spec.VCPUs {
			k.assign(c.VCPUs[core], core, abi.AllSlots)
		}
	}
	c.ports, c.portTotal = newPortMap(k.cfg.Ports)
	k.root = c
	k.m.Ports(c)
	k.update(c)
	return c, nil
}

// reserve is how many containers more must be possible for each level by which a creator lies beneath root: whoever
// makes children without end leaves room for those above it.
const reserve = abi.MaxContainers / 8

// callCreate is create(spec).
func (k *Kernel) callCreate(c *Container, gpa uint64) (id uint64, err abi.Errno) {
	var raw [specSize]byte
	if err := k.copyIn(c, raw[:], gpa); err != 0 {
		return 0, err
	}
	spec, ok := decodeSpec(&raw)
	if !ok {
		return 0, abi.EINVAL
	}
	if abi.MaxContainers-len(k.all) <= reserve*min(c.depth, 3) || c.lastID == 1<<32-1 {
		return 0, abi.ENOSPC
	}
	if c.reclaim.due {
		return 0, abi.EAGAIN // its pages are being taken: it may not give them away first
	}
	if c.available() < spec.Pages+k.Overhead(spec.Memory, int(spec.VCPUs)) {
		return 0, abi.ENOMEM
	}
	child, fail := k.build(c, nameOf(&spec.Name), int(spec.VCPUs), spec.Pages, spec.Memory)
	if fail != nil {
		return 0, abi.ENOSPC
	}
	k.update(child)
	return uint64(child.ID), 0
}

// build makes a container of pages granted pages and an address space of memory bytes. The parent must have them.
func (k *Kernel) build(parent *Container, name string, vcpus int, pages, memory uint64) (*Container, error) {
	c := &Container{
		ID:        1,
		Slot:      k.slot(),
		Name:      name,
		Parent:    parent,
		Created:   k.m.Now(),
		memory:    memory / abi.PageSize,
		overhead:  k.Overhead(memory, vcpus),
		granted:   pages,
		limit:     pages + abi.ReservedPages,
		lastHole:  noHole,
		slots:     make([]uint32, k.cfg.Cores),
		slotsLent: make([]uint32, k.cfg.Cores),
	}
	c.state.Store(abi.StateCreated)
	c.debug = bucket{bytes: abi.DebugWriteRate, filled: c.Created}
	if parent != nil {
		parent.lastID++
		c.ID, c.depth = parent.lastID, parent.depth+1
		parent.given += c.granted + c.overhead
		parent.children = append(parent.children, c)
	}
	k.all = append(k.all, c)
	if err := k.furnish(c, vcpus); err != nil {
		k.demolish(c)
		return nil, err
	}
	return c, nil
}

// slot takes a free slot; the caller knows that there is one.
func (k *Kernel) slot() int {
	for i := range k.taken {
		if !k.taken[i] {
			k.taken[i] = true
			return i
		}
	}
	k.bug("more than %d containers", abi.MaxContainers)
	return 0
}

var errNoPages = errors.New("container: no pages for a new container")

// furnish provides what the nonkernel and the machine keep for c.
func (k *Kernel) furnish(c *Container, vcpus int) (err error) {
	if c.Tables, err = npt.New(c.memory*abi.PageSize, k.tableSource(c)); err != nil {
		return err
	}
	if err := c.Tables.Mark(0, uint64(neverMapped)); err != nil {
		return err
	}
	for _, p := range []struct {
		pa   *uint64
		gpa  uint64
		bits npt.Entry
	}{
		{&c.EventPA, abi.EventPageAddr, npt.Reserved | npt.W},
		{&c.PricePA, abi.PricePageAddr, npt.Reserved},
	} {
		pa, ok := k.overheadPage(c)
		if !ok {
			return errNoPages
		}
		*p.pa = pa
		if err := c.Tables.Map(p.gpa, pa, npt.Size4K, p.bits); err != nil {
			return err
		}
	}
	for i := range vcpus {
		v := &VCPU{Container: c, Index: i, home: -1}
		v.setCore(-1)
		c.VCPUs = append(c.VCPUs, v)
		if err := k.m.NewVCPU(v); err != nil {
			c.VCPUs = c.VCPUs[:i]
			return fmt.Errorf("container: vCPU %d of %q: %w", i, c.Name, err)
		}
	}
	return nil
}

// demolish undoes build for a container that never came to life.
func (k *Kernel) demolish(c *Container) {
	c.ending.Store(true)
	for _, v := range c.VCPUs {
		k.m.FreeVCPU(v)
	}
	for c.Tables != nil && !k.destroyTables(c) {
	}
	k.release(c)
	k.forget(c)
}

// callStart is start(id, state).
func (k *Kernel) callStart(c *Container, id, gpa uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if child.State() != abi.StateCreated {
		return abi.EBUSY
	}
	state, err := k.readState(c, gpa)
	if err != 0 {
		return err
	}
	k.start(child, state)
	return 0
}

// Start lets vCPU 0 of a container that has not started run; for root.
func (k *Kernel) Start(c *Container, state abi.VCPUState) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !validState(state) || !c.alive() || c.State() != abi.StateCreated {
		return fmt.Errorf("container: start %q: it runs already, or begins outside of 64-bit mode: %+v", c.Name, state)
	}
	k.start(c, state)
	return nil
}

func (k *Kernel) start(c *Container, state abi.VCPUState) {
	c.state.Store(abi.StateRunning)
	k.startVCPU(c.VCPUs[0], state)
}

func (k *Kernel) startVCPU(v *VCPU, state abi.VCPUState) {
	v.Start = state
	v.started.Store(true)
	k.m.Kick(v)
}

// callStartVCPU is startvcpu(vcpu, state).
func (k *Kernel) callStartVCPU(c *Container, index, gpa uint64) abi.Errno {
	if index >= uint64(len(c.VCPUs)) {
		return abi.EINVAL
	}
	state, err := k.readState(c, gpa)
	if err != 0 {
		return err
	}
	v := c.VCPUs[index]
	if v.started.Load() {
		return abi.EBUSY
	}
	k.startVCPU(v, state)
	return 0
}

func (k *Kernel) readState(c *Container, gpa uint64) (state abi.VCPUState, err abi.Errno) {
	var raw [stateSize]byte
	if err := k.copyIn(c, raw[:], gpa); err != 0 {
		return state, err
	}
	state = decodeState(&raw)
	if !validState(state) {
		return state, abi.EINVAL
	}
	return state, 0
}

// Package container makes and runs containers from Go: hardware virtual machines that get their memory and cores from
// the program that makes them. Any program in any container may use it, so containers nest.
//
// The short way is Launch, which starts a program; Create and the methods of Container are the single steps. What a
// container does to its creator's memory it can do only through the pages that were lent to it, above all the console
// ring, and everything read from those is taken as hostile.
//
// It follows the hypercalls of package abi and the plans of abi/layout. The package must never decide how much anybody
// gets, and must never import the nonkernel.
package container

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
)

// Spec says what Create makes.
type Spec struct {
	Name   string // for reports: printable ASCII, shorter than abi.NameLen
	VCPUs  int
	Pages  uint64 // memory granted at first
	Memory uint64 // bytes of guest-physical address space: how far Pages may ever grow, what is lent included

	Devices bool // it will be given some: Overhead counts the tables by which they reach its memory
}

// Container is a child of the calling program's container.
type Container struct {
	id   uint32
	spec Spec

	held    []metal.Physical // lent to it for as long as it exists
	console *ring
	control controller
	output  func(stream int, data []byte)
	watcher *Watcher
	devices []uint32

	done   chan struct{}
	last   abi.Status // valid after done
	err    error      // likewise: why last is not known
	closed atomic.Bool

	profiled atomic.Bool // somebody does
	captured atomic.Bool // likewise
	drops    drops
}

// Create makes a container in which nothing lies yet. Its pages come out of what the caller was granted.
func Create(spec Spec) (*Container, error) {
	raw, err := encodeSpec(spec)
	if err != nil {
		return nil, fmt.Errorf("creating container %q: %w", spec.Name, err)
	}
	if err := reserve(spec.Pages + Overhead(spec)); err != nil {
		return nil, fmt.Errorf("creating container %q: %w", spec.Name, err)
	}
	var id uint64
	err = withScratch(func(s scratch) error {
		copy(s.bytes, raw)
		id, err = metal.Hypercall(abi.CallCreate, s.addr, 0, 0, 0, 0, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("creating container %q with %d pages and %d vCPUs: %w", spec.Name, spec.Pages, spec.VCPUs, err)
	}
	return &Container{id: uint32(id), spec: spec, done: make(chan struct{})}, nil
}

// ID is the number by which the nonkernel knows the container.
func (c *Container) ID() uint32 { return c.id }

// Name is what the container is called.
func (c *Container) Name() string { return c.spec.Name }

// call issues a hypercall whose first argument is the container.
func (c *Container) call(what string, nr abi.Call, b, d, e, f uint64) (uint64, error) {
	v, err := metal.Hypercall(nr, uint64(c.id), b, d, e, f, 0)
	if err != nil {
		return 0, fmt.Errorf("container %s: %s: %w", c.spec.Name, what, err)
	}
	return v, nil
}

// Start lets vCPU 0 run, and starts to read the console if there is one.
func (c *Container) Start(state abi.VCPUState) error {
	w, err := Watch(abi.EventChild | abi.ConsoleBit)
	if err != nil {
		return err
	}
	c.watcher = w
	err = withScratch(func(s scratch) error {
		encode(s.bytes, &state)
		_, err := c.call("starting it", abi.CallStart, s.addr, 0, 0, 0)
		return err
	})
	if err != nil {
		w.Close()
		c.watcher = nil
		return err
	}
	go c.follow()
	return nil
}

// follow reads the console until the container has ended.
func (c *Container) follow() {
	defer c.watcher.Close()
	for {
		c.drain()
		st, err := c.Status()
		if err != nil || st.State == abi.StateEnded {
			c.drain() // what it printed last
			c.last, c.err = st, err
			close(c.done)
			return
		}
		for bits := uint64(0); bits&abi.EventChild == 0; {
			if c.arm() {
				<-c.watcher.C
			}
			bits |= c.watcher.Take()
			c.drain()
		}
	}
}

// Done is closed when the container has ended and its output was passed on.
func (c *Container) Done() <-chan struct{} { return c.done }

// Wait waits for the end of a started container.
func (c *Container) Wait() (abi.Status, error) {
	<-c.done
	return c.last, c.err
}

// Status describes the container.
func (c *Container) Status() (abi.Status, error) { return status(c.id) }

func status(id uint32) (abi.Status, error) {
	var st abi.Status
	err := withScratch(func(s scratch) error {
		if _, err := metal.Hypercall(abi.CallStatus, uint64(id), s.addr, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("status of container %d: %w", id, err)
		}
		decode(s.bytes, &st)
		return nil
	})
	return st, err
}

// Kill ends the container and all that it made.
func (c *Container) Kill() error {
	_, err := c.call("killing it", abi.CallKill, 0, 0, 0, 0)
	return err
}

// Close forgets a container that has ended (killing it first if it has not), and takes back what it had.
func (c *Container) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if c.watcher == nil { // it never started: nobody follows it
		w, err := Watch(abi.EventChild)
		if err != nil {
			return err
		}
		c.watcher = w
		go c.follow()
	}
	select {
	case <-c.done:
	default:
		if err := c.Kill(); err != nil && !errors.Is(err, abi.EBUSY) { // busy: it has ended on its own
			return err
		}
		<-c.done
	}
	if _, err := c.call("forgetting it", abi.CallReap, 0, 0, 0, 0); err != nil {
		return err
	}
	c.control.mu.Lock() // nobody asks any more
	defer c.control.mu.Unlock()
	c.drops.end(c)
	var errs error
	for _, p := range c.held {
		errs = errors.Join(errs, p.Release())
	}
	c.held = nil
	return errs
}

// GrantPages moves pages of the caller's grant to the container.
func (c *Container) GrantPages(pages uint64) error {
	if err := reserve(pages); err != nil {
		return fmt.Errorf("container %s: granting it %d pages: %w", c.spec.Name, pages, err)
	}
	_, err := c.call(fmt.Sprintf("granting it %d pages", pages), abi.CallGrantPages, pages, 0, 0, 0)
	return err
}

// ReclaimPages asks for pages back; after notice microseconds the nonkernel takes them.
func (c *Container) ReclaimPages(pages, notice uint64) error {
	_, err := c.call(fmt.Sprintf("reclaiming %d pages", pages), abi.CallReclaimPages, pages, notice, 0, 0)
	return err
}

// Slots are slots of one core's frame, for one vCPU.
type Slots struct {
	VCPU  int
	Core  uint32
	Slots uint32 // a bit mask of abi.FrameSlots bits
}

// GrantCore gives the container slots that the caller holds.
func (c *Container) GrantCore(s Slots) error {
	_, err := c.call(fmt.Sprintf("granting vCPU %d slots %#x of core %d", s.VCPU, s.Slots, s.Core),
		abi.CallGrantCore, uint64(s.VCPU), uint64(s.Core), uint64(s.Slots), 0)
	return err
}

// ReclaimCore asks for slots of a vCPU back; after notice microseconds the nonkernel takes them.
func (c *Container) ReclaimCore(vcpu int, slots uint32, notice uint64) error {
	_, err := c.call(fmt.Sprintf("reclaiming slots %#x of vCPU %d", slots, vcpu), abi.CallReclaimCore, uint64(vcpu), uint64(slots), notice, 0)
	return err
}

// GrantPorts lets the container use I/O ports that the caller holds.
func (c *Container) GrantPorts(first, count uint16) error {
	_, err := c.call(fmt.Sprintf("granting %d ports from %#x", count, first), abi.CallGrantPorts, uint64(first), uint64(count), 0, 0)
	return err
}

// Notify sets event bits, within abi.EventUser, at the container.
func (c *Container) Notify(bits uint64) error {
	_, err := c.call(fmt.Sprintf("notifying it with %#x", bits), abi.CallNotify, bits, 0, 0, 0)
	return err
}

// EndName is why a container ended, in one word: exit, killed, shutdown, memory, illegal, parent.
func EndName(end uint32) string {
	names := [...]string{abi.EndExit: "exit", abi.EndKilled: "killed", abi.EndShutdown: "shutdown", abi.EndMemory: "memory",
		abi.EndIllegal: "illegal", abi.EndParent: "parent"}
	if int(end) < len(names) && names[end] != "" {
		return names[end]
	}
	return fmt.Sprintf("unknown-%d", end)
}

// scratch is memory whose physical address is known, for what hypercalls read and write.
type scratch struct {
	addr  uint64
	bytes []byte
}

const scratchPages = 16

var scratchMemory struct {
	sync.Mutex
	p metal.Physical
}

// withScratch lends f the scratch memory.
func withScratch(f func(scratch) error) error {
	scratchMemory.Lock()
	defer scratchMemory.Unlock()
	if scratchMemory.p.Size == 0 {
		p, err := metal.Pages(scratchPages)
		if err != nil {
			return err
		}
		scratchMemory.p = p
	}
	return f(scratch{scratchMemory.p.Addr, scratchMemory.p.Bytes()})
}

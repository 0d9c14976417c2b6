package core

import (
	"runtime"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
	"nom.dev/nom/metal/call"
)

// hardware is what this package needs of the machine. Tests put a simulated one in its place.
type hardware interface {
	pages(n int) (pa uint64, err error)         // contiguous, zeroed
	phys(pa, n uint64) []byte                   // host memory
	pin(core int) error                         // binds the calling goroutine to a core
	now() uint64                                // the time stamp counter
	vmRun(w *call.World) error                  // as call.VMRun
	waitKick(deadline uint64) error             // as call.WaitKick
	kick(core int) error                        // as call.Kick
	yield()                                     // lets another thread of this core run
	powerOff(code int)                          // does not return
	cpuid(leaf, sub uint32) (a, b, c, d uint32) // of the core it is called on
}

// bare is the machine beneath package metal.
type bare struct{}

func (bare) pages(n int) (uint64, error) {
	p, err := metal.Pages(n)
	return p.Addr, err
}

func (bare) phys(pa, n uint64) []byte { return metal.RangeBytes(abi.Range{Addr: pa, Size: n}) }

func (bare) pin(core int) error {
	runtime.LockOSThread()
	return metal.Pin(core)
}

func (bare) now() uint64                                { return metal.TSC() }
func (bare) vmRun(w *call.World) error                  { return metal.VMRun(w) }
func (bare) waitKick(deadline uint64) error             { return metal.WaitKick(deadline) }
func (bare) kick(core int) error                        { return metal.Kick(core) }
func (bare) yield()                                     { metal.Yield() }
func (bare) powerOff(code int)                          { _ = metal.PowerOff(code) }
func (bare) cpuid(leaf, sub uint32) (a, b, c, d uint32) { return metal.CPUID(leaf, sub) }

package main

import (
	"sync/atomic"

	"nom.dev/nom/metal/call"
)

// Interrupts of devices that belong to worlds. While a world owns its core they go straight into it; those that arrive while the
// nonkernel runs there, or on a shared core, are forwarded by these tables.

// route is where a vector leads. Guarded by kernelLock.
type route struct {
	world  *call.World
	vector uint64
}

// routeTable is a CPU's, in a frame of its own on the bare machine.
type routeTable [lastDevice - firstDevice]route

func routeVector(f *frame) {
	cpu, v := f.DI, f.SI
	if cpu >= ncpu || cpus[cpu].routes == nil || v < firstDevice || v >= lastDevice || f.R10 > 255 {
		f.AX = errno(eINVAL)
		return
	}
	kernelLock.lock()
	r := &cpus[cpu].routes[v-firstDevice]
	*r = route{vector: f.R10}
	if f.DX != 0 {
		r.world = at[call.World](f.DX)
	}
	leave()
	f.AX = 0
}

// forward raises vector v, which came to this CPU, at the world that it belongs to, and makes the runner look.
func (c *cpuState) forward(v uint64) bool {
	if c.routes == nil {
		return false
	}
	r := &c.routes[v-firstDevice]
	if r.world == nil {
		return false
	}
	setPending(r.world, r.vector)
	atomic.StoreUint32(&c.kicked, 1)
	if t := c.waiter; t != nil && t.state == threadBlocked {
		ready(t)
	}
	return true
}

package main

import (
	"sync/atomic"

	"nom.dev/nom/hw/svm"
	"nom.dev/nom/metal/call"
)

// A dedicated core: physical interrupts go through the guest's own IDT, its timer is the core's timer, and nothing exits. The
// nonkernel gets the core back by NMI.

// runDirect gives this core to the guest. The runner is the only thread that may use the core meanwhile.
func runDirect(c *cpuState, w *call.World, v *svm.VMCB) {
	kernelLock.lock()
	c.evacuate(w)
	kernelLock.unlock()
	c.loadAPIC(w, v)
	for {
		clgi()
		if c.takeKick(w) {
			stgi()
			notEntered(v, svm.ExitNMI)
			break
		}
		enter(c, w, v, worldDirect)
		stgi() // a pending NMI is taken here
		if uint32(v.Control.ExitCode) == svm.ExitNMI {
			w.NMIExits++
		}
		if !answer(c, w, v) {
			break
		}
	}
	c.saveAPIC(w)
	kernelLock.lock()
	leave()
}

// evacuate hands this CPU's threads and sleepers to the others. kernelLock is held.
func (c *cpuState) evacuate(w *call.World) {
	c.direct = w
	atomic.StoreUint32(&c.inWorld, worldDirect)
	c.drain()
	c.moveSleepers(&cpus[0])
}

// loadAPIC gives the local APIC to the guest: its timer runs on from where it was, what was pending is made pending again.
func (c *cpuState) loadAPIC(w *call.World, v *svm.VMCB) {
	wrmsr(x2apicTMICT, 0)
	c.timer = never
	c.repeats = false
	wrmsr(x2apicLVTT, w.LVTT)
	wrmsr(x2apicDCR, divideByOne)
	if v.Control.IntControl&svm.IntVIRQ != 0 {
		setPending(w, uint64(v.Control.IntVector&0xff))
	}
	v.Control.IntControl = 0
	for vec, ok := takePending(w); ok; vec, ok = takePending(w) {
		wrmsr(x2apicSelf, vec) // IF is 0: it stays in the IRR until the guest runs
	}
	if w.TimerTSC != 0 {
		now := rdtsc()
		n := uint64(1)
		if w.TimerTSC > now {
			n = min(mulDiv(w.TimerTSC-now, apicHz, tscHz), 0xffff_fff0) | 1
		}
		w.TimerTSC = 0
		wrmsr(x2apicTMICT, n)
	}
	wrmsr(x2apicTPR, w.TPR)
}

// saveAPIC takes the local APIC back. What the guest had pending is remembered in the world, and swallowed when the host gets it
// after the next STI, but for what may be the host's own.
func (c *cpuState) saveAPIC(w *call.World) {
	armed := rdmsr(x2apicTMICT)
	w.LVTT = rdmsr(x2apicLVTT)
	wrmsr(x2apicTMICT, 0)
	if armed != 0 && w.LVTT&lvtMasked == 0 {
		// Whether it has expired, and its interrupt was taken, cannot be told reliably: an emulator delivers it late,
		// and cannot read the count when it counts instructions. One that comes too early does no harm: the guest
		// finds nothing due and arms again.
		setPending(w, w.LVTT&0xff)
	}
	w.TPR = rdmsr(x2apicTPR)
	wrmsr(x2apicTPR, 0)
	for i := uint64(0); i < 8; i++ {
		pending := rdmsr(x2apicIRR + i)
		atomic.OrUint64(&w.Pending[i/2], pending<<(i%2*32))
		c.swallow[i/2] |= pending << (i % 2 * 32)
		for rdmsr(x2apicISR+i) != 0 {
			endOfInterrupt()
		}
	}
	wrmsr(x2apicLVTT, vecTimer)
	c.direct = nil
	atomic.StoreUint32(&c.inWorld, worldNone)
}

// swallowed reports that vector v belongs to the guest that ran here last, and was remembered when it left. The platform's own vectors
// are never kept from it: one that another CPU sent since, or the timer that was armed since, is in the IRR only once together with the
// guest's. Was that swallowed, the timer would count as armed for ever, and who flushes translations would wait for this CPU, with
// memLock and interrupts off. One too many does no harm.
func (c *cpuState) swallowed(v uint64) bool {
	if c.swallow[v>>6]>>(v&63)&1 == 0 {
		return false
	}
	c.swallow[v>>6] &^= 1 << (v & 63)
	return v != vecTimer && v != vecWake && v != vecShootdown
}

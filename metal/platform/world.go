package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/metal/call"
)

// Worlds: running a vCPU under SVM (APM vol. 2 chapter 15) on behalf of the nonkernel. What returns from here is an exit that needs a
// decision; what can be answered without one is answered here.

const (
	worldNone = iota
	worldShared
	worldDirect
)

var (
	noSVM bool // CPUID does not offer SVM with nested paging

	// losesInterrupts: VMRUN with a virtual interrupt that waits may lose a physical one that comes at that moment. The local APIC has
	// it, and the processor hears of it with the next. So there must be a next one: a guest with interrupts off might never exit.
	// Only QEMU's emulator does so (docs/hardware.md).
	losesInterrupts bool
)

// initWorlds prepares this CPU for VMRUN.
func initWorlds(c *cpuState) {
	_, _, ecx, _ := cpuid(0x8000_0001, 0)
	_, _, _, edx := cpuid(0x8000_000a, 0)
	if ecx>>2&1 == 0 || edx&1 == 0 {
		noSVM = true
		return
	}
	_, vendor, _, _ := cpuid(0x4000_0000, 0)
	losesInterrupts = vendor == 'T'|'C'<<8|'G'<<16|'T'<<24
	wrmsr(msrEFER, rdmsr(msrEFER)|eferSVME)
	memLock.lock()
	c.hostVMCB = pool.frame()
	save := pool.frame()
	c.routes = at[routeTable](direct(pool.frame()))
	memLock.unlock()
	wrmsr(msrHSAVE, save)
}

// vmRun runs the world at f.DI until it needs its nonkernel. RAX returns 0, or EAGAIN when nothing ran.
func vmRun(f *frame) {
	if noSVM {
		f.AX = errno(eNODEV)
		return
	}
	w := at[call.World](f.DI)
	v := at[svm.VMCB](direct(w.VMCB))
	c := cpu()
	f.AX = 0
	if w.Direct != 0 {
		runDirect(c, w, v)
		return
	}
	for {
		letOthersRun()
		c = cpu()
		clgi()
		// Before the look at kicked and queue: who sets those afterwards finds a world here and sends an interrupt.
		atomic.StoreUint32(&c.inWorld, worldShared)
		if c.takeKick(w) {
			atomic.StoreUint32(&c.inWorld, worldNone)
			stgi()
			notEntered(v, svm.ExitINTR)
			return
		}
		inject(w, v)
		c.armFor(w, v)
		enter(c, w, v, worldShared)
		stgi()
		if !answer(c, w, v) {
			return
		}
	}
}

// notEntered makes it look as if the guest had come back at once with an exit of the given code.
func notEntered(v *svm.VMCB, code uint64) {
	v.Control.ExitCode = code
	v.Control.ExitIntInfo = v.Control.EventInj
}

// letOthersRun gives other threads of this CPU their turn between two worlds.
func letOthersRun() {
	c := cpu()
	if c.queue.n == 0 {
		return
	}
	kernelLock.lock()
	yield()
	leave()
}

// takeKick reports that somebody wants the runner of this CPU. GIF is 0: what comes later makes VMRUN exit at once.
func (c *cpuState) takeKick(w *call.World) bool {
	kicked := atomic.SwapUint32(&c.kicked, 0) != 0
	t := c.current
	return kicked || c.queue.n > 0 || atomic.LoadUint64(&w.Stop) != 0 || t.pending&^t.sigmask != 0
}

// armFor sets the local timer for the first of the host's, the runner's and the guest's deadlines.
func (c *cpuState) armFor(w *call.World, v *svm.VMCB) {
	d := c.sleep.first()
	if w.Deadline != 0 {
		d = min(d, nanosAt(w.Deadline))
	}
	if w.TimerTSC != 0 {
		d = min(d, nanosAt(w.TimerTSC))
	}
	if losesInterrupts && v.Control.IntControl&svm.IntVIRQ != 0 {
		c.armRepeating(d)
	} else if d < c.timer {
		c.arm(d)
	}
}

// enter is one world switch.
func enter(c *cpuState, w *call.World, v *svm.VMCB, mode uint32) {
	goLazy(c)
	atomic.StoreUint32(&c.inWorld, mode)
	start := rdtsc()
	vmrun(w.VMCB, c.hostVMCB, addressOf(&w.GPRs), w.FPU)
	w.Ran += rdtsc() - start
	atomic.StoreUint32(&c.inWorld, worldNone)
	leaveLazy(c)
	v.Control.TLBControl = svm.TLBNothing
}

// answer handles the exits that need no decision. False: the nonkernel must look.
func answer(c *cpuState, w *call.World, v *svm.VMCB) bool {
	switch uint32(v.Control.ExitCode) {
	case svm.ExitVMMCALL:
		if v.Save.CPL != 0 || v.Save.SS.Attrib>>5&3 != 0 {
			return false
		}
		switch v.Save.RAX {
		case uint64(abi.CallNull):
			v.Save.RAX = 0
		case uint64(abi.CallNow):
			v.Save.RAX = rdtsc()
		default:
			return false
		}
		w.NullCalls++
		v.Save.RIP += 3
		return true
	case svm.ExitMSR:
		return answerMSR(w, v)
	}
	return false
}

// answerMSR emulates the writes to the local APIC that a running guest makes again and again.
func answerMSR(w *call.World, v *svm.VMCB) bool {
	if v.Control.ExitInfo1 == 0 || w.Direct != 0 {
		return false
	}
	value := v.Save.RAX&0xffff_ffff | w.GPRs[2]<<32
	switch uint32(w.GPRs[1]) {
	case x2apicTMICT:
		w.TimerTSC = 0
		if value&0xffff_ffff != 0 {
			w.TimerTSC = rdtsc() + mulDiv(value&0xffff_ffff, tscHz, apicHz)
		}
	case x2apicEOI:
	default:
		return false
	}
	w.TimerExits++
	v.Save.RIP += 2
	return true
}

const lvtMasked = 1 << 16

// inject makes the highest pending vector a virtual interrupt; the guest takes it when its IF allows.
func inject(w *call.World, v *svm.VMCB) {
	if w.TimerTSC != 0 && rdtsc() >= w.TimerTSC {
		w.TimerTSC = 0
		if w.LVTT&lvtMasked == 0 {
			setPending(w, w.LVTT&0xff)
		}
	}
	if v.Control.IntControl&svm.IntVIRQ != 0 {
		return
	}
	vec, ok := takePending(w)
	if !ok {
		return
	}
	v.Control.IntControl = svm.IntVIRQ | svm.IntIgnoreTPR | svm.IntMasking
	v.Control.IntVector = uint32(vec)
}

func setPending(w *call.World, vec uint64) {
	atomic.OrUint64(&w.Pending[vec>>6&3], 1<<(vec&63))
}

func takePending(w *call.World) (uint64, bool) {
	for i := 3; i >= 0; i-- {
		p := atomic.LoadUint64(&w.Pending[i])
		for b := uint64(63); p != 0; b-- {
			if p>>b&1 != 0 {
				atomic.AndUint64(&w.Pending[i], ^(uint64(1) << b))
				return uint64(i)*64 + b, true
			}
		}
	}
	return 0, false
}

// waitForKick parks the runner of this CPU until kickCPU or the TSC deadline in f.DI (0 = none).
func waitForKick(f *frame) {
	kernelLock.lock()
	c := cpu()
	f.AX = 0
	if atomic.SwapUint32(&c.kicked, 0) == 0 {
		deadline := uint64(0)
		if f.DI != 0 {
			deadline = max(nanosAt(f.DI), 1)
		}
		c.waiter = c.current
		block(waitKick, 0, deadline)
		c.waiter = nil
		atomic.StoreUint32(&c.kicked, 0)
	}
	leave()
}

// kickCPU makes the runner of CPU f.DI look up: from its sleep, or out of the world it runs.
func kickCPU(f *frame) {
	if f.DI >= ncpu {
		f.AX = errno(eINVAL)
		return
	}
	c := &cpus[f.DI]
	kernelLock.lock()
	atomic.StoreUint32(&c.kicked, 1)
	if t := c.waiter; t != nil && t.state == threadBlocked {
		ready(t)
	}
	switch {
	case c == cpu():
	case atomic.LoadUint32(&c.inWorld) == worldDirect || c.direct != nil:
		sendNMI(c.apicID)
	case atomic.LoadUint32(&c.inWorld) == worldShared:
		sendIPI(c.apicID, vecWake)
	}
	leave()
	f.AX = 0
}

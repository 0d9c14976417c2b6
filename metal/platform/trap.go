package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// frame is what entry_amd64.s pushes.
type frame struct {
	FS, R15, R14, R13, R12, R11, R10, R9, R8, DI, SI, BP, BX, DX, CX, AX uint64
	Trap, Err, IP, CS, Flags, SP, SS                                     uint64
}

// Values of frame.Trap that tell syscallEntry how to return; below 0x100 it is a vector.
const (
	returnFast = 0x100 // restore registers, STI, JMP: RCX and R11 are lost as SYSCALL loses them
	returnIRET = 0x101 // restore everything by IRETQ
	returnFPU  = 0x102 // the same, and the FPU from the XSAVE area at frame.Err
)

// inPlatform tells that f was pushed while platform code ran.
func (f *frame) inPlatform() bool { return f.FS == addressOf(&kernelTLS[1]) }

// trap handles every exception and interrupt; area is the XSAVE area that is restored on return.
func trap(f *frame, area uint64) {
	c := cpu()
	if f.Trap < 32 {
		c.note(eventTrap|f.Trap, f.IP)
	}
	if f.Trap >= 32 && c.swallowed(f.Trap) {
		endOfInterrupt()
		return
	}
	if f.Trap >= 32 && c.ignored(f.Trap) {
		return
	}
	switch f.Trap {
	case vecTimer:
		endOfInterrupt()
		c.sample(f)
		kernelLock.lock()
		c.timer = never
		c.repeat(false)
		stats.ticks++
		c.profile()
		now := nanotime()
		c.expire(now)
		if net.up {
			netTimer(now)
		}
		yield()
		leave()
	case vecWake:
		endOfInterrupt()
		kernelLock.lock()
		if c.parked {
			c.obey()
		} else if c.current == c.idle {
			yield()
		}
		leave()
	case vecShootdown:
		endOfInterrupt()
		ackShootdown()
		return
	case vecSpurious:
		return
	case vecNMI:
		c.nmis++
		atomic.StoreUint32(&c.kicked, 1)
		return
	case vecPageFault:
		address := getCR2()
		if !f.inPlatform() && pageFault(address, f.Err) {
			return
		}
		if f.inPlatform() && pageFault(address, f.Err) {
			return // the program's memory, touched on its behalf
		}
		fault(f, area, sigSEGV, segvMapErr, address)
		return
	case vecDivide:
		fault(f, area, sigFPE, 1, f.IP)
		return
	case vecBreakpoint:
		fault(f, area, sigTRAP, 0x80, 0)
		return
	case vecUndefined:
		fault(f, area, sigILL, 2, f.IP)
		return
	case vecProtection:
		fault(f, area, sigSEGV, 0x80, 0)
		return
	default:
		if f.Trap < 32 {
			dump(f)
			fatal("unexpected exception")
		}
		endOfInterrupt()
		if f.Trap < firstDevice || f.Trap >= lastDevice {
			stats.spurious++ // nobody's: a device can be made to send any vector
			return
		}
		if !host && f.Trap == abi.VectorEvent {
			handleEvents()
		}
		deviceInterrupt(c, f.Trap)
	}
	deliver(f, area)
}

// deviceInterrupt makes the descriptor of a vector readable, or keeps the vector for the world that owns this CPU.
func deviceInterrupt(c *cpuState, vector uint64) {
	kernelLock.lock()
	switch {
	case net.up && vector == netVector:
		netInterrupt()
	case !c.forward(vector):
		raiseVector(vector)
	}
	if c.current == c.idle {
		yield()
	}
	leave()
}

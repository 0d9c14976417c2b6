package main

import "nom.dev/nom/metal/call"

// Private system calls: what programs that know the platform ask of it, through package metal. Numbers in metal/call.

const callFirst = call.First

func privateCall(f *frame) {
	switch f.AX {
	case call.Null:
		f.AX = 0
	case call.BootPage:
		f.AX = addressOf(bootPage)
	case call.Translate:
		pa, ok := translate(f.DI)
		if !ok {
			pa = errno(eFAULT)
		}
		f.AX = pa
	case call.Contiguous:
		memLock.lock()
		f.AX = pool.contiguous(pageUp(f.DI), max(f.SI, pageSize))
		memLock.unlock()
	case call.Release:
		releasePages(f)
	case call.OpenVector:
		kernelLock.lock()
		f.AX = openVector(f.DI)
		leave()
	case call.Stats:
		f.AX = readStats(f.DI, f.SI)
	case call.Ticks:
		f.AX = tscAt(f.DI)
	case call.VMRun:
		hostOnly(f, vmRun)
	case call.WaitKick:
		hostOnly(f, waitForKick)
	case call.Kick:
		hostOnly(f, kickCPU)
	case call.Route:
		hostOnly(f, routeVector)
	case call.StartProgram:
		startMain(f)
	case call.PowerOff:
		hostOnly(f, powerOff)
	default:
		f.AX = errno(eNOSYS)
	}
	if t := cpu().current; t.pending&^t.sigmask != 0 && f.Trap == returnFast {
		deliver(f, 0)
	}
}

func hostOnly(f *frame, call func(*frame)) {
	if !host {
		f.AX = errno(ePERM)
		return
	}
	call(f)
}

func powerOff(f *frame) { stop(f.DI) }

func releasePages(f *frame) {
	memLock.lock()
	for o := uint64(0); o < f.SI; o += pageSize {
		pool.put(f.DI + o)
	}
	memLock.unlock()
	f.AX = 0
}

// readStats returns one counter; the numbers are metal/call's.
func readStats(which, arg uint64) uint64 {
	switch which {
	case call.StatFaults:
		return stats.faults
	case call.StatHugeFaults:
		return stats.hugeFaults
	case call.StatSwitches:
		return stats.switches
	case call.StatSignals:
		return stats.signals
	case call.StatTicks:
		return stats.ticks
	case call.StatShootdowns:
		return stats.shootdowns
	case call.StatFreePages:
		return pool.nfree
	case call.StatTotalPages:
		return pool.total
	case call.StatSyscalls:
		if arg < numSyscalls {
			return stats.calls[cpu().current.program][arg]
		}
	case call.StatThreads:
		return liveThreads
	case call.StatAPICID:
		if host && arg < ncpu {
			return cpus[arg].apicID
		}
	}
	return errno(eINVAL)
}

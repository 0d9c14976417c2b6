package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// Further CPUs: by INIT and SIPI on a bare machine (APM vol. 2 section 15.27.8, Intel SDM vol. 3 section 9.4), by hypercall in a container.

var (
	apStacks [maxCPUs]uint64 // by the index that entry gets in SI
	apIndex  uint64          // bare machine: which CPU is being started
	apReady  uint32
)

// programCPUs is what the program may believe to have, as a mask: in a container, the CPUs that hold a part of a core. A CPU
// that is parked is about to have none.
func programCPUs() uint64 {
	mask := uint64(1) // the first one is there as long as anything runs
	for i := range cpus[:ncpu] {
		if host || !cpus[i].parked && atomic.LoadUint32(&eventPage().Core[i]) != abi.NoCore {
			mask |= 1 << i
		}
	}
	return mask
}

func startCPUs(b *abi.BootPage) {
	n := min(uint64(b.VCPUs), maxCPUs)
	if host {
		n = min(uint64(b.NumCPUs), maxCPUs)
	}
	for i := uint64(1); i < n; i++ {
		c := &cpus[i]
		c.id = i
		c.lazy = 1
		memLock.lock()
		stack := pool.frame()
		memLock.unlock()
		if stack == 0 {
			return
		}
		if host {
			apIndex = i
			apStacks[1] = direct(stack) + pageSize - 64
			if !startBareCPU(b, i) {
				print0("nom: a CPU did not start; going on without it\n")
				return
			}
			ncpu = i + 1
			continue
		}
		apStacks[i] = direct(stack) + pageSize - 64
		ncpu = i + 1
		if !startVCPU(i) {
			print0("nom: the nonkernel refused to start a vCPU; going on without it\n")
			ncpu = i
			return
		}
	}
}

// startVCPU asks the nonkernel to start vCPU i of this container at entry.
func startVCPU(i uint64) bool {
	_, _, _, _, _, entryLabel := labels()
	memLock.lock()
	pa := pool.frame()
	memLock.unlock()
	s := at[abi.VCPUState](direct(pa))
	*s = abi.VCPUState{RIP: entryLabel, CR3: rootTable, RSI: i}
	r := vmmcall(uint64(abi.CallStartVCPU), i, pa, 0, 0, 0, 0)
	memLock.lock()
	pool.put(pa)
	memLock.unlock()
	return int64(r) >= 0
}

func startBareCPU(b *abi.BootPage, i uint64) bool {
	id := apicIDs[i]
	atomic.StoreUint32(&apReady, 0)
	wrmsr(x2apicICR, id<<32|icrINIT)
	delay(10_000_000)
	for range 2 {
		wrmsr(x2apicICR, id<<32|icrSIPI|b.APEntry>>12)
		for range 1000 {
			if atomic.LoadUint32(&apReady) != 0 {
				return true
			}
			delay(200_000)
		}
	}
	return false
}

func delay(ns uint64) {
	for end := nanotime() + ns; nanotime() < end; {
		pause()
	}
}

// apBoot is the first Go code on a further CPU; index is 1 on a bare machine, the vCPU's number in a container.
func apBoot(index uint64) {
	if host {
		index = apIndex
	}
	enableCPU()
	setCR3(rootTable)
	c := &cpus[index]
	c.self = addressOf(c)
	wrmsr(msrGSBase, c.self) // a lock that is taken looks at the CPU's state
	memLock.lock()
	c.initTables()
	memLock.unlock()
	initAPIC(c)
	kernelLock.lock()
	c.start()
	if host {
		initWorlds(c)
	}
	goLazy(c)
	atomic.StoreUint32(&apReady, 1)
	startThread(c.idle.sp + 16)
}

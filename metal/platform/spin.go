package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// spinLock guards platform state; taken with interrupts off. Every loop that spins also acknowledges TLB shootdowns, so
// that a CPU waiting here cannot deadlock with one that holds the lock and waits for the acknowledgement.
//
// Lock order: kernelLock, then consoleLock, then memLock, which a fault on the program's memory takes.
type spinLock struct{ v uint32 }

func (l *spinLock) lock() {
	for !atomic.CompareAndSwapUint32(&l.v, 0, 1) {
		for n := 1; atomic.LoadUint32(&l.v) != 0; n++ {
			ackShootdown()
			spin(n)
		}
	}
}

// patience is how often a loop spins before it asks whether the CPU it waits for shares this one's core.
const patience = 2000

// spin is the body of every loop that waits for another CPU, in its nth round.
func spin(n int) {
	pause()
	if n%patience == 0 && !host {
		vmmcall(uint64(abi.CallYield), 0, 0, 0, 0, 0, 0)
	}
}

func (l *spinLock) unlock() { atomic.StoreUint32(&l.v, 0) }

// kernelLock guards threads, run queues, futexes, descriptors and signals.
var kernelLock spinLock

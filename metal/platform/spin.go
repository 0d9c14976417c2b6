package main

import "sync/atomic"

// spinLock guards platform state; taken with interrupts off. Every loop that spins also acknowledges TLB shootdowns, so
// that a CPU waiting here cannot deadlock with one that holds the lock and waits for the acknowledgement.
//
// Lock order: kernelLock, then memLock, then consoleLock.
type spinLock struct{ v uint32 }

func (l *spinLock) lock() {
	for !atomic.CompareAndSwapUint32(&l.v, 0, 1) {
		for atomic.LoadUint32(&l.v) != 0 {
			ackShootdown()
			pause()
		}
	}
}

func (l *spinLock) unlock() { atomic.StoreUint32(&l.v, 0) }

// kernelLock guards threads, run queues, futexes, descriptors and signals.
var kernelLock spinLock

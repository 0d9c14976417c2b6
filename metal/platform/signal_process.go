package main

import "sync/atomic"

// Signals for the program as a whole, from outside: kill(2) and signal(7) of Linux.

// waitingSignals are signals for the program that all of its threads blocked when they came. The first that unblocks one takes
// it. Guarded by kernelLock.
var waitingSignals uint64

// catchable tells whether sig is a signal that a program may handle.
func catchable(sig uint64) bool { return sig != 0 && sig <= 64 && sig != sigKILL && sig != sigSTOP }

// signalProgram delivers sig to the container's program: to its first thread that does not block it.
func signalProgram(sig uint64) uint64 {
	if !catchable(sig) {
		return errno(eINVAL)
	}
	h := sigactions[programMain][sig].handler
	if h == 1 || h == 0 && ignoredByDefault(sig) {
		return 0
	}
	kernelLock.lock()
	// It waits before anybody's mask is looked at: a thread that unblocks it by sigreturn, without the lock, looks for it afterwards.
	atomic.StoreUint64(&waitingSignals, waitingSignals|1<<(sig-1))
	if t := signalTarget(sig); t != nil {
		atomic.StoreUint64(&waitingSignals, waitingSignals&^(1<<(sig-1)))
		if h == 0 {
			stop(128 + sig) // not endProgram: the interrupted thread may be the companion's
		}
		kill(t, sig)
	}
	leave()
	return 0
}

// signalTarget is the thread that gets a signal for the program, or nil when all block it.
func signalTarget(sig uint64) *thread {
	for i := uint64(1); i < threadsMade; i++ {
		t := threads[i]
		if t != nil && t.state != threadFree && !t.daemon && t.program == programMain && atomic.LoadUint64(&t.sigmask)>>(sig-1)&1 == 0 {
			return t
		}
	}
	return nil
}

// takeWaiting makes signals for the program pending at t that it has just unblocked. kernelLock is held.
func takeWaiting(t *thread) {
	if t.program != programMain {
		return
	}
	take := waitingSignals &^ t.sigmask
	t.pending |= take
	atomic.StoreUint64(&waitingSignals, waitingSignals&^take)
}

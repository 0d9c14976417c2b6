package main

// Futexes (futex(2)): waiters hang in buckets by address. Guarded by kernelLock.

const (
	futexWait       = 0
	futexWake       = 1
	futexWaitBitset = 9
	futexWakeBitset = 10
	futexPrivate    = 128
	futexRealtime   = 256
	futexCmd        = 0x7f
)

func futex(addr, op, val, timeout, val3 uint64) uint64 {
	if addr&3 != 0 {
		return errno(eINVAL)
	}
	switch op & futexCmd {
	case futexWait, futexWaitBitset:
		return futexSleep(addr, op, val, timeout, uint32(val3))
	case futexWake, futexWakeBitset:
		bits := ^uint32(0)
		if op&futexCmd == futexWakeBitset {
			bits = uint32(val3)
		}
		// A private futex is only a number to those that wake: memory is not looked at, as on Linux.
		if !userAddress(addr) || op&futexPrivate == 0 && !userWords(addr, 4, false) {
			return errno(eFAULT)
		}
		return futexRouse(addr, val, bits)
	}
	unknownCall(sysFutex)
	return errno(eNOSYS)
}

func futexSleep(addr, op, val, timeout uint64, bits uint32) uint64 {
	deadline := uint64(0)
	if timeout != 0 {
		ns, e := timespec(timeout)
		if e != 0 {
			return errno(e)
		}
		deadline = after(ns)
		if op&futexCmd == futexWaitBitset { // absolute
			deadline = ns + 1
			if op&futexRealtime != 0 {
				deadline -= min(deadline-1, wallBase)
			}
		}
	}
	if op&futexCmd == futexWait {
		bits = ^uint32(0)
	}
	if bits == 0 {
		return errno(eINVAL)
	}
	if !userWords(addr, 4, false) {
		return errno(eFAULT)
	}
	if load32(addr) != uint32(val) {
		return errno(eAGAIN)
	}
	t := cpu().current
	t.bitset = bits
	waiters.add(t, addr)
	timedOut, interrupted := block(waitFutex, addr, deadline)
	waiters.remove(t, addr)
	switch {
	case timedOut:
		return errno(eTIMEDOUT)
	case interrupted:
		return errno(eINTR)
	}
	return 0
}

func futexRouse(addr, most uint64, bits uint32) uint64 {
	n := uint64(0)
	for t := waiters.bucket(addr).head; t != nil && n < most; t = t.futexNext {
		if t.state == threadBlocked && t.waitAddr == addr && t.wait == waitFutex && t.bitset&bits != 0 {
			ready(t)
			n++
		}
	}
	return n
}

type futexBucket struct{ head, tail *thread }

type futexTable struct{ b [64]futexBucket }

var waiters futexTable

func (w *futexTable) bucket(addr uint64) *futexBucket { return &w.b[(addr>>2^addr>>8)&63] }

func (w *futexTable) add(t *thread, addr uint64) {
	b := w.bucket(addr)
	t.futexNext = nil
	t.futexPrev = b.tail
	if b.tail == nil {
		b.head = t
	} else {
		b.tail.futexNext = t
	}
	b.tail = t
}

func (w *futexTable) remove(t *thread, addr uint64) {
	b := w.bucket(addr)
	if t.futexPrev == nil {
		b.head = t.futexNext
	} else {
		t.futexPrev.futexNext = t.futexNext
	}
	if t.futexNext == nil {
		b.tail = t.futexPrev
	} else {
		t.futexNext.futexPrev = t.futexPrev
	}
	t.futexNext, t.futexPrev = nil, nil
}

package main

import "math/bits"

// poll(2) and select(2): descriptors that a program names with each call. Who waits in one is woken by whatever happens to any descriptor,
// and looks at its own again: few programs have such threads, and those few.

const (
	sysPoll     = 7
	sysSelect   = 23
	sysPselect6 = 270
	sysPpoll    = 271

	waitAny   = 19 // what a thread waits for
	pollfdLen = 8  // struct pollfd: descriptor, events, what is so

	pollNval   = 0x20
	pollRdNorm = 0x40
	pollWrNorm = 0x100
	pollWrBand = 0x200
)

// What select reports of descriptors in its three sets.
var selectEvents = [3]uint32{epollIn | pollRdNorm | epollHup | epollErr, epollOut | pollWrNorm | pollWrBand | epollErr, 2}

// anyWaiters is how many threads wait for anything to happen to a descriptor.
var anyWaiters uint64

// tellAny wakes them.
func tellAny() {
	if anyWaiters == 0 {
		return
	}
	for i := uint64(1); i < threadsMade; i++ {
		if t := threads[i]; t != nil && t.state == threadBlocked && t.wait == waitAny {
			ready(t)
		}
	}
}

// awaitAny waits for anything to happen, or until a time. False: a signal came.
func awaitAny(until uint64) bool {
	if netSleep() {
		return true
	}
	deadline := until
	if until == never {
		deadline = 0
	}
	anyWaiters++
	_, interrupted := block(waitAny, 0, deadline)
	anyWaiters--
	return !interrupted
}

// pollMask is what poll reports of a descriptor.
func pollMask(fd uint64) uint32 {
	d := &descriptors[fd]
	switch d.kind {
	case fdEvent, fdVector:
		return readyMask(d)
	case fdFile, fdConsole: // they never wait
		return epollIn | epollOut | pollRdNorm | pollWrNorm
	case fdPoller:
		if pollerHasNews(fd) {
			return epollIn | pollRdNorm
		}
		return 0
	}
	events := readyMask(d)
	if events&epollIn != 0 {
		events |= pollRdNorm
	}
	if events&epollOut != 0 {
		events |= pollWrNorm
		if d.kind == fdSocket {
			if s := socketAt(d.index); s.kind == sockDatagram || s.domain == afUnix {
				events |= pollWrBand
			}
		}
	}
	return events
}

// pollerHasNews tells whether a poller has something to report.
func pollerHasNews(poller uint64) bool {
	for e := news.first; e != 0; e = news.next[e-1] {
		if e == endOfNews {
			return false
		}
		if d := &descriptors[e-1]; d.polled && uint64(d.poller) == poller && (d.fresh || !d.edge) && readyEvents(d) != 0 {
			return true
		}
	}
	return false
}

func isOpen(fd uint64) bool { return fd < usedDescriptors && descriptors[fd].kind != fdFree }

// pollCall is poll(2), ppoll(2), select(2) and pselect6(2).
func pollCall(f *frame, n uint64) uint64 {
	until, limit, unit, e := never, f.DX, uint64(1), uint64(0)
	mask, size := f.R10, f.R8
	switch n {
	case sysPoll:
		if ms := int64(int32(f.DX)); ms >= 0 {
			until = after(uint64(ms) * 1_000_000)
			if ms == 0 {
				until = 0
			}
		}
		return pollUntil(f.DI, uint64(uint32(f.SI)), until)
	case sysSelect:
		limit, unit, mask = f.R8, 1000, 0
	case sysPselect6:
		limit, mask = f.R8, 0
		if p := f.R9; p != 0 {
			if !userWords(p, 16, false) {
				return errno(eFAULT)
			}
			mask, size = load64(p), load64(p+8)
		}
	}
	if limit != 0 {
		if until, e = pollTime(limit, unit); e != 0 {
			return errno(e)
		}
	}
	t := cpu().current
	if e := t.maskForWait(mask, size); e != 0 {
		return errno(e)
	}
	r := uint64(0)
	if n == sysPpoll {
		r = pollUntil(f.DI, uint64(uint32(f.SI)), until)
	} else {
		r = selectUntil(uint64(uint32(f.DI)), [3]uint64{f.SI, f.DX, f.R10}, until)
	}
	if r != errno(eINTR) || t.pending&^t.sigmask == 0 {
		t.unmask()
		takeWaiting(t)
	}
	if limit != 0 && until != 0 {
		putTimeLeft(limit, unit, until)
	}
	return r
}

// pollTime reads how long a call may wait, and returns until when: a struct timespec, or one that counts in the given number of nanoseconds.
func pollTime(p, unit uint64) (until, e uint64) {
	if !userWords(p, 16, false) {
		return 0, eFAULT
	}
	sec, rest := load64(p), load64(p+8)
	switch {
	case int64(sec) < 0 || int64(rest) < 0 || unit == 1 && rest >= nanos:
		return 0, eINVAL
	case sec >= longest/nanos || rest/(nanos/unit) >= longest/nanos:
		return never - 1, 0
	case sec|rest == 0:
		return 0, 0
	}
	return after(sec*nanos + rest*unit), 0
}

// putTimeLeft writes what is left of a time that may have ended, as Linux does.
func putTimeLeft(p, unit, until uint64) {
	left := until - min(until, nanotime())
	storeWords(p, left/nanos, left%nanos/unit)
}

// maskForWait sets the mask of signals while a call waits, if it is given one. unmask sets the old one again, or the handler's return does.
func (t *thread) maskForWait(p, size uint64) uint64 {
	switch {
	case p == 0:
		return 0
	case size != sigsetSize:
		return eINVAL
	case !userWords(p, sigsetSize, false):
		return eFAULT
	}
	t.oldMask, t.masked = t.sigmask, true
	t.sigmask = load64(p)
	takeWaiting(t)
	return 0
}

func (t *thread) unmask() {
	if t.masked {
		t.masked = false
		t.sigmask = t.oldMask
	}
}

// pollUntil looks at n descriptors in an array of struct pollfd until one of them has news.
func pollUntil(p, n, until uint64) uint64 {
	if n > maxDescriptors {
		return errno(eINVAL)
	}
	netPoll()
	for {
		if !userRange(p, n*pollfdLen, true) {
			return errno(eFAULT)
		}
		found := uint64(0)
		for a := p; a < p+n*pollfdLen; a += pollfdLen {
			fd, want, is := load32(a), uint32(*at[uint16](a + 4)), uint32(0)
			switch {
			case int32(fd) < 0:
			case !isOpen(uint64(fd)):
				is = pollNval
			default:
				is = pollMask(uint64(fd)) & (want | epollErr | epollHup)
			}
			*at[uint16](a + 6) = uint16(is)
			if is != 0 {
				found++
			}
		}
		if found != 0 || until <= nanotime() {
			return found
		}
		if !awaitAny(until) {
			return errno(eINTR)
		}
	}
}

// selectUntil looks at the descriptors below n in three sets until one of them has news; then the sets say which.
func selectUntil(n uint64, sets [3]uint64, until uint64) uint64 {
	if int32(n) < 0 {
		return errno(eINVAL)
	}
	n = min(n, maxDescriptors)
	netPoll()
	for {
		for _, p := range sets {
			if p != 0 && !userRange(p, (n+63)/64*8, true) {
				return errno(eFAULT)
			}
		}
		found, e := selectScan(n, sets, false)
		if e != 0 {
			return errno(e)
		}
		if found != 0 || until <= nanotime() {
			selectScan(n, sets, true)
			return found
		}
		if !awaitAny(until) {
			return errno(eINTR)
		}
	}
}

// selectScan counts what is so of what the sets ask for, and writes it into them or not.
func selectScan(n uint64, sets [3]uint64, write bool) (found, e uint64) {
	for k, set := range sets {
		for base := uint64(0); set != 0 && base < n; base += 64 {
			p := set + base/8
			v, is := load64(p), uint64(0)
			if n-base < 64 {
				v &= 1<<(n-base) - 1
			}
			for left := v; left != 0; left &= left - 1 {
				bit := uint64(bits.TrailingZeros64(left))
				if !isOpen(base + bit) {
					return 0, eBADF
				}
				if pollMask(base+bit)&selectEvents[k] != 0 {
					is |= 1 << bit
					found++
				}
			}
			if write {
				store64(p, is)
			}
		}
	}
	return found, 0
}

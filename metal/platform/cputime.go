package main

// Time that threads have run, in nanoseconds. What a vCPU waits for its core counts as running: it cannot know. kernelLock is
// held.

// account adds the time since the last switch to the thread that is leaving c.
func (c *cpuState) account() {
	now := nanotime()
	ran := now - c.since
	c.since = now
	c.current.ran += ran
	if c.current != c.idle {
		c.busy += ran
	}
}

// busyUntil is how long threads have run on c.
func (c *cpuState) busyUntil(now uint64) uint64 {
	if c.current == c.idle || now < c.since {
		return c.busy
	}
	return c.busy + now - c.since
}

// cpuTime is how long all threads have run.
func cpuTime() uint64 {
	now, sum := nanotime(), uint64(0)
	for i := range cpus[:ncpu] {
		sum += cpus[i].busyUntil(now)
	}
	return sum
}

// threadTime is how long the calling thread has run.
func threadTime() uint64 {
	c := cpu()
	return c.current.ran + nanotime() - c.since
}

// hundredths is a time as /proc and times(2) count it.
func hundredths(ns uint64) uint64 { return ns / (nanos / 100) }

// Clocks that count running time (clock_gettime(2)).
const (
	clockProcess = 2
	clockThread  = 3
)

func cpuClock(clock, ts uint64) uint64 {
	ns := threadTime()
	if clock == clockProcess {
		ns = cpuTime()
	}
	return storeWords(ts, ns/nanos, ns%nanos)
}

const (
	rusageSelf     = 0
	rusageChildren = ^uint64(0)
	rusageThread   = 1
)

// getrusage fills struct rusage. All time counts as the program's own; the platform's part is not told apart.
func getrusage(who, p uint64) uint64 {
	ns := uint64(0)
	switch uint64(int32(who)) {
	case rusageSelf:
		ns = cpuTime()
	case rusageThread:
		ns = threadTime()
	case rusageChildren:
	default:
		return errno(eINVAL)
	}
	if !userRange(p, 144, true) {
		return errno(eFAULT)
	}
	clear(bytesAt(p, 144))
	store64(p, ns/nanos)
	store64(p+8, ns%nanos/1000)
	if ns == 0 {
		return 0
	}
	store64(p+32, usedPages()*(pageSize/1024)) // ru_maxrss, KiB: what is in use now
	store64(p+64, stats.faults)                // ru_minflt
	store64(p+128, stats.switches)             // ru_nvcsw
	return 0
}

// usedPages is how many pages of memory are in use.
func usedPages() uint64 {
	memLock.lock()
	n := pool.total - min(pool.nfree, pool.total)
	memLock.unlock()
	return n
}

// times fills struct tms and returns the time since the start, in hundredths of a second.
func times(p uint64) uint64 {
	if p != 0 {
		if !userRange(p, 32, true) {
			return errno(eFAULT)
		}
		clear(bytesAt(p, 32))
		store64(p, hundredths(cpuTime()))
	}
	return hundredths(nanotime())
}

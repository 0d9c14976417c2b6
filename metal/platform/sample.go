package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// A profile of what the program executes, taken while the parent asks for it (abi.ControlProfile): the timer of each CPU looks
// at what it interrupted, and follows the frame pointers that Go keeps. A thread in a system call is seen where it made it, for
// the timer waits until it is done. An idle CPU takes no samples.

// samples is the buffer of samples: words, a sample after the other, as abi.ControlSamples has them.
var samples struct {
	lock   spinLock // taken last, for a moment
	period uint64   // nanoseconds of work between two samples of a CPU; 0 = none are taken
	frames [profileFrames]uint64
	head   uint64 // words that were written and read
	tail   uint64
	lost   uint64
}

const (
	profileFrames = 32 // of the page pool, while samples are taken: at 100 a second and CPU some seconds of 4 CPUs
	frameWords    = pageSize / 8
	profileWords  = profileFrames * frameWords
)

// startProfile begins, goes on with another rate, or ends with rate 0.
func startProfile(rate uint64) uint64 {
	if rate > abi.ControlRate {
		return errno(eINVAL)
	}
	if rate == 0 {
		endProfile()
		return 0
	}
	if samples.period == 0 && !takeFrames() {
		return errno(eNOMEM)
	}
	for i := range cpus[:ncpu] {
		cpus[i].sampleAt = 0
	}
	profiled = true
	atomic.StoreUint64(&samples.period, nanos/rate)
	for i := range cpus[:ncpu] {
		if c := &cpus[i]; c != cpu() {
			sendIPI(c.apicID, vecTimer) // look at the clock and arm
		}
	}
	return 0
}

// takeFrames gives an empty buffer its memory.
func takeFrames() bool {
	samples.head, samples.tail, samples.lost = 0, 0, 0
	memLock.lock()
	ok := pool.nfree > pool.reserved+commitSlack+profileFrames
	for i := 0; ok && i < profileFrames; i++ {
		samples.frames[i] = pool.frame()
	}
	memLock.unlock()
	return ok
}

func endProfile() {
	samples.lock.lock()
	was := samples.period
	atomic.StoreUint64(&samples.period, 0)
	samples.lock.unlock()
	if was == 0 {
		return
	}
	memLock.lock()
	for _, pa := range samples.frames {
		pool.put(pa)
	}
	memLock.unlock()
}

// profileWord is where the nth word of the buffer lies.
func profileWord(n uint64) *uint64 {
	n %= profileWords
	return at[uint64](direct(samples.frames[n/frameWords]) + n%frameWords*8)
}

// sampleDue is when c is to take its next sample if its thread goes on, or never.
func (c *cpuState) sampleDue() uint64 {
	if atomic.LoadUint64(&samples.period) == 0 || c.current == c.idle {
		return never
	}
	now := nanotime()
	if busy := c.busyUntil(now); busy < c.sampleAt {
		return now + c.sampleAt - busy
	}
	return now
}

// sample takes one of the program that f interrupted, when it is time.
func (c *cpuState) sample(f *frame) {
	period := atomic.LoadUint64(&samples.period)
	if period == 0 {
		return
	}
	busy := c.busyUntil(nanotime())
	if busy < c.sampleAt {
		return
	}
	c.sampleAt = busy + period
	if f.inPlatform() || c.current.program != programMain {
		return
	}
	samples.lock.lock()
	if samples.period != 0 {
		addSample(f.IP, f.SP, f.BP)
	}
	samples.lock.unlock()
}

// addSample adds one to the buffer, or counts it as lost.
func addSample(ip, sp, bp uint64) {
	if samples.head-samples.tail > profileWords-1-abi.ControlDepth {
		samples.lost++
		return
	}
	*profileWord(samples.head + 1) = ip
	*profileWord(samples.head + 2), _ = stackWord(sp)
	n := uint64(2)
	for n < abi.ControlDepth {
		up, pc, ok := caller(bp)
		if !ok {
			break
		}
		n++
		*profileWord(samples.head + n) = pc
		bp = up
	}
	*profileWord(samples.head) = n
	samples.head += n + 1
}

// caller reads a frame of the program's stack: the frame pointer of its caller, and where that goes on.
func caller(bp uint64) (up, pc uint64, ok bool) {
	up, ok1 := stackWord(bp)
	pc, ok2 := stackWord(bp + 8)
	return up, pc, ok1 && ok2 && pc != 0 && up != bp
}

// stackWord reads a word of the program's stack. The address may be anything, so it is looked up as the processor would, and
// nothing is touched but a frame that is there.
func stackWord(a uint64) (uint64, bool) {
	if a&7 != 0 || a < lowestMapping || !userAddress(a) {
		return 0, false
	}
	pa, ok := translate(a)
	if !ok {
		return 0, false
	}
	return load64(direct(pa)), true
}

// takeSamples writes whole samples to data and forgets them.
func takeSamples(data *[abi.ControlData]byte) (size, result uint64) {
	if samples.period == 0 {
		return 0, errno(eINVAL)
	}
	out := addressOf(data)
	samples.lock.lock()
	store64(out, samples.lost)
	samples.lost = 0
	size = 8
	for samples.tail != samples.head {
		n := *profileWord(samples.tail) + 1
		if size+n*8 > abi.ControlData {
			break
		}
		for i := uint64(0); i < n; i++ {
			store64(out+size, *profileWord(samples.tail + i))
			size += 8
		}
		samples.tail += n
	}
	samples.lock.unlock()
	return size, 0
}

package main

// A thread is one M of the program's Go runtime, one idle thread, or a runner of the nonkernel. Its structure lies at the
// top of its kernel stack. Guarded by kernelLock.

type threadState uint64

const (
	threadFree threadState = iota
	threadRunnable
	threadRunning
	threadBlocked
)

// What a blocked thread waits for.
const (
	waitNone  = iota // only its deadline
	waitFutex        // waitAddr
	waitPoll         // any descriptor of a poller; waitAddr is its number
	waitKick         // kick of this CPU
)

type thread struct {
	id    uint64
	state threadState
	sp    uint64 // saved kernel stack pointer while not running
	top   uint64 // top of the kernel stack
	next  *thread
	cpu   *cpuState // where it runs, or ran last
	mask  uint64    // CPUs it may run on

	wait                 uint64
	waitAddr             uint64
	futexNext, futexPrev *thread
	bitset               uint32
	timedOut             bool
	broken               bool   // woken by a signal
	deadline             uint64 // nanotime, while it sleeps

	sleeping  bool // on its CPU's sleepList
	sleepNext *thread

	sigmask  uint64
	oldMask  uint64 // while masked: what sigmask is again after the call
	masked   bool
	pending  uint64
	altSP    uint64
	altSize  uint64
	altFlags uint64
	clearTID uint64

	ran      uint64 // nanoseconds, until it was switched to
	profiled bool   // the SIGPROF that is pending comes from profile

	daemon  bool   // the platform's own
	program uint64 // whose: see programs
}

const maxThreads = 4096

var (
	threads     [maxThreads]*thread // by id; 0 is never used
	threadsMade uint64              = 1
	freeThreads *thread             // structures with a mapped stack, for reuse
	liveThreads uint64
)

// newThread returns a blocked thread without a frame, or nil when there is no memory or too many.
func newThread() *thread {
	t := freeThreads
	if t != nil {
		freeThreads = t.next
	} else {
		if threadsMade == maxThreads {
			return nil
		}
		memLock.lock()
		top := stackFor(stackOfFirst + threadsMade)
		memLock.unlock()
		if top == 0 {
			return nil
		}
		t = at[thread](top - (threadSize+63)&^63)
		t.id = threadsMade
		t.top = addressOf(t)
		threads[t.id] = t
		threadsMade++
	}
	id, top := t.id, t.top
	*t = thread{id: id, top: top, state: threadBlocked, altFlags: ssDisable, mask: never, cpu: cpu()}
	liveThreads++
	return t
}

// prepare makes t start with frame f when it is first switched to.
func (t *thread) prepare(f *frame) *frame {
	_, _, start, _, _, _ := labels()
	sp := t.top - frameSize
	nf := at[frame](sp)
	*nf = *f
	nf.Trap = returnIRET
	store64(sp-8, start)
	store64(sp-16, 0) // BP
	t.sp = sp - 16
	return nf
}

// threadQueue is a FIFO of runnable threads.
type threadQueue struct {
	head, tail *thread
	n          int
}

func (q *threadQueue) put(t *thread) {
	t.next = nil
	if q.tail == nil {
		q.head = t
	} else {
		q.tail.next = t
	}
	q.tail = t
	q.n++
}

// take removes the first thread that may run on the CPU with the given mask bit.
func (q *threadQueue) take(bit uint64) *thread {
	var prev *thread
	for t := q.head; t != nil; prev, t = t, t.next {
		if t.mask&bit == 0 {
			continue
		}
		if prev == nil {
			q.head = t.next
		} else {
			prev.next = t.next
		}
		if q.tail == t {
			q.tail = prev
		}
		t.next = nil
		q.n--
		return t
	}
	return nil
}

// sleepList orders the sleeping threads of a CPU by deadline. There are few: a Go program has one thread in its network
// poller, its monitor, and at most a handful in timed futex waits.
type sleepList struct{ head *thread }

func (l *sleepList) add(t *thread) {
	p := &l.head
	for *p != nil && (*p).deadline <= t.deadline {
		p = &(*p).sleepNext
	}
	t.sleepNext = *p
	t.sleeping = true
	*p = t
}

func (l *sleepList) remove(t *thread) {
	for p := &l.head; *p != nil; p = &(*p).sleepNext {
		if *p == t {
			*p = t.sleepNext
			break
		}
	}
	t.sleepNext = nil
	t.sleeping = false
}

func (l *sleepList) first() uint64 {
	if l.head == nil {
		return never
	}
	return l.head.deadline
}

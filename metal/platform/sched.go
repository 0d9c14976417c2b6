package main

import "sync/atomic"

// The thread scheduler: a run queue per CPU, stealing when one is empty, a quantum only when somebody waits. Everything
// here runs with kernelLock held and interrupts off.

const quantum = 5_000_000 // nanoseconds

// ready makes a blocked thread runnable and finds a CPU for it.
func ready(t *thread) {
	if t.state != threadBlocked {
		return
	}
	if t.sleeping {
		t.cpu.sleep.remove(t)
	}
	if t.wait == waitPoll {
		pollWaiters--
	}
	t.state = threadRunnable
	t.wait = waitNone
	c := placeFor(t)
	c.queue.put(t)
	if c != cpu() && (c.current == c.idle || atomic.LoadUint32(&c.inWorld) == worldShared) {
		sendIPI(c.apicID, vecWake)
	}
}

// placeFor picks an idle CPU, the one it ran on before if possible, else the shortest queue.
func placeFor(t *thread) *cpuState {
	best := t.cpu
	if !best.takes(t) {
		best = nil
	} else if best.free() {
		return best
	}
	for i := range cpus[:ncpu] {
		c := &cpus[i]
		if !c.takes(t) {
			continue
		}
		if c.free() {
			return c
		}
		if best == nil || c.queue.n < best.queue.n {
			best = c
		}
	}
	if best == nil {
		if !host { // none of its CPUs is on line: it may run anywhere from now on, as on Linux. On a bare machine only runners are bound
			t.mask = never
		}
		return &cpus[0]
	}
	return best
}

// onLine tells whether one of the CPUs of a mask is.
func onLine(mask uint64) bool {
	for i := range cpus[:ncpu] {
		if mask>>i&1 != 0 && cpus[i].online != 0 {
			return true
		}
	}
	return false
}

func (c *cpuState) takes(t *thread) bool {
	return t.mask>>c.id&1 != 0 && c.online != 0 && c.direct == nil
}

func (c *cpuState) free() bool { return c.current == c.idle && c.queue.n == 0 }

// next picks the thread to run now: own queue, then the others', then idle.
func (c *cpuState) next() *thread {
	if c.online == 0 {
		return c.idle
	}
	bit := uint64(1) << c.id
	if t := c.queue.take(bit); t != nil {
		return t
	}
	for i := range cpus[:ncpu] {
		if o := &cpus[i]; o != c && o.queue.n > 0 {
			if t := o.queue.take(bit); t != nil {
				return t
			}
		}
	}
	return c.idle
}

// schedule switches to the next thread. The caller has put the current one wherever it belongs.
func schedule() {
	c := cpu()
	old := c.current
	n := c.next()
	n.state = threadRunning
	n.cpu = c
	if n == old {
		return
	}
	c.account()
	if old == c.idle {
		leaveLazy(c)
	}
	c.current = n
	c.setStack(n.top)
	if n == c.idle {
		goLazy(c)
	}
	stats.switches++
	switchStack(&old.sp, n.sp)
}

// yield lets others run first when there are any.
func yield() {
	c := cpu()
	t := c.current
	if t == c.idle {
		t.state = threadRunnable
		schedule()
		return
	}
	if c.queue.n == 0 {
		return
	}
	t.state = threadRunnable
	n := c.queue.take(1 << c.id)
	if n == nil {
		t.state = threadRunning
		return
	}
	c.queue.put(t)
	t.next = nil
	// n goes first: put it back at the head.
	n.next = c.queue.head
	c.queue.head = n
	c.queue.n++
	schedule()
}

// block parks the current thread until ready or deadline (nanotime; 0 = none). It reports how it ended.
func block(wait, addr, deadline uint64) (timedOut, interrupted bool) {
	c := cpu()
	t := c.current
	if t.pending&^t.sigmask != 0 {
		return false, true
	}
	t.state = threadBlocked
	t.wait, t.waitAddr = wait, addr
	if wait == waitPoll {
		pollWaiters++
	}
	t.timedOut, t.broken = false, false
	if deadline != 0 {
		t.deadline = deadline
		c.sleep.add(t)
	}
	schedule()
	return t.timedOut, t.broken
}

// expire wakes the sleepers of this CPU whose time has come.
func (c *cpuState) expire(now uint64) {
	for c.sleep.first() <= now {
		t := c.sleep.head
		t.timedOut = true
		ready(t)
	}
}

// armTimer sets this CPU's timer for what it needs next. A timer armed earlier than needed is left alone: the tick finds
// nothing to do and arms again, which is cheaper than a write for every sleep.
func (c *cpuState) armTimer() {
	d := c.sleep.first()
	if net.up && net.deadline < d {
		d = net.deadline
	}
	if c.queue.n > 0 && c.current != c.idle {
		if q := nanotime() + quantum; q < d {
			d = q
		}
	}
	if profiled {
		d = min(d, c.profileDue(), c.sampleDue())
	}
	if d == never || c.timer <= d {
		return
	}
	c.arm(d)
}

// threadEnter is the first thing a new thread does: it holds kernelLock from the switch.
func threadEnter() { leave() }

// leave ends a stretch of platform code that holds kernelLock.
func leave() {
	cpu().armTimer()
	kernelLock.unlock()
}

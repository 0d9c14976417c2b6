package main

import (
	"testing"

	"nom.dev/nom/abi"
)

// TestLostCore: threads that wait on a CPU whose core was taken without asking go elsewhere, none is sent there any more, and the CPU comes
// back with its core.
func TestLostCore(t *testing.T) {
	fakeMachine(t, 16, nil)
	saved, n := cpus[1], ncpu
	defer func() { cpus[1], ncpu = saved, n }()
	ncpu = 2
	for _, idle := range []bool{true, false} {
		cpus[0].queue, cpus[0].sleep = threadQueue{}, sleepList{}
		cpus[1] = cpuState{id: 1, online: 1, idle: &thread{}}
		c := &cpus[1]
		c.current = c.idle
		if !idle {
			c.current = &thread{state: threadRunning, cpu: c}
		}
		waiting := &thread{state: threadRunnable, mask: never, cpu: c}
		c.queue.put(waiting)
		sleeper := &thread{state: threadBlocked, mask: never, cpu: c, deadline: never - 1}
		c.sleep.add(sleeper)
		eventPage().Core[1], eventPage().Slots[1] = abi.NoCore, 0
		handleEvents()
		if c.online != 0 || !c.parked || (c.away != 0) != idle {
			t.Errorf("idle %v: got on line %d, parked %v, away %d", idle, c.online, c.parked, c.away)
		}
		if cpus[0].queue.take(1) != waiting || cpus[0].sleep.head != sleeper || sleeper.cpu != &cpus[0] {
			t.Errorf("idle %v: what waited on the CPU is not on the other one", idle)
		}
		ready(sleeper)
		if cpus[0].queue.take(1) != sleeper || c.queue.n != 0 {
			t.Errorf("idle %v: a thread was sent to a CPU without a core", idle)
		}
		handleEvents() // again: nothing to do
		if c.online != 0 || c.queue.n != 0 {
			t.Errorf("idle %v: the second event changed something", idle)
		}
	}
	if handleEvents(); cpus[0].online == 0 {
		t.Error("vCPU 0 is off line")
	}
}

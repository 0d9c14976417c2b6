package main

import (
	"testing"
)

// TestAffinity: a thread that is bound to a CPU that is off line may run anywhere, as on Linux, and none can be bound to such CPUs alone.
func TestAffinity(t *testing.T) {
	fakeMachine(t, 16, nil)
	saved, n := cpus[1], ncpu
	defer func() { cpus[1], ncpu = saved, n }()
	cpus[1], ncpu = cpuState{id: 1, parked: true}, 2
	bound := &thread{state: threadBlocked, mask: 1 << 1, cpu: &cpus[1]}
	ready(bound)
	if got := cpus[0].queue.take(1 << 0); got != bound {
		t.Errorf("CPU 0 takes %p, want the thread that was bound to one off line", got)
	}
	masks := new([3]uint64)
	masks[0], masks[1], masks[2] = 1<<1, 1<<5, 1<<1|1<<0
	for i, want := range []uint64{errno(eINVAL), errno(eINVAL), 0} {
		if got := setAffinity(0, 8, addressOf(&masks[i])); got != want {
			t.Errorf("affinity %#x: got %d, want %d", masks[i], int64(got), int64(want))
		}
	}
	cpus[1].online, cpus[1].queue = 1, threadQueue{}
	cpus[1].idle = &thread{}
	cpus[1].current = &thread{}
	bound = &thread{state: threadBlocked, mask: 1 << 1, cpu: &cpus[0]}
	ready(bound)
	if bound.mask != 1<<1 || cpus[1].queue.take(1<<1) != bound {
		t.Errorf("bound to a CPU that is on line: got mask %#x", bound.mask)
	}
}

package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// What the container holds, as control group version 2 tells it. Go's runtime reads cpu.max again and again and sets GOMAXPROCS by
// it, so programs follow slots that come and go.

// cpuPeriod is the period of cpu.max, in microseconds; a quota is what may be used of it.
const cpuPeriod = 100_000

// heldCPU is how much of cores the container holds, as a quota of cpuPeriod. whole says that it shares none of them.
func heldCPU() (quota uint64, whole bool) {
	if host {
		return 0, true
	}
	p, slots := eventPage(), 0
	whole = true
	for i := range min(ncpu, abi.MaxVCPUs) {
		if atomic.LoadUint32(&p.Core[i]) == abi.NoCore {
			continue
		}
		held := atomic.LoadUint32(&p.Slots[i])
		for s := held; s != 0; s &= s - 1 {
			slots++
		}
		whole = whole && held == abi.AllSlots
	}
	return uint64(slots) * cpuPeriod / abi.FrameSlots, whole
}

func writeCPUMax(t *text) {
	if quota, whole := heldCPU(); !whole {
		t.dec(quota, " ")
	} else {
		t.put("max ")
	}
	t.dec(cpuPeriod, "\n")
}

func writeCPUStat(t *text) {
	us := cpuTime() / 1000
	t.put("usage_usec ")
	t.dec(us, "\nuser_usec ")
	t.dec(us, "\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
}

func writeMemoryMax(t *text) {
	if host {
		writeMax(t)
		return
	}
	t.dec(atomic.LoadUint64(&eventPage().Pages)*pageSize, "\n")
}

func writeMemoryCurrent(t *text) { t.dec(usedPages()*pageSize, "\n") }

func writeMemoryStat(t *text) {
	t.put("anon ")
	t.dec(usedPages()*pageSize, "\nfile 0\nkernel_stack ")
	t.dec(liveThreads*stackSize, "\npgfault ")
	t.dec(stats.faults, "\npgmajfault 0\n")
}

func writeMax(t *text)         { t.put("max\n") }
func writeZero(t *text)        { t.put("0\n") }
func writeOne(t *text)         { t.put("1\n") }
func writeNothing(t *text)     {}
func writeWeight(t *text)      { t.put("100\n") }
func writeControllers(t *text) { t.put("cpu memory pids\n") }
func writeMemoryEvents(t *text) {
	t.put("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n")
}
func writeCgroupEvents(t *text) { t.put("populated 1\nfrozen 0\n") }
func writePidsMax(t *text)      { t.dec(maxThreads, "\n") }
func writeThreads(t *text)      { t.dec(liveThreads, "\n") }

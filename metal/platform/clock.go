package main

import "nom.dev/nom/abi"

const nanos = 1_000_000_000

// The clock: nanoseconds = (TSC - clockBase) * clockMult >> 32, in nanotime, vdsoClock and tscAt alike.
var (
	clockBase uint64
	clockMult uint64
	wallBase  uint64 // nanoseconds since 1970 at clockBase
	tscHz     uint64
	apicHz    uint64
)

// mulDiv is a*b/c for c up to 2^34 without overflow.
func mulDiv(a, b, c uint64) uint64 { return a/c*b + a%c*b/c }

func startClock(b *abi.BootPage) {
	tscHz, apicHz = b.TSCHz, b.APICHz
	clockBase = rdtsc() - 1
	clockMult = (nanos << 32) / tscHz
	wallBase = b.WallNanos
	if clockBase > b.WallTSC {
		wallBase += mulDiv(clockBase-b.WallTSC, nanos, tscHz)
	}
}

// tscAt converts nanotime to TSC ticks.
func tscAt(ns uint64) uint64 { return clockBase + mulDiv(ns, tscHz, nanos) }

// nanosAt is the inverse; a TSC before the start is 0.
func nanosAt(tsc uint64) uint64 {
	if tsc <= clockBase {
		return 0
	}
	return mulDiv(tsc-clockBase, nanos, tscHz)
}

// The ACPI PM timer (ACPI 6.5 section 4.8.2.1) is the reference on a bare machine: one read is atomic, so a sample that
// is bracketed tightly by the TSC cannot be falsified by a hypervisor that steals the CPU.
const (
	pmTimerHz   = 3_579_545
	pmTimerMask = 0xff_ffff
)

func pmSample(port uint64) (tsc, apic, pm uint64) {
	best := never
	for range 30 {
		a := rdtsc()
		l := uint64(load32(direct(xapicTMCCT)))
		p := inl(port) & pmTimerMask
		b := rdtsc()
		if b-a < best {
			best = b - a
			tsc, apic, pm = a+(b-a)/2, l, p
		}
	}
	return
}

// calibrate measures TSC and APIC timer over 20 ms, in xAPIC mode: QEMU cannot read the count through an MSR when it counts
// instructions.
func calibrate(port uint64) (tsc, apic uint64) {
	store32(direct(xapicSVR), 0x1ff)
	store32(direct(xapicDCR), divideByOne)
	store32(direct(xapicLVTT), 1<<16|vecTimer) // masked
	store32(direct(xapicTMICT), 0xffff_ffff)
	t0, l0, p0 := pmSample(port)
	for (inl(port)-p0)&pmTimerMask < pmTimerHz/50 {
		pause()
	}
	t1, l1, p1 := pmSample(port)
	d := (p1 - p0) & pmTimerMask
	store32(direct(xapicTMICT), 0)
	return (t1 - t0) * pmTimerHz / d, (l0 - l1) * pmTimerHz / d
}

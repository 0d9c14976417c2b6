package main

// The local APIC in x2APIC mode (APM vol. 2 section 16.9): the same registers on a bare machine and in a container,
// where the nonkernel either lets them through (dedicated core) or answers for them (shared core).

const (
	msrAPICBase  = 0x1b
	x2apicID     = 0x802
	x2apicTPR    = 0x808
	x2apicEOI    = 0x80b
	x2apicSVR    = 0x80f
	x2apicISR    = 0x810
	x2apicIRR    = 0x820
	x2apicLVTT   = 0x832
	x2apicICR    = 0x830
	x2apicTMICT  = 0x838
	x2apicDCR    = 0x83e
	x2apicSelf   = 0x83f
	icrNMI       = 4 << 8
	icrINIT      = 5<<8 | 1<<14
	icrSIPI      = 6<<8 | 1<<14
	icrAssert    = 1 << 14
	apicX2Enable = 3 << 10

	// The same in xAPIC mode, for calibrate.
	xapicBase  = 0xfee0_0000
	xapicSVR   = xapicBase + 0x0f0
	xapicLVTT  = xapicBase + 0x320
	xapicTMICT = xapicBase + 0x380
	xapicTMCCT = xapicBase + 0x390
	xapicDCR   = xapicBase + 0x3e0

	divideByOne = 0xb
	lvtPeriodic = 1 << 17
)

// Vectors of the platform, in the two highest priority classes so that nothing below can hold them back.
const (
	vecSpurious  = 0xff
	vecTimer     = 0xf0
	vecWake      = 0xf1
	vecShootdown = 0xf2
)

// Exceptions, APM vol. 2 section 8.2.
const (
	vecDivide       = 0
	vecNMI          = 2
	vecBreakpoint   = 3
	vecUndefined    = 6
	vecDoubleFault  = 8
	vecProtection   = 13
	vecPageFault    = 14
	vecMachineCheck = 18
)

func initAPIC(c *cpuState) {
	if host {
		wrmsr(msrAPICBase, rdmsr(msrAPICBase)|apicX2Enable)
	}
	c.apicID = rdmsr(x2apicID)
	wrmsr(x2apicSVR, 0x100|vecSpurious)
	wrmsr(x2apicTPR, 0)
	wrmsr(x2apicDCR, divideByOne)
	wrmsr(x2apicLVTT, vecTimer) // one-shot
	c.timer = never
}

func endOfInterrupt() { wrmsr(x2apicEOI, 0) }

func sendIPI(apicID, vector uint64) { wrmsr(x2apicICR, apicID<<32|icrAssert|vector) }

func sendNMI(apicID uint64) { wrmsr(x2apicICR, apicID<<32|icrAssert|icrNMI) }

// arm makes this CPU's timer fire once, at nanotime d.
func (c *cpuState) arm(d uint64) {
	c.repeat(false)
	c.timer = d
	now := nanotime()
	countDown(max(d, now+1000) - now)
}

// countDown starts the timer; it fires after dt nanoseconds, and after as many again if it repeats.
func countDown(dt uint64) { wrmsr(x2apicTMICT, min(mulDiv(dt, apicHz, nanos), 0xffff_fff0)|1) }

// repeat says whether the timer fires again and again until it is armed or stopped.
func (c *cpuState) repeat(on bool) {
	if c.repeats == on {
		return
	}
	c.repeats = on
	if on {
		wrmsr(x2apicLVTT, lvtPeriodic|vecTimer)
		return
	}
	wrmsr(x2apicTMICT, 0)
	wrmsr(x2apicLVTT, vecTimer)
}

// Bounds of armRepeating, in nanoseconds. A shorter period would keep an emulator busy that is late.
const (
	minRepeat = 50_000
	maxRepeat = 10_000_000
)

// armRepeating makes the timer fire about nanotime d, and again until it was taken: see losesInterrupts.
func (c *cpuState) armRepeating(d uint64) {
	now := nanotime()
	if first, ok := c.firstOfMany(d, now); ok {
		c.repeat(true)
		c.timer = first
		countDown(first - now)
	}
}

// firstOfMany is when a repeating timer is to fire first for deadline d. False: it does soon enough as it is. A guest that exits again
// and again must not put it off.
func (c *cpuState) firstOfMany(d, now uint64) (uint64, bool) {
	first := min(max(d, now+minRepeat), now+maxRepeat)
	return first, !c.repeats || first < c.timer
}

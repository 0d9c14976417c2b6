// Package pmtimer does the arithmetic of the ACPI power management timer: a counter at a rate that is the same on every machine,
// and so the one to measure other clocks with.
//
// It follows the ACPI specification 6.5, 4.8.2.1. Where the counter is and how wide is in the FADT: see hw/acpi. The package
// runs without a Go runtime: plain functions on integers.
package pmtimer

// Hz is the rate of the counter: 3.579545 MHz.
const Hz = 3_579_545

// Masks of the counter's value. It is 24 bits wide unless the FADT says FlagTimer32.
const (
	Mask24 = 1<<24 - 1
	Mask32 = 1<<32 - 1
)

// Mask is the mask for a counter of 32 or of 24 bits.
func Mask(wide bool) uint32 {
	if wide {
		return Mask32
	}
	return Mask24
}

// Elapsed is how many ticks passed between two readings, if fewer than a whole turn: 4.68 s for 24 bits, 1199 s for 32.
func Elapsed(from, to uint32, wide bool) uint32 { return (to - from) & Mask(wide) }

// Nanoseconds converts ticks, rounded down. It is exact up to 500 years.
func Nanoseconds(ticks uint64) uint64 {
	return ticks/Hz*1e9 + ticks%Hz*1e9/Hz
}

// Ticks converts nanoseconds, rounded up: waiting that many ticks waits at least as long.
func Ticks(ns uint64) uint64 {
	return ns/1e9*Hz + (ns%1e9*Hz+1e9-1)/1e9
}

// Sample is one reading of the counter between two readings of another clock, for example the TSC.
type Sample struct {
	Before uint64
	Timer  uint32
	After  uint64
}

// Width is how long the reading took in ticks of the other clock: the uncertainty of the sample. Of several samples taken one
// after the other keep the narrowest, because an interruption in between makes a sample worthless.
func (s Sample) Width() uint64 { return s.After - s.Before }

// Narrower says whether s is a better sample than t.
func (s Sample) Narrower(t Sample) bool { return s.Width() < t.Width() }

// Rate is the rate of the other clock in Hz, from a sample at the start and one at the end of an interval of less than a turn.
// It can be wrong by at most the second result: each reading may lie anywhere in its sample, and either may have been taken just
// before the counter ticked. Both are 0 when the counter moved by less than two ticks or a clock ran backwards.
func Rate(start, end Sample, wide bool) (hz, bound uint64) {
	ticks := uint64(Elapsed(start.Timer, end.Timer, wide))
	if ticks < 2 || start.After < start.Before || end.After < end.Before || end.Before < start.After {
		return 0, 0
	}
	middle := (end.Before + end.Width()/2) - (start.Before + start.Width()/2)
	slack := start.Width()/2 + end.Width()/2 + 2
	hz = scale(middle, ticks)
	return hz, scale(middle+slack, ticks-1) - hz + 1
}

// scale is clock*Hz/ticks without overflow for all rates a clock may have.
func scale(clock, ticks uint64) uint64 {
	if ticks == 0 {
		return 0
	}
	return clock/ticks*Hz + clock%ticks*Hz/ticks
}

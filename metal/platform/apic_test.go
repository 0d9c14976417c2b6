package main

import "testing"

// TestRepeatingTimer: a timer that may be lost fires again, neither so often that it keeps an emulator busy nor so seldom that a core is
// lost for long, and who arms it again and again does not put it off.
func TestRepeatingTimer(t *testing.T) {
	const now = 1_000_000_000
	for _, c := range []struct {
		name        string
		armed, d    uint64
		repeats, ok bool
		first       uint64
	}{
		{"soon", never, now + 1_000_000, false, true, now + 1_000_000},
		{"at once", never, now + 1, false, true, now + minRepeat},
		{"over", never, now - 5, false, true, now + minRepeat},
		{"never", never, never, false, true, now + maxRepeat},
		{"instead of one that fires once", now + 10, now + 1_000_000, false, true, now + 1_000_000},
		{"earlier than it does", now + 2_000_000, now + 1_000_000, true, true, now + 1_000_000},
		{"later than it does", now + 1_000_000, now + 2_000_000, true, false, 0},
		{"when it has fired and was lost", now - 1, now + 2_000_000, true, false, 0},
	} {
		cpu := cpuState{timer: c.armed, repeats: c.repeats}
		first, ok := cpu.firstOfMany(c.d, now)
		if ok != c.ok || ok && first != c.first {
			t.Errorf("%s: got %d, %v, want %d, %v", c.name, first, ok, c.first, c.ok)
		}
	}
	cpu := cpuState{timer: never}
	for at := uint64(now); ; at += 1000 { // a guest that exits every microsecond
		if first, ok := cpu.firstOfMany(now+20_000, at); ok {
			cpu.timer, cpu.repeats = first, true
		}
		if at >= now+minRepeat {
			break
		}
	}
	if cpu.timer > now+minRepeat {
		t.Errorf("a guest that exits again and again put the timer off to %d", cpu.timer-now)
	}
}

package devices

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/iommu"
)

// TestJournal: whoever floods is heard at first, once a second later, and with the next holder from the beginning; others are heard.
func TestJournal(t *testing.T) {
	var j journal
	now := time.Hour
	count := func(function int, name string, n int) int {
		for i := range n {
			j.note(function, name, fmt.Sprint(name, i, now), now)
		}
		return len(j.take())
	}
	if n := count(0, "a", 1000); n != linesAtOnce {
		t.Errorf("%d lines at once, want %d", n, linesAtOnce)
	}
	if n := count(1, "b", 1); n != 1 {
		t.Error("the neighbour is not heard")
	}
	now += 3500 * time.Millisecond
	j.note(0, "a", "later", now)
	if lines := j.take(); len(lines) != 1 || !strings.HasSuffix(lines[0], fmt.Sprintf("(%d such lines before it were left out)", 1000-linesAtOnce)) {
		t.Errorf("later: %q", lines)
	}
	if n := count(0, "a", 100); n != 2 {
		t.Errorf("after three seconds %d lines more, want 2", n)
	}
	if n := count(0, "c", 100); n != linesOfNew {
		t.Errorf("%d lines of a new holder, want %d", n, linesOfNew)
	}
}

// TestJournalRepeats: the same line comes once, and once more after a while.
func TestJournalRepeats(t *testing.T) {
	var j journal
	for i := range 1000 {
		j.note(unknown, "", "same", time.Second+time.Duration(i)*20*time.Millisecond)
	}
	if lines := j.take(); len(lines) != 2 {
		t.Errorf("in 20 s the same line came %d times, want 2", len(lines))
	}
}

// TestBlocked: what was blocked is counted for the function's holder, and begins anew with the next one.
func TestBlocked(t *testing.T) {
	var j journal
	holder := new(iommu.Domain)
	for _, c := range []struct {
		function int
		fault    iommu.Fault
		want     blocked // of function 2
	}{
		{2, iommu.Fault{Domain: holder, Read: true, Address: 0x5000}, blocked{1, 0x5000}},
		{2, iommu.Fault{Domain: holder, Address: 0x6123}, blocked{2, 0x6000 | abi.BlockedWrite}},
		{2, iommu.Fault{Domain: holder, Interrupt: true, Index: 9}, blocked{3, abi.BlockedInterrupt}},
		{2, iommu.Fault{Address: 0x7000}, blocked{3, abi.BlockedInterrupt}}, // of nobody
		{unknown, iommu.Fault{Domain: holder}, blocked{3, abi.BlockedInterrupt}},
		{1, iommu.Fault{Domain: holder, Address: 0x8000}, blocked{3, abi.BlockedInterrupt}},
	} {
		if j.count(c.function, &c.fault); j.counted(2) != c.want {
			t.Errorf("after %v: got %+v, want %+v", c.fault, j.counted(2), c.want)
		}
	}
	if j.restart(2); j.counted(2) != (blocked{}) || j.counted(1).count != 1 {
		t.Errorf("the next holder has %+v, the neighbour %+v", j.counted(2), j.counted(1))
	}
}

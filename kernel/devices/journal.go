package devices

import (
	"fmt"
	"sync"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/igb"
	"nom.dev/nom/kernel/iommu"
)

// journal holds back what would fill the console: a holder can have as much blocked as it likes.
type journal struct {
	mu    sync.Mutex
	of    [igb.MaxFunctions + 1]notes
	lines []string

	blocked [igb.MaxFunctions]blocked
}

// blocked is what the IOMMU was seen to block of a function since its holder got it.
type blocked struct {
	count uint64
	last  uint64 // as abi.DeviceStatus.BlockedLast
}

// count counts something that was blocked of a function, which has a holder.
func (j *journal) count(function int, f *iommu.Fault) {
	if function == unknown || f.Domain == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	b := &j.blocked[function]
	b.count++
	switch {
	case f.Interrupt:
		b.last = abi.BlockedInterrupt
	case f.Read:
		b.last = f.Address &^ (abi.PageSize - 1)
	default:
		b.last = f.Address&^(abi.PageSize-1) | abi.BlockedWrite
	}
}

// counted is what was blocked of a function.
func (j *journal) counted(function int) blocked {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.blocked[function]
}

// restart begins to count for a new holder.
func (j *journal) restart(function int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.blocked[function] = blocked{}
}

// unknown is the number of all functions that are not the card's.
const unknown = igb.MaxFunctions

// notes is what was said of a function.
type notes struct {
	name   string // of its holder
	last   string
	said   time.Duration // when that was said
	left   int           // lines
	filled time.Duration
	hidden int // lines that were not said
}

// A function may have so many lines at once, and one a second. A new holder has a few of its own, and the same line comes once in a
// while.
const (
	linesAtOnce = 64
	linesOfNew  = 4
	sameAgain   = 10 * time.Second
	mostWaiting = 64
)

// note takes a line about a function for the console, or leaves it out.
func (j *journal) note(function int, name, line string, now time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := &j.of[function]
	if n.filled == 0 {
		n.left = linesAtOnce
	}
	if passed := now - n.filled; n.filled == 0 || passed >= time.Second {
		n.left = min(n.left+int(passed/time.Second), linesAtOnce)
		n.filled = now
	}
	if name != n.name {
		n.name, n.left = name, max(n.left, linesOfNew)
	}
	if line == n.last && now-n.said < sameAgain {
		return
	}
	if n.left == 0 || len(j.lines) >= mostWaiting {
		n.hidden++
		return
	}
	n.left--
	n.last, n.said = line, now
	if n.hidden > 0 {
		line += fmt.Sprintf(" (%d such lines before it were left out)", n.hidden)
		n.hidden = 0
	}
	j.lines = append(j.lines, line)
}

// take returns the lines that wait.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

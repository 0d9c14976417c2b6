package main

import (
	"fmt"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// The nonkernel counts what the IOMMU blocked of a function, and how often a function was switched off for having been reset too often.
// Root looks at the counters and makes events of them, fewer and fewer of a container that goes on: whoever misuses its function much must
// not push the events of others out of the list.

// told is what was told of a counter of a run.
type told struct {
	count uint64    // that was told of
	times int       // events
	next  time.Time // not before then
}

// How often counters are looked at, and how long the pause between two events of a run becomes.
const (
	misuseEvery = time.Second
	misusePause = time.Minute
)

// due is how much of a counter is to be told of now: nothing while it is too early; it never is at the end of a run, for which now is zero.
func (t *told) due(counter uint64, now time.Time) uint64 {
	if counter <= t.count || !now.IsZero() && now.Before(t.next) {
		return 0
	}
	n := counter - t.count
	t.count, t.next = counter, now.Add(min(misuseEvery<<min(t.times, 10), misusePause))
	t.times++
	return n
}

// watchMisuse looks at the functions of all containers that run, for ever.
func (m *manager) watchMisuse() {
	for range time.Tick(misuseEvery) {
		m.lookMisuse(time.Now())
	}
}

func (m *manager) lookMisuse(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workloads {
		if w.process != nil && w.spec.NIC {
			w.look(w.process)
			m.tellMisuse(w, now)
		}
	}
}

// tellMisuse makes events of what was counted of w and not told yet. The manager is locked.
func (m *manager) tellMisuse(w *workload, now time.Time) {
	if w.seen == nil {
		return
	}
	if n := w.blocked.due(w.seen.Blocked, now); n != 0 {
		m.events.add(api.Event{Event: api.EventBlocked, Container: w.spec.Name, Count: n, Error: blockedText(w.blockedLast)})
	}
	if n := w.off.due(w.seen.SwitchedOff, now); n != 0 {
		m.events.add(api.Event{Event: api.EventOff, Container: w.spec.Name, Count: n, Error: "its program reset it too often"})
	}
}

// blockedText says what was blocked last.
func blockedText(last uint64) string {
	page := last &^ (abi.PageSize - 1)
	switch {
	case last&abi.BlockedInterrupt != 0:
		return "the last was an interrupt that is not its own"
	case last&abi.BlockedWrite != 0:
		return fmt.Sprintf("the last was a write to %#x", page)
	}
	return fmt.Sprintf("the last was a read from %#x", page)
}

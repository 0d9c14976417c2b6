package main

import (
	"fmt"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// The nonkernel counts what the IOMMU blocked of a function. Root looks at the counters and makes events of them, fewer and fewer of a
// container that goes on: whoever has much blocked must not push the events of others out of the list.

// blockedTold is what was told of a run.
type blockedTold struct {
	count uint64    // that was told of
	times int       // events
	next  time.Time // not before then
}

// How often counters are looked at, and how long the pause between two events of a run becomes.
const (
	blockedEvery = time.Second
	blockedPause = time.Minute
)

// watchBlocked looks at the functions of all containers that run, for ever.
func (m *manager) watchBlocked() {
	for range time.Tick(blockedEvery) {
		m.lookBlocked(time.Now())
	}
}

func (m *manager) lookBlocked(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workloads {
		if w.process != nil && w.spec.NIC {
			w.look(w.process)
			m.tellBlocked(w, now)
		}
	}
}

// tellBlocked makes an event of what was blocked of w and not told yet, unless it is too early; it is never at the end of a run, for
// which now is zero. The manager is locked.
func (m *manager) tellBlocked(w *workload, now time.Time) {
	b := &w.blocked
	if w.seen == nil || w.seen.Blocked <= b.count || !now.IsZero() && now.Before(b.next) {
		return
	}
	m.events.add(api.Event{Event: api.EventBlocked, Container: w.spec.Name, Count: w.seen.Blocked - b.count, Error: blockedText(w.blockedLast)})
	b.count, b.next = w.seen.Blocked, now.Add(min(blockedEvery<<min(b.times, 10), blockedPause))
	b.times++
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

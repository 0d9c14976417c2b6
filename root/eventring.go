package main

import (
	"sync"
	"time"

	"nom.dev/nom/api"
)

// eventRing keeps the last api.MaxEvents events of the management API and numbers them from 1 on. Readers follow it at their own
// pace; one that is too slow is told how many it missed.
type eventRing struct {
	mu      sync.Mutex
	events  []api.Event   // the oldest first, with consecutive numbers
	last    uint64        // number of the newest
	changed chan struct{} // closed at the next event
}

// add numbers an event and keeps it.
func (r *eventRing) add(ev api.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	ev.Seq, ev.Time = r.last, time.Now()
	if len(r.events) == api.MaxEvents {
		copy(r.events, r.events[1:])
		r.events[len(r.events)-1] = ev
	} else {
		r.events = append(r.events, ev)
	}
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// after returns the events behind number since, how many of those that were there are not kept any more, and what is closed when
// there are more.
func (r *eventRing) after(since uint64) (list []api.Event, dropped uint64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	if since >= r.last {
		return nil, 0, r.changed
	}
	kept := min(r.last-since, uint64(len(r.events)))
	list = append(list, r.events[uint64(len(r.events))-kept:]...)
	return list, r.last - since - kept, r.changed
}

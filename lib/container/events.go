package container

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
)

// Watcher hears of events at this program's container.
type Watcher struct {
	// C receives a value when something may be there to Take. Several events may share one value.
	C       <-chan struct{}
	c       chan struct{}
	mask    uint64
	pending atomic.Uint64
	from    *dispatcher
}

// Take returns the event bits that came since the last call.
func (w *Watcher) Take() uint64 { return w.pending.Swap(0) }

// Close ends the watching.
func (w *Watcher) Close() { w.from.remove(w) }

// dispatcher passes events on to watchers.
type dispatcher struct {
	mu       sync.Mutex
	watchers map[*Watcher]struct{}
}

func (d *dispatcher) add(mask uint64) *Watcher {
	w := &Watcher{c: make(chan struct{}, 1), mask: mask, from: d}
	w.C = w.c
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watchers == nil {
		d.watchers = map[*Watcher]struct{}{}
	}
	d.watchers[w] = struct{}{}
	return w
}

func (d *dispatcher) remove(w *Watcher) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.watchers, w)
}

// deliver gives event bits to whoever watches them.
func (d *dispatcher) deliver(bits uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.watchers {
		if bits&w.mask == 0 {
			continue
		}
		w.pending.Or(bits & w.mask)
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}

var (
	events     dispatcher
	openEvents = sync.OnceValue(readEvents)
)

// Watch tells of the events in mask (abi.EventChild and so on) from now on. What came before, the caller must look at
// itself: the grants, the state of its children.
func Watch(mask uint64) (*Watcher, error) {
	if err := openEvents(); err != nil {
		return nil, err
	}
	return events.add(mask), nil
}

// readEvents starts the goroutine that reads the event page, for as long as the program runs.
func readEvents() error {
	page := metal.EventPage()
	if page == nil {
		return fmt.Errorf("watching for events: %w", metal.ErrNotRunning)
	}
	f, err := metal.OpenVector(abi.VectorEvent)
	if err != nil {
		return fmt.Errorf("watching for events: %w", err)
	}
	go func() {
		var count [8]byte
		for {
			if bits := atomic.SwapUint64(&page.Pending, 0); bits != 0 {
				events.deliver(bits)
			}
			if n, err := f.Read(count[:]); err != nil || n != len(count) || binary.LittleEndian.Uint64(count[:]) == 0 {
				panic(fmt.Sprintf("container: reading the event vector: got %d bytes, %v", n, err))
			}
		}
	}()
	return nil
}

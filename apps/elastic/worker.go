package main

import (
	"fmt"
	"math/bits"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

const (
	reserve     = 40 << 20 // bytes of the grant that are not for the table
	linuxBlocks = 12       // of the table where nobody grants anything
	turn        = 20_000   // numbers looked at before somebody else may have the table
	reportEvery = 500 * time.Millisecond
)

// worker is the state that the search and the trade share.
type worker struct {
	mu     sync.Mutex
	table  table
	search search
}

// work searches all numbers below limit while the parent, if there is one, takes and gives.
func work(limit uint64) error {
	w := &worker{search: search{limit: limit, next: 1}}
	if err := w.watch(); err != nil {
		return err
	}
	lastTime, lastNumber := time.Now(), w.search.next
	for w.turn() {
		if since := time.Since(lastTime); since >= reportEvery {
			w.report(float64(w.search.next-lastNumber) / since.Seconds())
			lastTime, lastNumber = time.Now(), w.search.next
		}
	}
	fmt.Printf("longest chain below %d: from %d, %d steps\n", limit, w.search.best, w.search.steps)
	return nil
}

// turn does a piece of the work and says whether there is more.
func (w *worker) turn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.search.advance(&w.table, turn)
}

// report says what the worker has and how fast it is.
func (w *worker) report(rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slots := "all its cores"
	if g, err := container.Own(); err == nil {
		slots = fmt.Sprintf("%d core slots", bits.OnesCount32(g.Slots[0]))
	}
	fmt.Fprintf(os.Stderr, "worker: with %s and %d MiB of table: %.0f numbers a second\n", slots, len(w.table.blocks)*blockSize>>20, rate)
}

// watch makes the table as large as the grant allows, now and whenever that changes.
func (w *worker) watch() error {
	if !metal.InContainer() {
		w.resize(linuxBlocks)
		return nil
	}
	events, err := container.Watch(abi.EventReclaimPages | abi.EventGrant)
	if err != nil {
		return err
	}
	w.adapt()
	go func() {
		for range events.C {
			events.Take()
			w.adapt()
		}
	}()
	return nil
}

// adapt looks at the grant and resizes the table. When the parent asks for memory, the platform has already returned what
// was free; what the table drops makes up for it.
func (w *worker) adapt() {
	g, err := container.Own()
	if err != nil {
		return
	}
	keep := int64(g.Pages-min(g.Pages, g.ReclaimPages))*abi.PageSize - reserve
	w.resize(int(max(keep, 0) / blockSize))
	if g.ReclaimPages != 0 {
		metal.RaiseEvent() // now there is more to return
	}
}

// resize changes the number of blocks. The memory of those dropped goes back to the platform at once.
func (w *worker) resize(blocks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.table.blocks)
	for len(w.table.blocks) < blocks {
		w.table.blocks = append(w.table.blocks, make([]byte, blockSize))
	}
	if blocks < before {
		clear(w.table.blocks[blocks:]) // or the memory would still be referred to
		w.table.blocks = w.table.blocks[:blocks]
		debug.FreeOSMemory()
	}
	if blocks != before {
		fmt.Fprintf(os.Stderr, "worker: table of %d MiB instead of %d\n", blocks*blockSize>>20, before*blockSize>>20)
	}
}

package main

import (
	"fmt"
	"math/bits"
	"os"
	"sync"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

const (
	tableBlocks = 8      // of the table at the start
	turn        = 20_000 // numbers looked at before somebody else may have the table
	reportEvery = 500 * time.Millisecond
)

// worker is the state that the search and the trade share.
type worker struct {
	mu       sync.Mutex
	table    table
	memory   []metal.Physical // where the table's blocks lie; empty on Linux
	returned []metal.Physical // blocks that the parent took, the last one at the end
	pages    uint64           // granted, as far as it was noticed
	search   search
}

// work searches all numbers below limit while the parent, if there is one, takes and gives.
func work(limit uint64) error {
	w := &worker{search: search{limit: limit, next: 1}}
	if err := w.fillTable(); err != nil {
		return err
	}
	if metal.InContainer() {
		if err := w.watch(); err != nil {
			return err
		}
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

// fillTable takes memory for the table: on nom pages whose physical address is known, so that they can be returned.
func (w *worker) fillTable() error {
	for range tableBlocks {
		if !metal.Running() {
			w.table.blocks = append(w.table.blocks, make([]byte, blockSize))
			continue
		}
		p, err := metal.Pages(blockSize / abi.PageSize)
		if err != nil {
			return err
		}
		w.add(p)
	}
	return nil
}

// add makes a block of zeroed memory part of the table.
func (w *worker) add(p metal.Physical) {
	w.memory = append(w.memory, p)
	w.table.blocks = append(w.table.blocks, p.Bytes())
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

// watch starts to listen to the parent.
func (w *worker) watch() error {
	events, err := container.Watch(abi.EventReclaimPages | abi.EventReclaimCore | abi.EventGrant)
	if err != nil {
		return err
	}
	g, err := container.Own()
	if err != nil {
		return err
	}
	w.pages = g.Pages
	go func() {
		for range events.C {
			events.Take()
			if err := w.adapt(); err != nil {
				fmt.Fprintln(os.Stderr, "worker:", err) // the parent will take it by force
			}
		}
	}()
	return nil
}

// adapt does what the event page asks for now. An event may have come for more than one reason, or for none any more.
func (w *worker) adapt() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	g, err := container.Own()
	if err != nil {
		return err
	}
	for vcpu, slots := range g.ReclaimSlots {
		if slots == 0 {
			continue
		}
		if err := container.ReturnCore(vcpu, slots); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "worker: returned %d core slots\n", bits.OnesCount32(slots))
	}
	for owed := int64(g.ReclaimPages); owed > 0 && len(w.memory) > 0; {
		block := w.memory[len(w.memory)-1]
		w.memory = w.memory[:len(w.memory)-1]
		w.table.blocks = w.table.blocks[:len(w.memory)]
		if err := container.ReturnPages(block); err != nil {
			return err
		}
		w.returned = append(w.returned, block)
		owed -= int64(block.Pages())
		fmt.Fprintf(os.Stderr, "worker: returned %d MiB\n", block.Size>>20)
	}
	return w.regrow()
}

// regrow puts blocks back into the table that were granted again. They come in the reverse order of their return.
func (w *worker) regrow() error {
	g, err := container.Own()
	if err != nil {
		return err
	}
	if g.Pages < w.pages {
		w.pages = g.Pages
	}
	for len(w.returned) > 0 {
		block := w.returned[len(w.returned)-1]
		if g.Pages < w.pages+block.Pages() {
			break
		}
		w.pages += block.Pages()
		w.returned = w.returned[:len(w.returned)-1]
		container.Regained(block.Pages())
		w.add(block)
		fmt.Fprintf(os.Stderr, "worker: got %d MiB back\n", block.Size>>20)
	}
	return nil
}

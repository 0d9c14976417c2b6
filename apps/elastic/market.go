package main

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

const (
	workerPages = 64 << 20 / abi.PageSize
	tradePages  = 3 * blockSize / abi.PageSize // what is taken and given again
	notice      = 2 * time.Second
	pause       = 700 * time.Millisecond // between two trades
)

// market is the parent's side.
type market struct {
	worker *container.Container
	events *container.Watcher
	core   uint32
	slots  uint32 // what the worker has, or had
}

// trade starts the worker in a container and takes and gives until it has done its work.
func trade(platform, self []byte, limit uint64) error {
	own, err := container.Own()
	if err != nil {
		return err
	}
	m := &market{core: own.Core[0], slots: half(own.Slots[0])}
	if m.slots == 0 {
		return fmt.Errorf("the market has slots %#x of its core: it needs two to give one away", own.Slots[0])
	}
	if m.events, err = container.Watch(abi.EventGrant); err != nil {
		return err
	}
	cfg := container.Config{
		Name:     workerRole,
		Pages:    workerPages,
		Cores:    []container.Slots{{VCPU: 0, Core: m.core, Slots: m.slots}},
		Program:  self,
		Platform: platform,
		Args:     []string{"elastic", workerRole, strconv.FormatUint(limit, 10)},
		Output:   passOn,
	}
	cfg.Seed[0] = byte(metal.TSC())
	if m.worker, err = container.Launch(cfg); err != nil {
		return err
	}
	say("started the worker with %d MiB and %d slots of core %d", workerPages*abi.PageSize>>20, bits.OnesCount32(m.slots), m.core)
	for m.step() {
	}
	return m.finish()
}

// half picks every second of the slots.
func half(slots uint32) uint32 {
	picked := uint32(0)
	for i := 0; slots != 0; i++ {
		if i%2 == 1 {
			picked |= slots & -slots
		}
		slots &= slots - 1
	}
	return picked
}

// passOn prints what the worker prints.
func passOn(stream int, data []byte) {
	out := os.Stdout
	if stream == container.Stderr {
		out = os.Stderr
	}
	out.Write(data)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "market: "+format+"\n", args...)
}

// step takes and gives each resource once. It says whether the worker still works.
func (m *market) step() bool {
	for _, trade := range []func() error{m.takeSlots, m.giveSlots, m.takePages, m.givePages} {
		select {
		case <-m.worker.Done():
			return false
		case <-time.After(pause):
		}
		if err := trade(); err != nil && !errors.Is(err, abi.EBUSY) { // busy: it is just ending
			say("%v", err)
		}
	}
	return true
}

// takeSlots asks for half of the worker's slots back.
func (m *market) takeSlots() error {
	slots := half(m.slots)
	if slots == 0 {
		return nil
	}
	start := time.Now()
	if err := m.worker.ReclaimCore(0, slots, uint64(notice.Microseconds())); err != nil {
		return err
	}
	return m.await(start, fmt.Sprintf("%d core slots", bits.OnesCount32(slots)), func() (bool, error) {
		own, err := container.Own()
		return own.Core[0] == m.core && own.Slots[0]&slots == slots, err
	})
}

func (m *market) giveSlots() error {
	slots := half(m.slots)
	if slots == 0 {
		return nil
	}
	say("giving %d core slots", bits.OnesCount32(slots))
	return m.worker.GrantCore(container.Slots{VCPU: 0, Core: m.core, Slots: slots})
}

// takePages asks for memory back.
func (m *market) takePages() error {
	start := time.Now()
	if err := m.worker.ReclaimPages(tradePages, uint64(notice.Microseconds())); err != nil {
		return err
	}
	return m.await(start, fmt.Sprintf("%d MiB", tradePages*abi.PageSize>>20), func() (bool, error) {
		st, err := m.worker.Status()
		return st.Pages <= workerPages-tradePages, err
	})
}

func (m *market) givePages() error {
	say("giving %d MiB", tradePages*abi.PageSize>>20)
	return m.worker.GrantPages(tradePages)
}

// await waits until what was asked back is there: returned, or taken by the nonkernel when the notice has passed.
func (m *market) await(start time.Time, what string, there func() (bool, error)) error {
	for {
		ok, err := there()
		if err != nil {
			return err
		}
		if ok {
			break
		}
		select {
		case <-m.events.C:
			m.events.Take()
		case <-m.worker.Done():
			return nil
		}
	}
	took := time.Since(start)
	how := "returned"
	if took >= notice {
		how = "taken by force"
	}
	say("asked for %s: %s after %v", what, how, took.Round(100*time.Microsecond))
	return nil
}

// finish looks at how the worker ended.
func (m *market) finish() error {
	st, err := m.worker.Wait()
	if err != nil {
		return err
	}
	if err := m.worker.Close(); err != nil {
		return err
	}
	if st.End != abi.EndExit || st.Code != 0 {
		return fmt.Errorf("the worker ended by %s with code %d", container.EndName(st.End), st.Code)
	}
	say("the worker used at most %d MiB, and caused %d hypercalls", st.PeakPages*abi.PageSize>>20, st.Exits[abi.ExitHypercall])
	return nil
}

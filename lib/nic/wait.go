package nic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"nom.dev/nom/hw/igb"
)

// Setting trades the time until an answer against the instructions that it costs.
type Setting struct {
	Batch    int           // frames handled before the device is told: the first of them waits for the last
	Spin     int           // empty polls before the queue sleeps; an interrupt costs as much as about a hundred of them
	Interval time.Duration // shortest time between two interrupts, to 8 ms
}

// Two good settings.
var (
	Latency    = Setting{Batch: 16, Spin: 64}
	Throughput = Setting{Batch: 64, Spin: 16, Interval: 50 * time.Microsecond}
)

// EITR holds the interval in microseconds from bit 2 on, 13 bits: 82576 datasheet section 8.8.14.
const (
	intervalShift = 2
	maxInterval   = (1<<13 - 1) * time.Microsecond
)

func (s Setting) check() error {
	if s.Batch < 1 || s.Batch >= RingSize || s.Spin < 0 || s.Interval < 0 || s.Interval > maxInterval {
		return fmt.Errorf("nic: batch %d, spin %d, interval %v: want a batch of 1 to %d and an interval of at most %v",
			s.Batch, s.Spin, s.Interval, RingSize-1, maxInterval)
	}
	return nil
}

// Vector is an interrupt as a file, such as metal.OpenVector gives: reading waits for it. Setting the deadline in the past wakes
// the reader.
type Vector interface {
	Read([]byte) (int, error)
	SetReadDeadline(time.Time) error
}

// ErrNoInterrupt says that the queue has no interrupt to wait for: see Function.Interrupt.
var ErrNoInterrupt = errors.New("nic: the queue has no interrupt, it can only be polled")

// checkEvery is how often a queue that sleeps looks whether its function was reset, and nudgeEvery how often one whose device does not
// transmit tells it again.
const (
	checkEvery = time.Second
	nudgeEvery = 5 * time.Millisecond
)

// yieldEvery is after how many batches in a row a busy queue lets other goroutines run. One that finds none costs 900 instructions.
const yieldEvery = 16

// waiter is a queue's interrupt.
type waiter struct {
	function *Function
	setting  Setting
	vector   Vector
	entry    uint32
	count    [8]byte // what Read reads into, here so that it is not allocated
	state    atomic.Uint32
	checked  time.Time // when Wait last looked whether the function was reset
}

// What the goroutine that owns a queue does, as Kick sees it.
const (
	awake  = iota
	asleep // it waits, or is about to
	kicked // it shall poll once more before it waits
)

// Setting is what the queue was set to.
func (q *Queue) Setting() Setting { return q.wait.setting }

// Batch is how many frames of a batch the setting allows.
func (q *Queue) Batch() int { return q.wait.setting.Batch }

// SetSetting changes it, from the queue's goroutine.
func (q *Queue) SetSetting(s Setting) error {
	if err := s.check(); err != nil {
		return err
	}
	q.wait.setting = s
	q.setInterval()
	return nil
}

func (q *Queue) setInterval() {
	if q.wait.vector != nil {
		q.regs.Write32(igb.VTEITR0+4*q.wait.entry, uint32(q.wait.setting.Interval/time.Microsecond)<<intervalShift)
	}
}

// Interrupt makes queue n raise the interrupt of an entry of the function's MSI-X table, and Wait read it from v. Each queue needs
// an entry of its own. Entries are for good: the device does not forget the first one (82576, VTIVAR).
func (f *Function) Interrupt(n int, entry int, v Vector) error {
	if n < 0 || n >= len(f.queues) || entry < 0 || entry >= f.entries {
		return fmt.Errorf("nic: interrupt entry %d for queue %d: the function has %d entries and %d queues", entry, n, f.entries, len(f.queues))
	}
	for i, q := range f.queues {
		if i != n && q.wait.vector != nil && q.wait.entry == uint32(entry) {
			return fmt.Errorf("nic: interrupt entry %d belongs to queue %d", entry, i)
		}
	}
	q := f.queues[n]
	if q.wait.vector != nil && q.wait.entry != uint32(entry) {
		return fmt.Errorf("nic: queue %d has interrupt entry %d: the device cannot change it", n, q.wait.entry)
	}
	if err := v.SetReadDeadline(time.Now().Add(checkEvery)); err != nil {
		return fmt.Errorf("nic: an interrupt file without deadlines: %w", err)
	}
	q.wait.vector, q.wait.entry = v, uint32(entry)
	f.routeCauses()
	return nil
}

// routeCauses tells the device which interrupt each queue raises, and to clear and mask a cause by itself when it has raised it, so
// that a burst raises one. Interrupts stay disabled: Wait enables them.
func (f *Function) routeCauses() {
	ivar, clear := uint32(0), uint32(0)
	for i, q := range f.queues {
		if q.wait.vector != nil {
			ivar |= (igb.IVARValid | q.wait.entry) << (16 * i) // received; what was transmitted needs no interrupt
			clear |= 1 << q.wait.entry
			q.setInterval()
		}
	}
	if clear != 0 {
		f.regs.Write32(igb.VTIVAR, ivar)
		f.regs.Write32(igb.VTEIAC, clear)
		f.regs.Write32(igb.VTEIAM, clear)
	}
}

// Wait sleeps until a frame is there, Wake is called, or a while has passed; the goroutine holds no thread meanwhile. It answers
// ErrReset when it finds the function reset.
func (q *Queue) Wait() error {
	w := &q.wait
	if w.vector == nil {
		return ErrNoInterrupt
	}
	q.Flush()
	if q.behind() {
		if err := w.vector.SetReadDeadline(time.Now().Add(nudgeEvery)); err != nil {
			return fmt.Errorf("nic: waiting for interrupt %d of queue %d: %w", w.entry, q.index, err)
		}
	}
	if !w.state.CompareAndSwap(awake, asleep) {
		w.state.Store(awake)
		return nil
	}
	// What was raised for frames that are handled already is forgotten; what arrives from here on fires at the latest when the
	// interrupt is enabled; what arrived before is found in the ring. So no wake-up is lost.
	bit := uint32(1) << w.entry
	q.regs.Write32(igb.VTEICR, bit)
	q.regs.Write32(igb.VTEIMS, bit)
	var err error
	if !q.pending() {
		q.Sleeps++
		_, err = w.vector.Read(w.count[:])
	}
	q.regs.Write32(igb.VTEIMC, bit)
	wasKicked := w.state.Swap(awake) == kicked
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("nic: waiting for interrupt %d of queue %d: %w", w.entry, q.index, err)
	}
	q.nudge()
	now := time.Now()
	if err := w.vector.SetReadDeadline(now.Add(checkEvery)); err != nil {
		return fmt.Errorf("nic: waiting for interrupt %d of queue %d: %w", w.entry, q.index, err)
	}
	// Reading registers is slow: neither somebody who kicks all the time nor a device that is behind has them read each time, but they
	// do not prevent it either.
	if (wasKicked || q.behind()) && now.Sub(w.checked) < checkEvery {
		return nil
	}
	w.checked = now
	return w.function.Check()
}

// Wake ends a Wait of another goroutine, the one now or the next.
func (q *Queue) Wake() {
	if v := q.wait.vector; v != nil {
		// It fails only for a closed file, and then Wait has ended or will.
		_ = v.SetReadDeadline(time.Unix(1, 0))
	}
}

// Kick tells Run from another goroutine that there is something to do besides frames that arrive: what the caller wrote before it is
// seen by a poll after it. It costs an atomic operation while Run is awake, and a Wake when it sleeps.
func (q *Queue) Kick() {
	if q.wait.state.Swap(kicked) == asleep {
		q.Wake()
	}
}

// Run owns the queue until ctx is done or the function was reset. poll handles at most Setting.Batch frames and says how many it
// did; Run flushes after it. While there is work it only polls; when there is none for a while, and the queue has an interrupt, it
// sleeps.
func (q *Queue) Run(ctx context.Context, poll func() int) error {
	var stop atomic.Bool
	unhook := context.AfterFunc(ctx, func() {
		stop.Store(true)
		q.Wake()
	})
	defer unhook()
	idle, busy, stuck := 0, 0, 0
	for !stop.Load() {
		if q.wait.state.Load() != awake {
			q.wait.state.Store(awake)
		}
		q.wanted = 0
		n := poll()
		q.Flush()
		if n > 0 {
			idle = 0
			if busy++; busy%yieldEvery == 0 {
				runtime.Gosched()
			}
			continue
		}
		idle++
		var err error
		switch {
		case idle < q.wait.setting.Spin:
		case q.wanted > 0 && q.Room() < q.wanted, q.pending() && q.Room() == 0:
			// Frames wait that cannot be answered, or sent, before the device has transmitted: nothing that an interrupt tells.
			if stuck++; stuck%nudgeStuck == 0 {
				q.nudge()
			}
			if stuck%checkStuck == 0 {
				err = q.wait.function.Check()
			}
			time.Sleep(stuckFor)
		case q.wanted > 0: // there is room by now
		case q.wait.vector != nil:
			err = q.Wait()
			idle = 0
		case idle%checkPolls == 0:
			q.nudge()
			err = q.wait.function.Check()
		default:
			runtime.Gosched()
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A full transmit ring is looked at again after stuckFor; the device is told again after nudgeStuck times, and the function is checked
// after checkStuck times.
const (
	stuckFor   = 100 * time.Microsecond
	nudgeStuck = 20
	checkStuck = 1000
)

// checkPolls is how often a queue that is only polled looks whether its function was reset, and tells a device again that does not
// transmit, in empty polls.
const checkPolls = 1 << 16

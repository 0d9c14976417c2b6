package nic_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
)

// interruptRig is a rig whose queue 0 has interrupt 0.
func interruptRig(t *testing.T, c nic.Config) (*rig, *nictest.Vector) {
	t.Helper()
	r := newRig(t, c)
	v, err := nictest.NewVector()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	r.d.OnRaise = func(int) { v.Raise() }
	if err := r.f.Interrupt(0, 0, v); err != nil {
		t.Fatal(err)
	}
	return r, v
}

func TestWait(t *testing.T) {
	r, v := interruptRig(t, nic.Config{})
	if err := r.f.Interrupt(0, 1, v); err == nil {
		t.Error("an entry was changed, which the device cannot")
	}
	if err := r.f.Interrupt(0, 3, v); err == nil {
		t.Error("got a fourth entry")
	}
	// A frame that is there already: no sleep.
	r.deliver(t, frame(60, 1))
	if err := r.q.Wait(); err != nil || r.q.Sleeps != 0 {
		t.Fatalf("got %v, slept %d times", err, r.q.Sleeps)
	}
	r.q.Receive()
	r.q.Drop()
	// What was handled by polling raises nothing later.
	if s := r.d.Stats(); s.Interrupts != 0 {
		t.Fatalf("%d interrupts for frames that were polled", s.Interrupts)
	}
	// A frame that comes later wakes.
	done := make(chan error, 1)
	go func() { done <- r.q.Wait() }()
	select {
	case err := <-done:
		t.Fatalf("Wait ended by itself: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	r.deliver(t, frame(60, 2))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if f, _ := r.q.Receive(); f == nil || r.q.Sleeps != 1 {
		t.Errorf("got %d bytes, slept %d times", len(f), r.q.Sleeps)
	}
	r.q.Drop()
	if got := r.d.Read32(0x1524); got != 0 {
		t.Errorf("interrupts %#x are enabled while the queue is awake", got)
	}
	// Wake wakes, the one who waits or the next.
	r.q.Wake()
	if err := r.q.Wait(); err != nil {
		t.Error(err)
	}
	go func() { done <- r.q.Wait() }()
	time.Sleep(time.Millisecond)
	r.q.Wake()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitErrors(t *testing.T) {
	if err := newRig(t, nic.Config{}).q.Wait(); !errors.Is(err, nic.ErrNoInterrupt) {
		t.Errorf("without an interrupt: got %v", err)
	}
	r, v := interruptRig(t, nic.Config{})
	r.d.Reset()
	r.q.Wake()
	if err := r.q.Wait(); !errors.Is(err, nic.ErrReset) {
		t.Errorf("after a reset: got %v", err)
	}
	if err := r.f.Restart(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.q.Wait() }()
	time.Sleep(time.Millisecond)
	r.deliver(t, frame(60, 1))
	if err := <-done; err != nil {
		t.Errorf("after the restart: %v", err)
	}
	r.q.Receive()
	r.q.Drop()
	_ = v.Close()
	if err := r.q.Wait(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a closed vector: got %v", err)
	}
}

func TestInterruptNeedsOwnEntry(t *testing.T) {
	r, v := interruptRig(t, nic.Config{Queues: 2})
	if err := r.f.Interrupt(1, 0, v); err == nil {
		t.Error("two queues share an entry")
	}
	if err := r.f.Interrupt(1, 1, v); err != nil {
		t.Error(err)
	}
	if err := r.f.Interrupt(2, 2, v); err == nil {
		t.Error("got a third queue")
	}
}

func TestSetting(t *testing.T) {
	r, _ := interruptRig(t, nic.Config{})
	if r.q.Setting() != nic.Latency || r.d.Read32(0x1680) != 0 {
		t.Errorf("got %+v, EITR %#x", r.q.Setting(), r.d.Read32(0x1680))
	}
	if err := r.q.SetSetting(nic.Throughput); err != nil {
		t.Fatal(err)
	}
	if got := r.d.Read32(0x1680); got != 50<<2 {
		t.Errorf("EITR: got %#x, want %#x", got, 50<<2)
	}
	if err := r.q.SetSetting(nic.Setting{}); err == nil || r.q.Setting() != nic.Throughput {
		t.Errorf("an impossible setting: got %v", err)
	}
}

// echoStack answers everything.
type echoStack struct{}

func (echoStack) Input(f []byte, _ nic.Status) nic.Answer { return nic.Answer{N: len(f)} }

func echo(q *nic.Queue) func() int { return func() int { return q.Poll(echoStack{}) } }

// TestRun: frames at all moments, none lost, whatever the loop was just about to do. A lost wake-up would show as a time-out.
func TestRun(t *testing.T) {
	for name, setting := range map[string]nic.Setting{"latency": nic.Latency, "throughput": nic.Throughput, "sleepy": {Batch: 1}, "no mask": {Batch: 1}} {
		t.Run(name, func(t *testing.T) {
			r, _ := interruptRig(t, nic.Config{Setting: setting})
			r.d.NoMask = name == "no mask"
			var sent atomic.Int64
			r.d.OnSend = func(int, []byte) { sent.Add(1) }
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.q.Run(ctx, echo(r.q)) }()
			const frames = 5000
			for n := range frames {
				for !r.d.Deliver(frame(60, n)) {
					time.Sleep(time.Millisecond)
				}
				if n%3 == 0 {
					until := time.Now().Add(5 * time.Second)
					for sent.Load() < int64(n) {
						if time.Now().After(until) {
							t.Fatalf("%d of %d frames came back: a wake-up was lost", sent.Load(), n)
						}
						time.Sleep(time.Microsecond)
					}
				}
			}
			for until := time.Now().Add(5 * time.Second); sent.Load() < frames && time.Now().Before(until); {
				time.Sleep(time.Millisecond)
			}
			stop()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if sent.Load() != frames {
				t.Errorf("%d of %d frames came back", sent.Load(), frames)
			}
			if err := r.q.Verify(); err != nil {
				t.Error(err)
			}
			t.Logf("%d sleeps, %d interrupts, %d batches", r.q.Sleeps, r.d.Stats().Interrupts, r.q.Flushes)
		})
	}
}

// TestBusyTakesNoInterrupts: while the ring is never empty, there are none.
func TestBusyTakesNoInterrupts(t *testing.T) {
	r, _ := interruptRig(t, nic.Config{})
	poll := echo(r.q)
	ctx, stop := context.WithCancel(t.Context())
	rounds := 0
	err := r.q.Run(ctx, func() int {
		for range 10 {
			r.d.Deliver(frame(60, 1))
		}
		if rounds++; rounds == 1000 {
			stop()
		}
		return poll()
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s := r.d.Stats(); s.Interrupts > 1 || r.q.Sleeps > 1 {
		t.Errorf("%d interrupts, %d sleeps for %d frames", s.Interrupts, r.q.Sleeps, s.RxFrames)
	}
}

// TestRunNoticesReset: asleep or polling.
func TestRunNoticesReset(t *testing.T) {
	r, _ := interruptRig(t, nic.Config{})
	polled := newRig(t, nic.Config{})
	for _, r := range []*rig{r, polled} {
		done := make(chan error, 1)
		go func() { done <- r.q.Run(t.Context(), echo(r.q)) }()
		time.Sleep(5 * time.Millisecond)
		r.d.Reset()
		select {
		case err := <-done:
			if !errors.Is(err, nic.ErrReset) {
				t.Errorf("got %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the reset was not noticed")
		}
	}
}

// TestRunStuck: while the device does not transmit, the loop neither spins nor drops; then it goes on.
func TestRunStuck(t *testing.T) {
	r, _ := interruptRig(t, nic.Config{})
	var sent atomic.Int64
	r.d.OnSend = func(int, []byte) { sent.Add(1) }
	r.d.Late = true
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var polls atomic.Int64
	poll := echo(r.q)
	go func() {
		done <- r.q.Run(ctx, func() int {
			polls.Add(1)
			return poll()
		})
	}()
	delivered := int64(0)
	for delivered < 400 {
		for r.d.Deliver(frame(60, int(delivered))) {
			delivered++
		}
		time.Sleep(time.Millisecond)
	}
	before := polls.Load()
	time.Sleep(50 * time.Millisecond)
	if n := polls.Load() - before; n > 2000 {
		t.Errorf("%d polls in 50 ms while nothing could be done", n)
	}
	for until := time.Now().Add(5 * time.Second); sent.Load() < delivered && time.Now().Before(until); time.Sleep(time.Millisecond) {
		r.d.Complete(-1)
	}
	stop()
	<-done
	if sent.Load() != delivered {
		t.Errorf("%d of %d frames came back", sent.Load(), delivered)
	}
}

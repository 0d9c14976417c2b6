package nic_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
)

// bell is a vector that never times out by itself and never interrupts: only a deadline in the past ends Read. A lost wake-up hangs.
type bell struct {
	mu   sync.Mutex
	cond *sync.Cond
	past bool
}

func newBell() *bell {
	b := &bell{}
	b.cond = sync.NewCond(&b.mu)
	return b
}

func (b *bell) Read([]byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.past {
		b.cond.Wait()
	}
	return 0, os.ErrDeadlineExceeded
}

func (b *bell) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.past = t.Before(time.Now())
	b.cond.Broadcast()
	return nil
}

// TestKick: work that another goroutine makes is done soon, whatever the loop was just about to do.
func TestKick(t *testing.T) {
	for _, spin := range []int{0, 1, 64} {
		r := newRig(t, nic.Config{Setting: nic.Setting{Batch: 1, Spin: spin}})
		if err := r.f.Interrupt(0, 0, newBell()); err != nil {
			t.Fatal(err)
		}
		var work atomic.Int64
		done := make(chan int64, 1)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- r.q.Run(ctx, func() int {
				if n := work.Swap(0); n > 0 {
					done <- n
					return 1
				}
				return 0
			})
		}()
		for n := range 3000 {
			work.Add(1)
			r.q.Kick()
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				t.Fatalf("spin %d: kick %d was lost", spin, n)
			}
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// TestKickHidesNoReset: a reset is noticed although the loop never sleeps for long.
func TestKickHidesNoReset(t *testing.T) {
	r := newRig(t, nic.Config{Setting: nic.Setting{Batch: 1}})
	if err := r.f.Interrupt(0, 0, newBell()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.q.Run(t.Context(), func() int { return 0 }) }()
	r.d.Reset()
	for limit := time.After(30 * time.Second); ; {
		select {
		case err := <-ended:
			if !errors.Is(err, nic.ErrReset) {
				t.Errorf("got %v", err)
			}
			return
		case <-limit:
			t.Fatal("the reset was not noticed")
		default:
			r.q.Kick()
			time.Sleep(time.Millisecond)
		}
	}
}

// TestRefused: when there was no room to send, the loop polls again without any wake-up, and not all the time.
func TestRefused(t *testing.T) {
	r := newRig(t, nic.Config{Setting: nic.Setting{Batch: 1}})
	if err := r.f.Interrupt(0, 0, newBell()); err != nil {
		t.Fatal(err)
	}
	r.d.Late = true
	ctx, stop := context.WithCancel(t.Context())
	const frames = 1000
	polls, sent := 0, 0
	ended := make(chan error, 1)
	go func() {
		ended <- r.q.Run(ctx, func() int {
			if polls++; polls > 1_000_000 {
				stop()
			}
			if sent == frames {
				stop()
				return 0
			}
			b := r.q.Buffer()
			if b == nil {
				r.d.Complete(10)
				return 0
			}
			copy(b, frame(60, sent))
			r.q.Send(60, nic.Plain)
			sent++
			return 1
		})
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the loop sleeps although it has something to send")
	}
	if sent != frames || polls > 2*frames {
		t.Errorf("%d of %d frames were sent in %d polls", sent, frames, polls)
	}
}

// TestPaused: a function that was kept from transmitting for a while sends everything after it, in order, without the program doing
// anything, whether the ring was full or nearly empty meanwhile.
func TestPaused(t *testing.T) {
	for _, frames := range []int{1, 10, 3 * nic.RingSize} {
		r := newRig(t, nic.Config{Setting: nic.Setting{Batch: 16}})
		v, err := nictest.NewVector()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		if err := r.f.Interrupt(0, 0, v); err != nil {
			t.Fatal(err)
		}
		r.d.Pause(true)
		ctx, stop := context.WithCancel(t.Context())
		next := 0
		ended := make(chan error, 1)
		go func() {
			ended <- r.q.Run(ctx, func() (n int) {
				for ; next < frames && n < 16; n++ {
					b := r.q.Buffer()
					if b == nil {
						return n
					}
					copy(b, frame(60, next))
					r.q.Send(60, nic.Plain)
					next++
				}
				return n
			})
		}()
		time.Sleep(20 * time.Millisecond) // it gets stuck, or asleep; either must do
		if got := r.d.Stats().TxFrames; got != 0 {
			t.Fatalf("a paused function has sent %d frames", got)
		}
		r.d.Pause(false)
		for deadline := time.Now().Add(30 * time.Second); int(r.d.Stats().TxFrames) < frames; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d frames were sent after the pause", r.d.Stats().TxFrames, frames)
			}
		}
		stop()
		<-ended
		for i, f := range r.take() {
			if want := frame(60, i); string(f) != string(want) {
				t.Fatalf("frame %d of %d: % x", i, frames, f)
			}
		}
		if r.q.Nudges == 0 {
			t.Error("nobody told the device again")
		}
	}
}

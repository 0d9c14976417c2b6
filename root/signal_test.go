package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// Signal does what the program's name says: one called silent does not answer, a stubborn one does nothing, and all others end.
func (p *fakeProcess) Signal(ctx context.Context, sig int) error {
	p.s.mu.Lock()
	p.s.signals = append(p.s.signals, sig)
	p.s.mu.Unlock()
	switch p.name {
	case "silent":
		return container.ErrSilent
	case "stubborn":
		return nil
	}
	p.finish(abi.Status{State: abi.StateEnded, End: abi.EndExit, Code: uint32(128 + sig)})
	return nil
}

func (p *fakeProcess) Syscalls(ctx context.Context) ([]container.Syscall, error) {
	return []container.Syscall{{Number: 1, Count: 7}, {Number: 435, Count: 1, Missing: true}}, nil
}

// ReadMemory finds an address at each address, from 0x1000 to 0x2000.
func (p *fakeProcess) ReadMemory(ctx context.Context, address uint64, buf []byte) (int, error) {
	n := 0
	for ; n+8 <= len(buf) && address >= 0x1000 && address < 0x2000; n += 8 {
		binary.LittleEndian.PutUint64(buf[n:], address)
		address += 8
	}
	return n, nil
}

// Profile has three samples.
func (p *fakeProcess) Profile(ctx context.Context, rate int, handle func([]uint64) error) (uint64, error) {
	if p.name == "silent" {
		return 0, container.ErrSilent
	}
	return 5, errors.Join(handle([]uint64{1}), handle([]uint64{2, 3}), handle([]uint64{4}))
}

// Capture has two frames and lost three, and then one every millisecond until it ends; one called native has none.
func (p *fakeProcess) Capture(ctx context.Context, snap int, handle func([]container.Frame, uint64) error) error {
	if p.name == "native" {
		return container.ErrNoTCPIP
	}
	frame := func(n uint64) container.Frame {
		return container.Frame{Nanos: n, Length: 100, Data: make([]byte, min(snap, 100))}
	}
	err := errors.Join(handle(nil, 0), handle(nil, 1), handle([]container.Frame{frame(1), frame(2)}, 2))
	for n := uint64(3); err == nil && ctx.Err() == nil; n++ {
		time.Sleep(time.Millisecond)
		err = handle([]container.Frame{frame(n)}, 0)
	}
	return err
}

func TestStop(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name     string
		patience time.Duration
		code     int
		reason   string
	}{
		{"polite", time.Minute, 143, api.ReasonExit},
		{"hasty", 0, 137, "killed"},
		{"stubborn", time.Second, 137, "killed"},
		{"silent", time.Minute, 137, "killed"},
	} {
		if _, err := r.begin(t, api.Spec{Name: c.name}); err != nil {
			t.Fatal(err)
		}
		k, err := r.Stop(t.Context(), c.name, c.patience)
		if err != nil || k.State != api.StateExited || k.Code != c.code || k.Reason != c.reason {
			t.Errorf("stopping %s: got %+v, %v; want code %d, %s", c.name, k, err, c.code, c.reason)
		}
		if k, err := r.Stop(t.Context(), c.name, c.patience); err != nil || k.State != api.StateExited {
			t.Errorf("stopping %s again: got %+v, %v", c.name, k, err)
		}
	}
	if _, err := r.Stop(t.Context(), "silent", 2*api.MaxPatience); status(err) != http.StatusBadRequest {
		t.Errorf("too much patience: got %v", err)
	}
	if _, err := r.Stop(t.Context(), "nobody", 0); status(err) != http.StatusNotFound {
		t.Errorf("stopping nobody: got %v", err)
	}
}

func TestSignal(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"stubborn", "silent"} {
		if _, err := r.begin(t, api.Spec{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if k, err := r.Signal(t.Context(), "stubborn", 10); err != nil || k.State != api.StateRunning {
		t.Errorf("got %+v, %v", k, err)
	}
	if len(r.starter.signals) != 1 || r.starter.signals[0] != 10 {
		t.Errorf("got signals %v, want 10", r.starter.signals)
	}
	if _, err := r.Signal(t.Context(), "silent", 15); status(err) != http.StatusGatewayTimeout {
		t.Errorf("one that does not answer: got %v", err)
	}
	for _, sig := range []int{-1, 0, api.MaxSignal + 1} {
		if _, err := r.Signal(t.Context(), "stubborn", sig); status(err) != http.StatusBadRequest {
			t.Errorf("signal %d: got %v", sig, err)
		}
	}
	if _, err := r.Kill(t.Context(), "silent"); err != nil {
		t.Error(err)
	}
	if _, err := r.Signal(t.Context(), "silent", 15); status(err) != http.StatusConflict {
		t.Errorf("one that has ended: got %v", err)
	}
}

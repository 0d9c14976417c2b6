package main

import (
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// TestBlocked: what the IOMMU blocks becomes events, fewer and fewer while it goes on, all of it by the end, and a counter.
func TestBlocked(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	if _, err := r.begin(t, api.Spec{Name: "web", Network: true}); err != nil {
		t.Fatal(err)
	}
	told := func() (count uint64, n int) {
		t.Helper()
		err := r.Events(ctx, 0, false, func(ev api.Event) error {
			if ev.Event != api.EventBlocked {
				return nil
			}
			if ev.Container != "web" || ev.Error != "the last was a write to 0x5000" || ev.Count == 0 {
				t.Errorf("got %+v", ev)
			}
			count += ev.Count
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return count, n
	}
	now := time.Unix(1000, 0)
	r.m.lookBlocked(now)
	if _, n := told(); n != 0 {
		t.Errorf("%d events of nothing", n)
	}
	for range 3600 {
		r.starter.blocked.Add(2)
		now = now.Add(blockedEvery)
		r.m.lookBlocked(now)
	}
	if _, n := told(); n < 60 || n > 70 {
		t.Errorf("%d events in an hour, want one a minute and some at first", n)
	}
	if _, err := r.Kill(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if count, _ := told(); count != 7200 {
		t.Errorf("the events tell of %d, want 7200", count)
	}
	if n := r.m.workloads[0].past.Blocked; n != 7200 {
		t.Errorf("counted %d", n)
	}
	for last, want := range map[uint64]string{
		0x7000: "the last was a read from 0x7000", 0x7000 | abi.BlockedWrite: "the last was a write to 0x7000",
		abi.BlockedInterrupt: "the last was an interrupt that is not its own",
	} {
		if got := blockedText(last); got != want {
			t.Errorf("%#x: got %q, want %q", last, got, want)
		}
	}
}

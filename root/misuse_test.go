package main

import (
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// TestMisuse: what the IOMMU blocks, and a function that is switched off, become events, fewer and fewer while it goes on, all of it by the
// end, and counters.
func TestMisuse(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	if _, err := r.begin(t, api.Spec{Name: "web", Network: true}); err != nil {
		t.Fatal(err)
	}
	why := map[string]string{api.EventBlocked: "the last was a write to 0x5000", api.EventOff: "its program reset it too often"}
	told := func(kind string) (count uint64, n int) {
		t.Helper()
		err := r.Events(ctx, 0, false, func(ev api.Event) error {
			if ev.Event != kind {
				return nil
			}
			if ev.Container != "web" || ev.Error != why[kind] || ev.Count == 0 {
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
	r.m.lookMisuse(now)
	for kind := range why {
		if _, n := told(kind); n != 0 {
			t.Errorf("%s: %d events of nothing", kind, n)
		}
	}
	for range 3600 {
		r.starter.blocked.Add(2)
		r.starter.off.Add(1)
		now = now.Add(misuseEvery)
		r.m.lookMisuse(now)
	}
	for kind := range why {
		if _, n := told(kind); n < 60 || n > 70 {
			t.Errorf("%s: %d events in an hour, want one a minute and some at first", kind, n)
		}
	}
	if _, err := r.Kill(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]uint64{api.EventBlocked: 7200, api.EventOff: 3600} {
		if count, _ := told(kind); count != want {
			t.Errorf("%s: the events tell of %d, want %d", kind, count, want)
		}
	}
	if past := r.m.workloads[0].past; past.Blocked != 7200 || past.SwitchedOff != 3600 {
		t.Errorf("counted %+v", past)
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

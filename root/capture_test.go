package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"nom.dev/nom/api"
)

// TestCapture: frames come until there are as many as were asked for, until somebody ends it, or nobody listens any more.
func TestCapture(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	for _, spec := range []api.Spec{{Name: "web", Network: true}, {Name: "native", Network: true}, {Name: "gvisor", Network: true, Stack: "gvisor"}, {Name: "own", Network: true, Stack: "own"}, {Name: "alone"}} {
		if _, err := r.begin(t, spec); err != nil {
			t.Fatal(err)
		}
	}
	for name, why := range map[string]string{"native": "need the platform's TCP/IP", "gvisor": "--stack gvisor", "own": "--stack own", "alone": "is in no network"} {
		if _, err := r.Capture(ctx, name, 60, 0); status(err) != http.StatusConflict || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want that it %s", name, err, why)
		}
	}
	for _, bad := range [][2]int{{0, 1}, {api.MaxSnap + 1, 1}, {1, api.MaxCapture + 1}} {
		if _, err := r.Capture(ctx, "web", bad[0], bad[1]); status(err) != http.StatusBadRequest {
			t.Errorf("%v: got %v", bad, err)
		}
	}
	if err := r.EndCapture(ctx, "web"); status(err) != http.StatusConflict {
		t.Errorf("ending what has not begun: %v", err)
	}

	c, err := r.Capture(ctx, "web", 60, 5)
	if err != nil {
		t.Fatal(err)
	}
	if n, lost := readAll(t, c, 60, func(int) {}); n != 5 || lost != 3 {
		t.Errorf("got %d frames, %d lost, want 5 and 3", n, lost)
	}

	c, err = r.Capture(ctx, "web", 1500, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, lost := readAll(t, c, 100, func(n int) {
		if n != 10 {
			return
		}
		if _, err := r.Capture(ctx, "web", 60, 0); status(err) != http.StatusConflict {
			t.Errorf("a second capture: got %v", err)
		}
		if err := r.EndCapture(ctx, "web"); err != nil {
			t.Error(err)
		}
	})
	if n < 10 || lost != 3 {
		t.Errorf("got %d frames, %d lost", n, lost)
	}

	gone, cancel := context.WithCancel(ctx)
	if _, err := r.Capture(gone, "web", 60, 0); err != nil {
		t.Fatal(err)
	}
	cancel()
	for { // who went away does not keep others out
		if c, err = r.Capture(ctx, "web", 60, 1); err == nil {
			break
		}
		if status(err) != http.StatusConflict {
			t.Fatal(err)
		}
	}
	readAll(t, c, 60, func(int) {})
}

// readAll reads a capture to its end.
func readAll(t *testing.T, c *api.Capture, size int, each func(n int)) (n int, lost uint64) {
	t.Helper()
	defer c.Close()
	for {
		f, err := c.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, api.ErrCut) {
			return n, lost
		}
		if err != nil {
			t.Fatal(err)
		}
		if lost += f.Lost; f.Length == 0 {
			continue
		}
		n++
		if f.Nanos != uint64(n) || f.Length != 100 || len(f.Data) != size {
			t.Fatalf("frame %d is %+v", n, f)
		}
		each(n)
	}
}

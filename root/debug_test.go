package main

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"slices"
	"testing"

	"nom.dev/nom/api"
)

func TestDebug(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	for _, name := range []string{"web", "silent"} {
		if _, err := r.begin(t, api.Spec{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := r.Program(ctx, "web"); err != nil || !bytes.Equal(b, testProgram) {
		t.Errorf("program: got %d bytes, %v", len(b), err)
	}
	calls, err := r.Syscalls(ctx, "web")
	if want := []api.Syscall{{Number: 1, Count: 7}, {Number: 435, Count: 1, Missing: true}}; err != nil || !slices.Equal(calls, want) {
		t.Errorf("system calls: got %v, %v", calls, err)
	}

	data, err := r.Memory(ctx, "web", []api.Range{{Address: 0x1008, Size: 16}, {Address: 0x1ff8, Size: 16}, {Address: 0, Size: 8}})
	if err != nil || len(data[0]) != 16 || len(data[1]) != 8 || len(data[2]) != 0 || binary.LittleEndian.Uint64(data[0]) != 0x1008 {
		t.Errorf("memory: got %v, %v", data, err)
	}
	for _, bad := range [][]api.Range{{{Size: -1}}, {{Size: api.MaxRead + 1}}, {{Size: api.MaxRead}, {Size: 1}}, make([]api.Range, api.MaxRanges+1)} {
		if _, err := r.Memory(ctx, "web", bad); status(err) != http.StatusRequestEntityTooLarge {
			t.Errorf("%d ranges that are too much: got %v", len(bad), err)
		}
	}

	var stacks [][]uint64
	lost, err := r.Profile(ctx, "web", 1, 100, func(s []uint64) { stacks = append(stacks, s) })
	if err != nil || lost != 5 || !slices.EqualFunc(stacks, [][]uint64{{1}, {2, 3}, {4}}, slices.Equal) {
		t.Errorf("profile: got %v, %d lost, %v", stacks, lost, err)
	}
	if _, err := r.Profile(ctx, "silent", 1, 100, nil); status(err) != http.StatusGatewayTimeout {
		t.Errorf("profile of one that does not answer: got %v", err)
	}
	for _, bad := range [][2]int{{0, 100}, {api.MaxProfile + 1, 100}, {1, 0}, {1, 1001}} {
		if _, err := r.Profile(ctx, "web", bad[0], bad[1], nil); status(err) != http.StatusBadRequest {
			t.Errorf("profile for %d seconds, %d a second: got %v", bad[0], bad[1], err)
		}
	}

	if _, err := r.Kill(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Syscalls(ctx, "web"); status(err) != http.StatusConflict {
		t.Errorf("one that has ended: got %v", err)
	}
	if b, err := r.Program(ctx, "web"); err != nil || !bytes.Equal(b, testProgram) {
		t.Errorf("program of one that has ended: got %d bytes, %v", len(b), err)
	}
}

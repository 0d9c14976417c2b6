package main

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
)

func cores(n int) []uint32 {
	c := make([]uint32, n)
	for i := range c {
		c[i] = uint32(i)
	}
	return c
}

func TestLayoutSeats(t *testing.T) {
	const all, most = abi.AllSlots, abi.AllSlots &^ rootSlots
	for _, c := range []struct {
		name     string
		cores    int
		requests []request
		want     []seat
	}{
		{"one program, one core", 1, make([]request, 1), []seat{{{0, most}}}},
		{"two programs, one core", 1, make([]request, 2), []seat{{{0, 0x4a4a}}, {{0, 0xa4a4}}}},
		{"one program, two cores", 2, make([]request, 1), []seat{{{1, all}}}},
		{"two programs, two cores", 2, make([]request, 2), []seat{{{1, all}}, {{0, most}}}},
		{"one program, four cores", 4, make([]request, 1), []seat{{{1, all}, {2, all}, {3, all}}}},
		{"two programs, four cores", 4, make([]request, 2), []seat{{{1, all}}, {{2, all}}}},
		{"one wants two", 4, []request{{}, {vcpus: 2}}, []seat{{{1, all}}, {{2, all}, {3, all}}}},
		{"spare", 2, []request{{spare: true}}, []seat{{{1, all &^ 1}}}},
		{"three programs, two cores", 2, make([]request, 3), []seat{{{1, 0x5555}}, {{0, most}}, {{1, 0xaaaa}}}},
	} {
		got := layoutSeats(cores(c.cores), c.requests)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %#x, want %#x", c.name, got, c.want)
		}
	}
}

// Nobody gets what another one has, root keeps its slots of core 0, everybody gets something.
func TestSeatProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, abi.MaxVCPUs).Draw(t, "cores")
		requests := make([]request, rapid.IntRange(1, 300).Draw(t, "programs"))
		for i := range requests {
			requests[i] = request{rapid.IntRange(0, abi.MaxVCPUs).Draw(t, "vcpus"), rapid.Bool().Draw(t, "spare")}
		}
		seats := layoutSeats(cores(n), requests)
		if len(seats) == 0 || len(seats) > len(requests) {
			t.Fatalf("got %d seats for %d programs", len(seats), len(requests))
		}
		taken := map[uint32]uint32{0: rootSlots}
		for i, s := range seats {
			if s.total() == 0 {
				t.Fatalf("seat %d has no slots", i)
			}
			for _, sh := range s {
				if sh.slots == 0 || taken[sh.core]&sh.slots != 0 || sh.core >= uint32(n) {
					t.Fatalf("seat %d gets slots %#x of core %d, where %#x are taken", i, sh.slots, sh.core, taken[sh.core])
				}
				taken[sh.core] |= sh.slots
			}
			checkVCPUs(t, s, rapid.IntRange(0, abi.MaxVCPUs).Draw(t, "want"))
		}
	})
}

func checkVCPUs(t *rapid.T, s seat, want int) {
	got, err := s.vcpus(want, nil)
	if err != nil {
		if want <= s.total() && want <= len(s) {
			t.Fatalf("%d vCPUs on %#x: %v", want, s, err)
		}
		return
	}
	if want > 0 && len(got) != want || want == 0 && len(got) != len(s) {
		t.Fatalf("got %d vCPUs, want %d", len(got), want)
	}
	sum, limit := map[uint32]uint32{}, map[uint32]uint32{}
	for _, sh := range s {
		limit[sh.core] |= sh.slots
	}
	for i, v := range got {
		if v.VCPU != i || v.Slots == 0 || sum[v.Core]&v.Slots != 0 || v.Slots&^limit[v.Core] != 0 {
			t.Fatalf("vCPU %d gets %+v on seat %#x", i, v, s)
		}
		sum[v.Core] |= v.Slots
	}
	if want == 0 || want >= len(s) {
		if !reflect.DeepEqual(sum, limit) {
			t.Fatalf("got %#x, want all of %#x", sum, limit)
		}
	}
}

func TestVCPUs(t *testing.T) {
	yes := true
	if _, err := (seat{{0, 0x00f0}}).vcpus(0, &yes); err == nil {
		t.Error("got a dedicated core of four slots, want an error")
	}
	if _, err := (seat{{0, 0x00f0}}).vcpus(5, nil); err == nil {
		t.Error("got five vCPUs on four slots, want an error")
	}
	got, err := seat{{1, abi.AllSlots}, {2, abi.AllSlots}}.vcpus(3, &yes)
	want := []container.Slots{{VCPU: 0, Core: 1, Slots: 0x5555}, {VCPU: 1, Core: 2, Slots: abi.AllSlots}, {VCPU: 2, Core: 1, Slots: 0xaaaa}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

package main

import (
	"fmt"
	"math/bits"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
)

// Which program gets which cores. A seat is a set of core slots that one program at a time uses; seats are laid out
// once, when it is known how many programs will run at a time.
//
//   - Core 0 keeps the root container, which holds rootSlots of it. The nonkernel lends slots whose owner sleeps, so what
//     root does not use is not lost.
//   - With at least as many other cores as seats, each seat gets whole cores: one in order, and what is left over where
//     more vCPUs were asked for, or evenly.
//   - With fewer, all cores are shared: each vCPU gets slots on the core where most are left for it.

// rootSlots are what the root container keeps of core 0: every fourth slot, so that it never waits long.
const rootSlots = 0x1111

// share is what a seat has of one core.
type share struct{ core, slots uint32 }

// seat is what one program at a time runs on.
type seat []share

// request is what the program of a seat asked for.
type request struct {
	vcpus int  // 0 = as many as there are shares
	spare bool // it asked for cores that are not dedicated
}

// layoutSeats divides cores among seats; cores[0] is the root container's. It may make fewer seats than there are
// requests, but at least one.
func layoutSeats(cores []uint32, requests []request) []seat {
	others := cores[1:]
	if len(requests) <= len(others) {
		return wholeCores(others, requests)
	}
	for n := len(requests); n > 1; n-- {
		if seats := sharedCores(cores, requests[:n]); seats != nil {
			return seats
		}
	}
	one := requests[0]
	one.vcpus = min(one.vcpus, bits.OnesCount32(abi.AllSlots&^rootSlots)+len(others)*abi.FrameSlots)
	return sharedCores(cores, []request{one})
}

// wholeCores gives each seat a core, then what it asked for or its even part of the rest.
func wholeCores(cores []uint32, requests []request) []seat {
	seats := make([]seat, len(requests))
	even := len(cores) / len(requests)
	for round := 0; len(cores) > 0; round++ {
		given := false
		for i, r := range requests {
			want := r.vcpus
			if want == 0 {
				want = min(even, abi.MaxVCPUs)
			}
			if len(cores) == 0 || len(seats[i]) >= want {
				continue
			}
			slots := uint32(abi.AllSlots)
			if r.spare {
				slots &^= 1 // one slot kept back makes it a shared core
			}
			seats[i] = append(seats[i], share{cores[0], slots})
			cores, given = cores[1:], true
		}
		if !given {
			break
		}
	}
	return seats
}

// sharedCores spreads all vCPUs over all cores; nil when there are not enough slots.
func sharedCores(cores []uint32, requests []request) []seat {
	users := make([]int, len(cores)) // vCPUs on each core
	room := func(i int) int {
		if i == 0 {
			return bits.OnesCount32(abi.AllSlots &^ rootSlots)
		}
		return abi.FrameSlots
	}
	type place struct{ seat, core int }
	var places []place
	for i, r := range requests {
		for range max(r.vcpus, 1) {
			best := 0
			for k := range cores {
				if room(k)*(users[best]+1) > room(best)*(users[k]+1) {
					best = k
				}
			}
			if users[best] == room(best) {
				return nil
			}
			users[best]++
			places = append(places, place{i, best})
		}
	}
	seats := make([]seat, len(requests))
	given := make([]int, len(cores))
	for _, p := range places {
		free := uint32(abi.AllSlots)
		if p.core == 0 {
			free &^= rootSlots
		}
		seats[p.seat] = append(seats[p.seat], share{cores[p.core], every(free, given[p.core], users[p.core])})
		given[p.core]++
	}
	return seats
}

// every picks each n-th of the bits in mask, beginning with number first.
func every(mask uint32, first, n int) uint32 {
	picked := uint32(0)
	for i := 0; mask != 0; i++ {
		bit := mask & -mask
		if i%n == first {
			picked |= bit
		}
		mask &^= bit
	}
	return picked
}

// vcpus divides a seat among vCPUs; 0 means one for each share. Where there are more than shares, several run on the
// same core.
func (s seat) vcpus(want int, dedicated *bool) ([]container.Slots, error) {
	if dedicated != nil && *dedicated {
		for _, sh := range s {
			if sh.slots != abi.AllSlots {
				return nil, fmt.Errorf("it asks for dedicated cores, and core %d must be shared: start fewer programs at a time or give the machine more CPUs", sh.core)
			}
		}
	}
	if want == 0 {
		want = len(s)
	}
	var out []container.Slots
	for v := range want {
		sh := s[v%len(s)]
		users := (want - v%len(s) + len(s) - 1) / len(s) // vCPUs on this share
		slots := every(sh.slots, v/len(s), users)
		if slots == 0 {
			return nil, fmt.Errorf("it asks for %d vCPUs, and there are %d core slots for it: ask for fewer or give the machine more CPUs", want, s.total())
		}
		out = append(out, container.Slots{VCPU: v, Core: sh.core, Slots: slots})
	}
	return out, nil
}

func (s seat) total() int {
	n := 0
	for _, sh := range s {
		n += bits.OnesCount32(sh.slots)
	}
	return n
}

package test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"nom.dev/nom/api"
)

// The tests in this file hold the native network path to what it may cost. Questions come from this computer.

// measuredEcho is a container that answers on a core of its own.
func measuredEcho(args ...string) *guest {
	yes := true
	g := run("apps/echo", args...)
	g.NIC, g.Dedicated = true, &yes
	return g
}

// native is QEMU's user network with a port that leads to the program.
func native(port int) string { return fmt.Sprintf("user,hostfwd=udp:127.0.0.1:%d-10.0.2.15:7", port) }

// measure has an echo program measure n answers, and returns what it said.
func measure(t *testing.T, hw hardware, outstanding, n int, args ...string) map[string]uint64 {
	t.Helper()
	port := freePort(t)
	s := serve(t, hw, native(port), nil, measuredEcho(append(args, "-measure", fmt.Sprint(n))...))
	lost, err := datagrams(s.ctx, port, outstanding, math.MaxInt)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("asking: %v\n%s", err, s.said())
	}
	s.done()
	said := counts(t, s.want("echo", api.ReasonExit, 0).stdout+"done")
	if said["echo: answers"] != uint64(n) {
		t.Fatalf("echo measured %d answers, want %d", said["echo: answers"], n)
	}
	t.Logf("%d datagrams lost", lost)
	return said
}

// TestEchoExits: answering on the native interface, with interrupts and polling, needs nothing from the nonkernel, and no memory.
func TestEchoExits(t *testing.T) {
	const answers = 4000
	for _, args := range [][]string{nil, {"-poll"}} {
		t.Run(fmt.Sprint("echo", args), func(t *testing.T) {
			said := measure(t, hardware{cpus: 2, memory: gib}, 8, answers, args...)
			for _, reason := range api.ExitNames {
				spec.echoExits.hold(t, fmt.Sprintf("by %s, %d answers", reason, answers), said["echo: exits by "+reason])
			}
			spec.echoAllocations.hold(t, fmt.Sprintf("%d answers", answers), said["echo: allocations"])
		})
	}
}

// TestCountedEcho counts the instructions of a datagram that is answered natively.
func TestCountedEcho(t *testing.T) {
	hw := hardware{cpus: 2, memory: gib, icount: true}
	for _, outstanding := range []int{1, 32} {
		t.Run(fmt.Sprintf("polling, %d outstanding", outstanding), func(t *testing.T) {
			const answers = 4000
			said := measure(t, hw, outstanding, answers, "-poll")
			t.Logf("%d polls found something", said["echo: busy polls"])
			bound := spec.echoPolling
			if outstanding == 1 {
				bound = spec.echoPollingOne
			}
			bound.hold(t, fmt.Sprint(outstanding, " outstanding"), said["echo: ticks of busy polls"]/answers)
		})
		t.Run(fmt.Sprintf("interrupts, %d outstanding", outstanding), func(t *testing.T) {
			wholeEcho(t, hw, outstanding)
		})
	}
}

// wholeEcho counts what a machine does while an echo program answers: interrupts, the Go scheduler, what the nonkernel and the root
// container do by themselves (300 000 instructions a second), all.
func wholeEcho(t *testing.T, hw hardware, outstanding int) {
	const answers = 5000
	port := freePort(t)
	s := serve(t, hw, native(port), []string{"-icount", "sleep=on"}, measuredEcho())
	ask := func() {
		if _, err := datagrams(s.ctx, port, outstanding, answers); err != nil {
			t.Fatalf("asking: %v\n%s", err, s.said())
		}
	}
	ask()
	bound := spec.echoWhole
	if outstanding == 1 {
		bound = spec.echoWholeOne
	}
	// How many datagrams an interrupt finds is up to this computer: the best of a few rounds counts.
	least := uint64(math.MaxUint64)
	for round := 0; round < 4 && least > bound.bound; round++ {
		before := s.instructions()
		ask()
		least = min(least, (s.instructions()-before)/answers)
	}
	bound.hold(t, fmt.Sprint(outstanding, " outstanding"), least)
}

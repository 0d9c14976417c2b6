package main

import (
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
)

// How much memory each program gets, in pages.

const (
	mib = (1 << 20) / abi.PageSize // pages

	rootPages = 32 * mib  // what the root container keeps for itself
	leastCap  = 256 * mib // a program that asks for nothing gets at most this on a small machine,
	capPart   = 2         // and the capPart-th part of a larger one
	lentGuess = 64 * mib  // for the nonkernel's tables: what is lent to a program besides its grant
)

// A root container that serves the management API needs memory for that, for its companion, and for what programs printed.
const (
	managedPages = 192 * mib
	managedHeap  = 96 << 20 // soft
)

// newManagedMemory is newMemory for a root container that serves the management API.
func newManagedMemory(granted, given uint64) memory {
	used := given + managedPages
	return memory{total: granted, spare: granted - min(granted, used)}
}

// memory is what the root container can give away.
type memory struct {
	total uint64 // pages of the machine
	spare uint64 // of these, to give away when nothing runs
}

// newMemory works out what can be given away of what root holds.
func newMemory(granted, given uint64) memory {
	used := given + rootPages
	return memory{total: granted, spare: granted - min(granted, used)}
}

// defaultShare is what a program gets that does not say what it needs, when seats programs run at a time.
func (m memory) defaultShare(seats, vcpus int) uint64 {
	share := m.spare / uint64(max(seats, 1))
	share -= min(share, overhead(share, vcpus))
	share = min(share, max(leastCap, m.total/capPart))
	if share > 4*mib {
		share &^= 2*mib - 1 // whole 2 MiB frames
	}
	return share
}

// need is what a program takes out of the spare memory: its pages and what the nonkernel keeps for it.
func need(pages uint64, vcpus int) uint64 { return pages + overhead(pages, vcpus) }

// overhead counts a network function, whether or not the program gets one.
func overhead(pages uint64, vcpus int) uint64 {
	return container.Overhead(container.Spec{Memory: (pages + lentGuess) * abi.PageSize, VCPUs: vcpus, Devices: true})
}

// check says why a program can never have what it asks for.
func (m memory) check(pages uint64, vcpus int) error {
	if n := need(pages, vcpus); n > m.spare {
		return fmt.Errorf("it needs %d MiB of memory and the machine has %d MiB to give: start it with less, or a machine with more",
			(n+mib-1)/mib, m.spare/mib)
	}
	return nil
}

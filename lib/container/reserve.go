package container

import (
	"fmt"
	"sync"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
	"nom.dev/nom/metal/call"
)

// A program's platform believes that all memory in its boot page is there to be used. What the program grants to a child
// it must not touch any more, or it would run out in the middle of something. So as much as the grant does not cover
// beyond the platform's pool is taken out of the pool, from its untouched end. It is not put back when the child is gone,
// because the pool would touch every page of it, but serves for the next child: only the quantity counts.

var reserved struct {
	sync.Mutex
	withheld uint64 // pages taken out of the pool
}

// account is what is known of a program's memory, in pages.
type account struct {
	granted, given uint64
	pool           uint64 // what the program and its platform may come to use
	withheld       uint64 // of that, reserved before
}

// shortage is how much of the pool must be withheld before need pages can be given away.
func (a account) shortage(need uint64) uint64 {
	use := a.pool - min(a.pool, a.withheld)
	sum := use + a.given + need
	return sum - min(sum, a.granted)
}

// Overhead is the most that a container costs its parent beside its grant: the nonkernel's page tables for its whole
// address space, the IOMMU's if it has devices, and what the nonkernel keeps for the container and each vCPU.
func Overhead(spec Spec) uint64 {
	n := uint64(1)
	for shift := 21; shift <= 39; shift += 9 {
		n += (spec.Memory + 1<<shift - 1) >> shift
	}
	if spec.Devices {
		n *= 2
	}
	return n + 24 + 16*uint64(spec.VCPUs)
}

// imagePages is how many pages of its own the program was started with, besides those that the platform's pool got. lent
// is how many were lent to it.
func imagePages(b *abi.BootPage, lent uint64) uint64 {
	end, free := uint64(0), uint64(0)
	for _, r := range b.Free[:min(int(b.NumFree), len(b.Free))] {
		end = max(end, (r.Addr+r.Size)/abi.PageSize)
		free += r.Size / abi.PageSize
	}
	return end - min(end, free+lent+abi.ReservedPages)
}

// reserve withholds pages that will be given away from the platform's pool.
func reserve(pages uint64) error {
	own, err := OwnStatus()
	if err != nil {
		return err
	}
	pool, err := metal.Stat(call.StatTotalPages, 0)
	if err != nil {
		return err
	}
	reserved.Lock()
	defer reserved.Unlock()
	a := account{granted: own.Pages, given: own.Given, pool: imagePages(metal.BootPage(), own.LentPages) + pool, withheld: reserved.withheld}
	need := a.shortage(pages)
	for step := need; need > 0; {
		p, err := metal.Pages(int(min(step, need)))
		if err == nil {
			reserved.withheld += p.Pages()
			need -= p.Pages()
			continue
		}
		if step /= 2; step == 0 {
			return fmt.Errorf("the program has not enough free memory to give away, %d pages are missing: %w", need, abi.ENOMEM)
		}
	}
	return nil
}

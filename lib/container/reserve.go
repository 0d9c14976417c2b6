package container

import (
	"fmt"
	"sync"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
)

// A program's platform believes that all memory in its boot page is there to be used. What the program grants to a child
// it must not touch any more, or it would run out in the middle of something. So as much as the grant does not cover
// beyond the platform's pool is taken out of the pool for as long as the child exists. The root container was granted far
// more than its platform knows of: there nothing needs to be taken.

var reserved struct {
	sync.Mutex
	pages uint64 // taken out of the pool
	gone  uint64 // returned to the parent, see ReturnPages
}

// account is what is known of a program's memory, in pages.
type account struct {
	granted, given uint64
	pool           uint64 // what the platform may come to use, as its boot page has it
	withheld       uint64 // of the pool, reserved or returned
}

// shortage is how much of the pool must be withheld before need pages can be given away.
func (a account) shortage(need uint64) uint64 {
	use := a.pool - min(a.pool, a.withheld)
	sum := use + a.given + need
	return sum - min(sum, a.granted)
}

// Overhead is the most that a container costs its parent beside its grant: the nonkernel's page tables for its whole
// address space, and what it keeps for the container and each vCPU.
func Overhead(spec Spec) uint64 {
	n := uint64(1)
	for shift := 21; shift <= 39; shift += 9 {
		n += (spec.Memory + 1<<shift - 1) >> shift
	}
	return n + 24 + 16*uint64(spec.VCPUs)
}

// poolPages is how many pages of its own the boot page promises the platform.
func poolPages(b *abi.BootPage, lent uint64) uint64 {
	end := uint64(0)
	for i := range min(int(b.NumFree), len(b.Free)) {
		end = max(end, b.Free[i].Addr+b.Free[i].Size)
	}
	pages := end / abi.PageSize
	return pages - min(pages, lent+abi.ReservedPages)
}

// reserve withholds what a new container will need from the platform's pool.
func reserve(spec Spec) ([]metal.Physical, error) {
	if !metal.InContainer() {
		return nil, metal.ErrNotRunning
	}
	own, err := status(0)
	if err != nil {
		return nil, err
	}
	reserved.Lock()
	defer reserved.Unlock()
	a := account{granted: own.Pages, given: own.Given, pool: poolPages(metal.BootPage(), own.LentPages), withheld: reserved.pages + reserved.gone}
	need := a.shortage(spec.Pages + Overhead(spec))
	var held []metal.Physical
	for step := need; need > 0; {
		p, err := metal.Pages(int(min(step, need)))
		if err == nil {
			held = append(held, p)
			reserved.pages += p.Pages()
			need -= p.Pages()
			continue
		}
		if step /= 2; step == 0 {
			release(held)
			return nil, fmt.Errorf("the program has not enough free memory for it, %d pages are missing: %w", need, abi.ENOMEM)
		}
	}
	return held, nil
}

// unreserve puts memory that was held for a container back into the pool.
func unreserve(held []metal.Physical) {
	reserved.Lock()
	defer reserved.Unlock()
	release(held)
}

func release(held []metal.Physical) {
	for _, p := range held {
		if p.Release() == nil {
			reserved.pages -= min(reserved.pages, p.Pages())
		}
	}
}

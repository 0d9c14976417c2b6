package container

import (
	"fmt"
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
)

// Grant is what the calling program's own container holds now, and what its parent asks back.
type Grant struct {
	Pages uint64
	Slots [abi.MaxVCPUs]uint32
	Core  [abi.MaxVCPUs]uint32 // abi.NoCore where there are no slots

	ReclaimPages    uint64 // pages asked back
	ReclaimDeadline uint64 // TSC at which they are taken
	ReclaimSlots    [abi.MaxVCPUs]uint32
	ReclaimSlotsTSC uint64
	KillDeadline    uint64 // TSC at which the container will be killed; 0 = not at all
}

// Own reads what the calling program's container holds. Watch for abi.EventGrant, EventReclaimPages and
// EventReclaimCore to hear of changes. The platform returns by itself what it is asked for, as far as memory is free; a
// program that frees more afterwards calls metal.RaiseEvent.
func Own() (Grant, error) {
	page := metal.EventPage()
	if page == nil {
		return Grant{}, metal.ErrNotRunning
	}
	return readGrant(page), nil
}

// readGrant reads the fields one by one while the nonkernel may write them; it reads again when it did.
func readGrant(p *abi.EventPage) Grant {
	for {
		before := atomic.LoadUint64(&p.Generation)
		g := Grant{
			Pages:           atomic.LoadUint64(&p.Pages),
			ReclaimPages:    atomic.LoadUint64(&p.ReclaimPages),
			ReclaimDeadline: atomic.LoadUint64(&p.ReclaimDeadline),
			ReclaimSlotsTSC: atomic.LoadUint64(&p.ReclaimSlotsTSC),
			KillDeadline:    atomic.LoadUint64(&p.KillDeadline),
		}
		for i := range g.Slots {
			g.Slots[i] = atomic.LoadUint32(&p.Slots[i])
			g.Core[i] = atomic.LoadUint32(&p.Core[i])
			g.ReclaimSlots[i] = atomic.LoadUint32(&p.ReclaimSlots[i])
		}
		if atomic.LoadUint64(&p.Generation) == before {
			return g
		}
	}
}

// OwnStatus describes the calling program's container.
func OwnStatus() (abi.Status, error) {
	if !metal.InContainer() {
		return abi.Status{}, metal.ErrNotRunning
	}
	return status(0)
}

// NotifyParent sets event bits, within abi.EventUser, at the parent.
func NotifyParent(bits uint64) error {
	if _, err := metal.Hypercall(abi.CallNotify, 0, bits, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("notifying the parent with %#x: %w", bits, err)
	}
	return nil
}

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
// EventReclaimCore to hear of changes.
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

// ReturnPages gives memory that the program took with metal.Pages back to the parent. The contents are lost, and
// touching it ends the container. When the parent grants pages again, they come back in the reverse order of their
// return, page by page, before memory at new addresses.
func ReturnPages(p metal.Physical) error {
	reserved.Lock()
	defer reserved.Unlock()
	for off := uint64(0); off < p.Size; off += abi.ReturnMax * abi.PageSize {
		n := min(p.Size-off, abi.ReturnMax*abi.PageSize) / abi.PageSize
		if _, err := metal.Hypercall(abi.CallReturnPages, p.Addr+off, n, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("returning %d pages at %#x: %w", n, p.Addr+off, err)
		}
		reserved.withheld += n
	}
	return nil
}

// Regained tells the package that returned pages were granted again, so that it counts them as the program's.
func Regained(pages uint64) {
	reserved.Lock()
	defer reserved.Unlock()
	reserved.withheld -= min(reserved.withheld, pages)
}

// ReturnCore gives slots of a vCPU of the calling program back to the parent.
func ReturnCore(vcpu int, slots uint32) error {
	if _, err := metal.Hypercall(abi.CallReturnCore, uint64(vcpu), uint64(slots), 0, 0, 0, 0); err != nil {
		return fmt.Errorf("returning slots %#x of vCPU %d: %w", slots, vcpu, err)
	}
	return nil
}

// NotifyParent sets event bits, within abi.EventUser, at the parent.
func NotifyParent(bits uint64) error {
	if _, err := metal.Hypercall(abi.CallNotify, 0, bits, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("notifying the parent with %#x: %w", bits, err)
	}
	return nil
}

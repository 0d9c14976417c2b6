package container

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// raise tells c that something changed: the fields of its event page first, then the bits, then the interrupt.
func (k *Kernel) raise(c *Container, bits uint64) {
	if !c.alive() {
		return
	}
	k.update(c)
	atomic.OrUint64(&k.eventPage(c).Pending, bits)
	if v := c.VCPUs[0]; v.started.Load() {
		k.m.Interrupt(v, abi.VectorEvent)
	}
}

// update writes the fields of c's event page. The container reads them while they change, word by word.
func (k *Kernel) update(c *Container) {
	if !c.alive() {
		return
	}
	p := k.eventPage(c)
	atomic.StoreUint64(&p.Pages, c.granted)
	atomic.StoreUint64(&p.ReclaimPages, c.reclaim.pages)
	atomic.StoreUint64(&p.ReclaimDeadline, c.reclaim.deadline)
	first := never
	for i, v := range c.VCPUs {
		core := uint32(abi.NoCore)
		if v.core >= 0 {
			core = uint32(v.core)
		}
		atomic.StoreUint32(&p.Slots[i], v.slots)
		atomic.StoreUint32(&p.Core[i], core)
		atomic.StoreUint32(&p.ReclaimSlots[i], v.reclaim.slots)
		if v.reclaim.slots != 0 {
			first = min(first, v.reclaim.deadline)
		}
	}
	if first == never {
		first = 0
	}
	atomic.StoreUint64(&p.ReclaimSlotsTSC, first)
	atomic.StoreUint64(&p.ChildEvents, c.childEvents)
	c.generation++
	atomic.StoreUint64(&p.Generation, c.generation)
}

package container

import "nom.dev/nom/abi"

// Slots of cores. A container has slots[core]; of these it gave slotsLent[core] to children. The rest is assigned to
// its own vCPUs in the timetable, or, when none of them can have a core more, to nobody.

// assign gives slots to v, whose container has them.
func (k *Kernel) assign(v *VCPU, core int, mask uint32) {
	v.setCore(core)
	v.home = core
	v.slots |= mask
	k.timetable.Set(core, mask, v)
	k.m.Retime(core)
}

// unassign takes slots away from the vCPUs of c; the timetable still names them. lost says that one that runs has none any more.
func (c *Container) unassign(core int, mask uint32) (lost bool) {
	for _, v := range c.VCPUs {
		if v.core != core || v.slots&mask == 0 {
			continue
		}
		if v.slots &^= mask; v.slots == 0 {
			v.setCore(-1)
			lost = lost || v.started.Load()
		}
	}
	return lost
}

// heir is the vCPU of c that takes slots of core that come back: one that runs there, or did, or has no core; or nil.
func (c *Container) heir(core int) (heir *VCPU) {
	for _, v := range c.VCPUs {
		switch {
		case v.core == core:
			return v
		case v.core < 0 && v.home == core:
			heir = v
		case v.core < 0 && v.started.Load() && heir == nil:
			heir = v
		}
	}
	return heir
}

// strip takes slots from c and all beneath it; the caller gives them to somebody else.
func (k *Kernel) strip(c *Container, core int, mask uint32) {
	if mask &= c.slots[core]; mask == 0 {
		return
	}
	for _, child := range c.children {
		k.strip(child, core, mask)
	}
	c.unassign(core, mask)
	c.slots[core] &^= mask
	c.slotsLent[core] &^= mask
	for _, v := range c.VCPUs {
		if v.reclaim.core == core {
			v.reclaim.slots &^= mask
		}
	}
	k.raise(c, abi.EventGrant)
}

// takeSlots moves slots from c, and from those it gave them to, back to its parent.
func (k *Kernel) takeSlots(c *Container, core int, mask uint32) {
	mask &= c.slots[core]
	if mask == 0 {
		return
	}
	k.strip(c, core, mask)
	p := c.Parent
	if p == nil {
		k.timetable.Set(core, mask, nil)
		k.m.Retime(core)
		return
	}
	p.slotsLent[core] &^= mask
	if heir := p.heir(core); heir != nil {
		k.assign(heir, core, mask)
	} else {
		k.timetable.Set(core, mask, nil)
		k.m.Retime(core)
	}
	k.raise(p, abi.EventGrant)
}

// callGrantCore is grantcore(id, vcpu, core, slots). With id 0 the caller moves slots between its own vCPUs.
func (k *Kernel) callGrantCore(c *Container, id, vcpu, core, slots uint64) abi.Errno {
	to, err := c, abi.Errno(0)
	if id != 0 {
		to, err = c.liveChild(id)
	}
	if err != 0 {
		return err
	}
	if vcpu >= uint64(len(to.VCPUs)) || core >= uint64(k.cfg.Cores) || slots == 0 || slots > abi.AllSlots {
		return abi.EINVAL
	}
	v, n, mask := to.VCPUs[vcpu], int(core), uint32(slots)
	if c.slots[n]&^c.slotsLent[n]&mask != mask {
		return abi.EPERM
	}
	if v.core >= 0 && v.core != n {
		return abi.EBUSY
	}
	lost := c.unassign(n, mask)
	if to != c {
		c.slotsLent[n] |= mask
		to.slots[n] |= mask
	}
	k.assign(v, n, mask)
	k.update(c)
	if lost { // its platform must hear of it, who gave the core away may not know
		k.raise(c, abi.EventGrant)
	}
	if to != c {
		k.raise(to, abi.EventGrant)
	}
	return 0
}

// callReclaimCore is reclaimcore(id, vcpu, slots, notice).
func (k *Kernel) callReclaimCore(c *Container, id, vcpu, slots, notice uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if vcpu >= uint64(len(child.VCPUs)) || slots == 0 || slots > abi.AllSlots || notice > abi.MaxNotice {
		return abi.EINVAL
	}
	v, mask := child.VCPUs[vcpu], uint32(slots)
	core := v.core
	if core < 0 {
		core = v.home // it gave all it had to its own children
	}
	if core < 0 || child.slots[core]&mask != mask {
		return abi.EPERM
	}
	if notice == 0 {
		k.takeSlots(child, core, mask)
		return 0
	}
	if v.reclaim.slots != 0 {
		return abi.EBUSY
	}
	v.reclaim = slotReclaim{slots: mask, core: core, deadline: k.deadline(notice)}
	k.raise(child, abi.EventReclaimCore)
	return 0
}

// callReturnCore is returncore(vcpu, slots).
func (k *Kernel) callReturnCore(c *Container, vcpu, slots uint64) abi.Errno {
	if vcpu >= uint64(len(c.VCPUs)) || slots == 0 || slots > abi.AllSlots || c.Parent == nil {
		return abi.EINVAL
	}
	v := c.VCPUs[vcpu]
	if v.slots&uint32(slots) != uint32(slots) {
		return abi.EPERM
	}
	k.takeSlots(c, v.core, uint32(slots))
	return 0
}

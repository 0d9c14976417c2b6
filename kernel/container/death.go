package container

import (
	"runtime"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// How a container ends: endTree marks it and all beneath it, in no time, and kicks their vCPUs. Reaper then takes one
// after the other apart in steps, children before parents, and gives what each had back to its parent.

// End ends c and its tree: reason as in abi.EndExit and those that follow.
func (k *Kernel) End(c *Container, reason, code uint32, info uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.endTree(c, reason, code, info)
}

func (k *Kernel) endTree(c *Container, reason, code uint32, info uint64) {
	if !c.alive() {
		return
	}
	c.end, c.code, c.info, c.endTSC = reason, code, info, k.m.Now()
	c.ending.Store(true)
	for _, child := range c.children {
		k.endTree(child, abi.EndParent, 0, 0)
	}
	for _, v := range c.VCPUs {
		k.m.Kick(v)
	}
	k.dying = append(k.dying, c)
	k.wake()
}

// callKill is kill(id).
func (k *Kernel) callKill(c *Container, id uint64) abi.Errno {
	child, err := c.child(id)
	if err != 0 {
		return err
	}
	if child.State() == abi.StateEnded {
		return abi.EBUSY
	}
	k.endTree(child, abi.EndKilled, 0, 0)
	return 0
}

// callReap is reap(id).
func (k *Kernel) callReap(c *Container, id uint64) abi.Errno {
	child, err := c.child(id)
	if err != 0 {
		return err
	}
	if child.State() != abi.StateEnded {
		return abi.EBUSY
	}
	k.forget(child)
	return 0
}

// Reaper does the work that takes longer than the lock may be held, until stop is closed. One goroutine runs it.
func (k *Kernel) Reaper(stop <-chan struct{}) {
	for {
		for k.Step() {
			runtime.Gosched()
		}
		select {
		case <-stop:
			return
		case <-k.work:
		}
	}
}

// Step does one bounded piece of Reaper's work and says whether there may be more.
func (k *Kernel) Step() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn = !k.turn // so that who makes children die without end cannot put off what it owes
	if len(k.due) > 0 && (k.turn || len(k.dying) == 0) && k.takeTurn() {
		return true
	}
	if len(k.dying) == 0 {
		return len(k.due) > 0
	}
	if k.reapStep(k.dying[0]) {
		k.dying = append(k.dying[:0], k.dying[1:]...)
	}
	return true
}

// takeTurn takes pages from the one who waited longest, and says false when that must wait for a death.
func (k *Kernel) takeTurn() bool {
	c := k.due[0]
	k.due = append(k.due[:0], k.due[1:]...)
	if !c.alive() {
		return true
	}
	done, wait := k.takeStep(c)
	if !done {
		k.due = append(k.due, c)
	}
	return !wait
}

// reapStep takes c apart a little further. Its children have ended before. done says that nothing is left.
func (k *Kernel) reapStep(c *Container) (done bool) {
	if c.phase == 0 {
		k.m.Shootdown(c)
		for _, v := range c.VCPUs {
			k.m.FreeVCPU(v)
		}
		k.returnDevices(c)
		c.phase++
	}
	if !c.closeDMA() {
		return false
	}
	if !k.destroyTables(c) {
		return false
	}
	k.finish(c)
	return true
}

// closeDMA frees a bounded part of the tables by which c's devices reached its memory; none does any more.
func (c *Container) closeDMA() (done bool) {
	if c.dma != nil && c.dma.Close(stepPages) {
		c.dma = nil
	}
	return c.dma == nil
}

// destroyTables unmaps and frees a bounded part of c's memory, tables and all.
func (k *Kernel) destroyTables(c *Container) (done bool) {
	return c.Tables.Destroy(stepPages, func(e npt.Entry, size uint64) {
		switch {
		case e&npt.Reserved != 0: // release frees them
		case e&npt.Device != 0:
		case e&npt.Lent != 0:
			k.unlend(c, e.Addr(), size)
		default:
			c.attached -= size / abi.PageSize
			k.free(c, e.Addr(), size)
		}
	})
}

// release gives what c still has back to its parent: slots, ports, pages.
func (k *Kernel) release(c *Container) {
	for core := range c.slots {
		k.takeSlots(c, core, abi.AllSlots)
	}
	k.returnPorts(c)
	for _, pa := range []uint64{c.EventPA, c.PricePA} {
		if pa != 0 {
			k.freeOverhead(c, pa, 1)
		}
	}
	c.EventPA, c.PricePA = 0, 0
	for _, r := range c.runs {
		k.freeOverhead(c, r.pa, r.pages)
	}
	c.runs, c.backend = nil, 0
	if n := k.frames.Owned(c.owner()); n != 0 || c.attached != 0 || c.used != 0 || c.dmaUsed != 0 || c.lent != 0 || c.given != 0 {
		k.bug("container %d ends with %d pages: %d attached, %d overhead, %d lent, %d given", c.ID, n, c.attached, c.used, c.lent, c.given)
	}
	if c.Parent != nil {
		c.Parent.given -= c.granted + c.overhead
	}
}

// finish ends c for good: all is returned, its parent hears of it.
func (k *Kernel) finish(c *Container) {
	k.release(c)
	for len(c.children) > 0 {
		k.forget(c.children[0])
	}
	c.state.Store(abi.StateEnded)
	k.m.Ended(c)
	if p := c.Parent; p != nil && p.alive() {
		p.childEvents++
		k.raise(p, abi.EventChild)
	}
}

// forget removes a container that holds nothing from the tables.
func (k *Kernel) forget(c *Container) {
	k.all = remove(k.all, c)
	k.taken[c.Slot] = false
	if c.Parent != nil {
		c.Parent.children = remove(c.Parent.children, c)
	}
}

func remove(list []*Container, c *Container) []*Container {
	for i, x := range list {
		if x == c {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			return list[:len(list)-1]
		}
	}
	return list
}

package container

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// Pages that a container returned are holes in its space, kept as a stack: the entry of each names the one returned
// before it. So they cost no memory of their own, and come back in the reverse order.

const (
	holeTag = npt.Entry(1 << 11)
	noHole  = 1<<40 - 1 // as a page number: the stack is empty
)

// stepPages bounds what is done to single pages in one go with the lock held.
const stepPages = abi.ReturnMax

func isHole(e npt.Entry) bool { return !e.Present() && e&holeTag != 0 }

// makeHole takes a page of c's own out of its space and its grant. The frame, if any, is noted in k.freed: the caller
// calls freeTaken before it lets go of the lock.
func (k *Kernel) makeHole(c *Container, page uint64) {
	gpa := page * abi.PageSize
	if err := c.Tables.Split(gpa); err != nil {
		k.bug("split %#x of container %d: %v", gpa, c.ID, err)
		return
	}
	if was, _, removed := c.Tables.Unmap(gpa); removed {
		if c.dma != nil {
			if err := c.dma.Unmap(gpa, abi.PageSize); err != nil {
				k.bug("no DMA to %#x of container %d: %v", gpa, c.ID, err)
			}
		}
		k.freed = append(k.freed, was.Addr())
		c.attached--
	}
	if err := c.Tables.Mark(gpa, uint64(holeTag)|c.lastHole*abi.PageSize); err != nil {
		k.bug("hole at %#x of container %d: %v", gpa, c.ID, err)
		return
	}
	c.lastHole = page
	c.holes++
	k.shrink(c, 1)
}

// shrink moves pages of c's grant back to its parent.
func (k *Kernel) shrink(c *Container, pages uint64) {
	c.granted -= pages
	if c.Parent != nil {
		c.Parent.given -= pages
	}
}

// freeTaken frees the pages that makeHole collected, when nobody can reach them any more.
func (k *Kernel) freeTaken(c *Container) {
	if len(k.freed) == 0 {
		return
	}
	k.m.Shootdown(c)
	for _, pa := range k.freed {
		k.free(c, pa, abi.PageSize)
	}
	k.freed = k.freed[:0]
}

// restoreHoles puts back holes that have been granted again: at most stepPages now, the rest when they are touched.
func (k *Kernel) restoreHoles(c *Container) {
	for n := min(c.restore, stepPages); n > 0; n-- {
		gpa := c.lastHole * abi.PageSize
		e, _ := c.Tables.Lookup(gpa)
		if !isHole(e) || c.Tables.Mark(gpa, 0) != nil {
			k.bug("the holes of container %d are not linked: %#x at %#x", c.ID, e, gpa)
			c.restore = 0
			return
		}
		c.lastHole = e.Addr() / abi.PageSize
		c.holes--
		c.restore--
	}
}

// callGrantPages is grantpages(id, pages).
func (k *Kernel) callGrantPages(c *Container, id, pages uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if pages == 0 || pages > child.memory {
		return abi.EINVAL
	}
	back := min(child.holes-child.restore, pages)
	if child.limit+pages-back > child.memory {
		return abi.EINVAL
	}
	if c.reclaim.due {
		return abi.EAGAIN
	}
	if c.available() < pages {
		return abi.ENOMEM
	}
	c.given += pages
	child.granted += pages
	child.restore += back
	child.limit += pages - back
	k.restoreHoles(child)
	k.raise(child, abi.EventGrant)
	return 0
}

// callReturnPages is returnpages(address, pages).
func (k *Kernel) callReturnPages(c *Container, gpa, pages uint64) abi.Errno {
	if gpa%abi.PageSize != 0 || pages == 0 || pages > abi.ReturnMax || c.Parent == nil {
		return abi.EINVAL
	}
	first := gpa / abi.PageSize
	unattached := uint64(0)
	for page := first; page < first+pages; page++ {
		e, size := c.Tables.Lookup(page * abi.PageSize)
		if isHole(e) && c.restore > 0 {
			k.restoreHoles(c)
			return abi.EAGAIN
		}
		if !c.own(page, e) {
			return abi.EFAULT
		}
		if !e.Present() {
			unattached++
		} else if k.frames.Shares(e.Addr()+page*abi.PageSize&(size-1)) != 0 {
			return abi.EBUSY
		}
	}
	if unattached > c.available() {
		return abi.ENOMEM // it gave the quantity behind these pages to its children
	}
	for page := first; page < first+pages; page++ {
		k.makeHole(c, page)
	}
	k.freeTaken(c)
	c.reclaim.pages -= min(c.reclaim.pages, pages)
	k.settle(c)
	return 0
}

// settle tells c and its parent that pages have moved from one to the other.
func (k *Kernel) settle(c *Container) {
	if c.reclaim.pages == 0 {
		c.reclaim = pageReclaim{}
	}
	k.update(c)
	if c.Parent != nil {
		k.raise(c.Parent, abi.EventGrant)
	}
}

package container

import "nom.dev/nom/abi"

// deadline is the time notice microseconds from now, of which Tick will hear.
func (k *Kernel) deadline(notice uint64) uint64 {
	at := k.m.Now() + notice*(k.cfg.TSCHz/1000)/1000
	k.next.Store(min(k.next.Load(), at))
	return at
}

// callReclaimPages is reclaimpages(id, pages, notice).
func (k *Kernel) callReclaimPages(c *Container, id, pages, notice uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if pages == 0 || notice > abi.MaxNotice {
		return abi.EINVAL
	}
	if pages > child.granted {
		return abi.ENOMEM
	}
	if child.reclaim.pages != 0 && notice != 0 {
		return abi.EBUSY
	}
	if child.reclaim.pages == 0 || !child.reclaim.due {
		child.reclaim = pageReclaim{pages: pages, deadline: k.deadline(notice)}
	} else {
		child.reclaim.pages = max(pages, child.reclaim.pages)
	}
	k.raise(child, abi.EventReclaimPages)
	if notice == 0 {
		k.overdue(child)
	}
	return 0
}

// overdue hands c to Reaper, which takes the pages it owes.
func (k *Kernel) overdue(c *Container) {
	if c.reclaim.due {
		return
	}
	c.reclaim.due, c.reclaim.cursor = true, c.limit
	k.due = append(k.due, c)
	k.wake()
}

// Tick takes by force what was due by now. Runners call it every millisecond or so; without a deadline it costs a load.
func (k *Kernel) Tick(now uint64) {
	if now < k.next.Load() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := never
	for _, c := range k.all {
		if !c.alive() {
			continue
		}
		if c.reclaim.pages != 0 && !c.reclaim.due {
			if c.reclaim.deadline <= now {
				k.overdue(c)
			} else {
				next = min(next, c.reclaim.deadline)
			}
		}
		for _, v := range c.VCPUs {
			switch r := v.reclaim; {
			case r.slots == 0:
			case r.deadline <= now:
				v.reclaim = slotReclaim{}
				k.takeSlots(c, r.core, r.slots)
			default:
				next = min(next, r.deadline)
			}
		}
	}
	k.next.Store(next)
}

// takeStep takes pages that c owes, at most stepPages at a time, from the top of its space. Where they are given or
// lent to its children, so that its own do not suffice, the youngest children end. done says that c owes nothing more,
// wait that it must wait for a child's end.
func (k *Kernel) takeStep(c *Container) (done, wait bool) {
	r := &c.reclaim
	if n := min(c.restore, r.pages, c.available()); n > 0 { // granted again, but not in place yet
		c.restore -= n
		r.pages -= n
		k.shrink(c, n)
	}
	for budget := stepPages; r.pages > 0 && r.cursor > 0 && budget > 0; budget-- {
		r.cursor--
		if k.mayTake(c, r.cursor) {
			k.makeHole(c, r.cursor)
			r.pages--
		}
	}
	k.freeTaken(c)
	if r.pages == 0 || c.granted == 0 {
		r.pages = 0
		k.settle(c)
		k.raise(c, abi.EventGrant)
		return true, false
	}
	if r.cursor == 0 {
		r.cursor = c.limit
		return false, k.endYoungest(c, r.pages)
	}
	return false, false
}

// mayTake says whether a page of c can be taken: it is its own and not lent, and if it is not attached, its quantity
// was not given away.
func (k *Kernel) mayTake(c *Container, page uint64) bool {
	e, size := c.Tables.Lookup(page * abi.PageSize)
	if !c.own(page, e) {
		return false
	}
	if !e.Present() {
		return c.available() > 0
	}
	return k.frames.Shares(e.Addr()+page*abi.PageSize&(size-1)) == 0
}

// endYoungest ends as many of the last children of c as have so many pages (those that are ending already count), at
// least one, and says whether there was one.
func (k *Kernel) endYoungest(c *Container, pages uint64) (found bool) {
	for i := len(c.children) - 1; i >= 0; i-- {
		child := c.children[i]
		if child.State() == abi.StateEnded {
			continue
		}
		k.endTree(child, abi.EndKilled, 0, 0)
		found = true
		has := child.granted + child.overhead
		if has >= pages {
			break
		}
		pages -= has
	}
	return found
}

// NextTick is the TSC at which Tick has something to do next; 0 = nothing is due. It needs no lock.
func (k *Kernel) NextTick() uint64 {
	if n := k.next.Load(); n != never {
		return n
	}
	return 0
}

package container

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/frames"
	"nom.dev/nom/kernel/npt"
)

// The guest-physical space of a container. All that is known of a page stands in its nested page table entry: backed,
// lent, reserved, returned (a hole), or 0: its own, not attached yet if below the limit.

// neverMapped marks page 0.
const neverMapped = npt.Reserved

const faultWrite = 1 << 1 // in the error code of a nested page fault

// Action says what the core does after a fault.
type Action int

const (
	ActionResume Action = iota // enter the guest again
	ActionEnd                  // the container is ending
)

// PageFault answers a nested page fault of v at gpa, errcode as in EXITINFO1. It attaches memory or ends the container.
func (k *Kernel) PageFault(v *VCPU, gpa, errcode uint64) Action {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := v.Container
	if !c.alive() {
		return ActionEnd
	}
	_, err := k.touch(c, gpa, errcode&faultWrite != 0)
	if err == 0 || err == abi.EAGAIN {
		return ActionResume
	}
	k.endTree(c, abi.EndMemory, 0, gpa)
	return ActionEnd
}

// touch makes the page at gpa present, as an access by the guest would, and returns its physical address. EFAULT: it
// is not the container's memory, or cannot be written. ENOMEM: it would be, but the grant is used up. EAGAIN: ask again.
func (k *Kernel) touch(c *Container, gpa uint64, write bool) (pa uint64, err abi.Errno) {
	if gpa/abi.PageSize >= c.limit {
		return 0, abi.EFAULT
	}
	pa, e, ok := c.Tables.Translate(gpa)
	if !ok {
		switch {
		case e == 0:
			if err := k.attach(c, gpa); err != 0 {
				return 0, err
			}
		case isHole(e) && c.restore > 0:
			k.restoreHoles(c)
		default:
			return 0, abi.EFAULT
		}
		if pa, e, ok = c.Tables.Translate(gpa); !ok {
			return 0, abi.EAGAIN
		}
	}
	if write && !e.Writable() {
		return 0, abi.EFAULT
	}
	return pa &^ (abi.PageSize - 1), 0
}

// attach backs the page at gpa, which must be the container's own and not attached, and what lies around it: as much as
// is aligned, below the limit, empty, covered by the grant and free in one piece.
func (k *Kernel) attach(c *Container, gpa uint64) abi.Errno {
	for _, size := range [...]uint64{frames.Big, frames.Chunk, frames.Page} {
		base, pages := gpa&^(size-1), size/abi.PageSize
		if size == frames.Big && gpa < k.cfg.BigFrom || base/abi.PageSize+pages > c.limit {
			continue
		}
		if c.available() < pages || !c.Tables.Empty(base, size) {
			continue
		}
		pa, ok := k.frames.Alloc(size, c.owner())
		if !ok {
			continue
		}
		if err := mapOwn(c, base, pa, size); err != nil {
			k.bug("attach %#x at %#x of container %d: %v", size, base, c.ID, err)
			return abi.ENOMEM
		}
		if c.dma != nil {
			if err := c.dma.Map(base, pa, size, true); err != nil {
				k.bug("DMA to %#x of container %d: %v", base, c.ID, err)
			}
		}
		c.attached += pages
		c.peak = max(c.peak, c.attached)
		return 0
	}
	if c.available() > 0 {
		k.bug("container %d has %d pages to attach but the machine has none", c.ID, c.available())
	}
	return abi.ENOMEM
}

func mapOwn(c *Container, gpa, pa, size uint64) error {
	if size == frames.Big {
		return c.Tables.Map(gpa, pa, npt.Size2M, npt.W)
	}
	return c.Tables.MapRun(gpa, pa, int(size/abi.PageSize), npt.W)
}

// view is the memory of c from gpa to the end of the page or of n bytes. Others may write there at any time.
func (k *Kernel) view(c *Container, gpa, n uint64, write bool) ([]byte, abi.Errno) {
	pa, err := k.touch(c, gpa, write)
	if err != 0 {
		return nil, err
	}
	off := gpa % abi.PageSize
	return k.m.Phys(pa, abi.PageSize)[off:min(off+n, abi.PageSize)], 0
}

// copyIn copies from the memory of c at gpa; the event and price pages are readable like the rest.
func (k *Kernel) copyIn(c *Container, dst []byte, gpa uint64) abi.Errno {
	for len(dst) > 0 {
		src, err := k.view(c, gpa, uint64(len(dst)), false)
		if err != 0 {
			return err
		}
		n := copy(dst, src)
		dst, gpa = dst[n:], gpa+uint64(n)
	}
	return 0
}

// copyOut copies to the memory of c at gpa. On error, part may have been copied.
func (k *Kernel) copyOut(c *Container, gpa uint64, src []byte) abi.Errno {
	for len(src) > 0 {
		if k.isReserved(c, gpa) {
			return abi.EFAULT
		}
		dst, err := k.view(c, gpa, uint64(len(src)), true)
		if err != 0 {
			return err
		}
		n := copy(dst, src)
		src, gpa = src[n:], gpa+uint64(n)
	}
	return 0
}

// isReserved says that the nonkernel's own page is mapped at gpa.
func (k *Kernel) isReserved(c *Container, gpa uint64) bool {
	e, _ := c.Tables.Lookup(gpa)
	return e&npt.Reserved != 0
}

// own says what the entry e of the page at gpa means for giving it up: whether it is c's own page, below the limit.
func (c *Container) own(page uint64, e npt.Entry) bool {
	return page < c.limit && (e == 0 || e.Present() && e&(npt.Lent|npt.Reserved) == 0)
}

// AllocPages grants pages (1 to 16) next to each other, aligned to the next power of two, out of the overhead of c.
// Only for Machine.NewVCPU and Machine.Ports, which are called with the lock held.
func (k *Kernel) AllocPages(c *Container, pages int) (pa uint64, ok bool) {
	allowance := c.overhead - npt.Pages(c.memory*abi.PageSize) - fixedPages - c.dmaPages
	n := uint64(pages)
	if pages < 1 || n > allowance-c.backend {
		return 0, false
	}
	if pa, ok = k.frames.AllocRun(pages, c.owner()); !ok {
		return 0, false
	}
	c.used += n
	c.backend += n
	c.runs = append(c.runs, run{pa, n})
	return pa, true
}

// tableSource takes the pages of c's nested page tables from its overhead.
func (k *Kernel) tableSource(c *Container) npt.Source {
	return npt.Source{
		Table: k.m.Table,
		Alloc: func() (uint64, bool) { return k.overheadPage(c) },
		Free:  func(pa uint64) { k.freeOverhead(c, pa, 1) },
	}
}

func (k *Kernel) overheadPage(c *Container) (pa uint64, ok bool) {
	if c.used >= c.overhead {
		k.bug("container %d needs more than its overhead of %d pages", c.ID, c.overhead)
		return 0, false
	}
	pa, ok = k.frames.Alloc(frames.Page, c.owner())
	if !ok {
		k.bug("the machine has no page for the overhead of container %d", c.ID)
		return 0, false
	}
	c.used++
	return pa, true
}

func (k *Kernel) freeOverhead(c *Container, pa, pages uint64) {
	c.used -= pages
	k.free(c, pa, pages*abi.PageSize)
}

func (k *Kernel) free(c *Container, pa, size uint64) {
	if err := k.frames.Free(pa, size, c.owner()); err != nil {
		k.bug("%v", err)
	}
}

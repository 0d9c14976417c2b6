package container

import (
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// callCopy is copy(id, to, from, bytes).
func (k *Kernel) callCopy(c *Container, id, to, from, n uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if child.State() != abi.StateCreated {
		return abi.EBUSY
	}
	if n > abi.CopyMax {
		return abi.EINVAL
	}
	for n > 0 {
		// The page of the source stays where it is while the destination is attached: the lock is held.
		src, err := k.view(c, from, n, false)
		if err != 0 {
			return err
		}
		if err := k.copyOut(child, to, src); err != 0 {
			return err
		}
		done := uint64(len(src))
		n, from, to = n-done, from+done, to+done
	}
	return 0
}

// CopyTo copies b into a container that has not started, at gpa; for root.
func (k *Kernel) CopyTo(c *Container, gpa uint64, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), abi.CopyMax)
		k.mu.Lock()
		err := k.copyOut(c, gpa, b[:n])
		k.mu.Unlock()
		if err != 0 {
			return fmt.Errorf("container: copy %d bytes to %#x of %q: %w", n, gpa, c.Name, err)
		}
		b, gpa = b[n:], gpa+uint64(n)
	}
	return nil
}

// room checks that pages may be lent into c at gpa: below or at the limit, so that its space stays dense, and nothing
// there yet.
func (k *Kernel) room(c *Container, gpa, pages uint64) abi.Errno {
	first := gpa / abi.PageSize
	if gpa%abi.PageSize != 0 || first > c.limit || pages > c.memory || c.limit+pages > c.memory {
		return abi.EINVAL
	}
	for page := first; page < first+pages; page++ {
		if e, _ := c.Tables.Lookup(page * abi.PageSize); e != 0 {
			return abi.EBUSY
		}
	}
	return 0
}

// callLend is lend(id, to, from, pages, prot).
func (k *Kernel) callLend(c *Container, id, to, from, pages, prot uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if pages == 0 || pages > abi.LendMax || from%abi.PageSize != 0 || prot != abi.LendRead && prot != abi.LendWrite {
		return abi.EINVAL
	}
	write := prot == abi.LendWrite
	for off := uint64(0); off < pages*abi.PageSize; off += abi.PageSize {
		pa, err := k.touch(c, from+off, write)
		if err != 0 {
			return err
		}
		if k.isReserved(c, from+off) {
			return abi.EFAULT
		}
		if k.frames.Shares(pa) > maxShares {
			return abi.ENOSPC
		}
	}
	if err := k.room(child, to, pages); err != 0 {
		return err
	}
	for pages > 0 {
		pa, e, _ := c.Tables.Translate(from)
		size := uint64(npt.Size4K)
		if e&npt.PS != 0 && pages >= npt.Size2M/abi.PageSize && (pa|to)%npt.Size2M == 0 && child.Tables.Empty(to, npt.Size2M) {
			size = npt.Size2M
		}
		if !k.mapLent(child, to, pa, size, write) {
			return abi.ENOSPC
		}
		from, to, pages = from+size, to+size, pages-size/abi.PageSize
	}
	return 0
}

// LendHost lends pages of host memory at pa, which the kernel does not manage, read-only to c at gpa; for root, which
// may lend them on. gpa must be at or below the limit, and nothing there yet.
func (k *Kernel) LendHost(c *Container, gpa, pa, pages uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pa%abi.PageSize != 0 {
		return fmt.Errorf("container: lend host memory at %#x: %w", pa, abi.EINVAL)
	}
	if err := k.room(c, gpa, pages); err != 0 {
		return fmt.Errorf("container: lend %d pages of host memory to %q at %#x: %w", pages, c.Name, gpa, err)
	}
	k.host = append(k.host, abi.Range{Addr: pa, Size: pages * abi.PageSize})
	for pages > 0 {
		size := uint64(npt.Size4K)
		if pages >= npt.Size2M/abi.PageSize && (pa|gpa)%npt.Size2M == 0 && c.Tables.Empty(gpa, npt.Size2M) {
			size = npt.Size2M
		}
		if !k.mapLent(c, gpa, pa, size, false) {
			return fmt.Errorf("container: lend host memory to %q at %#x: no page for tables", c.Name, gpa)
		}
		pa, gpa, pages = pa+size, gpa+size, pages-size/abi.PageSize
	}
	return nil
}

// maxShares keeps one page from being lent more often than can be counted.
const maxShares = 1 << 15

// mapLent maps what belongs to somebody else. Its owner cannot give it up until unlend.
func (k *Kernel) mapLent(c *Container, gpa, pa, size uint64, write bool) bool {
	bits := npt.Lent
	if write {
		bits |= npt.W
	}
	if err := c.Tables.Map(gpa, pa, size, bits); err != nil {
		k.bug("lend to %#x of container %d: %v", gpa, c.ID, err)
		return false
	}
	for off := uint64(0); off < size; off += abi.PageSize {
		if _, managed := k.frames.Owner(pa + off); managed && !k.frames.Share(pa+off) {
			k.bug("page %#x lent to container %d cannot be shared", pa+off, c.ID)
		}
	}
	c.lent += size / abi.PageSize
	c.limit += size / abi.PageSize
	return true
}

// unlend gives lent pages back to their owner.
func (k *Kernel) unlend(c *Container, pa, size uint64) {
	for off := uint64(0); off < size; off += abi.PageSize {
		if _, managed := k.frames.Owner(pa + off); managed && !k.frames.Unshare(pa+off) {
			k.bug("page %#x lent to container %d was not shared", pa+off, c.ID)
		}
	}
	c.lent -= size / abi.PageSize
}

package iommu

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"nom.dev/nom/hw/vtd"
)

// queue is the invalidation queue of a VT-d unit. It is empty but while invalidate waits.
type queue struct {
	pa     uint64
	status uint64 // page whose first word the unit writes when it is done
	tail   uint64
	count  uint32 // the last status that was asked for
}

// descriptor is the two halves of an invalidation descriptor.
type descriptor struct{ low, high uint64 }

func desc(low, high uint64) descriptor { return descriptor{low, high} }

// submit lets the unit do what the descriptors say, one after the other, because it may do those it is given at once in any order. After
// an error the unit is not trusted again. The lock is held.
func (v *VTD) submit(list ...descriptor) error {
	for _, d := range list {
		if v.failed == nil {
			v.failed = v.invalidate(d)
		}
	}
	return v.failed
}

// invalidate hands the unit one descriptor and waits for it.
func (v *VTD) invalidate(d descriptor) error {
	if v.cap&vtd.CapRWBF != 0 {
		if err := v.command(vtd.WBF, 0); err != nil {
			return err
		}
	}
	q := &v.queue
	q.count++
	v.put(d)
	v.put(desc(vtd.Wait(q.count, q.status)))
	v.write64(vtd.IQT, q.tail*vtd.DescriptorSize)
	status := &v.o.Pages.Table(q.status)[0]
	if v.wait(func() bool { return uint32(atomic.LoadUint64(status)) == q.count }) {
		return nil
	}
	return fmt.Errorf("invalidation queue: head %#x, tail %#x, fault status %#x: %w", v.read64(vtd.IQH), v.read64(vtd.IQT), v.read(vtd.FSTS), ErrStuck)
}

func (v *VTD) put(d descriptor) {
	q := &v.queue
	words := v.o.Pages.Table(q.pa)
	words[2*q.tail] = d.low
	words[2*q.tail+1] = d.high
	q.tail = (q.tail + 1) % vtd.QueueEntries
}

// pageMask is the size, as a power of two of pages, of the smallest aligned block that has all addresses from first on below end.
func pageMask(first, end uint64) uint8 {
	return uint8(bits.Len64(first>>12 ^ (end-1)>>12))
}

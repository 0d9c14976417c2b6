package iommu

import (
	"fmt"
	"sync/atomic"

	"nom.dev/nom/hw/pci"
	"nom.dev/nom/hw/vtd"
)

// route is an interrupt: a vector of a function.
type route struct {
	rid   RID
	index int
}

// firstVector is the first that is not an exception of the processor.
const firstVector = 32

// Route lets vector index of a function raise an interrupt.
func (v *VTD) Route(rid RID, index int, vector uint8, apic uint32) (pci.Message, error) {
	if vector < firstVector {
		return pci.Message{}, fmt.Errorf("iommu: route interrupt %d of %v to vector %d: the first is %d", index, rid, vector, firstVector)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	handle, known := v.routes[route{rid, index}]
	if !known {
		var ok bool
		if handle, ok = v.freeHandle(); !ok {
			return pci.Message{}, fmt.Errorf("iommu: route interrupt %d of %v: all %d entries are taken: end another container: %w", index, rid, numRemaps, ErrBusy)
		}
	}
	low, high := vtd.IRTE{Vector: vector, Dest: apic, Source: uint16(rid), Present: true}.Encode()
	v.setRemap(handle, low, high)
	if err := v.submit(desc(vtd.InvalidateInterrupt(handle, 0))); err != nil {
		return pci.Message{}, fmt.Errorf("iommu: route interrupt %d of %v: %w", index, rid, err)
	}
	v.routes[route{rid, index}] = handle
	v.handles[handle] = true
	address, data := vtd.Message(handle)
	return pci.Message{Address: address, Data: data}, nil
}

// freeHandle finds an entry of the table that is not taken.
func (v *VTD) freeHandle() (uint16, bool) {
	for i, taken := range v.handles {
		if !taken {
			return uint16(i), true
		}
	}
	return 0, false
}

// setRemap writes an entry. Whose it is never changes while it is present, so that the unit never sees half of an entry and half of
// another.
func (v *VTD) setRemap(handle uint16, low, high uint64) {
	at := uint64(handle) * vtd.IRTESize
	words := v.o.Pages.Table(v.remaps + at&^(PageSize-1))
	i := at % PageSize / 8
	if low == 0 {
		atomic.StoreUint64(&words[i], 0)
		atomic.StoreUint64(&words[i+1], 0)
	} else {
		atomic.StoreUint64(&words[i+1], high)
		atomic.StoreUint64(&words[i], low)
	}
	v.publish(v.remaps+at, vtd.IRTESize)
}

// Unroute takes all interrupts of a function away.
func (v *VTD) Unroute(rid RID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	any := false
	for r, handle := range v.routes {
		if r.rid == rid {
			v.setRemap(handle, 0, 0)
			any = true
		}
	}
	if !any {
		return nil
	}
	if err := v.submit(desc(vtd.InvalidateInterrupts())); err != nil {
		return fmt.Errorf("iommu: take the interrupts of %v away: %w", rid, err)
	}
	for r, handle := range v.routes {
		if r.rid == rid {
			v.handles[handle] = false
			delete(v.routes, r)
		}
	}
	return nil
}

// Faults reports what was blocked.
func (v *VTD) Faults(report func(Fault)) (lost bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	status := v.read(vtd.FSTS)
	offset, records := vtd.FaultRecords(v.cap)
	first := vtd.FirstFault(status)
	for i := range records {
		at := uint64(offset) + uint64((first+i)%records)*vtd.FaultSize
		if v.read(at+vtd.FaultLast)&vtd.FaultValid == 0 {
			continue
		}
		f, _ := vtd.DecodeFault(v.read64(at), v.read64(at+8))
		v.write(at+vtd.FaultLast, vtd.FaultValid)
		report(Fault{
			RID: RID(f.Source), Domain: v.owners[RID(f.Source)], Reason: f.Reason.String(), Interrupt: f.Reason.Interrupt(), Read: f.Read,
			Address: f.Address, Index: int(f.Index),
		})
	}
	if v.failed == nil {
		v.write(vtd.FSTS, status&vtd.FaultClear)
	}
	return status&vtd.FaultOverflow != 0
}

// FaultEvent raises an interrupt when there is something to report.
func (v *VTD) FaultEvent(vector uint8, apic uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	address, upper, data := vtd.EventMessage(vector, apic)
	v.write(vtd.FECTL, vtd.EventMasked)
	v.write(vtd.FEDATA, data)
	v.write(vtd.FEADDR, address)
	v.write(vtd.FEUADDR, upper)
	v.write(vtd.FECTL, 0)
}

// Package iommu holds devices to the memory and the interrupts of the container that they belong to: a Unit translates the DMA of a
// function by the tables of its Domain, and lets it raise only the interrupts that were routed for it.
//
// VTD is the unit of Intel's VT-d (package hw/vtd), tried on QEMU's intel-iommu; AMD-Vi would be another Unit over the same Domain,
// whose tables it encodes in its own way. A unit's registers and the tables' memory are reached only through the accessors that the
// owner injects. It decides nothing: which function belongs to whom, and which pages, is told to it.
//
// What must always be true: a function without a domain reaches nothing; a page that was unmapped is out of reach once Flush has
// returned without an error, and not before; a function raises no interrupt that is not its own. After an error the caller must not
// use again what it meant to take back.
//
// # Locks
//
// A Unit has one lock and takes it in each of its methods and in Domain.Flush; it waits for hardware with it held, for waitLimit at
// most. Map, Unmap and Close of one domain are serialized by the caller; of different domains they need no lock.
package iommu

import (
	"errors"
	"fmt"
	"time"

	"nom.dev/nom/hw/pci"
)

// RID is a requester id: bus, device and function.
type RID = pci.RID

// Memory reaches the registers of a unit, by physical address.
type Memory interface {
	Read32(pa uint64) uint32
	Write32(pa uint64, v uint32)
}

// Clock is the machine's.
type Clock interface {
	Now() time.Duration
}

// Pages provides the memory that tables are made of.
type Pages interface {
	// Alloc is size zeroed bytes (PageSize or BlockSize), aligned to it.
	Alloc(size uint64) (pa uint64, ok bool)
	// Free takes back what Alloc gave.
	Free(pa, size uint64)
	// Table is the page at pa.
	Table(pa uint64) *[512]uint64
	// Flush writes the processors' caches of size bytes at pa back to memory. It is called only for units that do not look
	// into the caches.
	Flush(pa, size uint64)
}

// Sizes that Pages is asked for.
const (
	PageSize  = 4 << 10
	BlockSize = 64 << 10
)

// Unit is an IOMMU.
type Unit interface {
	// NewDomain makes an empty domain for memory bytes of addresses, whose tables come from pages: DomainPages(memory) at most.
	NewDomain(name string, memory uint64, pages Pages) (*Domain, error)
	// Attach gives a function to a domain. It must have been reset.
	Attach(rid RID, d *Domain) error
	// Detach takes a function from its domain. When it returns without an error the function reaches no memory, and what it did
	// before is done.
	Detach(rid RID) error
	// Owner is the domain of a function, or nil.
	Owner(rid RID) *Domain
	// Route lets vector index of a function raise an interrupt at the processor with an x2APIC id, from now on. The message goes
	// into the function's MSI-X table and stays the same when an interrupt is routed anew.
	Route(rid RID, index int, vector uint8, apic uint32) (pci.Message, error)
	// Unroute takes all interrupts of a function away.
	Unroute(rid RID) error
	// Faults reports what was blocked since it was last called, and frees the records. lost says that there was more.
	// report runs under the lock.
	Faults(report func(Fault)) (lost bool)
	// FaultEvent raises an interrupt at a processor when there is something to report.
	FaultEvent(vector uint8, apic uint32)
}

// Fault is something that a unit blocked.
type Fault struct {
	RID       RID     // as the unit saw it
	Domain    *Domain // of that function, or nil
	Reason    string
	Interrupt bool   // an interrupt; else DMA
	Read      bool   // of DMA: from memory
	Address   uint64 // of DMA: the page
	Index     int    // of an interrupt: entry of the unit's table
}

// String says who tried what, and why it was blocked.
func (f Fault) String() string {
	owner := "which belongs to nobody"
	if f.Domain != nil {
		owner = fmt.Sprintf("which belongs to %q", f.Domain.Name)
	}
	what := fmt.Sprintf("write to %#x", f.Address)
	switch {
	case f.Interrupt:
		what = fmt.Sprintf("interrupt %d", f.Index)
	case f.Read:
		what = fmt.Sprintf("read from %#x", f.Address)
	}
	return fmt.Sprintf("iommu: blocked %s by %v, %s: %s", what, f.RID, owner, f.Reason)
}

// Errors that are returned wrapped.
var (
	ErrUnsupported = errors.New("not supported by this unit")
	ErrCovered     = errors.New("something is mapped there already")
	ErrAlign       = errors.New("not whole pages, or beyond the domain")
	ErrNoTable     = errors.New("no page left for a table")
	ErrBusy        = errors.New("in use")
	ErrStuck       = errors.New("the unit does not answer")
)

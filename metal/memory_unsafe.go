package metal

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// pointer makes a pointer of an address outside the Go heap.
//
// SAFETY: the callers pass addresses of the direct map and of the boot page, which the platform maps for as long as the
// program runs and which the garbage collector knows nothing about. The detour through memory tells vet that the
// conversion is meant.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// SAFETY: the platform answered the private call with the address of its boot page, which lives as long as the program.
func bootPageAt(address uintptr) *abi.BootPage { return (*abi.BootPage)(pointer(address)) }

// SAFETY: every container has its event page at this guest-physical address, and the direct map maps it.
func eventPage() *abi.EventPage {
	return (*abi.EventPage)(pointer(abi.DirectMap + abi.EventPageAddr))
}

// SAFETY: as for the event page.
func pricePage() *abi.PricePage {
	return (*abi.PricePage)(pointer(abi.DirectMap + abi.PricePageAddr))
}

// SAFETY: physical memory is mapped linearly at abi.DirectMap. Memory that the container does not have faults in the
// nested tables, which ends the container and nobody else.
func directMap(pa, size uint64) []byte {
	return unsafe.Slice((*byte)(pointer(uintptr(abi.DirectMap+pa))), size)
}

// SAFETY: the address is only compared and computed with, never dereferenced.
func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

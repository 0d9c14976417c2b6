package container

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// eventPage is the event page of c as what it is.
func (k *Kernel) eventPage(c *Container) *abi.EventPage {
	b := k.m.Phys(c.EventPA, abi.PageSize)
	// SAFETY: b is a whole frame, longer than an EventPage and page aligned; it belongs to the overhead of c, which
	// is not freed while anybody calls this (with the lock held, before release). The structure holds no pointers.
	return (*abi.EventPage)(unsafe.Pointer(unsafe.SliceData(b)))
}

package core

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// Table views the page at pa as a page table.
//
// SAFETY: host memory stays mapped for ever, and a page is as large and as aligned as the array.
func (m *Machine) Table(pa uint64) *[512]uint64 {
	return (*[512]uint64)(unsafe.Pointer(unsafe.SliceData(m.Phys(pa, abi.PageSize))))
}

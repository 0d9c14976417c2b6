package container

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// The pages that a ring takes must be as many as the contract says.
const (
	_ = uint(abi.ConsolePages*abi.PageSize - unsafe.Sizeof(abi.ConsoleRing{}))
	_ = uint(unsafe.Sizeof(abi.ConsoleRing{}) - (abi.ConsolePages-1)*abi.PageSize - 1)
)

// ringAt is the ring that lies in b.
//
// SAFETY: the callers pass whole pages of physical memory that they own, page aligned and as many as the contract says;
// the type has no pointers, so any bytes are valid.
func ringAt(b []byte) *abi.ConsoleRing {
	_ = b[abi.ConsolePages*abi.PageSize-1]
	return (*abi.ConsoleRing)(unsafe.Pointer(unsafe.SliceData(b)))
}

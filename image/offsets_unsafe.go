package image

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// startInfoOffset is where in the boot page the trampoline stores the address of the PVH start info.
//
// SAFETY: Offsetof is a constant expression; no pointer is made.
const startInfoOffset = uint64(unsafe.Offsetof(abi.BootPage{}.StartInfo))

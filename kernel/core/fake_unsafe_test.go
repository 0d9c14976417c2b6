package core

import (
	"unsafe"

	"nom.dev/nom/hw/svm"
)

// vmcb is the control block at pa.
func (f *fakeRAM) vmcb(pa uint64) *svm.VMCB {
	// SAFETY: phys checks that the page lies in the slice, whose start make aligned to a page as it is this long.
	return (*svm.VMCB)(unsafe.Pointer(unsafe.SliceData(f.phys(pa, 4096))))
}

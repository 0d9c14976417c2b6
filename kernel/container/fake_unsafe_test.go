package container

import "unsafe"

func (f *fake) Table(pa uint64) *[512]uint64 {
	// SAFETY: Phys checks that the page lies in the slice, whose start make aligned to a page as it is this long.
	return (*[512]uint64)(unsafe.Pointer(unsafe.SliceData(f.Phys(pa, 4096))))
}

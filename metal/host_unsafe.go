package metal

import (
	"syscall"
	"unsafe"

	"nom.dev/nom/metal/call"
)

// SAFETY: the conversion stands in the argument list of Syscall, which keeps w alive during the call. The world lies in
// physical memory outside the Go heap, so it does not move.
func vmRun(w *call.World) syscall.Errno {
	_, _, errno := syscall.Syscall(call.VMRun, uintptr(unsafe.Pointer(w)), 0, 0)
	return errno
}

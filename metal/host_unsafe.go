package metal

import (
	"fmt"
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

// Route says to which world an interrupt vector of a CPU belongs that arrives while the nonkernel runs there; nil takes the route
// away. The world must stay alive as long as it has a route.
func Route(cpu int, vector uint8, w *call.World, guestVector uint8) error {
	// SAFETY: the platform keeps the address; worlds are on the heap, which does not move, and their owner takes routes
	// away before it lets go of them.
	_, _, errno := syscall.RawSyscall6(call.Route, uintptr(cpu), uintptr(vector), uintptr(unsafe.Pointer(w)), uintptr(guestVector), 0, 0)
	if errno != 0 {
		return fmt.Errorf("routing vector %d of CPU %d: %w", vector, cpu, refusal(errno))
	}
	return nil
}

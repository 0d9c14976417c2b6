package metal

import (
	"fmt"
	"syscall"
	"unsafe"
)

// Pin binds the calling thread, which the caller has locked (runtime.LockOSThread), to one CPU.
func Pin(cpu int) error {
	mask := uint64(1) << cpu
	// SAFETY: the kernel reads 8 bytes at &mask before it returns.
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, 8, uintptr(unsafe.Pointer(&mask))); errno != 0 {
		return fmt.Errorf("pinning a thread to CPU %d: %w", cpu, errno)
	}
	return nil
}

// Yield lets another thread of this CPU run first.
func Yield() { _, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }

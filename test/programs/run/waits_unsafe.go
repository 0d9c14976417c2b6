package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ppoll waits without end, with a mask of signals, of which unix.Ppoll does not pass the size.
func ppoll(fds []unix.PollFd, mask *unix.Sigset_t) error {
	const size = 8
	// SAFETY: both pointers are of Go's own memory, and converted in the call.
	_, _, e := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), 0, uintptr(unsafe.Pointer(mask)), size, 0)
	return e
}

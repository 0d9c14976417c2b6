package metal

import (
	"fmt"
	"syscall"

	"nom.dev/nom/metal/call"
)

// What only the nonkernel may ask for. In a container the platform answers EPERM.

// VMRun runs a world until it needs its nonkernel. The thread is in a system call meanwhile, so Go's scheduler and garbage
// collector do not wait for it.
func VMRun(w *call.World) error {
	if errno := vmRun(w); errno != 0 {
		return fmt.Errorf("running a virtual CPU: %w", refusal(errno))
	}
	return nil
}

// WaitKick parks the calling thread until its CPU is kicked or the time stamp counter reaches deadline (0 = none).
func WaitKick(deadline uint64) error {
	if _, _, errno := syscall.Syscall(call.WaitKick, uintptr(deadline), 0, 0); errno != 0 {
		return fmt.Errorf("waiting for a kick: %w", refusal(errno))
	}
	return nil
}

// Kick makes the runner of a CPU look up: it ends VMRun or WaitKick there.
func Kick(cpu int) error {
	if _, _, errno := syscall.RawSyscall(call.Kick, uintptr(cpu), 0, 0); errno != 0 {
		return fmt.Errorf("kicking CPU %d: %w", cpu, refusal(errno))
	}
	return nil
}

// PowerOff ends the machine. It returns only when it may not.
func PowerOff(code int) error {
	_, _, errno := syscall.RawSyscall(call.PowerOff, uintptr(code), 0, 0)
	return fmt.Errorf("switching the machine off: %w", refusal(errno))
}

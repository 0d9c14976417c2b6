// Package metal is the door through which a Go program reaches what lies beneath its runtime on nom: the boot page, the
// event page, physical memory, interrupts as files, hypercalls and I/O ports. An ordinary program needs none of this; the
// nonkernel, the root container and libraries of the library OS do.
//
// The same binary may run on Linux, where Running says false, and everything that can fail returns ErrNotRunning. The
// platform itself is package metal/platform, a separate image: this package holds only the private system calls
// (metal/call), the hypercalls (abi) and a few instructions. It must never hold policy or state of its own beyond what
// Running found out.
package metal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal/call"
)

// ErrNotRunning says that the program does not run on nom's platform.
var ErrNotRunning = errors.New("this program does not run on nom: start it with \"nom boot\"")

// bootPage finds the boot page once; an operating system does not know the call and answers ENOSYS.
var bootPage = sync.OnceValue(func() *abi.BootPage {
	address, _, errno := syscall.RawSyscall(call.BootPage, 0, 0, 0)
	if errno != 0 || address == 0 {
		return nil
	}
	return bootPageAt(address)
})

// Running says whether the program runs on nom's platform, in a container or as the nonkernel.
func Running() bool { return bootPage() != nil }

// InContainer says whether there is a nonkernel beneath, which answers hypercalls.
func InContainer() bool {
	b := bootPage()
	return b != nil && b.Flags&abi.BootHost == 0
}

// BootPage is what the program was started with, or nil when it does not run on nom. It must not be written.
func BootPage() *abi.BootPage { return bootPage() }

// EventPage is where the nonkernel says what changed; nil outside containers. Read Pending with atomic operations only.
func EventPage() *abi.EventPage {
	if !InContainer() {
		return nil
	}
	return eventPage()
}

// PricePage is where the nonkernel publishes prices; nil outside containers. It cannot be written.
func PricePage() *abi.PricePage {
	if !InContainer() {
		return nil
	}
	return pricePage()
}

// Name is the name that the program's container was started with.
func Name() string {
	b := bootPage()
	if b == nil {
		return ""
	}
	return cString(b.Name[:])
}

// cString is b up to its first NUL.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// Hypercall asks the nonkernel. It allocates nothing. Arguments that are addresses are guest-physical ones.
func Hypercall(nr abi.Call, a, b, c, d, e, f uint64) (uint64, error) {
	if !InContainer() {
		return 0, ErrNotRunning
	}
	return abi.Result(vmmcall(uint64(nr), a, b, c, d, e, f))
}

// RaiseEvent makes the platform, and whoever has opened abi.VectorEvent, look at the event page again: after the program has
// freed memory that it is asked to return, for example. Outside containers it does nothing.
func RaiseEvent() {
	if InContainer() {
		raiseEvent()
	}
}

// OpenVector makes an interrupt vector a file. Reading it waits for the interrupt without holding a thread, and gives 8
// bytes: how often the vector was raised since the last read, little-endian.
func OpenVector(vector int) (*os.File, error) {
	fd, _, errno := syscall.RawSyscall(call.OpenVector, uintptr(vector), 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("opening interrupt vector %#x: %w", vector, refusal(errno))
	}
	return os.NewFile(fd, fmt.Sprintf("vector %#x", vector)), nil
}

// StartProgram is for a companion: it lets the program beside it start, which finds the network ready then.
func StartProgram() error {
	if _, _, errno := syscall.RawSyscall(call.StartProgram, 0, 0, 0); errno != 0 {
		return fmt.Errorf("starting the program beside this one: %w", refusal(errno))
	}
	return nil
}

// Stat reads a counter of the platform: call.StatFaults and so on. arg is the system call number for StatSyscalls.
func Stat(which, arg uint64) (uint64, error) {
	v, _, errno := syscall.RawSyscall(call.Stats, uintptr(which), uintptr(arg), 0)
	if errno != 0 {
		return 0, fmt.Errorf("reading counter %d of the platform: %w", which, refusal(errno))
	}
	return uint64(v), nil
}

// Ticks converts nanoseconds of the monotonic clock to the time stamp counter.
func Ticks(nanos uint64) uint64 {
	v, _, errno := syscall.RawSyscall(call.Ticks, uintptr(nanos), 0, 0)
	if errno != 0 {
		return 0
	}
	return uint64(v)
}

// refusal names the error of a private system call.
func refusal(errno syscall.Errno) error {
	if errno == syscall.ENOSYS {
		return ErrNotRunning
	}
	return errno
}

package metal

// TSC reads the time stamp counter. It is not ordered against other instructions.
func TSC() uint64

// Inb, Inw, Inl, Outb, Outw and Outl read and write I/O ports. A port that the container does not hold reads as ones and
// swallows what is written; on Linux the program dies of SIGSEGV. Only the root container holds ports at the start.
func Inb(port uint16) uint8
func Inw(port uint16) uint16
func Inl(port uint16) uint32
func Outb(port uint16, value uint8)
func Outw(port uint16, value uint16)
func Outl(port uint16, value uint32)

// vmmcall issues a hypercall and returns RAX.
//
//go:noescape
func vmmcall(nr, a, b, c, d, e, f uint64) uint64

// CPUID executes the instruction; in a container the nonkernel filters the answer.
func CPUID(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// raiseEvent makes abi.VectorEvent pending on vCPU 0, where the platform expects it.
func raiseEvent()

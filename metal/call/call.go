// Package call numbers the private system calls between a program and the platform beneath it, and lays out what they pass. It is
// the inside of package metal: programs use that. The package has no code and imports nothing.
package call

// Numbers, in RAX at SYSCALL; arguments and result as for any system call.
const (
	First = 0x6e00 + iota
	// Null does nothing: it measures the way in and out.
	Null
	// BootPage returns the address of the abi.BootPage.
	BootPage
	// Translate returns the physical address behind a virtual one, or EFAULT.
	Translate
	// Contiguous allocates bytes of physically contiguous zeroed memory: (bytes, alignment) -> physical address or 0.
	Contiguous
	// Release gives such memory back: (physical address, bytes).
	Release
	// OpenVector makes an interrupt vector a file descriptor: (vector) -> fd. Reading it gives a count of 8 bytes.
	OpenVector
	// Stats reads a counter: (which, argument).
	Stats
	// Ticks converts nanoseconds of the monotonic clock to a TSC value.
	Ticks
	// VMRun runs a world until it needs its nonkernel: (address of World). Host only, as all below.
	VMRun
	// WaitKick parks the calling thread until its CPU is kicked: (TSC deadline, 0 = none).
	WaitKick
	// Kick makes a CPU's runner look up: (CPU number).
	Kick
	// PowerOff ends the machine: (code).
	PowerOff
	// Route says to which world an interrupt belongs that a CPU gets while the nonkernel runs there: (CPU, vector, address of
	// World, the guest's vector). World 0 takes the route away. Raised to the world, it kicks the CPU's runner.
	Route
	// StartProgram is for a companion: it is ready, and the program beside it may start.
	StartProgram
)

// Counters of Stats.
const (
	StatFaults = iota
	StatHugeFaults
	StatSwitches
	StatSignals
	StatTicks
	StatShootdowns
	StatFreePages
	StatTotalPages
	StatSyscalls
	StatThreads
	StatAPICID // of the CPU in the argument; host only
)

// World is one vCPU as VMRun sees it. It lies in physical memory (page aligned) and is shared between the runner and,
// through Pending, whoever raises interrupts.
type World struct {
	VMCB     uint64     // physical address
	GPRs     [14]uint64 // RBX RCX RDX RSI RDI RBP R8..R15
	FPU      uint64     // virtual address of an XSAVE area, 64-byte aligned
	Deadline uint64     // TSC at which to return at the latest; 0 = none
	Direct   uint64     // 1 = the guest owns this core and its local APIC
	Pending  [4]uint64  // vectors to inject; bits are set with atomic or
	Stop     uint64     // set by others: return before the next entry
	Ran      uint64     // TSC ticks spent in the guest, summed

	// Shared cores: the emulated timer. Direct cores: what the local APIC held when the guest left it.
	TimerTSC uint64 // deadline, 0 = off
	LVTT     uint64
	DCR      uint64
	TMICT    uint64
	TPR      uint64
	ISR      [8]uint64

	NullCalls  uint64 // hypercalls that VMRun answered itself
	TimerExits uint64
	IntrExits  uint64
	NMIExits   uint64
	APICID     uint64 // what the guest reads as its x2APIC id
}

// Package abi is the contract between the nonkernel and the containers it runs: hypercalls, the boot page, the event
// page, the price page and the console rings. Both sides import it and nothing else of each other.
//
// Every structure here crosses an isolation boundary as bytes in little-endian order. Fields are naturally aligned, so
// the Go layout is the wire layout; golden tests pin sizes and offsets. A change that a peer could notice raises Version.
//
// The package must never hold policy, touch hardware or import another package of this tree.
package abi

// Version is the version of everything in this package. The nonkernel refuses an image that was laid out for another.
const Version = 1

// PageSize is the unit in which application memory is granted, in bytes.
const PageSize = 4096

// Fixed guest-physical addresses in every container. Page 0 stays unmapped so that nil dereferences fault.
const (
	BootPageAddr  = 0x1000 // BootPage: laid out by the parent before start, private to the container
	EventPageAddr = 0x2000 // EventPage: written by the nonkernel, read (and cleared) by the container
	PricePageAddr = 0x3000 // PricePage: written by the nonkernel, read-only in the container
	ConsoleAddr   = 0x4000 // ConsoleRing: lent by the parent, ConsolePages long; absent in the root container
	EntryTables   = 0x8000 // page tables a vCPU starts with, EntryTablePages long; see package layout
	ImageAddr     = 0x10000
)

// ReservedPages is how many pages below the limit of a container's memory are not of its grant: page 0, which is never
// mapped, and the event and price pages, which the nonkernel provides. They can be neither lent over nor returned. All
// other pages below ImageAddr are like those above it: the container's own unless its parent lends pages there.
//
// A container's memory is dense: it may touch every page below limit = granted + lent + returned + ReservedPages,
// except page 0 and those it returned. What it gives to its children (Status.Given) counts as granted, but it can use no
// more pages at a time than granted - given.
const ReservedPages = 3

// Sizes of the multi-page areas above, in pages.
const (
	ConsolePages    = 3
	EntryTablePages = 6
)

// Virtual addresses that hold in every program on metal.
const (
	// DirectMap is where all physical (host) or guest-physical (container) memory is mapped linearly.
	DirectMap = 0xffff_8000_0000_0000
	// PlatformAddr is where the platform image is linked. Programs must end below it.
	PlatformAddr = 0x7000_0000

	// AddressEnv, GatewayEnv and DNSEnv are the environment variables that say where a container is in a network: ADDRESS/BITS (or
	// AddressDHCP, and a server says it all), ADDRESS, and ADDRESS of a name server. A companion reads the first two, the platform the last one for /etc/resolv.conf;
	// the program may read all.
	AddressEnv = "NOM_ADDRESS"
	GatewayEnv = "NOM_GATEWAY"
	DNSEnv     = "NOM_DNS"

	AddressDHCP = "dhcp"

	// StackEnv tells a platform that has an address to leave the network function to the program, if it is StackOwn.
	StackEnv = "NOM_STACK"
	StackOwn = "own"

	// CompanionAddr is where a companion is linked: a second program in the same container, below the platform. The
	// program beside it must end below this address.
	CompanionAddr = 0x6000_0000
)

// VectorEvent is the interrupt vector by which the nonkernel says "look at your event page", on vCPU 0.
const VectorEvent = 0x40

// Errno is a negative result of a hypercall. The values are Linux's, so that tools can name them.
type Errno int64

// Errors of hypercalls. The comment on each hypercall says which it returns.
const (
	EPERM   Errno = 1  // not yours: another container's child, or a resource you do not hold
	ENOENT  Errno = 2  // no such container
	EAGAIN  Errno = 11 // not now: try again after the next event
	ENOMEM  Errno = 12 // your grant does not cover it
	EFAULT  Errno = 14 // an address outside your application memory
	EBUSY   Errno = 16 // in a state that forbids it (for example: already started)
	EINVAL  Errno = 22 // an argument no caller may pass
	ENOSPC  Errno = 28 // a table of the nonkernel is full
	ENOSYS  Errno = 38 // no such hypercall in this version
	maxErrn       = 4095
)

// Error names the error in the words of the table above.
func (e Errno) Error() string {
	switch e {
	case EPERM:
		return "not permitted: not your child or not your resource"
	case ENOENT:
		return "no such container"
	case EAGAIN:
		return "try again"
	case ENOMEM:
		return "not covered by the grant"
	case EFAULT:
		return "address outside application memory"
	case EBUSY:
		return "container is in the wrong state"
	case EINVAL:
		return "invalid argument"
	case ENOSPC:
		return "nonkernel table full"
	case ENOSYS:
		return "no such hypercall"
	}
	return "hypercall failed"
}

// Result splits what a hypercall left in RAX into value and error.
func Result(rax uint64) (uint64, error) {
	if v := -int64(rax); v > 0 && v <= maxErrn {
		return 0, Errno(v)
	}
	return rax, nil
}

// RAX is the register value by which the nonkernel returns e.
func (e Errno) RAX() uint64 { return uint64(-int64(e)) }

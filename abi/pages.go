package abi

// Range is a stretch of physical (host) or guest-physical (container) memory, in bytes, page aligned.
type Range struct{ Addr, Size uint64 }

// Protection of a Segment, as in ELF program headers.
const (
	ProtExec  = 1
	ProtWrite = 2
	ProtRead  = 4
)

// Segment is one loaded piece of the program or of the platform.
type Segment struct {
	VA, PA uint64 // page aligned
	Size   uint64 // bytes backed by memory, page aligned
	Zero   uint64 // bytes of demand-zero memory that follow Size, page aligned
	Prot   uint32
	_      uint32
}

// Flags of a BootPage.
const (
	// BootHost says that the program owns the machine: no nonkernel beneath, devices and page tables are real.
	BootHost = 1 << iota
)

// BootMagic is the first word of a BootPage: "NOMBOOT" and the version.
const BootMagic = 0x0054_4f4f_424d_4f4e | Version<<56

// BootPage tells the platform what it was started with. On a bare machine the image tool lays it out; in a container,
// the parent does. 4096 bytes at most.
type BootPage struct {
	Magic   uint64
	Flags   uint64
	Entry   uint64 // virtual address of the program's entry point (rt0)
	Main    uint64 // virtual address of main.main, 0 = not known: where the platform notes MarkMain
	Args    Range  // packed NUL-terminated strings: NumArgs of argv, then NumEnv of envp
	NumArgs uint32
	NumEnv  uint32

	Segments    [16]Segment
	NumSegments uint32
	NumFree     uint32
	Free        [8]Range // memory that holds nothing yet: the platform's page pool. On a bare machine, filled in by the platform
	MemoryTop   uint64   // end of the physical address space to map at DirectMap
	Bundle      Range    // the bundle of files that came along, or zero
	Files       Range    // a bundle whose entries are the program's read-only files, or zero

	VCPUs     uint32 // how many vCPUs may be started
	_         uint32
	TSCHz     uint64 // time stamp counter, ticks a second; on a bare machine measured by the platform
	APICHz    uint64 // local APIC timer at divide 1, ticks a second; likewise
	WallTSC   uint64 // TSC at which the wall clock read WallNanos
	WallNanos uint64 // nanoseconds since 1970
	Console   uint64 // guest-physical address of the ConsoleRing, or 0

	// Bare machine only.
	StartInfo  uint64 // physical address of the PVH hvm_start_info
	ImageEnd   uint64 // end of the loaded image: memory below it is in use
	APEntry    uint64 // physical address below 1 MiB of the application processors' trampoline page
	APEntryTab uint64 // physical address of the page tables they start with
	HostPool   uint64 // bytes of memory that the platform keeps for the nonkernel itself
	Managed    [8]Range
	NumManaged uint32 // Managed: memory that the platform leaves to the nonkernel
	NumCPUs    uint32
	RSDP       uint64 // physical address of the ACPI root pointer

	Seed [32]byte // random, unique to this start
	Name [NameLen]byte

	Devices    [MaxDevices]DeviceGrant // the devices that belong to the container
	NumDevices uint32
	_          uint32

	Companion uint64 // virtual address of the entry point of a second program, or 0: see CompanionAddr
}

// MaxDevices is how many devices a container may hold.
const MaxDevices = 4

// DeviceIGBVF is the Kind of a virtual function of an Intel 82576 Ethernet controller.
const DeviceIGBVF = 1

// DeviceGrant is a function of a device that belongs to the container: it drives it by itself. The device reaches exactly the
// memory that the container owns, at the container's own guest-physical addresses. Its configuration space and its table of
// interrupts stay with the nonkernel: see CallRoute. 64 bytes.
type DeviceGrant struct {
	Kind     uint32 // DeviceIGBVF
	Index    uint32 // what hypercalls name it by
	BAR      Range  // its registers: guest-physical, mapped at DirectMap like memory, but not cached
	Vectors  uint32 // how many interrupts it can raise, entries 0 to Vectors-1 of CallRoute
	MaxFrame uint32 // bytes of the longest Ethernet frame that it receives unless it asks for more, without check sequence; 0 = 1514
	MAC      [6]byte
	_        [2]byte
	_        [3]uint64
}

// DeviceLimit is the most that a device may do in a second, as it counts it; 0 = no limit.
type DeviceLimit struct {
	SendBits, SendFrames       uint64
	ReceiveBits, ReceiveFrames uint64
}

// DeviceStatus is what a device did since its holder got it. 128 bytes.
type DeviceStatus struct {
	Index          uint32 // as in DeviceGrant
	_              uint32
	Limit          DeviceLimit
	SentFrames     uint64
	SentBytes      uint64
	ReceivedFrames uint64
	ReceivedBytes  uint64
	SendPauses     uint64 // times that it had sent more than its limit
	ReceivePauses  uint64 // likewise
	Resets         uint64 // by its holder
	Blocked        uint64 // times that the IOMMU was seen to block what it reached for: at least so often
	BlockedLast    uint64 // the last of these: the page that it reached for, and the bits below
	SwitchedOff    uint64 // times that it was switched off for a while because its holder had reset it too often
	_              uint64
}

// Bits of DeviceStatus.BlockedLast.
const (
	BlockedWrite     = 1 << 0 // it was to be written
	BlockedInterrupt = 1 << 1 // it was an interrupt; the page is none
)

// Bits of EventPage.Pending.
const (
	EventChild        = 1 << 0 // a child ended or notified
	EventReclaimPages = 1 << 1 // give pages back: see ReclaimPages
	EventReclaimCore  = 1 << 2 // give slots back: see ReclaimSlots
	EventGrant        = 1 << 3 // a grant grew or shrank, or something came back from a child: see Pages and Slots
	EventKill         = 1 << 4 // the container will be killed at KillDeadline
	EventUser         = 0xffff_ffff_0000_0000
)

// EventPage is where the nonkernel tells a container that something changed. It sets bits of Pending with an atomic or
// and raises VectorEvent on vCPU 0; the container clears the bits it handled with an atomic and. The nonkernel never
// reads it: a container that scribbles over it confuses only itself.
type EventPage struct {
	Pending         uint64
	Generation      uint64 // rises with every change of the fields below
	Pages           uint64 // granted now
	ReclaimPages    uint64 // pages asked back, 0 = none
	ReclaimDeadline uint64 // TSC at which they are taken by force
	ReclaimSlots    [MaxVCPUs]uint32
	ReclaimSlotsTSC uint64
	KillDeadline    uint64
	Slots           [MaxVCPUs]uint32 // slots of each vCPU in the frame; AllSlots = the core is dedicated
	Core            [MaxVCPUs]uint32 // the core each vCPU runs on, NoCore when it has no slots
	ChildEvents     uint64           // sum of ended children and notifications, so that none is missed
}

// NoCore in EventPage.Core: the vCPU has no slots and does not run.
const NoCore = 0xffff_ffff

// Resources that have a price.
const (
	ResourceCore = iota // credits a slot and frame
	ResourceMemory
	ResourceNetwork
	ResourceStorage
	NumResources
)

// PricePage is the read-only page from which a container reads the market. Sequence is odd while the nonkernel writes;
// a reader retries until it reads the same even number before and after. Until the market opens all prices are zero.
type PricePage struct {
	Sequence uint64
	Tick     uint64
	TickTSC  uint64
	Balance  int64
	Price    [NumResources]uint64 // credits, 32.32 fixed point
	Forecast [NumResources]uint64
	Held     [NumResources]uint64
}

// ConsoleData is the capacity of one stream of a ConsoleRing, in bytes; a power of two.
const ConsoleData = 4096

// ConsoleRing carries what a container prints to its parent, two single-producer streams: [0] standard output, [1]
// standard error. Head and Tail count bytes and wrap at 2^32; the child writes Head and Data, the parent writes Tail and
// Wait. The parent must treat every field as hostile. When the child has added bytes and Wait is not zero it clears
// Wait and issues CallNotify(0, ConsoleBit).
//
// The same pages carry what the parent asks the platform beneath the child (see Control), and what that dropped of the network:
// counters that only rise, which the parent reads when it likes.
type ConsoleRing struct {
	Stream  [2]ConsoleStream
	Dropped [NumDrops]uint64 // since the start, by cause
	_       [1024 - 8*NumDrops]byte
	Control Control
	Data    [2][ConsoleData]byte
}

// Causes for which the platform's TCP/IP drops what it received, or was to send.
const (
	DropDevice      = iota // the network function reported an error, or gave more than a frame
	DropMalformed          // headers that make no sense
	DropChecksum           // a wrong checksum of TCP or UDP
	DropForeign            // for another address, or from one that cannot be
	DropNoSocket           // nobody listens there
	DropFull               // what it is for has no room: a socket's buffer, a listener's queue, memory
	DropSendFull           // to be sent: no room in the ring
	DropNoNeighbour        // to be sent: who is to get it does not say where it is
	NumDrops
)

// ConsoleStream is the state of one direction; Head and Tail lie in different cache lines.
type ConsoleStream struct {
	Head uint32
	_    [60]byte
	Tail uint32
	Wait uint32
	_    [56]byte
	_    [384]byte
}

// ConsoleBit is the user event by which a child says that there is console output.
const ConsoleBit = 1 << 32

// SpaceBit is the user event by which a parent says that there is room in the ring again.
const SpaceBit = 1 << 33

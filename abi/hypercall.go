package abi

// Call is the number of a hypercall: VMMCALL with RAX = number and RDI, RSI, RDX, R10, R8, R9 = arguments. RAX returns a
// value or a negative Errno; no other register changes. Only ring 0 of a container may issue one; from ring 3 it raises #UD.
//
// A container names itself with id 0 and its children by the id that CallCreate returned: no two children that a container
// ever made have the same. What is not its child does not exist for it: ENOENT.
type Call uint64

const (
	// CallNull does nothing: null() = 0. It measures the way in and out.
	CallNull Call = iota
	// CallVersion: version() = Version of the nonkernel.
	CallVersion
	// CallExit ends the caller and its whole tree: exit(code). Does not return.
	CallExit
	// CallCreate makes a child: create(spec) = id. spec is the address of a ContainerSpec in the caller's memory. Pages
	// and the nonkernel's overhead (Status.Overhead) come out of what the caller has not attached itself. ENOMEM, EFAULT,
	// EINVAL, ENOSPC, EAGAIN while pages of the caller are being taken by force.
	CallCreate
	// CallCopy copies into a child that has not started: copy(id, to, from, bytes), to in the child's memory, from in
	// the caller's. At most CopyMax bytes a call; on error, part of them may have been copied. ENOENT, EBUSY, EINVAL,
	// EFAULT, ENOMEM.
	CallCopy
	// CallLend maps pages of the caller into a child: lend(id, to, from, pages, prot). The caller keeps them, cannot
	// return them while lent, and gets them back when the child dies. prot is LendRead or LendWrite. At most LendMax pages
	// a call. to must lie at or below the child's limit, which grows by pages; nothing may be attached, lent or returned
	// there (EBUSY). What the caller borrowed itself it may lend on with the rights it has. ENOENT, EFAULT, EINVAL, EBUSY,
	// ENOMEM, ENOSPC.
	CallLend
	// CallStart lets vCPU 0 of a child run: start(id, state), state the address of a VCPUState in the caller's memory. ENOENT,
	// EBUSY, EFAULT, EINVAL.
	CallStart
	// CallStartVCPU starts a further vCPU of the caller itself: startvcpu(vcpu, state). EINVAL, EBUSY, EFAULT.
	CallStartVCPU
	// CallKill ends a child and its tree: kill(id). Its resources return to the caller; Status says StateEnded when all
	// have. ENOENT, EBUSY when it has ended already.
	CallKill
	// CallStatus describes a child, or the caller itself with id 0: status(id, buf), buf the address of a Status.
	// ENOENT, EFAULT, ENOMEM.
	CallStatus
	// CallReap forgets a child that has ended and frees its id: reap(id). ENOENT, EBUSY while it still runs.
	CallReap
	// CallGrantPages moves a quantity of memory from the caller to a child: grantpages(id, pages). ENOMEM when the caller
	// has attached or given it; EINVAL beyond the child's address space; EAGAIN while pages of the caller are being taken by
	// force.
	CallGrantPages
	// CallReclaimPages asks a child to give pages back: reclaimpages(id, pages, notice in microseconds). The child sees
	// EventReclaimPages and the deadline in its event page; at the deadline the nonkernel takes by force, from the top of
	// the child's space, and ends the child's own youngest children when they have what is asked. EBUSY while an earlier
	// demand is open; one without notice replaces it. The caller sees EventGrant when pages have come back. ENOMEM when
	// the child has less.
	CallReclaimPages
	// CallReturnPages gives pages of the caller back to its parent: returnpages(address, pages). The contents are lost;
	// the quantity granted falls; the pages are holes until they are granted again, in the reverse order. At most
	// ReturnMax pages a call. EFAULT when one is not the caller's own, EBUSY when one is lent, ENOMEM when their quantity
	// was given to children, EAGAIN.
	CallReturnPages
	// CallGrantCore gives slots of a core to one vCPU of a child: grantcore(id, vcpu, core, slots), slots a bit mask of
	// FrameSlots bits. The caller must hold the slots itself. All slots of a core make it dedicated. With id 0 the caller
	// moves slots between its own vCPUs. EPERM, EINVAL, EBUSY when the vCPU has slots on another core.
	CallGrantCore
	// CallReclaimCore takes slots back from a child: reclaimcore(id, vcpu, slots, notice in microseconds). With notice,
	// the child sees EventReclaimCore first and may answer with CallReturnCore. Slots come back also from those to whom
	// the child gave them. They go to the caller's vCPU on that core, or to one that has no core. EPERM, EINVAL, EBUSY
	// while an earlier demand on this vCPU is open.
	CallReclaimCore
	// CallReturnCore gives slots of the caller's own vCPU back to its parent: returncore(vcpu, slots). EPERM, EINVAL.
	CallReturnCore
	// CallNotify sets event bits at a child, or with id 0 at the parent: notify(id, bits), bits within EventUser. EINVAL,
	// ENOENT, EBUSY when the child is ending.
	CallNotify
	// CallGrantPorts moves I/O ports that the caller holds to a child: grantports(id, first, count). They come back when
	// the child dies. ENOENT, EBUSY, EPERM, EINVAL.
	CallGrantPorts
	// CallNow: now() = the time stamp counter, read by the nonkernel: a call that costs what any call costs.
	CallNow
	// CallMark records the first time a container reaches a milestone, for its Status: mark(MarkMain). EINVAL.
	CallMark
	// CallDebugWrite prints on the machine's console, marked with the caller's name: debugwrite(address, bytes), at most
	// DebugWriteMax bytes, rate-limited to DebugWriteRate bytes a second for each container (EAGAIN). EINVAL, EFAULT. For
	// faults of the platform.
	CallDebugWrite
	// CallYield lets the other vCPUs of the caller's core run first: yield() = 0. For one that spins on what another vCPU
	// is about to do; on a dedicated core it only costs.
	CallYield
	// CallRoute chooses where an interrupt of a device of the caller arrives: route(device, entry, vcpu, vector). device is
	// DeviceGrant.Index, entry one of its Vectors, vcpu one of the caller's, vector from FirstDeviceVector to
	// LastDeviceVector. The entry follows the vCPU when that changes its core; while the vCPU does not run, what arrives waits
	// for it. ENOENT when there is no such device, EINVAL for the others.
	CallRoute
	// CallMaskDevice closes one entry of a device of the caller, 1, or opens it, 0: maskdevice(device, entry, masked). What
	// arrives while it is closed arrives when it is opened, once. An entry that was never routed is closed, and EBUSY says so
	// to who opens it. ENOENT, EINVAL, EBUSY.
	CallMaskDevice
	// CallGrantDevice moves a device of the caller to a child that has not started: grantdevice(id, device, address), with
	// its registers at address in the child's space, at or above the child's limit. The child's memory can never grow over
	// it. The device returns when the child dies, after a reset. The tables by which devices reach the child's memory come out
	// of what the caller has not attached itself: Status.Overhead of the child rises with its first device. ENOENT, EBUSY,
	// EINVAL, ENOMEM, EAGAIN while pages of the caller are being taken by force.
	CallGrantDevice
	// CallDescribeDevice describes the nth device that the caller holds: describedevice(n, buf), buf the address of a
	// DeviceGrant. ENOENT beyond the last, EFAULT.
	CallDescribeDevice
	// CallLimitDevice limits what a device of a child sends and receives in a second: limitdevice(id, device, bits sent, frames
	// sent, bits received, frames received), each at most MaxRate, 0 = no limit. It counts what the device counts, and holds
	// until the device returns. What exceeds it switches that direction off until time has made up for it: what is to be sent
	// waits, what arrives is lost. A driver whose device has stopped sending must write its tail register again from time to
	// time. ENOENT, EBUSY when the child is ending, EINVAL.
	CallLimitDevice
	// CallDeviceStatus says what a device of a child, or with id 0 of the caller, did since it was given: devicestatus(id, device,
	// buf), buf the address of a DeviceStatus. Of a child that has ended: until it did. ENOENT, EFAULT, ENOMEM.
	CallDeviceStatus
	numCalls
)

// NumCalls is how many hypercalls this version has.
const NumCalls = uint64(numCalls)

// Limits that the nonkernel enforces on arguments.
const (
	CopyMax        = 256 << 10 // bytes a CallCopy; bounds the time a call holds its core
	LendMax        = 1 << 10   // pages a CallLend
	ReturnMax      = 4 << 10   // pages a CallReturnPages
	DebugWriteMax  = 1024
	DebugWriteRate = 64 << 10
	MaxVCPUs       = 16
	MaxContainers  = 256        // alive or not yet reaped, in the whole machine
	MaxMemory      = 1 << 40    // bytes of guest-physical address space
	MaxNotice      = 60_000_000 // microseconds
	NameLen        = 64
	MaxRate        = 1 << 40 // bits or frames a second: of CallLimitDevice
)

// Vectors to which CallRoute may send the interrupts of devices.
const (
	FirstDeviceVector = VectorEvent + 1
	LastDeviceVector  = 0xdf
)

// Protection of lent pages.
const (
	LendRead  = 1
	LendWrite = 3
)

// MarkMain is the milestone "the program's main package is about to run".
const MarkMain = 1

// FrameSlots is how many core slots the repeating frame of each core has; a slot lasts SlotMicros microseconds.
const (
	FrameSlots = 16
	SlotMicros = 1000
	AllSlots   = 1<<FrameSlots - 1
)

// ContainerSpec says what CallCreate makes. 128 bytes.
type ContainerSpec struct {
	Version uint32 // = Version
	VCPUs   uint32 // 1 to MaxVCPUs
	Pages   uint64 // memory granted at first, in pages
	Memory  uint64 // size of the guest-physical address space, in bytes: the most Pages may ever grow to, page aligned
	Flags   uint64 // 0
	_       [4]uint64
	Name    [NameLen]byte // for reports; not unique, NUL padded, printable ASCII
}

// VCPUState is what a vCPU starts with: 64-bit mode with EFER.NXE, flat segments, interrupts off, FPU in its initial state. 64
// bytes.
type VCPUState struct {
	RIP, RSP, CR3 uint64
	RDI, RSI      uint64
	_             [3]uint64
}

// State of a container, in Status.
const (
	StateCreated = 1
	StateRunning = 2
	StateEnded   = 3
)

// Why a container ended, in Status.
const (
	EndExit     = 1 // CallExit; Code is the argument
	EndKilled   = 2 // CallKill by an ancestor
	EndShutdown = 3 // triple fault
	EndMemory   = 4 // touched memory beyond its grant or its address space; Info is the guest-physical address
	EndIllegal  = 5 // an exit that no container may cause; Info is the exit code
	EndParent   = 6 // its parent ended
)

// Exit reasons that Status counts.
const (
	ExitHypercall = iota
	ExitPageFault // nested page fault
	ExitHalt
	ExitInterrupt // a physical interrupt while the core is shared
	ExitNMI       // the core was taken back
	ExitMSR
	ExitPort
	ExitCPUID
	ExitOther
	NumExits
)

// Status describes a container. 256 bytes.
type Status struct {
	ID         uint32
	State      uint32
	End        uint32 // why it ended
	Code       uint32 // exit code
	Info       uint64
	Pages      uint64 // granted; of a container that has ended: at its end
	Attached   uint64 // of these, backed by frames now
	PeakPages  uint64 // the most that were ever attached
	LentPages  uint64 // borrowed from the parent
	VCPUs      uint32
	Children   uint32
	CPUTime    uint64 // TSC ticks its vCPUs ran
	CreatedTSC uint64
	StartTSC   uint64 // first entry
	MainTSC    uint64 // CallMark(MarkMain)
	EndTSC     uint64
	Exits      [16]uint64 // by reason, see ExitHypercall
	Given      uint64     // of Pages, given on to children, their Overhead included
	Overhead   uint64     // pages that the nonkernel keeps for this container beside Pages; the parent pays for them
	Limit      uint64     // first page beyond its memory, see ReservedPages
}

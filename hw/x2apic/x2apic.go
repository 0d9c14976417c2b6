// Package x2apic holds the registers of the local APIC: the MSRs of x2APIC mode, the memory-mapped offsets of xAPIC mode, and
// how their bits are packed and unpacked.
//
// It follows the AMD64 Architecture Programmer's Manual (APM) volume 2, chapter 16, and for x2APIC mode also the Intel SDM
// volume 3A, "Extended XAPIC (x2APIC)". The package runs without a Go runtime: plain functions on integers and nothing else.
// It never touches the hardware.
package x2apic

// MSRBase is the first x2APIC MSR; the register at offset N of the xAPIC page is MSR MSRBase + N/16. APM vol. 2, 16.11.
const (
	MSRBase = 0x800
	MSRLast = 0x8ff
)

// MSRs of x2APIC mode. APM vol. 2, table 16-6.
const (
	ID           = 0x802 // read only: the whole 32-bit APIC id
	Version      = 0x803 // read only
	TPR          = 0x808 // task priority; CR8 is its bits 7:4
	PPR          = 0x80a // read only: processor priority
	EOI          = 0x80b // write only, and only 0
	LDR          = 0x80d // read only: cluster 31:16, one bit of 15:0
	SVR          = 0x80f // spurious interrupt vector and APIC enable
	ISR0         = 0x810 // 8 registers of 32 vectors: in service
	TMR0         = 0x818 // 8 registers: trigger mode
	IRR0         = 0x820 // 8 registers: requested
	ESR          = 0x828 // error status; write 0 before reading
	LVTCMCI      = 0x82f // Intel only
	ICR          = 0x830 // 64 bits; a write sends
	LVTTimer     = 0x832
	LVTThermal   = 0x833
	LVTPerf      = 0x834
	LVTLINT0     = 0x835
	LVTLINT1     = 0x836
	LVTError     = 0x837
	InitialCount = 0x838
	CurrentCount = 0x839 // read only
	DivideConfig = 0x83e
	SelfIPI      = 0x83f // write only: bits 7:0 are the vector
	// The extended registers that only AMD has. APM vol. 2, 16.3.1.
	ExtFeature  = 0x840
	ExtControl  = 0x841
	SpecificEOI = 0x842
	IER0        = 0x848 // 8 registers
	ExtLVT0     = 0x850 // 4 registers
)

// VectorRegisters is how many registers ISR, TMR, IRR and IER have.
const VectorRegisters = 8

// VectorBit says in which register after ISR0, TMR0 or IRR0 a vector is kept, and as which bit.
func VectorBit(vector uint8) (register uint32, bit uint32) {
	return uint32(vector >> 5), 1 << (vector & 31)
}

// Offset is where the register behind an x2APIC MSR lies in the xAPIC page. The ICR is two registers there, Offset(ICR)
// and ICRHigh; SelfIPI does not exist.
func Offset(msr uint32) uint32 { return (msr - MSRBase) << 4 }

// Memory-mapped xAPIC, for machines without x2APIC. APM vol. 2, table 16-2.
const (
	DefaultBase = 0xfee0_0000
	PageSize    = 4096
	ICRHigh     = 0x310 // destination in bits 31:24; written before ICR's low half
	DFR         = 0x0e0 // destination format; not in x2APIC mode
	ArbPriority = 0x090
	IDShift     = 24      // of the id in the xAPIC ID register and of the destination in ICRHigh
	ICRPending  = 1 << 12 // delivery status, xAPIC mode only: wait until clear before writing ICR again
)

// Bits of MSR IA32_APIC_BASE (0x1b). APM vol. 2, 16.9.
const (
	MSRAPICBase  = 0x1b
	BaseBSP      = 1 << 8  // this processor is the bootstrap processor
	BaseExtended = 1 << 10 // EXTD: x2APIC mode; only together with BaseEnable
	BaseEnable   = 1 << 11
	BaseAddress  = 0x000f_ffff_ffff_f000
)

// EnableX2 is the value of IA32_APIC_BASE that switches to x2APIC mode. From mode "disabled", write EnableX1 first: the
// direct step is not allowed (APM vol. 2, 16.10).
func EnableX2(base uint64) uint64 { return base | BaseEnable | BaseExtended }

// EnableX1 is the value of IA32_APIC_BASE that switches a disabled APIC on in xAPIC mode.
func EnableX1(base uint64) uint64 { return base&^BaseExtended | BaseEnable }

// Bits of SVR. APM vol. 2, 16.4.7.
const (
	SVREnable        = 1 << 8
	SVRFocusDisabled = 1 << 9
	SVRVector        = 0xff
)

// Bits of Version. APM vol. 2, 16.3.4.
const (
	VersionMask     = 0xff
	VersionMaxLVT   = 0xff << 16 // entries minus one
	VersionExtended = 1 << 31    // AMD's extended registers exist
)

// Bits of ESR. APM vol. 2, 16.4.6.
const (
	ESRSentAccept     = 1 << 2
	ESRReceiveAccept  = 1 << 3
	ESRSentIllegal    = 1 << 5
	ESRReceiveIllegal = 1 << 6
	ESRIllegalAddress = 1 << 7
)

// Delivery modes of ICR and LVT entries, in bits 10:8. APM vol. 2, 16.5.
const (
	ModeFixed  = 0
	ModeLowest = 1 // lowest priority; not in x2APIC mode
	ModeSMI    = 2
	ModeNMI    = 4
	ModeINIT   = 5
	ModeSIPI   = 6 // ICR only
	ModeExtINT = 7 // LVT only
)

const modeShift = 8

// Bits of an LVT entry. APM vol. 2, 16.4.
const (
	LVTVector      = 0xff
	LVTModeMask    = 7 << modeShift
	LVTPending     = 1 << 12 // delivery status, read only
	LVTActiveLow   = 1 << 13 // LINT0 and LINT1 only
	LVTRemoteIRR   = 1 << 14 // LINT0 and LINT1 only, read only
	LVTLevel       = 1 << 15 // LINT0 and LINT1 only
	LVTMasked      = 1 << 16
	LVTOneShot     = 0 << 17 // timer only
	LVTPeriodic    = 1 << 17 // timer only
	LVTTSCDeadline = 2 << 17 // timer only, CPUID 1 ECX bit 24
	LVTTimerMode   = 3 << 17
)

// LVT packs an entry of the local vector table that is not masked. For ModeNMI and ModeExtINT the vector is ignored.
func LVT(mode uint32, vector uint8) uint32 { return mode&7<<modeShift | uint32(vector) }

// LVTEntry takes an entry of the local vector table apart.
type LVTEntry uint32

// Vector is the interrupt vector.
func (e LVTEntry) Vector() uint8 { return uint8(e) }

// Mode is the delivery mode.
func (e LVTEntry) Mode() uint32 { return uint32(e) >> modeShift & 7 }

// Masked says that the entry delivers nothing.
func (e LVTEntry) Masked() bool { return e&LVTMasked != 0 }

// TimerMode is LVTOneShot, LVTPeriodic or LVTTSCDeadline.
func (e LVTEntry) TimerMode() uint32 { return uint32(e) & LVTTimerMode }

// Bits of the ICR beyond vector and mode. APM vol. 2, 16.5.
const (
	ICRLogical   = 1 << 11     // destination mode
	ICRAssert    = 1 << 14     // level; set in everything but INIT de-assert
	ICRLevel     = 1 << 15     // trigger mode
	ICRReserved  = 0xfff3_3000 // must be zero in x2APIC mode
	icrDestShift = 32
)

// Destination shorthands, in bits 19:18 of the ICR.
const (
	ShortNone      = 0
	ShortSelf      = 1
	ShortAll       = 2 // including self
	ShortAllButOne = 3 // excluding self
)

const shortShift = 18

// Broadcast is the physical destination that addresses all processors in x2APIC mode.
const Broadcast = 0xffff_ffff

// Fixed is the ICR value that raises a vector at one processor.
func Fixed(apic uint32, vector uint8) uint64 {
	return uint64(apic)<<icrDestShift | ICRAssert | ModeFixed<<modeShift | uint64(vector)
}

// NMI is the ICR value that sends a non-maskable interrupt to one processor.
func NMI(apic uint32) uint64 { return uint64(apic)<<icrDestShift | ICRAssert | ModeNMI<<modeShift }

// NMIOthers is the ICR value that sends a non-maskable interrupt to all other processors.
func NMIOthers() uint64 { return ShortAllButOne<<shortShift | ICRAssert | ModeNMI<<modeShift }

// INIT is the ICR value that resets one processor into wait-for-SIPI. APM vol. 2, 16.5.
func INIT(apic uint32) uint64 { return uint64(apic)<<icrDestShift | ICRAssert | ModeINIT<<modeShift }

// SIPI is the ICR value that starts one processor in real mode at a page-aligned physical address below 1 MiB.
// False when the address cannot be expressed.
func SIPI(apic uint32, entry uint64) (uint64, bool) {
	if entry&0xfff != 0 || entry >= 1<<20 {
		return 0, false
	}
	return uint64(apic)<<icrDestShift | ICRAssert | ModeSIPI<<modeShift | entry>>12, true
}

// XAPIC splits an ICR value for xAPIC mode: high goes to ICRHigh first, then low to Offset(ICR). The destination is cut to
// 8 bits.
func XAPIC(icr uint64) (high, low uint32) {
	return uint32(icr>>icrDestShift) << IDShift, uint32(icr)
}

// Command takes a value written to the x2APIC ICR apart.
type Command uint64

// Vector is the interrupt vector, or the page number of a SIPI.
func (c Command) Vector() uint8 { return uint8(c) }

// Mode is the delivery mode.
func (c Command) Mode() uint32 { return uint32(c) >> modeShift & 7 }

// Logical says that Dest is a logical destination.
func (c Command) Logical() bool { return c&ICRLogical != 0 }

// Assert says that the level is "assert"; an INIT without it is the obsolete de-assert and does nothing.
func (c Command) Assert() bool { return c&ICRAssert != 0 }

// Shorthand is ShortNone and so on; Dest counts only with ShortNone.
func (c Command) Shorthand() uint32 { return uint32(c) >> shortShift & 3 }

// Dest is the destination field.
func (c Command) Dest() uint32 { return uint32(c >> icrDestShift) }

// Valid says that no reserved bit is set; the real register answers #GP otherwise.
func (c Command) Valid() bool { return c&ICRReserved == 0 }

// Addresses says whether the command is meant for the processor with the APIC id target, when self sends it. x2APIC mode.
func (c Command) Addresses(target, self uint32) bool {
	switch c.Shorthand() {
	case ShortSelf:
		return target == self
	case ShortAll:
		return true
	case ShortAllButOne:
		return target != self
	}
	if c.Dest() == Broadcast {
		return true
	}
	if !c.Logical() {
		return c.Dest() == target
	}
	logical := LogicalID(target)
	return c.Dest()>>16 == logical>>16 && c.Dest()&logical&0xffff != 0
}

// LogicalID is the LDR of a processor in x2APIC mode: cluster and bit follow from the APIC id. APM vol. 2, 16.13.
func LogicalID(apic uint32) uint32 { return apic>>4<<16 | 1<<(apic&15) }

// Divide is the value of DivideConfig for a power of two from 1 to 128; false for any other divisor. APM vol. 2, 16.4.1.
func Divide(by uint32) (uint32, bool) {
	switch by {
	case 1:
		return 0xb, true
	case 2:
		return 0x0, true
	case 4:
		return 0x1, true
	case 8:
		return 0x2, true
	case 16:
		return 0x3, true
	case 32:
		return 0x8, true
	case 64:
		return 0x9, true
	case 128:
		return 0xa, true
	}
	return 0, false
}

// Divisor is the power of two that a DivideConfig value stands for. Bit 2 and bits above 3 are ignored.
func Divisor(config uint32) uint32 {
	n := config&3 | config>>1&4
	return 1 << ((n + 1) & 7)
}

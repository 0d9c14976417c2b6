// Package vtd holds Intel's IOMMU, VT-d, in legacy mode: registers, the tables that translate DMA, the table that remaps
// interrupts, the descriptors of the invalidation queue, and the records of faults.
//
// It follows the Intel Virtualization Technology for Directed I/O Architecture Specification 4.1 (chapters 3, 5 to 7, 9 and 11);
// where the manual now says "second-stage", names here keep the "second-level" of its earlier revisions, as its registers do.
// Where the units are is in the DMAR: see hw/acpi. The package runs without a Go runtime: constants and plain functions on
// integers; texts for reports are in names.go. It never touches a unit.
package vtd

// Registers, as offsets from the base of a unit. All are 32 bits unless it says 64. VT-d 4.1, 11.4.
const (
	VER      = 0x00
	CAP      = 0x08 // 64 bits
	ECAP     = 0x10 // 64 bits
	GCMD     = 0x18 // global command
	GSTS     = 0x1c // global status
	RTADDR   = 0x20 // 64 bits: root table
	CCMD     = 0x28 // 64 bits: context command; not with queued invalidation
	FSTS     = 0x34 // fault status
	FECTL    = 0x38 // fault event control
	FEDATA   = 0x3c
	FEADDR   = 0x40
	FEUADDR  = 0x44
	PMEN     = 0x64 // protected memory
	IQH      = 0x80 // 64 bits: head of the invalidation queue
	IQT      = 0x88 // 64 bits: tail
	IQA      = 0x90 // 64 bits: address
	ICS      = 0x9c
	IECTL    = 0xa0
	IRTA     = 0xb8 // 64 bits: interrupt remapping table
	PageSize = 4096 // of everything that a unit reads in memory
)

// Bits of GCMD; GSTS has the state in the same places. Write one change at a time, with Persistent of GSTS beside it, and wait until
// GSTS shows it. 11.4.4.
const (
	CFI   = 1 << 23 // pass interrupts in compatibility format, outside of x2APIC mode
	SIRTP = 1 << 24 // one-shot: take IRTA
	IRE   = 1 << 25 // remap interrupts
	QIE   = 1 << 26 // queued invalidation
	WBF   = 1 << 27 // one-shot: flush write buffers; only with CapRWBF
	SRTP  = 1 << 30 // one-shot: take RTADDR
	TE    = 1 << 31 // translate DMA

	Persistent = 0x96ff_ffff // what of GSTS must be written back to keep it
)

// Bits and fields of CAP. 11.4.2.
const (
	CapRWBF    = 1 << 4  // write buffers must be flushed by WBF
	CapPLMR    = 1 << 5  // PMEN can protect low memory
	CapPHMR    = 1 << 6  // and high memory
	CapCM      = 1 << 7  // caching mode: absent entries are cached, too
	CapWidth39 = 1 << 9  // SAGAW: 3 levels
	CapWidth48 = 1 << 10 // SAGAW: 4 levels
	CapWidth57 = 1 << 11 // SAGAW: 5 levels
	CapPage2M  = 1 << 34
	CapPage1G  = 1 << 35
	CapPSI     = 1 << 39 // page-selective invalidation
	CapDWD     = 1 << 54 // can drain writes
	CapDRD     = 1 << 55 // can drain reads
)

// Domains is how many domain ids there are.
func Domains(capability uint64) uint32 { return 1 << (4 + 2*(capability&7)) }

// AddressBits is the width of the addresses that devices may use.
func AddressBits(capability uint64) uint32 { return uint32(capability>>16&0x3f) + 1 }

// FaultRecords says where the fault recording registers are and how many.
func FaultRecords(capability uint64) (offset, count uint32) {
	return uint32(capability>>24&0x3ff) * 16, uint32(capability>>40&0xff) + 1
}

// MaxMask is how large the mask of a page-selective invalidation may be: 2^MaxMask pages.
func MaxMask(capability uint64) uint8 { return uint8(capability >> 48 & 0x3f) }

// Bits of ECAP. 11.4.3.
const (
	EcapCoherent = 1 << 0 // C: the unit reads through the processors' caches; else flush what it is to see
	EcapQI       = 1 << 1
	EcapIR       = 1 << 3
	EcapEIM      = 1 << 4 // interrupt destinations of 32 bits
	EcapPT       = 1 << 6
	EcapSC       = 1 << 7 // snoop control
)

// Bits of FSTS. 11.4.7.1. All but FaultPending are cleared by writing them.
const (
	FaultOverflow  = 1 << 0 // PFO: a fault was lost
	FaultPending   = 1 << 1 // PPF: a record has F
	QueueError     = 1 << 4 // IQE: a descriptor is invalid
	CompletionFail = 1 << 5 // ICE
	Timeout        = 1 << 6 // ITE: of a device's answer
	FaultClear     = FaultOverflow | QueueError | CompletionFail | Timeout
)

// FirstFault is the record that came first, from FSTS.
func FirstFault(status uint32) uint32 { return status >> 8 & 0xff }

// Bits of FECTL. 11.4.7.2.
const (
	EventMasked  = 1 << 31 // IM
	EventPending = 1 << 30 // IP
)

// EventMessage is FEADDR, FEUADDR and FEDATA for a vector at a processor. Events of the unit itself are not remapped. 11.4.7.
func EventMessage(vector uint8, apic uint32) (address, upper, data uint32) {
	return 0xfee0_0000 | apic&0xff<<12, apic &^ 0xff, uint32(vector)
}

// RootEntry is the low half of the entry of a bus in the root table, whose high half is 0: where the context table is. 9.1.
func RootEntry(context uint64) uint64 { return context&^(PageSize-1) | Present }

// Present is bit 0 of root and context entries and of IRTEs.
const Present = 1 << 0

// Entries of the root table (by bus) and of context tables (by device and function) have 16 bytes.
const EntrySize = 16

// ContextEntry is the entry of a device: its domain and the top of the second-level tables of 3 or 4 levels. Write the high half
// first, and when taking it back the low half first. 9.3.
func ContextEntry(top uint64, domain uint16, levels int) (low, high uint64) {
	return top&^(PageSize-1) | Present, uint64(domain)<<8 | uint64(levels-2)&7
}

// DecodeContext is the reverse of ContextEntry.
func DecodeContext(low, high uint64) (top uint64, domain uint16, levels int, present bool) {
	return low & addressMask, uint16(high >> 8), int(high&7) + 2, low&Present != 0
}

// Bits of a second-level entry. An entry with neither Read nor Write is absent. 9.8.
const (
	Read  = 1 << 0
	Write = 1 << 1
	Large = 1 << 7 // at levels 2 and 3: a page of 2 MiB or 1 GiB

	addressMask = 0x000f_ffff_ffff_f000
)

// Leaf is an entry that maps a page; large says that it is not one of 4 KiB.
func Leaf(pa uint64, write, large bool) uint64 {
	e := pa&addressMask | Read
	if write {
		e |= Write
	}
	if large {
		e |= Large
	}
	return e
}

// Table is an entry that leads to a table of the next level.
func Table(pa uint64) uint64 { return pa&addressMask | Read | Write }

// Address is the address in an entry.
func Address(entry uint64) uint64 { return entry & addressMask }

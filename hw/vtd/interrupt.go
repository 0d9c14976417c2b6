package vtd

// IRTESize is the size of an entry of the interrupt remapping table.
const IRTESize = 16

// MaxRemaps is how many entries the table can have.
const MaxRemaps = 1 << 16

// Remaps is the value of IRTA for a table of 2^bits entries (1 to 16) in x2APIC mode, in which destinations have 32 bits and
// messages in compatibility format are blocked. 11.4.10, 5.1.4.
func Remaps(table uint64, bits uint8) uint64 {
	const extendedMode = 1 << 11
	return table&^(PageSize-1) | extendedMode | uint64(bits-1)&15
}

// DecodeRemaps is the reverse of Remaps.
func DecodeRemaps(v uint64) (table uint64, entries uint32) { return v & addressMask, 2 << (v & 15) }

// IRTE is an entry of the interrupt remapping table in remapped (not posted) format, for fixed edge-triggered interrupts at one
// processor, which only one source may use. 9.10.
type IRTE struct {
	Vector  uint8
	Dest    uint32 // x2APIC id
	Source  uint16 // requester id
	Present bool
}

// Encode packs an entry. Write the high half first, and when taking it back the low half first. A change of vector or destination
// is in the low half alone.
func (e IRTE) Encode() (low, high uint64) {
	const verifySource = 1 << 18 // SVT 01b, SQ 00b: all 16 bits must match
	if e.Present {
		low = Present
	}
	return low | uint64(e.Vector)<<16 | uint64(e.Dest)<<32, uint64(e.Source) | verifySource
}

// DecodeIRTE is the reverse of Encode; verified says that the source is checked exactly.
func DecodeIRTE(low, high uint64) (e IRTE, verified bool) {
	return IRTE{uint8(low >> 16), uint32(low >> 32), uint16(high), low&Present != 0}, high>>16&0xf == 4
}

// Message is the address that an MSI or MSI-X vector writes its data, 0, to for entry handle of the table. 5.1.2.2.
func Message(handle uint16) (address uint64, data uint32) {
	const remappable = 1 << 4
	return 0xfee0_0000 | remappable | uint64(handle&0x7fff)<<5 | uint64(handle>>15)<<2, 0
}

// DecodeMessage is the reverse of Message; false for what is not in remappable format.
func DecodeMessage(address uint64) (handle uint16, ok bool) {
	return uint16(address>>5)&0x7fff | uint16(address>>2&1)<<15, address>>20 == 0xfee && address>>4&1 != 0
}

// Fault is a record of a fault. 11.4.12, 7.
type Fault struct {
	Source  uint16 // requester id
	Reason  Reason
	Read    bool   // a DMA read; else a write, or an interrupt
	Address uint64 // page that DMA was aimed at; of an interrupt's fault 0
	Index   uint16 // of an interrupt's fault: entry of the table
}

// FaultSize is the size of a fault recording register; FaultValid is bit F of its last 32 bits, at FaultLast: writing it there
// frees the register.
const (
	FaultSize  = 16
	FaultLast  = 12
	FaultValid = 1 << 31
)

// DecodeFault takes a record apart; false when there is none.
func DecodeFault(low, high uint64) (Fault, bool) {
	f := Fault{Source: uint16(high), Reason: Reason(high >> 32 & 0xff), Read: high>>62&1 != 0}
	if f.Reason.Interrupt() {
		f.Index = uint16(low >> 48)
	} else {
		f.Address = low &^ (PageSize - 1)
	}
	return f, high>>63 != 0
}

// Encode is the reverse of DecodeFault; for models of a unit.
func (f Fault) Encode() (low, high uint64) {
	high = 1<<63 | uint64(f.Reason)<<32 | uint64(f.Source)
	if f.Read {
		high |= 1 << 62
	}
	return f.Address | uint64(f.Index)<<48, high
}

// Reason is why a request was blocked. Chapter 7, tables of fault conditions.
type Reason uint8

// Reasons in legacy mode.
const (
	RootAbsent      Reason = 0x01
	ContextAbsent   Reason = 0x02
	ContextInvalid  Reason = 0x03
	AddressTooLarge Reason = 0x04
	WriteDenied     Reason = 0x05
	ReadDenied      Reason = 0x06
	TableAccess     Reason = 0x07
	RootAccess      Reason = 0x08
	ContextAccess   Reason = 0x09
	RootReserved    Reason = 0x0a
	ContextReserved Reason = 0x0b
	TableReserved   Reason = 0x0c
	TypeBlocked     Reason = 0x0d

	RequestReserved Reason = 0x20
	IndexTooLarge   Reason = 0x21
	RemapAbsent     Reason = 0x22
	RemapAccess     Reason = 0x23
	RemapReserved   Reason = 0x24
	Compatibility   Reason = 0x25
	SourceDenied    Reason = 0x26
)

// Interrupt says that it was an interrupt that was blocked.
func (r Reason) Interrupt() bool { return r >= 0x20 && r <= 0x27 }

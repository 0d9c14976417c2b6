// Package pci holds the configuration space of PCI Express functions: registers, base address registers, windows of bridges,
// capabilities and how to walk them, MSI-X tables, function-level reset and SR-IOV.
//
// It follows the PCI Express Base Specification 5.0, chapters 7 and 9. Configuration space is what a device says about itself, and
// a device may lie: lists that run in circles or out of bounds end, and no offset that comes out of this package is outside of
// configuration space. The package runs without a Go runtime: plain functions on integers; texts for reports are in names.go. It
// never touches a device: whoever asks gives it a Config to read with.
package pci

// ConfigSize is the configuration space of a function in bytes; what lies from ExtendedStart on only PCI Express has.
const (
	ConfigSize    = 4096
	ExtendedStart = 256
)

// Absent is what a read of a function that is not there gives.
const Absent = 0xffff_ffff

// RID is a requester id: bus 15:8, device 7:3, function 2:0. With ARI device and function are one number of eight bits.
type RID uint16

// NewRID packs a requester id.
func NewRID(bus, device, function uint8) RID {
	return RID(bus)<<8 | RID(device&31)<<3 | RID(function&7)
}

// Bus, Device and Function take a requester id apart.
func (r RID) Bus() uint8      { return uint8(r >> 8) }
func (r RID) Device() uint8   { return uint8(r>>3) & 31 }
func (r RID) Function() uint8 { return uint8(r) & 7 }

// Registers that all functions have, as offsets of 32 bits. 7.5.1.1.
const (
	RegID           = 0x00 // vendor 15:0, device 31:16
	RegCommand      = 0x04 // command 15:0, status 31:16
	RegClass        = 0x08 // revision 7:0, class code 31:8
	RegHeader       = 0x0c // cache line 7:0, header type 23:16
	RegBAR0         = 0x10 // six of them, a bridge has two
	RegCapabilities = 0x34 // first capability 7:0
	RegInterrupt    = 0x3c // line 7:0, pin 15:8; a bridge: bridge control 31:16
)

// Bits of the command register. The status beside it is cleared by writing ones: write zeros there.
const (
	CommandIO        = 1 << 0
	CommandMemory    = 1 << 1
	CommandMaster    = 1 << 2
	CommandSERR      = 1 << 8
	CommandNoINTx    = 1 << 10
	CommandMask      = 0xffff
	StatusCapability = 1 << 20 // of the 32 bits at RegCommand: there is a list of capabilities
)

// Header types, 7 bits of RegHeader. 7.5.1.1.9.
const (
	HeaderDevice  = 0
	HeaderBridge  = 1
	HeaderCardBus = 2
)

// Header takes the header type out of RegHeader. many says that the device has more functions than function 0.
func Header(header uint32) (kind uint8, many bool) {
	return uint8(header>>16) & 0x7f, header>>23&1 != 0
}

// Class codes, bits 31:8 of RegClass.
const (
	ClassEthernet   = 0x020000
	ClassNVMe       = 0x010802
	ClassHostBridge = 0x060000
	ClassBridge     = 0x060400
)

// Class takes the class code out of RegClass.
func Class(class uint32) uint32 { return class >> 8 }

// NumBARs is how many base address registers a header type has.
func NumBARs(kind uint8) uint32 {
	switch kind {
	case HeaderDevice:
		return 6
	case HeaderBridge:
		return 2
	}
	return 0
}

// Bits of a base address register. 7.5.1.2.1.
const (
	BARIO           = 1 << 0
	BARTypeMask     = 3 << 1
	BARType64       = 2 << 1 // the next register holds the upper half
	BARPrefetchable = 1 << 3
)

// BAR is a base address register, or two, decoded.
type BAR struct {
	Base         uint64
	Size         uint64 // 0: the device has no such register
	IO           bool
	Wide         bool // takes two registers
	Prefetchable bool
}

// DecodeBAR decodes a register, the one after it, and what both read as after ones were written to them. high and highMask count
// only when low says that the address has 64 bits. A device whose mask is not one run of ones up to the top is lying; its Size is
// then the lowest of the ones, as the specification has it.
func DecodeBAR(low, high, lowMask, highMask uint32) BAR {
	if low&BARIO != 0 {
		size := lowMask &^ 3
		size &= -size
		return BAR{Base: uint64(low &^ 3), Size: uint64(size), IO: true}
	}
	b := BAR{Base: uint64(low &^ 15), Wide: low&BARTypeMask == BARType64, Prefetchable: low&BARPrefetchable != 0}
	mask := uint64(lowMask &^ 15)
	if b.Wide {
		b.Base |= uint64(high) << 32
		mask |= uint64(highMask) << 32
	}
	b.Size = mask & -mask
	return b
}

// Registers of a bridge, header type 1. 7.5.1.3.
const (
	RegBuses          = 0x18 // primary 7:0, secondary 15:8, subordinate 23:16
	RegMemory         = 0x20 // window without prefetching
	RegPrefetch       = 0x24 // window with prefetching, low half
	RegPrefetchBase   = 0x28 // its base, bits 63:32
	RegPrefetchLimit  = 0x2c // its limit, bits 63:32
	WindowGranularity = 1 << 20
)

// Buses takes the numbers out of RegBuses.
func Buses(v uint32) (primary, secondary, subordinate uint8) {
	return uint8(v), uint8(v >> 8), uint8(v >> 16)
}

// EncodeBuses replaces the numbers in a value of RegBuses.
func EncodeBuses(v uint32, primary, secondary, subordinate uint8) uint32 {
	return v&0xff00_0000 | uint32(subordinate)<<16 | uint32(secondary)<<8 | uint32(primary)
}

// Window is what a bridge passes on: from Base to Limit inclusive. Base above Limit is a window that is closed.
type Window struct{ Base, Limit uint64 }

// Closed passes nothing.
var Closed = Window{Base: 0xfff0_0000, Limit: 0xf_ffff}

// Open says that the window passes something.
func (w Window) Open() bool { return w.Base <= w.Limit }

// DecodeMemory decodes RegMemory.
func DecodeMemory(v uint32) Window {
	return Window{Base: uint64(v&0xfff0) << 16, Limit: uint64(v&0xfff0_0000) | 0xf_ffff}
}

// DecodePrefetch decodes RegPrefetch and its upper halves, which count only when the bridge says that it has 64 bits.
func DecodePrefetch(v, base, limit uint32) Window {
	w := DecodeMemory(v)
	if v&0xf == 1 {
		w.Base |= uint64(base) << 32
		w.Limit |= uint64(limit) << 32
	}
	return w
}

// EncodeMemory is the value of RegMemory for a window below 4 GiB; Base and Limit+1 must be multiples of WindowGranularity. It is
// also that of RegPrefetch, whose bits 3:0 and 19:16 are read only, with zeros in the upper halves.
func EncodeMemory(w Window) uint32 { return uint32(w.Limit)&0xfff0_0000 | uint32(w.Base)>>16&0xfff0 }

package acpi

import "nom.dev/nom/hw/raw"

// DMAR describes Intel's IOMMUs. Intel VT-d specification 4.1, chapter 8.
type DMAR struct{ table Table }

// Types of remapping structures. VT-d 4.1, 8.2.
const (
	DMARUnit     = 0 // DRHD: an IOMMU
	DMARReserved = 1 // RMRR: memory that devices reach from firmware on
	DMARATS      = 2 // ATSR
	DMARAffinity = 3 // RHSA
	DMARNames    = 4 // ANDD
)

// Bits of DMAR.Flags.
const (
	DMARInterruptRemap = 1 << 0
	DMARX2APICOptOut   = 1 << 1
	DMAROptIn          = 1 << 2
)

// Remapping is one remapping structure. Which fields count depends on the type.
type Remapping struct {
	Type    uint16
	Segment uint16 // Unit, Reserved, ATS
	All     bool   // Unit: covers every device of the segment that no other unit names. ATS: all ports
	Base    uint64 // Unit: address of its registers. Reserved: first byte
	Limit   uint64 // Reserved: last byte
	Domain  uint32 // Affinity: proximity domain of the unit at Base
	scopes  []byte
}

const dmarHeader = 48

// DMAR takes the table for a DMAR; false when it is another one.
func (t Table) DMAR() (DMAR, bool) {
	return DMAR{t}, t.Signature() == SigDMAR && len(t) >= dmarHeader
}

// AddressBits is the width of the addresses that DMA may use.
func (d DMAR) AddressBits() uint32 { return uint32(raw.U8(d.table, 36)) + 1 }

// Flags is DMARInterruptRemap and so on.
func (d DMAR) Flags() uint8 { return raw.U8(d.table, 37) }

// Next is the structure at a cursor and the cursor of the one after it. Start with 0. Structures too short for their type are
// passed over; those of other types have only Type set.
func (d DMAR) Next(cursor uint32) (Remapping, uint32, bool) {
	if cursor < dmarHeader {
		cursor = dmarHeader
	}
	for {
		b, next := step16(d.table, cursor, 2, 4)
		if b == nil {
			return Remapping{}, cursor, false
		}
		if r, ok := remapping(b); ok {
			return r, next, true
		}
		cursor = next
	}
}

func remapping(b []byte) (Remapping, bool) {
	r := Remapping{Type: raw.U16(b, 0)}
	need := uint64(4)
	switch r.Type {
	case DMARUnit:
		need = 16
		r.All, r.Segment, r.Base = raw.U8(b, 4)&1 != 0, raw.U16(b, 6), raw.U64(b, 8)
	case DMARReserved:
		need = 24
		r.Segment, r.Base, r.Limit = raw.U16(b, 6), raw.U64(b, 8), raw.U64(b, 16)
	case DMARATS:
		need = 8
		r.All, r.Segment = raw.U8(b, 4)&1 != 0, raw.U16(b, 6)
	case DMARAffinity:
		need = 20
		r.Base, r.Domain = raw.U64(b, 8), raw.U32(b, 16)
	}
	if uint64(len(b)) < need {
		return Remapping{}, false
	}
	if r.Type <= DMARATS {
		r.scopes = b[need:]
	}
	return r, true
}

// Types of a Scope. VT-d 4.1, 8.3.1.
const (
	ScopeEndpoint = 1
	ScopeBridge   = 2 // the bridge and all behind it
	ScopeIOAPIC   = 3
	ScopeHPET     = 4
)

// Scope names a device: start on Bus and follow Hops steps of device and function through bridges.
type Scope struct {
	Type uint8
	ID   uint8 // IOAPIC: its APIC id; HPET: its number
	Bus  uint8
	path []byte
}

// Scope is the device scope at a cursor of the structure and the cursor of the one after it. Start with 0.
func (r Remapping) Scope(cursor uint32) (Scope, uint32, bool) {
	for {
		b, next := step8(r.scopes, cursor)
		if b == nil {
			return Scope{}, cursor, false
		}
		if len(b) >= 8 {
			return Scope{raw.U8(b, 0), raw.U8(b, 4), raw.U8(b, 5), b[6:]}, next, true
		}
		cursor = next
	}
}

// Hops is the length of the path, at least 1.
func (s Scope) Hops() uint32 { return uint32(len(s.path)) / 2 }

// Hop is one step of the path.
func (s Scope) Hop(i uint32) (device, function uint8) {
	return raw.U8(s.path, uint64(i)*2) & 31, raw.U8(s.path, uint64(i)*2+1) & 7
}

// Requester is the source id (bus 15:8, device 7:3, function 2:0) of a device whose path has a single hop; false for one behind
// bridges, whose bus number only configuration space tells.
func (s Scope) Requester() (uint16, bool) {
	device, function := s.Hop(0)
	return uint16(s.Bus)<<8 | uint16(device)<<3 | uint16(function), s.Hops() == 1
}

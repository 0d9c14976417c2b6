package acpi

import "nom.dev/nom/hw/raw"

// Types of SRAT entries. ACPI 6.5, 5.2.16.
const (
	SRATLocalAPIC   = 0
	SRATMemory      = 1
	SRATLocalX2APIC = 2
)

// Bits of Affinity.Flags.
const (
	AffinityEnabled     = 1 << 0 // the entry counts
	AffinityHotPlug     = 1 << 1 // memory only
	AffinityNonVolatile = 1 << 2 // memory only
)

// Affinity says to which proximity domain (NUMA node) a processor or a range of memory belongs.
type Affinity struct {
	Type   uint8
	Domain uint32
	Flags  uint32
	APICID uint32 // processors
	Base   uint64 // memory
	Size   uint64 // memory
}

// SRAT is the System Resource Affinity Table.
type SRAT struct{ table Table }

const sratHeader = 48

// SRAT takes the table for an SRAT; false when it is another one.
func (t Table) SRAT() (SRAT, bool) {
	return SRAT{t}, t.Signature() == SigSRAT && len(t) >= sratHeader
}

// Next is the entry at a cursor and the cursor of the one after it. Start with 0. Entries too short for their type are passed
// over; those of other types have only Type set.
func (s SRAT) Next(cursor uint32) (Affinity, uint32, bool) {
	if cursor < sratHeader {
		cursor = sratHeader
	}
	for {
		b, next := step8(s.table, cursor)
		if b == nil {
			return Affinity{}, cursor, false
		}
		if a, ok := affinity(b); ok {
			return a, next, true
		}
		cursor = next
	}
}

func affinity(b []byte) (Affinity, bool) {
	a := Affinity{Type: raw.U8(b, 0)}
	need := 2
	switch a.Type {
	case SRATLocalAPIC:
		need = 16
		a.Domain = uint32(raw.U8(b, 2)) | raw.U32(b, 8)&0xffff_ff00
		a.APICID, a.Flags = uint32(raw.U8(b, 3)), raw.U32(b, 4)
	case SRATMemory:
		need = 40
		a.Domain, a.Base, a.Size, a.Flags = raw.U32(b, 2), raw.U64(b, 8), raw.U64(b, 16), raw.U32(b, 28)
	case SRATLocalX2APIC:
		need = 24
		a.Domain, a.APICID, a.Flags = raw.U32(b, 4), raw.U32(b, 8), raw.U32(b, 12)
	}
	return a, len(b) >= need
}

package acpi

import "nom.dev/nom/hw/raw"

// MADT is the Multiple APIC Description Table. ACPI 6.5, 5.2.12.
type MADT struct{ table Table }

// Types of MADT entries. ACPI 6.5, 5.2.12.
const (
	MADTLocalAPIC     = 0
	MADTIOAPIC        = 1
	MADTOverride      = 2 // an ISA interrupt that is not identity-mapped
	MADTNMISource     = 3
	MADTLocalNMI      = 4
	MADTAddress       = 5 // 64-bit address of the local APICs
	MADTLocalX2APIC   = 9
	MADTLocalX2NMI    = 10
	MADTWakeup        = 16 // mailbox by which processors are started
	MADTAllProcessors = 0xffff_ffff
)

// Bits of MADTEntry.Flags of a processor.
const (
	MADTEnabled = 1 << 0
	MADTOnline  = 1 << 1 // not enabled, but may be later (hot-plug)
)

// Bits of MADTEntry.Flags of interrupts (MPS INTI flags). ACPI 6.5, 5.2.12.5.
const (
	INTIPolarity   = 3 << 0
	INTIActiveHigh = 1 << 0
	INTIActiveLow  = 3 << 0
	INTITrigger    = 3 << 2
	INTIEdge       = 1 << 2
	INTILevel      = 3 << 2
)

// MADTEntry is one entry. Which fields count depends on the type.
type MADTEntry struct {
	Type      uint8
	LINT      uint8  // LocalNMI, LocalX2NMI: 0 or 1
	Source    uint8  // Override: the ISA interrupt
	ID        uint32 // LocalAPIC, LocalX2APIC: APIC id. IOAPIC: its id
	Processor uint32 // LocalAPIC, LocalX2APIC, LocalNMI, LocalX2NMI: the processor's ACPI id, or MADTAllProcessors
	Flags     uint32 // LocalAPIC, LocalX2APIC: MADTEnabled ...; interrupts: INTIPolarity ...
	GSI       uint32 // IOAPIC: first interrupt; Override, NMISource: the interrupt
	Address   uint64 // IOAPIC, Address, Wakeup
}

// Usable says that a processor may be started now.
func (e MADTEntry) Usable() bool {
	return (e.Type == MADTLocalAPIC || e.Type == MADTLocalX2APIC) && e.Flags&MADTEnabled != 0
}

const madtHeader = 44

// MADT takes the table for a MADT; false when it is another one.
func (t Table) MADT() (MADT, bool) {
	return MADT{t}, t.Signature() == SigMADT && len(t) >= madtHeader
}

// LocalAddress is the physical address of the local APICs in xAPIC mode; an entry MADTAddress overrules it.
func (m MADT) LocalAddress() uint32 { return raw.U32(m.table, 36) }

// HasPIC says that the machine has two 8259 controllers, which must be masked.
func (m MADT) HasPIC() bool { return raw.U32(m.table, 40)&1 != 0 }

// Next is the entry at a cursor and the cursor of the one after it. Start with 0. Entries too short for their type are passed
// over; those of other types have only Type set.
func (m MADT) Next(cursor uint32) (MADTEntry, uint32, bool) {
	if cursor < madtHeader {
		cursor = madtHeader
	}
	for {
		b, next := step8(m.table, cursor)
		if b == nil {
			return MADTEntry{}, cursor, false
		}
		if e, ok := madtEntry(b); ok {
			return e, next, true
		}
		cursor = next
	}
}

func madtEntry(b []byte) (MADTEntry, bool) {
	e := MADTEntry{Type: raw.U8(b, 0)}
	need := 2
	switch e.Type {
	case MADTLocalAPIC:
		need = 8
		e.Processor, e.ID, e.Flags = uint32(raw.U8(b, 2)), uint32(raw.U8(b, 3)), raw.U32(b, 4)
	case MADTIOAPIC:
		need = 12
		e.ID, e.Address, e.GSI = uint32(raw.U8(b, 2)), uint64(raw.U32(b, 4)), raw.U32(b, 8)
	case MADTOverride:
		need = 10
		e.Source, e.GSI, e.Flags = raw.U8(b, 3), raw.U32(b, 4), uint32(raw.U16(b, 8))
	case MADTNMISource:
		need = 8
		e.Flags, e.GSI = uint32(raw.U16(b, 2)), raw.U32(b, 4)
	case MADTLocalNMI:
		need = 6
		e.Processor, e.Flags, e.LINT = uint32(raw.U8(b, 2)), uint32(raw.U16(b, 3)), raw.U8(b, 5)
		if e.Processor == 0xff {
			e.Processor = MADTAllProcessors
		}
	case MADTAddress:
		need = 12
		e.Address = raw.U64(b, 4)
	case MADTLocalX2APIC:
		need = 16
		e.ID, e.Flags, e.Processor = raw.U32(b, 4), raw.U32(b, 8), raw.U32(b, 12)
	case MADTLocalX2NMI:
		need = 12
		e.Flags, e.Processor, e.LINT = uint32(raw.U16(b, 2)), raw.U32(b, 4), raw.U8(b, 8)
	case MADTWakeup:
		need = 16
		e.Address = raw.U64(b, 8)
	}
	return e, len(b) >= need
}

// step8 is the entry at a cursor in a table whose entries begin with a byte of type and a byte of length, and where the next
// one begins. Nil at the end, or when the length is impossible.
func step8(t []byte, cursor uint32) ([]byte, uint32) {
	n := uint64(raw.U8(t, uint64(cursor)+1))
	if n < 2 {
		return nil, cursor
	}
	return raw.Cut(t, uint64(cursor), n), cursor + uint32(n)
}

// step16 is step8 for entries with 16 bits of length at the given offset.
func step16(t []byte, cursor, lengthAt, least uint32) ([]byte, uint32) {
	n := uint64(raw.U16(t, uint64(cursor)+uint64(lengthAt)))
	if n < uint64(least) {
		return nil, cursor
	}
	return raw.Cut(t, uint64(cursor), n), cursor + uint32(n)
}

package acpi

import "nom.dev/nom/hw/raw"

// IVRS describes AMD's IOMMUs. AMD I/O Virtualization Technology (IOMMU) specification 3.08, 5.2.
type IVRS struct{ table Table }

// Types of IVRS blocks. A unit may appear several times with different types: use the highest type you understand.
const (
	IVRSUnit10       = 0x10
	IVRSUnit11       = 0x11 // with the extended feature register
	IVRSUnit40       = 0x40 // with ACPI device names
	IVRSMemoryAll    = 0x20 // memory that all devices reach from firmware on
	IVRSMemoryOne    = 0x21 // that device Device reaches
	IVRSMemoryRange  = 0x22 // that devices Device to Aux reach
	ivrsHeader       = 48
	ivrsDeviceEntry4 = 24
	ivrsDeviceEntry8 = 40
)

// IVRSBlock is one block. Which fields count depends on the type.
type IVRSBlock struct {
	Type       uint8
	Flags      uint8
	Device     uint16 // units: requester id of the IOMMU's PCI function. Memory: the device
	Capability uint16 // units: offset of its capability
	Aux        uint16 // memory: end of the range of devices
	Segment    uint16 // units
	Base       uint64 // units: address of its registers. Memory: first byte
	Size       uint64 // memory
	Features   uint64 // IVRSUnit11 and IVRSUnit40: copy of the extended feature register
	devices    []byte
}

// IsUnit says that the block describes an IOMMU.
func (b IVRSBlock) IsUnit() bool {
	return b.Type == IVRSUnit10 || b.Type == IVRSUnit11 || b.Type == IVRSUnit40
}

// IVRS takes the table for an IVRS; false when it is another one.
func (t Table) IVRS() (IVRS, bool) {
	return IVRS{t}, t.Signature() == SigIVRS && len(t) >= ivrsHeader
}

// Info is the IVinfo field: physical address bits in 14:8, virtual ones in 21:15.
func (i IVRS) Info() uint32 { return raw.U32(i.table, 36) }

// Next is the block at a cursor and the cursor of the one after it. Start with 0. Blocks too short for their type are passed
// over; those of other types have only Type and Flags set.
func (i IVRS) Next(cursor uint32) (IVRSBlock, uint32, bool) {
	if cursor < ivrsHeader {
		cursor = ivrsHeader
	}
	for {
		b, next := step16(i.table, cursor, 2, 4)
		if b == nil {
			return IVRSBlock{}, cursor, false
		}
		if block, ok := ivrsBlock(b); ok {
			return block, next, true
		}
		cursor = next
	}
}

func ivrsBlock(b []byte) (IVRSBlock, bool) {
	v := IVRSBlock{Type: raw.U8(b, 0), Flags: raw.U8(b, 1)}
	need := uint64(4)
	switch v.Type {
	case IVRSUnit10, IVRSUnit11, IVRSUnit40:
		need = ivrsDeviceEntry4
		v.Device, v.Capability, v.Base, v.Segment = raw.U16(b, 4), raw.U16(b, 6), raw.U64(b, 8), raw.U16(b, 16)
		if v.Type != IVRSUnit10 {
			need = ivrsDeviceEntry8
			v.Features = raw.U64(b, 24)
		}
	case IVRSMemoryAll, IVRSMemoryOne, IVRSMemoryRange:
		need = 32
		v.Device, v.Aux, v.Base, v.Size = raw.U16(b, 4), raw.U16(b, 6), raw.U64(b, 16), raw.U64(b, 24)
	}
	if uint64(len(b)) < need {
		return IVRSBlock{}, false
	}
	if v.IsUnit() {
		v.devices = b[need:]
	}
	return v, true
}

// Types of device entries. IOMMU specification 3.08, 5.2.2.
const (
	IVHDPad        = 0x00
	IVHDAll        = 0x01
	IVHDSelect     = 0x02
	IVHDRangeStart = 0x03
	IVHDRangeEnd   = 0x04
	IVHDAlias      = 0x42 // requests of Device carry the id Source
	IVHDAliasStart = 0x43
	IVHDExtSelect  = 0x46
	IVHDExtStart   = 0x47
	IVHDSpecial    = 0x48 // IOAPIC or HPET
	IVHDNamed      = 0xf0 // a device with an ACPI name
)

// Values of IVHDEntry.Variety.
const (
	SpecialIOAPIC = 1
	SpecialHPET   = 2
)

// IVHDEntry is one device entry of a unit.
type IVHDEntry struct {
	Type    uint8
	Setting uint8  // bits for the device table entry
	Device  uint16 // requester id
	Source  uint16 // Alias, AliasStart, Special: the id that requests carry
	Handle  uint8  // Special: the IOAPIC's id or the HPET's number
	Variety uint8  // Special
}

// Entry is the device entry at a cursor of the unit and the cursor of the one after it. Start with 0.
func (b IVRSBlock) Entry(cursor uint32) (IVHDEntry, uint32, bool) {
	kind := raw.U8(b.devices, uint64(cursor))
	n := uint64(4) << (kind >> 6)
	if kind == IVHDNamed {
		n = 22 + uint64(raw.U8(b.devices, uint64(cursor)+21))
	}
	d := raw.Cut(b.devices, uint64(cursor), n)
	if d == nil {
		return IVHDEntry{}, cursor, false
	}
	e := IVHDEntry{Type: kind, Device: raw.U16(d, 1), Setting: raw.U8(d, 3)}
	switch kind {
	case IVHDAlias, IVHDAliasStart:
		e.Source = raw.U16(d, 5)
	case IVHDSpecial:
		e.Handle, e.Source, e.Variety = raw.U8(d, 4), raw.U16(d, 5), raw.U8(d, 7)
	}
	return e, cursor + uint32(n), true
}

package acpi

import "nom.dev/nom/hw/raw"

// ConfigSpace is where the PCI Express configuration space of some buses is mapped: 4 KiB a function, 32 KiB a device, 1 MiB a
// bus. Base is the address of bus 0, even when First is another. PCI Firmware specification 3.3, 4.1.2.
type ConfigSpace struct {
	Base        uint64
	Segment     uint16
	First, Last uint8 // buses
}

const mcfgHeader, mcfgEntry = 44, 16

// ConfigSpace is entry number i of an MCFG; false beyond the last one, or when the table is another. Entries whose last bus is
// before their first are impossible and also end the list.
func (t Table) ConfigSpace(i uint32) (ConfigSpace, bool) {
	b := raw.Cut(t, mcfgHeader+uint64(i)*mcfgEntry, mcfgEntry)
	if t.Signature() != SigMCFG || b == nil {
		return ConfigSpace{}, false
	}
	c := ConfigSpace{raw.U64(b, 0), raw.U16(b, 8), raw.U8(b, 10), raw.U8(b, 11)}
	return c, c.First <= c.Last
}

// Function is the physical address of a function's configuration space.
func (c ConfigSpace) Function(bus, device, function uint8) (uint64, bool) {
	if bus < c.First || bus > c.Last || device > 31 || function > 7 {
		return 0, false
	}
	return c.Base + uint64(bus)<<20 + uint64(device)<<15 + uint64(function)<<12, true
}

// HPET is a High Precision Event Timer block. IA-PC HPET specification 1.0a, 3.2.4.
type HPET struct {
	Block       Address
	Number      uint8
	Comparators uint8
	Counter64   bool
	Legacy      bool // can replace the PIT's and the RTC's interrupts
	MinTick     uint16
}

// HPET decodes the table; false when it is another one.
func (t Table) HPET() (HPET, bool) {
	if t.Signature() != SigHPET || len(t) < 56 {
		return HPET{}, false
	}
	id := raw.U32(t, 36)
	return HPET{
		Block: address(t, 40), Number: raw.U8(t, 52), Comparators: uint8(id>>8&0x1f) + 1, Counter64: id>>13&1 != 0, Legacy: id>>15&1 != 0,
		MinTick: raw.U16(t, 53),
	}, true
}

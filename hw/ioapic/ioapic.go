// Package ioapic holds the registers of the I/O APIC, as far as it must be silenced or given a single interrupt.
//
// It follows Intel's data sheet 82093AA (290566), section 3. Where the I/O APICs are and which interrupts they serve is in the
// MADT: see hw/acpi. The package runs without a Go runtime: constants and plain functions. It never touches a register.
package ioapic

// Memory-mapped registers: write an index to Select, then read or write 32 bits at Window.
const (
	Select = 0x00
	Window = 0x10
)

// Indices of registers.
const (
	RegID       = 0x00
	RegVersion  = 0x01
	RegRedirect = 0x10 // entry N: low half at RegRedirect+2N, high half one further
)

// Entries is how many inputs an I/O APIC has, from its RegVersion.
func Entries(version uint32) uint32 { return version>>16&0xff + 1 }

// Low and High are the indices of the halves of a redirection entry.
func Low(entry uint32) uint32  { return RegRedirect + 2*entry }
func High(entry uint32) uint32 { return RegRedirect + 2*entry + 1 }

// Bits of a redirection entry. Write the high half while Masked is set.
const (
	Vector     = 0xff
	ModeFixed  = 0 << 8
	ModeNMI    = 4 << 8
	ModeExtINT = 7 << 8
	Logical    = 1 << 11
	Pending    = 1 << 12 // read only
	ActiveLow  = 1 << 13
	RemoteIRR  = 1 << 14 // read only
	Level      = 1 << 15
	Masked     = 1 << 16
	DestShift  = 56 // of the 8-bit APIC id
)

// Silent is the redirection entry that delivers nothing.
const Silent = Masked

// Fixed is the redirection entry that raises a vector at one processor; flags are ActiveLow and Level. False when the APIC id has
// more than 8 bits: only interrupt remapping reaches such a processor.
func Fixed(apic uint32, vector uint8, flags uint64) (uint64, bool) {
	if apic > 0xff {
		return 0, false
	}
	return uint64(apic)<<DestShift | flags&(ActiveLow|Level) | ModeFixed | uint64(vector), true
}

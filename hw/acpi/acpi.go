// Package acpi reads the tables by which firmware describes a machine: processors, interrupt controllers, the PM timer, power
// registers, PCI Express configuration space, IOMMUs and memory affinity.
//
// It follows the ACPI specification 6.5, chapter 5, and for tables that others define: the PCI Firmware specification (MCFG),
// the IA-PC HPET specification, Intel's VT-d specification (DMAR) and AMD's I/O virtualization specification (IVRS). Tested on
// tables of QEMU's q35 and microvm machines.
//
// The package runs without a Go runtime: it allocates nothing, and what it returns are values and slices of the memory it was
// shown. Tables are foreign bytes: every read is bounded, every iterator ends. It interprets no AML except for one constant
// (SleepTypes), and it never touches a register.
package acpi

import "nom.dev/nom/hw/raw"

// Memory is how physical memory is shown to this package.
type Memory = raw.Memory

// Signature is the first four bytes of a table, little endian.
type Signature uint32

// Signatures of the tables that this package knows.
const (
	SigMADT Signature = 'A' | 'P'<<8 | 'I'<<16 | 'C'<<24
	SigFADT Signature = 'F' | 'A'<<8 | 'C'<<16 | 'P'<<24
	SigDSDT Signature = 'D' | 'S'<<8 | 'D'<<16 | 'T'<<24
	SigSSDT Signature = 'S' | 'S'<<8 | 'D'<<16 | 'T'<<24
	SigMCFG Signature = 'M' | 'C'<<8 | 'F'<<16 | 'G'<<24
	SigHPET Signature = 'H' | 'P'<<8 | 'E'<<16 | 'T'<<24
	SigDMAR Signature = 'D' | 'M'<<8 | 'A'<<16 | 'R'<<24
	SigIVRS Signature = 'I' | 'V'<<8 | 'R'<<16 | 'S'<<24
	SigSRAT Signature = 'S' | 'R'<<8 | 'A'<<16 | 'T'<<24
	sigRSDT Signature = 'R' | 'S'<<8 | 'D'<<16 | 'T'<<24
	sigXSDT Signature = 'X' | 'S'<<8 | 'D'<<16 | 'T'<<24
)

// Problem says why a table could not be read.
type Problem uint8

// Problems. None is zero.
const (
	None       Problem = iota
	Unreadable         // Memory shows nothing at its address
	Unknown            // the signature is not the expected one
	Length             // the length in its header is impossible
	Checksum           // the sum of its bytes is not zero
	Absent             // no table with that signature
)

// HeaderSize is the size of the header all tables but RSDP and FACS begin with. ACPI 6.5, 5.2.6.
const HeaderSize = 36

// maxTable bounds the length that a header may claim.
const maxTable = 16 << 20

// Table is a whole table, header included, with a checksum that holds.
type Table []byte

// Signature is the table's signature.
func (t Table) Signature() Signature { return Signature(raw.U32(t, 0)) }

// Revision is the table's revision.
func (t Table) Revision() uint8 { return raw.U8(t, 8) }

// Load reads the table at an address.
func Load(mem Memory, address uint64) (Table, Problem) {
	if address == 0 {
		return nil, Absent
	}
	header := raw.Show(mem, address, HeaderSize)
	if header == nil {
		return nil, Unreadable
	}
	n := uint64(raw.U32(header, 4))
	if n < HeaderSize || n > maxTable {
		return nil, Length
	}
	t := raw.Show(mem, address, n)
	if t == nil {
		return nil, Unreadable
	}
	if raw.Sum(t) != 0 {
		return nil, Checksum
	}
	return t, None
}

// The Root System Description Pointer. ACPI 6.5, 5.2.5.
const (
	rsdpSize1     = 20
	rsdpSize2     = 36
	rsdpAlign     = 16
	biosStart     = 0xe_0000
	biosSize      = 0x2_0000
	ebdaPointer   = 0x40e
	ebdaSize      = 1024
	rsdpSignature = 'R' | 'S'<<8 | 'D'<<16 | ' '<<24 | 'P'<<32 | 'T'<<40 | 'R'<<48 | ' '<<56
)

// FindRSDP looks for the RSDP where a BIOS puts it: in the first kilobyte of the extended BIOS data area, then below 1 MiB.
// Machines started by UEFI or PVH say where it is; do not scan there. ACPI 6.5, 5.2.5.1.
func FindRSDP(mem Memory) (uint64, bool) {
	ebda := uint64(raw.U16(raw.Show(mem, ebdaPointer, 2), 0)) << 4
	if ebda != 0 {
		if at, ok := scan(raw.Show(mem, ebda, ebdaSize)); ok {
			return ebda + at, true
		}
	}
	at, ok := scan(raw.Show(mem, biosStart, biosSize))
	return biosStart + at, ok
}

func scan(b []byte) (uint64, bool) {
	for at := uint64(0); at+rsdpSize1 <= uint64(len(b)); at += rsdpAlign {
		if raw.U64(b, at) == rsdpSignature && raw.Sum(raw.Cut(b, at, rsdpSize1)) == 0 {
			return at, true
		}
	}
	return 0, false
}

// Root is the list of all tables: the XSDT, or the RSDT of older firmware.
type Root struct {
	entries []byte
	width   uint64 // of an entry: 8 or 4
}

// Open reads the RSDP at an address and the list of tables behind it.
func Open(mem Memory, rsdp uint64) (Root, Problem) {
	b := raw.Show(mem, rsdp, rsdpSize1)
	if b == nil {
		return Root{}, Unreadable
	}
	if raw.U64(b, 0) != rsdpSignature {
		return Root{}, Unknown
	}
	if raw.Sum(b) != 0 {
		return Root{}, Checksum
	}
	if raw.U8(b, 15) >= 2 {
		if x := raw.Show(mem, rsdp, rsdpSize2); x != nil && raw.Sum(x) == 0 {
			if root, problem := openList(mem, raw.U64(x, 24), sigXSDT, 8); problem == None {
				return root, None
			}
		}
	}
	return openList(mem, uint64(raw.U32(b, 16)), sigRSDT, 4)
}

func openList(mem Memory, address uint64, sig Signature, width uint64) (Root, Problem) {
	t, problem := Load(mem, address)
	if problem != None {
		return Root{}, problem
	}
	if t.Signature() != sig {
		return Root{}, Unknown
	}
	return Root{raw.From(t, HeaderSize), width}, None
}

// Tables is how many entries the list has.
func (r Root) Tables() uint64 {
	if r.width == 0 {
		return 0
	}
	return uint64(len(r.entries)) / r.width
}

// Address is the physical address of the table number i; 0 when there is no such entry.
func (r Root) Address(i uint64) uint64 {
	if i >= r.Tables() {
		return 0
	}
	if r.width == 8 {
		return raw.U64(r.entries, i*8)
	}
	return uint64(raw.U32(r.entries, i*4))
}

// Find is the nth table (from 0) with a signature. A table that cannot be read is passed over; when none is left, the answer
// is the Problem of the last that was passed over, or Absent.
func (r Root) Find(mem Memory, sig Signature, nth int) (Table, Problem) {
	last := Absent
	for i := uint64(0); i < r.Tables(); i++ {
		address := r.Address(i)
		if address == 0 || Signature(raw.U32(raw.Show(mem, address, 4), 0)) != sig {
			continue
		}
		t, problem := Load(mem, address)
		if problem != None {
			last = problem
			continue
		}
		if nth == 0 {
			return t, None
		}
		nth--
	}
	return nil, last
}

// Find is Open and Root.Find for the first table with a signature.
func Find(mem Memory, rsdp uint64, sig Signature) (Table, Problem) {
	root, problem := Open(mem, rsdp)
	if problem != None {
		return nil, problem
	}
	return root.Find(mem, sig, 0)
}

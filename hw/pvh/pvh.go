// Package pvh reads what a PVH boot loader hands to a kernel: the start info with the memory map, the modules, the command line
// and the address of the ACPI root pointer.
//
// It follows Xen's public headers xen/include/public/arch-x86/hvm/start_info.h and elfnote.h, and the description of the entry
// state in docs/misc/pvh.pandoc. Tested on the start info of QEMU's q35. The package runs without a Go runtime: it allocates
// nothing and returns values and slices of the memory it was shown. The loader's bytes are checked like any foreign bytes.
package pvh

import "nom.dev/nom/hw/raw"

// The ELF note by which a kernel says where its 32-bit entry point is. At entry: protected mode without paging, flat segments,
// interrupts off, EBX = physical address of the start info.
const (
	NoteName        = "Xen\x00"
	NotePhys32Entry = 18 // XEN_ELFNOTE_PHYS32_ENTRY; the descriptor is the physical address, 4 or 8 bytes
)

// Magic is the first word of the start info: "xEn3" with bit 7 of the E set.
const Magic = 0x336e_c578

// Memory is how physical memory is shown to this package.
type Memory = raw.Memory

// Limits of what is believed. QEMU's map has about ten entries.
const (
	MaxEntries     = 1024
	MaxModules     = 64
	MaxCommandLine = 4096
)

const (
	size0      = 40
	size1      = 56
	entrySize  = 24
	moduleSize = 32
)

// StartInfo is struct hvm_start_info.
type StartInfo struct {
	Version     uint32
	Flags       uint32
	RSDP        uint64 // physical address, 0 when the loader does not know
	CommandLine uint64 // physical address, 0 when there is none
	memoryMap   []byte // empty in version 0
	modules     []byte
}

// Read reads the start info at a physical address. False when its magic is wrong or a part of it is not in memory.
func Read(mem Memory, address uint64) (StartInfo, bool) {
	b := raw.Show(mem, address, size0)
	if b == nil || raw.U32(b, 0) != Magic {
		return StartInfo{}, false
	}
	s := StartInfo{Version: raw.U32(b, 4), Flags: raw.U32(b, 8), CommandLine: raw.U64(b, 24), RSDP: raw.U64(b, 32)}
	if n := uint64(raw.U32(b, 12)); n != 0 {
		if n > MaxModules {
			return StartInfo{}, false
		}
		if s.modules = raw.Show(mem, raw.U64(b, 16), n*moduleSize); s.modules == nil {
			return StartInfo{}, false
		}
	}
	if s.Version == 0 {
		return s, true
	}
	if b = raw.Show(mem, address, size1); b == nil {
		return StartInfo{}, false
	}
	if n := uint64(raw.U32(b, 48)); n != 0 {
		if n > MaxEntries {
			return StartInfo{}, false
		}
		if s.memoryMap = raw.Show(mem, raw.U64(b, 40), n*entrySize); s.memoryMap == nil {
			return StartInfo{}, false
		}
	}
	return s, true
}

// Types of memory, those of the E820 map.
const (
	RAM      = 1
	Reserved = 2
	ACPI     = 3 // tables; RAM once they have been read
	NVS      = 4
	Unusable = 5
	Disabled = 6
	Pmem     = 7
)

// Entry is struct hvm_memmap_table_entry: a range of physical memory.
type Entry struct {
	Addr, Size uint64
	Type       uint32
}

// Entries is how many entries the memory map has.
func (s StartInfo) Entries() uint32 { return uint32(len(s.memoryMap) / entrySize) }

// Entry is entry number i of the memory map. Entries may be in any order and may overlap; what overlaps with anything but RAM is
// not RAM.
func (s StartInfo) Entry(i uint32) (Entry, bool) {
	if i >= s.Entries() {
		return Entry{}, false
	}
	b := raw.From(s.memoryMap, uint64(i)*entrySize)
	return Entry{raw.U64(b, 0), raw.U64(b, 8), raw.U32(b, 16)}, true
}

// Pages is the whole pages inside the entry, as first byte and first byte after; both 0 when there are none or when the entry
// runs over the end of the address space.
func (e Entry) Pages() (start, end uint64) {
	const page = 4096
	if e.Addr+e.Size < e.Addr || e.Addr+page-1 < e.Addr {
		return 0, 0
	}
	start, end = (e.Addr+page-1)&^(page-1), (e.Addr+e.Size)&^(page-1)
	if start >= end {
		return 0, 0
	}
	return start, end
}

// Module is struct hvm_modlist_entry: a file that the loader put into memory, QEMU's -initrd for example.
type Module struct {
	Addr, Size  uint64
	CommandLine uint64 // physical address, 0 when there is none
}

// Modules is how many modules there are.
func (s StartInfo) Modules() uint32 { return uint32(len(s.modules) / moduleSize) }

// Module is module number i.
func (s StartInfo) Module(i uint32) (Module, bool) {
	if i >= s.Modules() {
		return Module{}, false
	}
	b := raw.From(s.modules, uint64(i)*moduleSize)
	return Module{raw.U64(b, 0), raw.U64(b, 8), raw.U64(b, 16)}, true
}

// String is the NUL-terminated string at a physical address, without the NUL; false when there is none, or no NUL within
// MaxCommandLine bytes.
func String(mem Memory, address uint64) ([]byte, bool) {
	if address == 0 {
		return nil, false
	}
	for n := uint64(0); n < MaxCommandLine; n++ {
		b := raw.Show(mem, address+n, 1)
		if b == nil {
			return nil, false
		}
		if raw.U8(b, 0) == 0 {
			s := raw.Show(mem, address, n)
			return s, s != nil || n == 0
		}
	}
	return nil, false
}

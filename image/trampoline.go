package image

import (
	"encoding/binary"

	"nom.dev/nom/abi"
)

// The trampoline takes a processor from where firmware leaves it to 64-bit mode and the platform's entry point. The first
// processor comes in 32-bit protected mode, by the PVH boot protocol; the others in real mode, by a start-up
// interrupt. Go's assembler knows neither mode, so the machine code stands here by the byte, each instruction beside
// its text; a test decodes the bytes and compares.
//
// It lies in one page at 1 MiB:
//
//	000  first processor: 32-bit, flat segments, paging off, EBX = physical address of the start info
//	060  the others join in 32-bit mode
//	0c0  all, in 64-bit mode
//	100  the others' code, 16-bit; the first processor copies it to apPage, where they start
//	200  segment descriptors
//	300  parameters
//
// AMD64 Architecture Programmer's Manual, volume 2, sections 14.6 (enabling long mode) and 15.27.8 (start-up).
const (
	trampolineAddr = 0x100000
	apPage         = 0x8000 // a start-up interrupt's vector is the page's number: below 1 MiB, not in the BIOS's way

	offAPJoin = 0x060
	offLong   = 0x0c0
	offAP     = 0x100
	offGDT    = 0x200
	offGDTR   = 0x220
	offParams = 0x300

	codeSelector64 = 0x08
	dataSelector   = 0x10
	codeSelector32 = 0x18

	apGDTR = 0x020 // from the start of the others' page
)

// Parameters of the trampoline, from offParams.
const (
	parBoot      = 0x00 // u64 physical address of the boot page, for RDI
	parEntry     = 0x08 // u64 the platform's entry point
	parStartInfo = 0x10 // u32 physical address of BootPage.StartInfo
	parTables    = 0x14 // u32 physical address of the entry tables
	parMXCSR     = 0x18 // u32
)

// instruction is a machine instruction and what it does, in the words of an assembler.
type instruction struct{ code, text string }

// fragment is code that lies at an offset of the page and runs in one mode.
type fragment struct {
	offset int
	mode   int // 16, 32 or 64
	code   []instruction
}

var trampolineCode = []fragment{
	{0, 32, []instruction{
		{"\xfa", "cli"},
		{"\xfc", "cld"},
		{"\xa1\x10\x03\x10\x00", "mov eax, dword ptr [0x100310]"}, // BootPage.StartInfo
		{"\x89\x18", "mov dword ptr [eax], ebx"},
		{"\xbe\x00\x01\x10\x00", "mov esi, 0x100100"}, // the others' code
		{"\xbf\x00\x80\x00\x00", "mov edi, 0x8000"},   // to its page
		{"\xb9\x00\x01\x00\x00", "mov ecx, 0x100"},
		{"\xf3\xa4", "rep movsb byte ptr [edi], byte ptr [esi]"},
		{"\x31\xf6", "xor esi, esi"}, // RSI = 0: the first processor
		{"\xeb\x47", "jmp .+0x47"},
	}},
	{offAPJoin, 32, []instruction{
		{"\xbe\x01\x00\x00\x00", "mov esi, 0x1"}, // RSI = 1: another one. The first comes in after this
		{"\x0f\x01\x15\x20\x02\x10\x00", "lgdt ptr [0x100220]"},
		{"\xb8\x10\x00\x00\x00", "mov eax, 0x10"}, // flat data
		{"\x8e\xd8", "mov ds, ax"},
		{"\x8e\xc0", "mov es, ax"},
		{"\x8e\xd0", "mov ss, ax"},
		{"\x8e\xe0", "mov fs, ax"},
		{"\x8e\xe8", "mov gs, ax"},
		{"\xb8\x20\x06\x00\x00", "mov eax, 0x620"}, // OSXMMEXCPT, OSFXSR, PAE
		{"\x0f\x22\xe0", "mov cr4, eax"},
		{"\xa1\x14\x03\x10\x00", "mov eax, dword ptr [0x100314]"}, // entry tables
		{"\x0f\x22\xd8", "mov cr3, eax"},
		{"\xb9\x80\x00\x00\xc0", "mov ecx, 0xc0000080"}, // EFER
		{"\x0f\x32", "rdmsr"},
		{"\x0d\x00\x09\x00\x00", "or eax, 0x900"}, // NXE, LME
		{"\x0f\x30", "wrmsr"},
		{"\xb8\x33\x00\x01\x80", "mov eax, 0x80010033"}, // PG, WP, NE, ET, MP, PE; caches on
		{"\x0f\x22\xc0", "mov cr0, eax"},
		{"\xea\xc0\x00\x10\x00\x08\x00", "jmp far 0x1000c0, 0x8"},
	}},
	{offLong, 64, []instruction{
		{"\x31\xe4", "xor esp, esp"},
		{"\x31\xed", "xor ebp, ebp"},
		{"\xdb\xe3", "fninit"},
		{"\x0f\xae\x14\x25\x18\x03\x10\x00", "ldmxcsr dword ptr [0x100318]"},
		{"\x48\x8b\x3c\x25\x00\x03\x10\x00", "mov rdi, qword ptr [0x100300]"}, // boot page
		{"\x48\x8b\x04\x25\x08\x03\x10\x00", "mov rax, qword ptr [0x100308]"}, // entry point
		{"\xff\xe0", "jmp rax"},
	}},
	{offAP, 16, []instruction{
		{"\xfa", "cli"},
		{"\xfc", "cld"},
		{"\x2e\x66\x0f\x01\x16\x20\x00", "lgdt ptr cs:[0x20]"},
		{"\x66\xb8\x11\x00\x00\x00", "mov eax, 0x11"}, // ET, PE; caches on
		{"\x0f\x22\xc0", "mov cr0, eax"},
		{"\x66\xea\x60\x00\x10\x00\x18\x00", "jmp far 0x100060, 0x18"},
	}},
}

// descriptors is the global descriptor table: flat segments, marked accessed so that loading them writes nothing.
var descriptors = [4]uint64{
	0,
	0x00af9b000000ffff, // 08: 64-bit code
	0x00cf93000000ffff, // 10: data
	0x00cf9b000000ffff, // 18: 32-bit code
}

// trampoline makes the page at trampolineAddr for a boot page and entry tables below 4 GiB.
func trampoline(boot, startInfo, tables, entry uint64) []byte {
	page := make([]byte, abi.PageSize)
	for _, f := range trampolineCode {
		at := f.offset
		for _, in := range f.code {
			at += copy(page[at:], in.code)
		}
	}
	le := binary.LittleEndian
	for i, d := range descriptors {
		le.PutUint64(page[offGDT+8*i:], d)
	}
	for _, at := range []int{offGDTR, offAP + apGDTR} {
		le.PutUint16(page[at:], uint16(8*len(descriptors)-1))
		le.PutUint32(page[at+2:], trampolineAddr+offGDT)
	}
	par := page[offParams:]
	le.PutUint64(par[parBoot:], boot)
	le.PutUint64(par[parEntry:], entry)
	le.PutUint32(par[parStartInfo:], uint32(startInfo))
	le.PutUint32(par[parTables:], uint32(tables))
	le.PutUint32(par[parMXCSR:], 0x1f80)
	return page
}

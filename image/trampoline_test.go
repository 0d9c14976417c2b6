package image

import (
	"encoding/binary"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"nom.dev/nom/abi"
)

// decode decodes code that must consist of the given instructions.
func decode(t *testing.T, mode int, code []instruction) []x86asm.Inst {
	t.Helper()
	var all []x86asm.Inst
	for _, in := range code {
		inst, err := x86asm.Decode([]byte(in.code), mode)
		if err != nil {
			t.Errorf("%s: % x: %v", in.text, in.code, err)
			continue
		}
		if inst.Len != len(in.code) {
			t.Errorf("%s: % x: the instruction takes %d bytes", in.text, in.code, inst.Len)
		}
		if got := x86asm.IntelSyntax(inst, 0, nil); got != in.text {
			t.Errorf("% x (%d-bit): got %q, want %q", in.code, mode, got, in.text)
		}
		all = append(all, inst)
	}
	return all
}

// The machine code says what its text says.
func TestTrampolineDecodes(t *testing.T) {
	for _, f := range trampolineCode {
		decode(t, f.mode, f.code)
	}
}

// The fragments leave room for each other and for the tables.
func TestTrampolineFits(t *testing.T) {
	ends := []int{offAPJoin, offLong, offAP, offAP + apGDTR}
	for i, f := range trampolineCode {
		size := 0
		for _, in := range f.code {
			size += len(in.code)
		}
		if f.offset+size > ends[i] {
			t.Errorf("fragment at %#x: got an end at %#x, want at most %#x", f.offset, f.offset+size, ends[i])
		}
	}
	if end := offGDT + 8*len(descriptors); end > offGDTR {
		t.Errorf("descriptors: got an end at %#x, want at most %#x", end, offGDTR)
	}
}

// The addresses in the machine code are those of the constants.
func TestTrampolineAddresses(t *testing.T) {
	var got []int64
	for _, f := range trampolineCode {
		for _, inst := range decode(t, f.mode, f.code) {
			for _, arg := range inst.Args {
				if m, ok := arg.(x86asm.Mem); ok && m.Base == 0 {
					got = append(got, m.Disp)
				}
			}
			if inst.Op == x86asm.LJMP {
				got = append(got, int64(inst.Args[1].(x86asm.Imm)), int64(inst.Args[0].(x86asm.Imm)))
			}
		}
	}
	const at, par = trampolineAddr, trampolineAddr + offParams
	want := []int64{
		par + parStartInfo,
		at + offGDTR, par + parTables, at + offLong, codeSelector64,
		par + parMXCSR, par + parBoot, par + parEntry,
		apGDTR, at + offAPJoin, codeSelector32,
	}
	if len(got) != len(want) {
		t.Fatalf("got %#x, want %#x", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("address %d: got %#x, want %#x", i, got[i], want[i])
		}
	}
}

// The first processor copies the others' code whole, and joins them after the instruction that tells them apart.
func TestTrampolineJoin(t *testing.T) {
	first := trampolineCode[0]
	code := decode(t, 32, first.code)
	imm := func(i int) int64 { return int64(code[i].Args[1].(x86asm.Imm)) }
	if imm(4) != trampolineAddr+offAP || imm(5) != apPage || imm(6) != offGDT-offAP {
		t.Errorf("copy: got %#x to %#x, %#x bytes; want %#x to %#x, %#x bytes", imm(4), imm(5), imm(6),
			trampolineAddr+offAP, apPage, offGDT-offAP)
	}
	end := first.offset
	for _, in := range first.code {
		end += len(in.code)
	}
	target := end + int(code[len(code)-1].Args[0].(x86asm.Rel))
	if want := offAPJoin + len(trampolineCode[1].code[0].code); target != want {
		t.Errorf("jump: got %#x, want %#x", target, want)
	}
}

func TestTrampolineData(t *testing.T) {
	const boot, startInfo, tables, entry = 0x101000, 0x101390, 0x102000, 0x7000_1234
	page := trampoline(boot, startInfo, tables, entry)
	le := binary.LittleEndian
	if len(page) != abi.PageSize {
		t.Fatalf("got %d bytes, want a page", len(page))
	}
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"boot page", le.Uint64(page[0x300:]), boot},
		{"entry", le.Uint64(page[0x308:]), entry},
		{"start info", uint64(le.Uint32(page[0x310:])), startInfo},
		{"tables", uint64(le.Uint32(page[0x314:])), tables},
		{"MXCSR", uint64(le.Uint32(page[0x318:])), 0x1f80},
		{"limit", uint64(le.Uint16(page[0x220:])), 31},
		{"descriptors", uint64(le.Uint32(page[0x222:])), 0x100200},
		{"others' limit", uint64(le.Uint16(page[0x120:])), 31},
		{"others' descriptors", uint64(le.Uint32(page[0x122:])), 0x100200},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

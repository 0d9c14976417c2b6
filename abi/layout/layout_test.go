package layout

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout/layouttest"
)

func input() Input {
	return Input{
		Program:  layouttest.Program(),
		Platform: layouttest.Platform(),
		Args:     []string{"demo", "-x"},
		Env:      []string{"A=b"},
		Name:     "demo",
		Base:     abi.ImageAddr,
		Limit:    16 << 20,
	}
}

func plan(t *testing.T, in Input) *Plan {
	t.Helper()
	p, err := New(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestContainer(t *testing.T) {
	in := input()
	in.Files = layouttest.Bytes(5000, 7)
	p := plan(t, in)
	type place struct {
		from         Source
		va, pa, size uint64
		prot         uint32
	}
	want := []place{
		{Program, 0x400000, 0x10000, 0x3000, 5},
		{Program, 0x403000, 0x13000, 0x2000, 4},
		{Program, 0x405000, 0x15000, 0x1000, 6},
		{Arguments, 0, 0x16000, 0x1000, 4},
		{Platform, 0x70000000, 0x200000, 0x2000, 5},
		{Platform, 0x70002000, 0x202000, 0x1000, 4},
		{Platform, 0x70203000, 0x403000, 0x5000, 6},
		{Files, 0, 0x408000, 0x2000, 4},
	}
	var got []place
	for _, q := range p.Pieces {
		got = append(got, place{q.Source, q.VA, q.PA, q.Size, q.Prot})
	}
	if !slices.Equal(got, want) {
		t.Errorf("pieces:\n got %+v\nwant %+v", got, want)
	}
	wantFree := []abi.Range{{Addr: 0x17000, Size: 0x1e9000}, {Addr: 0x203000, Size: 0x200000}, {Addr: 0x40a000, Size: 16<<20 - 0x40a000}}
	if got := p.Boot.Free[:p.Boot.NumFree]; !slices.Equal(got, wantFree) {
		t.Errorf("free: got %#x, want %#x", got, wantFree)
	}
	wantSegs := []abi.Segment{
		{VA: 0x400000, PA: 0x10000, Size: 0x3000, Prot: 5},
		{VA: 0x403000, PA: 0x13000, Size: 0x2000, Prot: 4},
		{VA: 0x405000, PA: 0x15000, Size: 0x1000, Zero: 0x30000, Prot: 6},
		{VA: 0x70000000, PA: 0x200000, Size: 0x2000, Prot: 5},
		{VA: 0x70002000, PA: 0x202000, Size: 0x1000, Prot: 4},
		{VA: 0x70203000, PA: 0x403000, Size: 0x5000, Prot: 6},
	}
	if got := p.Boot.Segments[:p.Boot.NumSegments]; !slices.Equal(got, wantSegs) {
		t.Errorf("segments:\n got %#x\nwant %#x", got, wantSegs)
	}
	if want := (abi.VCPUState{RIP: 0x70001000, CR3: abi.EntryTables, RDI: abi.BootPageAddr}); p.State != want {
		t.Errorf("state: got %#x, want %#x", p.State, want)
	}
	if p.End != 0x40a000 || p.BootAddr != abi.BootPageAddr || p.TablesAddr != abi.EntryTables {
		t.Errorf("got end %#x, boot page %#x, tables %#x", p.End, p.BootAddr, p.TablesAddr)
	}
}

func TestBootPage(t *testing.T) {
	in := input()
	in.Bundle, in.Files = make([]byte, 8192), make([]byte, 4096)
	boot := plan(t, in).Boot
	if boot.Magic != abi.BootMagic || boot.Flags != 0 || boot.Entry != 0x401000 || boot.VCPUs != 1 {
		t.Errorf("got magic %#x, flags %#x, entry %#x, vCPUs %d", boot.Magic, boot.Flags, boot.Entry, boot.VCPUs)
	}
	if want := (abi.Range{Addr: 0x16000, Size: 12}); boot.Args != want || boot.NumArgs != 2 || boot.NumEnv != 1 {
		t.Errorf("got args %#x, %d, %d; want %#x, 2, 1", boot.Args, boot.NumArgs, boot.NumEnv, want)
	}
	if want := (abi.Range{Addr: 0x408000, Size: 8192}); boot.Bundle != want {
		t.Errorf("bundle: got %#x, want %#x", boot.Bundle, want)
	}
	if want := (abi.Range{Addr: 0x40a000, Size: 4096}); boot.Files != want {
		t.Errorf("files: got %#x, want %#x", boot.Files, want)
	}
	if boot.MemoryTop != in.Limit || boot.ImageEnd != 0 {
		t.Errorf("got top %#x, image end %#x; want %#x, 0", boot.MemoryTop, boot.ImageEnd, in.Limit)
	}
	if got := string(bytes.TrimRight(boot.Name[:], "\x00")); got != "demo" {
		t.Errorf("name: got %q, want demo", got)
	}
}

func TestHost(t *testing.T) {
	in := input()
	in.Host, in.Limit, in.Base, in.BootPage, in.Tables = true, 0, 4<<20, 0x101000, 0x102000
	p := plan(t, in)
	if p.Boot.Flags != abi.BootHost || p.Boot.ImageEnd != p.End || p.Boot.MemoryTop != 0 {
		t.Errorf("got flags %d, image end %#x, top %#x; want %d, %#x, 0", p.Boot.Flags, p.Boot.ImageEnd, p.Boot.MemoryTop, abi.BootHost, p.End)
	}
	if p.State.CR3 != 0x102000 || p.State.RDI != 0x101000 {
		t.Errorf("got CR3 %#x, RDI %#x", p.State.CR3, p.State.RDI)
	}
	for _, q := range p.Pieces {
		if q.Shared {
			t.Errorf("piece at %#x is marked shared on a bare machine", q.PA)
		}
	}
}

// Only read-only pieces that lie by the page in their source are lent.
func TestLend(t *testing.T) {
	in := input()
	in.Lend, in.Files = true, make([]byte, 4096)
	in.Program = layouttest.ELF(0x401000,
		layouttest.Segment{VA: 0x400000, Data: layouttest.Bytes(0x2000, 1), Flags: 5},
		layouttest.Segment{VA: 0x404000, Data: layouttest.Bytes(0x1000, 2), Flags: 4, Shift: 16}, // not at a page of the file
		layouttest.Segment{VA: 0x406010, Data: layouttest.Bytes(0x1000, 2), Flags: 4},            // not at a page of memory
		layouttest.Segment{VA: 0x409000, Data: layouttest.Bytes(0x10, 3), Zero: 1, Flags: 4},     // ends in zeros
		layouttest.Segment{VA: 0x40a000, Data: layouttest.Bytes(0x10, 3), Flags: 6})              // writable
	p := plan(t, in)
	var got []uint64
	for _, q := range p.Pieces {
		if q.Shared {
			got = append(got, q.VA)
		}
	}
	if want := []uint64{0x400000, 0x70000000, 0x70002000, 0}; !slices.Equal(got, want) {
		t.Errorf("got %#x shared, want %#x", got, want)
	}
	if p.Pieces[0].Offset != 0x1000 {
		t.Errorf("offset: got %#x, want 0x1000", p.Pieces[0].Offset)
	}
	own, lent := p.Pages()
	if want := uint64(2 + 2 + 1 + 1); lent != want || own+lent != p.End/abi.PageSize-abi.ReservedPages {
		t.Errorf("got %d own pages, %d lent; want %d lent, the sum %d", own, lent, want, p.End/abi.PageSize)
	}
}

// A limit set later gives the same plan.
func TestSetLimit(t *testing.T) {
	want := plan(t, input())
	in := input()
	in.Limit = 0
	got := plan(t, in)
	for _, c := range []struct{ limit, top uint64 }{{0, 0}, {1 << 20, 0}, {16<<20 + 1, 0}, {16 << 20, 8 << 20}} {
		if err := got.SetLimit(c.limit, c.top); err == nil {
			t.Errorf("limit %#x, top %#x: got no error", c.limit, c.top)
		}
	}
	if err := got.SetLimit(16<<20, 0); err != nil {
		t.Fatal(err)
	}
	if got.Boot != want.Boot {
		t.Errorf("got %+v, want %+v", got.Boot, want.Boot)
	}
	if err := got.SetLimit(32<<20, 0); err == nil {
		t.Error("a second limit: got no error")
	}
}

// walk translates an address as the processor does.
func walk(p *Plan, va uint64) (uint64, bool) {
	at := p.State.CR3
	for shift := 39; shift >= 21; shift -= 9 {
		e := binary.LittleEndian.Uint64(p.Tables[at-p.TablesAddr+va>>shift&511*8:])
		if e&pteP == 0 {
			return 0, false
		}
		if shift == 21 {
			return e&^0xfff + va&(largePage-1), e&ptePS != 0 && e&pteRW != 0
		}
		at = e &^ 0xfff
	}
	return 0, false
}

func TestEntryTables(t *testing.T) {
	in := input()
	in.Tables = 0x9000
	p := plan(t, in)
	for _, c := range []struct{ va, want uint64 }{
		{0, 0},
		{0x1234, 0x1234},
		{0x3fff_ffff, 0x3fff_ffff},
		{abi.DirectMap, 0},
		{abi.DirectMap + 0x3fff_f123, 0x3fff_f123},
		{abi.PlatformAddr, 0x200000},
		{abi.PlatformAddr + 0x203456, 0x403456},
		{0x7fff_ffff, 0x101f_ffff},
	} {
		if got, ok := walk(p, c.va); !ok || got != c.want {
			t.Errorf("%#x: got %#x, %t; want %#x", c.va, got, ok, c.want)
		}
	}
	for _, va := range []uint64{0x4000_0000, 0x6fff_ffff, 0x8000_0000, abi.DirectMap + 1<<30, abi.DirectMap - 1} {
		if got, ok := walk(p, va); ok {
			t.Errorf("%#x: got %#x, want nothing mapped", va, got)
		}
	}
}

func TestInputErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   string
	}{
		{"no args", func(in *Input) { in.Args = nil }, "no arguments"},
		{"NUL", func(in *Input) { in.Env = []string{"A=\x00"} }, "NUL byte"},
		{"long args", func(in *Input) { in.Args = []string{strings.Repeat("a", 3<<20)} }, "shorten them"},
		{"base", func(in *Input) { in.Base = 0x8000 }, "cannot start at"},
		{"alignment", func(in *Input) { in.Base++ }, "not a multiple"},
		{"boot page", func(in *Input) { in.BootPage = 0x20000 }, "must lie below"},
		{"overlap", func(in *Input) { in.Tables = 0x1000 }, "overlap"},
		{"memory", func(in *Input) { in.Limit = 2 << 20 }, "give more memory"},
		{"top", func(in *Input) { in.Top = 8 << 20 }, "beyond the address space"},
		{"reach", func(in *Input) { in.Base = 1 << 30; in.Limit = 2 << 30 }, "must end below"},
		{"far base", func(in *Input) { in.Base = 1<<64 - 4096; in.Limit = 0 }, "must end below"},
	} {
		in := input()
		c.change(&in)
		if _, err := New(in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// The test's own executable is an ordinary Go program.
func TestGoProgram(t *testing.T) {
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	if in.Program, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	in.Lend = true
	in.Limit = 256 << 20
	p, err := New(in)
	if err != nil && strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Skip("the tests were built with cgo")
	}
	if err != nil {
		t.Fatal(err)
	}
	if !p.Pieces[0].Shared || !p.Pieces[1].Shared || p.Pieces[2].Shared {
		t.Errorf("got text, read-only data and data shared: %t, %t, %t; want true, true, false", p.Pieces[0].Shared, p.Pieces[1].Shared, p.Pieces[2].Shared)
	}
	if data := p.Boot.Segments[2]; data.Zero == 0 || data.Prot != abi.ProtRead|abi.ProtWrite {
		t.Errorf("data segment: got %+v, want demand-zero memory behind writable data", data)
	}
}

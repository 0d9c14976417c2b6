// Package layout says where everything lies in memory when a program starts on the platform: a pure function from the
// program, the platform and some parameters to pieces of memory, the boot page, the page tables to start with and the
// first registers. The image tool uses it for the nonkernel on the bare machine, the nonkernel for the root
// container, and the root container for its children.
//
// Physical memory, in this order:
//
//	boot page, entry tables   at fixed addresses below Base in a container, anywhere on a bare machine
//	Base                      the segments of the program and of its companion, then the argument strings
//	(gap)                     free, up to the next 2 MiB boundary
//	2 MiB aligned             the platform, each segment at its virtual address minus abi.PlatformAddr
//	                          the bundle, the files
//	End                       free, up to Limit
//
// The program is read as the ELF specification has it, by hand and from hostile bytes: a bad file is an error that says
// what to do. The package must never touch the memory that it plans, and must not import what cannot run on metal.
package layout

import (
	"encoding/binary"
	"fmt"

	"nom.dev/nom/abi"
)

const (
	pageMask  = abi.PageSize - 1
	largePage = 2 << 20
	reach     = 1 << 30   // what the entry tables map
	lowest    = 0x10000   // programs leave the first pages unmapped
	maxPlat   = 256 << 20 // what the entry tables map of the platform
	maxArgs   = 2 << 20   // as Linux has it, about
)

// Source says which bytes a Piece consists of.
type Source int

// Sources of a Piece.
const (
	Program Source = iota
	Companion
	Platform
	Arguments
	Bundle
	Files
)

func (s Source) String() string {
	return [...]string{"program", "companion", "platform", "arguments", "bundle", "files"}[s]
}

// Input is what New needs to know.
type Input struct {
	Program   []byte // ELF
	Companion []byte // ELF of a second program, linked at abi.CompanionAddr; may be nil
	Platform  []byte // ELF
	Args      []string
	Env       []string
	Name      string
	Bundle    []byte // for the program to open; may be nil
	// BundleRest are the parts that follow when Bundle is only its beginning, each from a page boundary on.
	BundleRest [][]byte
	Files      []byte // a bundle of the program's read-only files; may be nil

	Base  uint64 // first physical page to use
	Limit uint64 // end of the memory; what lies between the image and it is free. 0: set later, by the platform or SetLimit
	Top   uint64 // end of the physical address space, for BootPage.MemoryTop; 0 = Limit

	Host     bool   // on the bare machine
	BootPage uint64 // physical address of the boot page; 0 = abi.BootPageAddr
	Tables   uint64 // physical address of the entry tables; 0 = abi.EntryTables

	Lend bool // mark what can be lent instead of copied
}

// Piece is a stretch of memory with contents. VA, PA and Size are page aligned.
type Piece struct {
	VA   uint64 // 0 for what is not mapped at an address of its own
	PA   uint64
	Size uint64
	Data []byte // what it starts with; zeros follow up to Size
	Prot uint32

	// Shared: it is read-only and starts at a page boundary of its source, at Offset, so its pages may be lent
	// instead of copied. Then the bytes of the source that follow Data show in the last page instead of zeros.
	Shared bool
	Source Source
	Offset uint64
}

// Plan is where everything lies.
type Plan struct {
	Pieces     []Piece // in ascending order of PA, without those below
	Boot       abi.BootPage
	BootAddr   uint64
	Tables     []byte
	TablesAddr uint64
	State      abi.VCPUState // of the first vCPU
	End        uint64        // end of the last piece
}

// New plans the start of a program.
func New(in Input) (*Plan, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	program, companion, err := in.programs()
	if err != nil {
		return nil, err
	}
	platform, err := parseELF("platform", in.Platform, abi.PlatformAddr, abi.PlatformAddr+maxPlat)
	if err != nil {
		return nil, err
	}
	b := &builder{in: in, next: in.Base}
	b.boot = abi.BootPage{Magic: abi.BootMagic, Entry: program.entry, Main: symbol(in.Program, "main.main"), VCPUs: 1}
	if in.Host {
		b.boot.Flags = abi.BootHost
	}
	copy(b.boot.Name[:abi.NameLen-1], in.Name)
	b.addProgram(Program, program)
	if companion != nil {
		b.boot.Companion = companion.entry
		b.addProgram(Companion, companion)
	}
	b.addArgs()
	b.addPlatform(platform)
	b.boot.Bundle = b.addBlob(Bundle, in.Bundle)
	for _, part := range in.BundleRest {
		b.boot.Bundle.Size += b.addBlob(Bundle, part).Size
	}
	b.boot.Files = b.addBlob(Files, in.Files)
	return b.finish(platform)
}

// programs reads the program and its companion, which is nil when there is none.
func (in *Input) programs() (program, companion *image, err error) {
	end := uint64(abi.PlatformAddr)
	if len(in.Companion) != 0 {
		end = abi.CompanionAddr
		if companion, err = parseELF("companion", in.Companion, abi.CompanionAddr, abi.PlatformAddr); err != nil {
			return nil, nil, err
		}
	}
	program, err = parseELF("program", in.Program, lowest, end)
	return program, companion, err
}

// check fills in defaults and checks the parameters that are not files.
func (in *Input) check() error {
	if in.BootPage == 0 {
		in.BootPage = abi.BootPageAddr
	}
	if in.Tables == 0 {
		in.Tables = abi.EntryTables
	}
	if (in.Base|in.Limit|in.Top|in.BootPage|in.Tables)&pageMask != 0 {
		return fmt.Errorf("layout: an address is not a multiple of %d: base %#x, limit %#x, top %#x, boot page %#x, tables %#x",
			abi.PageSize, in.Base, in.Limit, in.Top, in.BootPage, in.Tables)
	}
	if in.Base < abi.ImageAddr {
		return fmt.Errorf("layout: the image cannot start at %#x: what lies below %#x is taken", in.Base, abi.ImageAddr)
	}
	if in.Base >= reach {
		return fmt.Errorf("layout: the image would start at %#x, and must end below %#x", in.Base, uint64(reach))
	}
	if in.BootPage >= in.Base || in.Tables+EntryTablesSize > in.Base {
		return fmt.Errorf("layout: boot page %#x and entry tables %#x must lie below the image at %#x", in.BootPage, in.Tables, in.Base)
	}
	if in.BootPage+abi.PageSize > in.Tables && in.Tables+EntryTablesSize > in.BootPage {
		return fmt.Errorf("layout: boot page %#x and entry tables %#x overlap", in.BootPage, in.Tables)
	}
	return in.checkStrings()
}

func (in *Input) checkStrings() error {
	if len(in.Args) == 0 {
		return fmt.Errorf("layout: no arguments: the first must be the program's name")
	}
	total := 0
	for _, list := range [][]string{in.Args, in.Env} {
		for _, s := range list {
			for i := range len(s) {
				if s[i] == 0 {
					return fmt.Errorf("layout: argument or environment string %q has a NUL byte in it", s)
				}
			}
			total += len(s) + 1
		}
	}
	if total > maxArgs {
		return fmt.Errorf("layout: arguments and environment take %d bytes, and %d is the most: shorten them", total, maxArgs)
	}
	return nil
}

// builder places pieces one after the other.
type builder struct {
	in     Input
	pieces []Piece
	segs   []abi.Segment
	free   []abi.Range
	boot   abi.BootPage
	next   uint64 // first physical page that is not taken
	plat   uint64 // where abi.PlatformAddr lies
}

// addProgram places the program's segments. Of zero memory, only what shares the last page with data is backed.
func (b *builder) addProgram(from Source, im *image) {
	for i := range im.segs {
		s := &im.segs[i]
		va := s.va &^ pageMask
		size := pageUp(s.va+uint64(len(s.data))) - va
		if len(s.data) == 0 {
			size = 0
		}
		b.segs = append(b.segs, abi.Segment{VA: va, PA: b.next, Size: size, Zero: s.end() - va - size, Prot: s.prot})
		b.addSegment(from, s, b.next, size)
		b.next += size
	}
}

// addPlatform places the platform so that 2 MiB pages can map it, zero memory included.
func (b *builder) addPlatform(im *image) {
	start := largeUp(b.next)
	b.plat = start
	for i := range im.segs {
		s := &im.segs[i]
		va := s.va &^ pageMask
		pa, size := start+va-abi.PlatformAddr, s.end()-va
		b.addFree(b.next, pa)
		b.segs = append(b.segs, abi.Segment{VA: va, PA: pa, Size: size, Prot: s.prot})
		b.addSegment(Platform, s, pa, size)
		b.next = pa + size
	}
}

// addSegment adds the piece of a segment whose first page lies at pa.
func (b *builder) addSegment(from Source, s *segment, pa, size uint64) {
	if size == 0 {
		return
	}
	head := s.va & pageMask
	p := Piece{VA: s.va - head, PA: pa, Size: size, Data: s.data, Prot: s.prot, Source: from, Offset: s.offset}
	if head != 0 {
		p.Data = append(make([]byte, head, head+uint64(len(s.data))), s.data...)
	}
	readOnly := s.prot&abi.ProtWrite == 0 && uint64(len(s.data)) == s.memsz
	p.Shared = b.in.Lend && readOnly && head == 0 && s.offset&pageMask == 0
	b.pieces = append(b.pieces, p)
}

// addArgs places the strings of argv and envp.
func (b *builder) addArgs() {
	var data []byte
	for _, list := range [][]string{b.in.Args, b.in.Env} {
		for _, s := range list {
			data = append(append(data, s...), 0)
		}
	}
	size := pageUp(uint64(len(data)))
	b.boot.NumArgs, b.boot.NumEnv = uint32(len(b.in.Args)), uint32(len(b.in.Env))
	b.boot.Args = abi.Range{Addr: b.next, Size: uint64(len(data))}
	b.pieces = append(b.pieces, Piece{PA: b.next, Size: size, Data: data, Prot: abi.ProtRead, Source: Arguments})
	b.next += size
}

// addBlob places bytes that are read where they lie.
func (b *builder) addBlob(from Source, data []byte) abi.Range {
	if len(data) == 0 {
		return abi.Range{}
	}
	r := abi.Range{Addr: b.next, Size: pageUp(uint64(len(data)))}
	b.pieces = append(b.pieces, Piece{PA: r.Addr, Size: r.Size, Data: data, Prot: abi.ProtRead, Source: from, Shared: b.in.Lend})
	b.next += r.Size
	return r
}

func (b *builder) addFree(from, to uint64) {
	if to > from {
		b.free = append(b.free, abi.Range{Addr: from, Size: to - from})
	}
}

// finish checks that everything has its place and fills in the boot page.
func (b *builder) finish(platform *image) (*Plan, error) {
	in := &b.in
	if b.next > reach {
		return nil, fmt.Errorf("layout: the image ends at %#x, and must end below %#x: the program or its files are too large", b.next, uint64(reach))
	}
	if len(b.segs) > len(b.boot.Segments) || len(b.free) > len(b.boot.Free) {
		return nil, fmt.Errorf("layout: %d segments and %d gaps, and the boot page has room for %d and %d: link with the Go linker",
			len(b.segs), len(b.free), len(b.boot.Segments), len(b.boot.Free))
	}
	b.boot.NumSegments = uint32(copy(b.boot.Segments[:], b.segs))
	b.boot.NumFree = uint32(copy(b.boot.Free[:], b.free))
	if in.Host {
		b.boot.ImageEnd = b.next
	}
	p := &Plan{
		Pieces:     b.pieces,
		Boot:       b.boot,
		BootAddr:   in.BootPage,
		Tables:     entryTables(in.Tables, b.plat),
		TablesAddr: in.Tables,
		State:      abi.VCPUState{RIP: platform.entry, CR3: in.Tables, RDI: in.BootPage},
		End:        b.next,
	}
	if in.Limit == 0 {
		return p, nil
	}
	return p, p.SetLimit(in.Limit, in.Top)
}

// BootBytes encodes the boot page as it lies in memory, one page long.
func (p *Plan) BootBytes() []byte {
	b, err := binary.Append(make([]byte, 0, abi.PageSize), binary.LittleEndian, &p.Boot)
	if err != nil || len(b) > abi.PageSize {
		panic("layout: abi.BootPage is not a page of fixed-size fields") // pinned by a test
	}
	return b[:abi.PageSize]
}

// SetLimit sets the end of the memory after the plan is made, for callers that derive it from Pages: what lies between
// End and limit becomes free. top is the end of the address space, 0 = limit. It is for plans made with Limit 0.
func (p *Plan) SetLimit(limit, top uint64) error {
	if top == 0 {
		top = limit
	}
	switch {
	case p.Boot.MemoryTop != 0:
		return fmt.Errorf("layout: the limit is already set to %#x", p.Boot.MemoryTop)
	case (limit|top)&pageMask != 0 || limit == 0:
		return fmt.Errorf("layout: limit %#x or top %#x is not a multiple of %d above 0", limit, top, abi.PageSize)
	case p.End > limit:
		return fmt.Errorf("layout: the image takes %d KiB of memory and there are %d KiB: give more memory", p.End>>10, limit>>10)
	case limit > top:
		return fmt.Errorf("layout: memory ends at %#x, beyond the address space, which ends at %#x", limit, top)
	}
	p.Boot.MemoryTop = top
	if limit == p.End {
		return nil
	}
	if int(p.Boot.NumFree) == len(p.Boot.Free) {
		return fmt.Errorf("layout: %d gaps in the image, and the boot page has room for %d: link with the Go linker", p.Boot.NumFree, len(p.Boot.Free))
	}
	p.Boot.Free[p.Boot.NumFree] = abi.Range{Addr: p.End, Size: limit - p.End}
	p.Boot.NumFree++
	return nil
}

// Pages counts the pages of a container below End: own, which its grant must cover if all are touched, and lent, the
// shared pieces. The abi.ReservedPages are in neither; pages that the parent lends below Base are counted as own.
func (p *Plan) Pages() (own, lent uint64) {
	for i := range p.Pieces {
		if p.Pieces[i].Shared {
			lent += p.Pieces[i].Size / abi.PageSize
		}
	}
	return p.End/abi.PageSize - lent - abi.ReservedPages, lent
}

func pageUp(n uint64) uint64 { return (n + pageMask) &^ pageMask }

func largeUp(n uint64) uint64 { return (n + largePage - 1) &^ (largePage - 1) }

package layout

import (
	"encoding/binary"
	"fmt"

	"nom.dev/nom/abi"
)

// Numbers of the ELF specification ("Tool Interface Standard, Executable and Linking Format", with the x86-64 psABI).
const (
	elfHeadSize = 64
	elfProgSize = 56

	classELF64  = 2
	dataLSB     = 1
	etExec      = 2
	etDyn       = 3
	emX8664     = 62
	ptLoad      = 1
	ptInterp    = 3
	osabiLinux  = 3
	maxPrograms = 128
)

// image is what matters of an executable.
type image struct {
	what  string // for errors: "program" or "platform"
	entry uint64
	segs  []segment
}

// segment is one PT_LOAD header with the file bytes it names.
type segment struct {
	va, memsz uint64
	data      []byte
	offset    uint64 // of data in the file
	prot      uint32
}

// end is the first address after the segment, rounded up to a page.
func (s *segment) end() uint64 { return pageUp(s.va + s.memsz) }

// parseELF reads the headers of a static x86-64 executable whose addresses lie in [low, high).
func parseELF(what string, b []byte, low, high uint64) (*image, error) {
	im, err := readELF(what, b)
	if err != nil {
		return nil, fmt.Errorf("layout: the %s cannot be laid out: %w", what, err)
	}
	if err := im.check(low, high); err != nil {
		return nil, fmt.Errorf("layout: the %s cannot be laid out: %w", what, err)
	}
	return im, nil
}

func readELF(what string, b []byte) (*image, error) {
	if err := checkHead(b); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	phoff, phentsize, phnum := le.Uint64(b[32:]), le.Uint16(b[54:]), int(le.Uint16(b[56:]))
	if phentsize != elfProgSize || phnum == 0 || phnum > maxPrograms {
		return nil, fmt.Errorf("its header gives %d program headers of %d bytes; 1 to %d of %d are possible: the file is damaged or not an executable",
			phnum, phentsize, maxPrograms, elfProgSize)
	}
	size := uint64(len(b))
	if phoff > size || uint64(phnum)*elfProgSize > size-phoff {
		return nil, fmt.Errorf("its program headers lie at %#x, beyond the end of the file at %#x: the file is cut off", phoff, size)
	}
	im := &image{what: what, entry: le.Uint64(b[24:])}
	for i := range phnum {
		ph := b[phoff+uint64(i)*elfProgSize:][:elfProgSize]
		switch le.Uint32(ph) {
		case ptInterp:
			return nil, fmt.Errorf("it is linked dynamically; build it with CGO_ENABLED=0 and -buildmode=exe, or use nom build")
		case ptLoad:
			seg, err := readSegment(i, ph, b)
			if err != nil {
				return nil, err
			}
			if seg.memsz != 0 {
				im.segs = append(im.segs, seg)
			}
		}
	}
	return im, nil
}

// checkHead checks that b starts like an executable for this system.
func checkHead(b []byte) error {
	if len(b) < elfHeadSize || string(b[:4]) != "\x7fELF" {
		return fmt.Errorf("it is not an ELF file: give a program that go build made with GOOS=linux GOARCH=amd64")
	}
	le := binary.LittleEndian
	machine, typ := le.Uint16(b[18:]), le.Uint16(b[16:])
	switch {
	case b[4] != classELF64 || b[5] != dataLSB || machine != emX8664:
		return fmt.Errorf("it is for another processor (ELF machine %d, class %d): build it with GOARCH=amd64", machine, b[4])
	case b[7] != 0 && b[7] != osabiLinux:
		return fmt.Errorf("it is for another operating system (ELF OS ABI %d): build it with GOOS=linux", b[7])
	case typ == etDyn:
		return fmt.Errorf("it is position-independent: build it with -buildmode=exe and CGO_ENABLED=0")
	case typ != etExec:
		return fmt.Errorf("it is not an executable (ELF type %d): build a package main", typ)
	}
	return nil
}

func readSegment(i int, ph, b []byte) (segment, error) {
	le := binary.LittleEndian
	offset, va := le.Uint64(ph[8:]), le.Uint64(ph[16:])
	filesz, memsz := le.Uint64(ph[32:]), le.Uint64(ph[40:])
	size := uint64(len(b))
	if offset > size || filesz > size-offset {
		return segment{}, fmt.Errorf("segment %d has %#x bytes at offset %#x, beyond the end of the file at %#x: the file is cut off", i, filesz, offset, size)
	}
	if filesz > memsz {
		return segment{}, fmt.Errorf("segment %d has more bytes in the file (%#x) than in memory (%#x): the file is damaged", i, filesz, memsz)
	}
	flags := le.Uint32(ph[4:])
	return segment{va, memsz, b[offset : offset+filesz : offset+filesz], offset, flags & (abi.ProtExec | abi.ProtWrite | abi.ProtRead)}, nil
}

// check checks that the segments can be mapped by the page, in [low, high), and that the entry point is in one of them.
func (im *image) check(low, high uint64) error {
	if len(im.segs) == 0 {
		return fmt.Errorf("it has no segment to load: the file is damaged or not an executable")
	}
	next, entered := low, false
	for i := range im.segs {
		s := &im.segs[i]
		if s.va > high || s.memsz > high-s.va {
			return fmt.Errorf("it occupies %#x to %#x, and must end below %#x: it is too large, or was linked with -T", s.va, s.va+s.memsz, high)
		}
		if s.va < low {
			return fmt.Errorf("it starts at %#x, and nothing may lie below %#x: was it linked with -T?", s.va, low)
		}
		if s.va&^pageMask < next {
			return fmt.Errorf("segment %d at %#x shares a page with the one before or lies below it: link it with the Go linker", i, s.va)
		}
		next = s.end()
		entered = entered || s.prot&abi.ProtExec != 0 && im.entry >= s.va && im.entry-s.va < uint64(len(s.data))
	}
	if !entered {
		return fmt.Errorf("its entry point %#x is not in an executable segment: the file is damaged", im.entry)
	}
	return nil
}

// CheckProgram checks that New can lay out a program.
func CheckProgram(b []byte) error {
	_, err := parseELF("program", b, lowest, abi.PlatformAddr)
	return err
}

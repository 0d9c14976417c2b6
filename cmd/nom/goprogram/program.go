// Package goprogram makes sense of a Go program that runs elsewhere: of its memory, which it reads piece by piece, and of addresses
// of its code, with the help of the program's ELF file. It knows the runtime of Go 1.26 (runtime/runtime2.go, runtime/mprof.go).
//
// What it reads changes while it reads, and may be anything: everything is bounded, and what makes no sense is left out or said.
// The package must never write to the program, and never print.
package goprogram

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Range is a stretch of memory.
type Range struct {
	Address uint64
	Size    int
}

// Memory reads a program's memory, any number of ranges of any size. What the program has not got makes an element shorter.
type Memory func(ctx context.Context, ranges []Range) ([][]byte, error)

// Program is what an ELF file says about a Go program.
type Program struct {
	Version string // of Go
	file    *elf.File
	symbols map[string]elf.Symbol
	lines   *gosym.Table
	layout  layout
}

// Open reads the ELF file of a Go program, with symbols.
func Open(raw []byte) (*Program, error) {
	info, err := buildinfo.Read(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("the program is not made by Go: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("the program's ELF file: %w", err)
	}
	p := &Program{Version: info.GoVersion, file: f, symbols: map[string]elf.Symbol{}}
	text, pcln := f.Section(".text"), f.Section(".gopclntab")
	if text == nil || pcln == nil {
		return nil, errors.New("the program's ELF file has no table of its functions")
	}
	data, err := pcln.Data()
	if err != nil {
		return nil, fmt.Errorf("the program's table of functions: %w", err)
	}
	if p.lines, err = gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr)); err != nil {
		return nil, fmt.Errorf("the program's table of functions: %w", err)
	}
	symbols, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("the program's symbols: %w", err)
	}
	for _, s := range symbols {
		if strings.HasPrefix(s.Name, "runtime.") && elf.ST_TYPE(s.Info) == elf.STT_OBJECT {
			p.symbols[s.Name] = s
		}
	}
	return p, nil
}

// variable is the address of a variable of the runtime.
func (p *Program) variable(name string) (uint64, error) {
	s, ok := p.symbols["runtime."+name]
	if !ok {
		return 0, fmt.Errorf("the program has no symbol runtime.%s: build it without -ldflags=-s", name)
	}
	return s.Value, nil
}

// place is where code lies.
type place struct {
	function string
	entry    uint64
	file     string
	line     int
}

// at finds the place of an address of code; that of a call when it is where the call returns to.
func (p *Program) at(pc uint64, returns bool) (place, bool) {
	f := p.lines.PCToFunc(pc)
	if f == nil {
		return place{}, false
	}
	look := pc
	if returns && pc > f.Entry {
		look--
	}
	file, line, _ := p.lines.PCToLine(look)
	return place{f.Name, f.Entry, file, line}, true
}

// stored reads what the ELF file itself has at an address: variables that are never written.
func (p *Program) stored(address uint64, size int) ([]byte, error) {
	for _, prog := range p.file.Progs {
		if prog.Type == elf.PT_LOAD && address >= prog.Vaddr && address-prog.Vaddr < prog.Filesz && prog.Filesz-(address-prog.Vaddr) >= uint64(size) {
			b := make([]byte, size)
			_, err := prog.ReadAt(b, int64(address-prog.Vaddr))
			return b, err
		}
	}
	return nil, fmt.Errorf("the program's ELF file has nothing at %#x", address)
}

// waitReasons reads the runtime's names of what goroutines wait for.
func (p *Program) waitReasons() []string {
	s, ok := p.symbols["runtime.waitReasonStrings"]
	if !ok || s.Size > 16*256 {
		return nil
	}
	headers, err := p.stored(s.Value, int(s.Size))
	if err != nil {
		return nil
	}
	var list []string
	for ; len(headers) >= 16; headers = headers[16:] {
		n := word(headers, 8)
		text, err := p.stored(word(headers, 0), int(min(n, 64)))
		if n > 64 || err != nil {
			text = nil
		}
		list = append(list, string(text))
	}
	return list
}

// word is a uint64 at an offset of b, 0 beyond its end.
func word(b []byte, offset int) uint64 {
	if offset < 0 || offset+8 > len(b) {
		return 0
	}
	return binary.LittleEndian.Uint64(b[offset:])
}

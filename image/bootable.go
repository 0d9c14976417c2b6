// Package image turns Go packages into things that boot: it builds programs with the stock toolchain, packs them
// into a bundle, and writes the nonkernel, the platform and the bundle as one ELF64 file that any loader of the PVH
// boot protocol starts (QEMU's -kernel, Xen, cloud hypervisors).
//
// It follows the ELF specification and the PVH direct boot ABI (Xen, docs/misc/pvh.pandoc). It runs on the developer's
// computer and must never import the nonkernel or the platform: it takes them as bytes.
package image

import (
	"encoding/binary"
	"fmt"
	"io"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout"
)

// Where the parts of a machine image lie in physical memory.
const (
	bootPageAddr = trampolineAddr + abi.PageSize
	tablesAddr   = bootPageAddr + abi.PageSize
	tablesEnd    = tablesAddr + layout.EntryTablesSize
	piecesAddr   = 4 << 20
)

// hostRanges is how many entries of BootPage.Free are left to the platform, which adds what it finds in the machine.
const hostRanges = 4

// Options are the settings of a machine image.
type Options struct {
	HostPool uint64   // bytes of memory that the nonkernel keeps for itself; 0 = the platform decides
	Seed     [32]byte // random, new for every image
	Args     []string // of the nonkernel, without its name
	Env      []string // of the nonkernel
}

// Bootable writes a machine image: the nonkernel and the platform (ELF files) and the bundle, which may be empty.
func Bootable(w io.Writer, nonkernel, platform, bundle []byte, opts Options) error {
	plan, err := layout.New(layout.Input{
		Program:  nonkernel,
		Platform: platform,
		Bundle:   bundle,
		Args:     append([]string{"nonkernel"}, opts.Args...),
		Env:      opts.Env,
		Name:     "nonkernel",
		Base:     piecesAddr,
		Host:     true,
		BootPage: bootPageAddr,
		Tables:   tablesAddr,
	})
	if err != nil {
		return fmt.Errorf("making a machine image: %w", err)
	}
	if n := &plan.Boot.NumFree; int(*n) < len(plan.Boot.Free)-hostRanges {
		plan.Boot.Free[*n] = abi.Range{Addr: tablesEnd, Size: piecesAddr - tablesEnd}
		*n++
	}
	plan.Boot.HostPool = opts.HostPool
	plan.Boot.Seed = opts.Seed
	plan.Boot.APEntry = apPage
	plan.Boot.APEntryTab = plan.TablesAddr
	loads := []load{
		{trampolineAddr, trampoline(plan.BootAddr, plan.BootAddr+startInfoOffset, plan.TablesAddr, plan.State.RIP), abi.PageSize},
		{plan.BootAddr, plan.BootBytes(), abi.PageSize},
		{plan.TablesAddr, plan.Tables, layout.EntryTablesSize},
	}
	for i := range plan.Pieces {
		p := &plan.Pieces[i]
		loads = append(loads, load{p.PA, p.Data, p.Size})
	}
	if err := writeELF(w, loads); err != nil {
		return fmt.Errorf("writing a machine image: %w", err)
	}
	return nil
}

// load is a stretch of physical memory that the loader fills: data, then zeros up to size.
type load struct {
	addr uint64
	data []byte
	size uint64
}

// Numbers of the ELF and PVH specifications.
const (
	elfHeadSize = 64
	elfProgSize = 56
	ptLoad      = 1
	ptNote      = 4
	allowed     = 7 // readable, writable, executable

	noteEntry = 18 // XEN_ELFNOTE_PHYS32_ENTRY
)

// pvhNote is the ELF note that makes a loader enter at trampolineAddr in 32-bit mode. Its value takes 8 bytes, because
// QEMU reads as many.
func pvhNote() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 4) // size of the name
	b = le.AppendUint32(b, 8)    // size of the value
	b = le.AppendUint32(b, noteEntry)
	b = append(b, "Xen\x00"...)
	return le.AppendUint64(b, trampolineAddr)
}

// writeELF writes an executable that loads the given stretches: headers and the note in the first page, then each
// stretch's data from a page boundary on.
func writeELF(w io.Writer, loads []load) error {
	note := pvhNote()
	noteAt := uint64(elfHeadSize + elfProgSize*(len(loads)+1))
	if noteAt+uint64(len(note)) > abi.PageSize {
		return fmt.Errorf("%d segments do not fit in one page of headers", len(loads))
	}
	head := elfHead(len(loads) + 1)
	head = appendProg(head, ptNote, noteAt, 0, uint64(len(note)), uint64(len(note)), 4)
	offset := uint64(abi.PageSize)
	for _, l := range loads {
		head = appendProg(head, ptLoad, offset, l.addr, uint64(len(l.data)), l.size, abi.PageSize)
		offset += pageUp(uint64(len(l.data)))
	}
	head = append(head, note...)
	if err := writePadded(w, head); err != nil {
		return err
	}
	for _, l := range loads {
		if err := writePadded(w, l.data); err != nil {
			return err
		}
	}
	return nil
}

// elfHead makes the file header of an x86-64 executable with n program headers and no sections.
func elfHead(n int) []byte {
	le := binary.LittleEndian
	b := make([]byte, elfHeadSize, abi.PageSize)
	copy(b, "\x7fELF\x02\x01\x01") // 64-bit, little-endian, version 1
	le.PutUint16(b[16:], 2)        // ET_EXEC
	le.PutUint16(b[18:], 62)       // EM_X86_64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], trampolineAddr)
	le.PutUint64(b[32:], elfHeadSize) // of the program headers
	le.PutUint16(b[52:], elfHeadSize)
	le.PutUint16(b[54:], elfProgSize)
	le.PutUint16(b[56:], uint16(n))
	return b
}

func appendProg(b []byte, typ uint32, offset, addr, filesz, memsz, align uint64) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, typ)
	b = le.AppendUint32(b, allowed)
	for _, v := range []uint64{offset, addr, addr, filesz, memsz, align} {
		b = le.AppendUint64(b, v)
	}
	return b
}

func writePadded(w io.Writer, data []byte) error {
	if _, err := w.Write(data); err != nil {
		return err
	}
	var zeros [abi.PageSize]byte
	_, err := w.Write(zeros[:pageUp(uint64(len(data)))-uint64(len(data))])
	return err
}

func pageUp(n uint64) uint64 { return (n + abi.PageSize - 1) &^ (abi.PageSize - 1) }

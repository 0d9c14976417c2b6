package main

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

// Guest-physical addresses that the program was not given. The platform's page tables do not reach them, so the program
// edits the tables: nothing in a container keeps it from that.

// windowIndex is the entry of the top page table that window uses, and windowAt the virtual address that belongs to it.
const (
	windowIndex = 300
	windowAt    = 0xffff_0000_0000_0000 | windowIndex<<39
)

// window maps one guest-physical page, readable and writable, and returns where.
func window(gpa uint64) (uint64, error) {
	tables, err := metal.Pages(3)
	if err != nil {
		return 0, err
	}
	const present = 1<<0 | 1<<1 | 1<<5 | 1<<6 // present, writable, accessed, dirty
	set := func(table uint64, index int, value uint64) {
		b := metal.Physical{Addr: table, Size: abi.PageSize}.Bytes()
		binary.LittleEndian.PutUint64(b[8*index:], value|present)
	}
	set(tables.Addr+2*abi.PageSize, 0, gpa)
	set(tables.Addr+abi.PageSize, 0, tables.Addr+2*abi.PageSize)
	set(tables.Addr, 0, tables.Addr+abi.PageSize)
	set(readCR3()&^0xfff, windowIndex, tables.Addr)
	invlpg(windowAt)
	return windowAt, nil
}

// touch reads or writes at a guest-physical address. It does not return if the nonkernel does its duty.
func touch(gpa uint64, write bool) error {
	at, err := window(gpa &^ (abi.PageSize - 1))
	if err != nil {
		return err
	}
	fmt.Printf("touching guest-physical address %#x\n", gpa)
	b := byteAt(at + gpa%abi.PageSize)
	if write {
		*b = 0x66
		fmt.Println("wrote it")
	} else {
		fmt.Printf("read %#x\n", *b)
	}
	return nil
}

// touchFixed makes an attack on a fixed address.
func touchFixed(gpa uint64, write bool) func() error {
	return func() error { return touch(gpa, write) }
}

// touchLimit touches the first page beyond the memory, plus pages.
func touchLimit(pages uint64, write bool) func() error {
	return func() error {
		st, err := container.OwnStatus()
		if err != nil {
			return err
		}
		return touch((st.Limit+pages)*abi.PageSize, write)
	}
}

// writeLent writes to what the parent lent for reading: the text of the platform.
func writeLent() error {
	b := metal.BootPage()
	for _, s := range b.Segments[:b.NumSegments] {
		if s.VA >= abi.PlatformAddr && s.Prot&abi.ProtWrite == 0 {
			return touch(s.PA, true)
		}
	}
	return fmt.Errorf("the platform has no read-only segment")
}

// touchHole returns a page and then uses it.
func touchHole(write bool) func() error {
	return func() error {
		p, err := metal.Pages(1)
		if err != nil {
			return err
		}
		p.Bytes()[0] = 1
		if _, err := metal.Hypercall(abi.CallReturnPages, p.Addr, 1, 0, 0, 0, 0); err != nil {
			return err
		}
		return touch(p.Addr, write)
	}
}

// tablesNowhere makes the processor look for its page tables where there is no memory.
func tablesNowhere() error {
	fmt.Println("moving the page tables away")
	cli()
	writeCR3(1 << 38)
	exit(0)
	return nil
}

// touchEverything uses all memory that there is, page by page, and must not be hindered.
func touchEverything() error {
	if _, err := container.OwnStatus(); err != nil { // takes memory for its answers while there is some
		return err
	}
	n := uint64(0)
	for step := 4096; step > 0; {
		p, err := metal.Pages(step)
		if err != nil {
			step /= 2
			continue
		}
		b := p.Bytes()
		for i := 0; i < len(b); i += abi.PageSize {
			if b[i] != 0 {
				return fmt.Errorf("page %#x was not zero: somebody else's byte %#x is in it", p.Addr+uint64(i), b[i])
			}
			b[i] = 0xaa
		}
		n += p.Pages()
	}
	st, err := container.OwnStatus()
	if err != nil {
		return err
	}
	if st.Attached > st.Pages {
		return fmt.Errorf("%d pages are attached and only %d were granted", st.Attached, st.Pages)
	}
	fmt.Printf("touched %d pages, %d of %d granted are attached\n", n, st.Attached, st.Pages)
	return nil
}

var hoard [][]byte

// exhaustHeap allocates until Go itself gives up.
func exhaustHeap() error {
	debug.SetGCPercent(-1)
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		hoard = append(hoard, b)
	}
}

// scribble fills the pages that are shared with the nonkernel and the parent with garbage, again and again.
func scribble() error {
	event := metal.Physical{Addr: abi.EventPageAddr, Size: abi.PageSize}.Bytes()
	ring := metal.Physical{Addr: abi.ConsoleAddr, Size: abi.ConsolePages * abi.PageSize}.Bytes()
	seed := uint64(1)
	for range 200 {
		for _, page := range [][]byte{event, ring} {
			for i := 0; i+8 <= len(page); i += 8 {
				seed = seed*6364136223846793005 + 1442695040888963407
				binary.LittleEndian.PutUint64(page[i:], seed)
			}
		}
		vmmcall(uint64(abi.CallNotify), 0, abi.EventUser, 0, 0, 0, 0)
	}
	exit(0)
	return nil
}

package layout

import (
	"encoding/binary"

	"nom.dev/nom/abi"
)

// Page-table entries: AMD64 Architecture Programmer's Manual, volume 2, section 5.3 (long-mode page translation).
const (
	pteP  = 1 << 0 // present
	pteRW = 1 << 1
	pteA  = 1 << 5 // accessed: set beforehand, so that the walk writes nothing
	pteD  = 1 << 6 // dirty
	ptePS = 1 << 7 // 2 MiB page

	tableEntry = pteP | pteRW | pteA
	largeEntry = pteP | pteRW | pteA | pteD | ptePS
)

// The entry tables, in pages from their start.
const (
	pml4 = iota
	pdptLow
	pdptHigh
	pdIdentity
	pdPlatform
	numTables
)

// EntryTablesSize is the size of the entry tables in bytes.
const EntryTablesSize = numTables * abi.PageSize

// EntryTablesSize must fit in the place that the contract gives them.
const _ = uint(abi.EntryTablePages - numTables)

// entryTables makes the page tables that a vCPU starts with, to lie at physical address at: the first GiB of physical
// memory at its own addresses and at abi.DirectMap, the platform at abi.PlatformAddr; all of it readable, writable
// and executable, in pages of 2 MiB. The platform replaces them with its own as the first thing it does.
func entryTables(at, platform uint64) []byte {
	b := make([]byte, EntryTablesSize)
	set := func(table int, index, value uint64) {
		binary.LittleEndian.PutUint64(b[uint64(table)*abi.PageSize+index*8:], value)
	}
	link := func(table int, index uint64, to int) {
		set(table, index, at+uint64(to)*abi.PageSize|tableEntry)
	}
	link(pml4, 0, pdptLow)
	link(pml4, abi.DirectMap>>39&511, pdptHigh)
	link(pdptLow, 0, pdIdentity)
	link(pdptHigh, 0, pdIdentity)
	link(pdptLow, abi.PlatformAddr>>30&511, pdPlatform)
	for i := range uint64(512) {
		set(pdIdentity, i, i*largePage|largeEntry)
	}
	first := uint64(abi.PlatformAddr >> 21 & 511)
	for i := first; i < 512 && platform+(i-first)*largePage < reach; i++ {
		set(pdPlatform, i, platform+(i-first)*largePage|largeEntry)
	}
	return b
}

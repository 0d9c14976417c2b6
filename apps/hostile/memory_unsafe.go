package main

import "unsafe"

// addressOf is where b lies.
//
// SAFETY: only the number is used: for the processor's tables, by code that the garbage collector does not see. The
// callers pass memory that does not move and lives as long as the program.
func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// addressOfGates is where the interrupt table lies.
//
// SAFETY: as above; gates is a global variable.
func addressOfGates() uint64 { return uint64(uintptr(unsafe.Pointer(&gates))) }

// byteAt is the byte at a virtual address.
//
// SAFETY: none: that is the point. The address is one that this program has no right to, and what happens is what the
// attack finds out. The detour through memory tells vet that the conversion is meant.
func byteAt(address uint64) *byte {
	a := uintptr(address)
	return *(**byte)(unsafe.Pointer(&a))
}

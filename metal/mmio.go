package metal

import "nom.dev/nom/abi"

// Accesses to registers of devices at physical addresses, on a bare machine: one access each, which the compiler neither merges nor
// repeats nor leaves out.

// Read32 reads a register.
func Read32(pa uint64) uint32 { return load32(directAddress(pa)) }

// Write32 writes a register.
func Write32(pa uint64, v uint32) { store32(directAddress(pa), v) }

// Read64 reads a register of 64 bits at once.
func Read64(pa uint64) uint64 { return load64(directAddress(pa)) }

// Write64 writes a register of 64 bits at once.
func Write64(pa uint64, v uint64) { store64(directAddress(pa), v) }

func directAddress(pa uint64) uint64 { return abi.DirectMap + pa }

func load32(address uint64) uint32
func store32(address uint64, v uint32)
func load64(address uint64) uint64
func store64(address uint64, v uint64)

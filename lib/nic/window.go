package nic

// Registers are the registers of a function, by their offsets. Each call is one access of 32 bits, in the order of the calls.
type Registers interface {
	Read32(offset uint32) uint32
	Write32(offset, value uint32)
}

// load32 and store32 are in assembly so that the compiler neither merges nor repeats nor drops an access. The processor orders a
// store to a register behind all stores to memory before it (AMD64 APM volume 2, section 7.4.2: uncacheable memory).
//
//go:noescape
func load32(p *uint32) uint32

//go:noescape
func store32(p *uint32, value uint32)

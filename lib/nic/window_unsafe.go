package nic

import "unsafe"

// Window is a stretch of memory in which a device has its registers.
type Window struct{ memory []byte }

// NewWindow makes registers of memory, which must be aligned to 4 bytes.
func NewWindow(memory []byte) Window { return Window{memory} }

// register is the place of the register at offset. It panics when that is not in the window.
func (w Window) register(offset uint32) *uint32 {
	b := w.memory[offset : offset+4 : offset+4]
	// SAFETY: b has 4 bytes, and offsets of registers are multiples of 4, as is the window's address.
	return (*uint32)(unsafe.Pointer(unsafe.SliceData(b)))
}

// Read32 reads a register.
func (w Window) Read32(offset uint32) uint32 { return load32(w.register(offset)) }

// Write32 writes a register.
func (w Window) Write32(offset, value uint32) { store32(w.register(offset), value) }

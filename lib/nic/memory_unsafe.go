package nic

import (
	"fmt"
	"unsafe"
)

const pageSize = 4096

// Memory is memory that the device can reach: the bytes, and the address by which the device knows the first of them. It must
// not move, and both addresses are multiples of 4096.
type Memory struct {
	Bytes []byte
	Addr  uint64
}

// descriptor is 16 bytes of a ring.
type descriptor struct{ lo, hi uint64 }

// ring is exactly one page, so that an index of 8 bits is always inside and wraps by itself.
type ring [RingSize]descriptor

// buffer is the first n bytes of the buffer at an offset, with the whole buffer as capacity.
//
// Preconditions: n is at most q.size; at is the offset of a buffer.
func (q *Queue) buffer(at, n uint32) []byte {
	// SAFETY: at comes from rxBuffer, txBuffer or a Kept that was checked, never from the device: those hold only offsets that
	// newQueue dealt out, after it had made sure that the memory holds that many buffers of q.size bytes.
	return (*[MaxBuffer]byte)(unsafe.Add(unsafe.Pointer(q.first), at))[:n:q.size]
}

// MaxBuffer is the largest buffer that SRRCTL can describe.
const MaxBuffer = 127 << 10

// layout is where a queue's memory begins: receive ring, transmit ring, the place where the device writes how far it has
// transmitted, and the buffers.
const (
	layoutRx      = 0
	layoutTx      = layoutRx + pageSize
	layoutHead    = layoutTx + pageSize
	layoutBuffers = layoutHead + pageSize
)

// carve makes the rings out of a queue's memory, of which it checks what the device and unsafe rely on.
func (q *Queue) carve(m Memory) error {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(m.Bytes)))
	if len(m.Bytes) < layoutBuffers || first%pageSize != 0 || m.Addr%pageSize != 0 {
		return fmt.Errorf("nic: %d bytes of memory at device address %#x cannot hold rings: give whole pages", len(m.Bytes), m.Addr)
	}
	// SAFETY: the slice is at least layoutBuffers long and page aligned, a ring is a page, and the queue keeps the slice.
	q.rx = (*ring)(unsafe.Pointer(&m.Bytes[layoutRx]))
	q.tx = (*ring)(unsafe.Pointer(&m.Bytes[layoutTx]))
	q.done = (*uint32)(unsafe.Pointer(&m.Bytes[layoutHead]))
	q.memory = m
	q.buffers = m.Bytes[layoutBuffers:]
	q.address = m.Addr + layoutBuffers
	q.first = unsafe.SliceData(q.buffers)
	return nil
}

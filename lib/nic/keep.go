package nic

import "fmt"

// Kept is a received frame whose buffer the caller keeps until Release. It is the place of the buffer in the queue's memory.
type Kept uint32

// Keep takes the frame that Receive returned out of the ring, so that it stays valid: its bytes are those that Receive returned. It
// says false when there is no spare buffer to put in its place; then the frame is still in the ring.
//
// Preconditions: Receive returned a frame.
func (q *Queue) Keep() (Kept, bool) {
	last := len(q.spare) - 1
	if last < 0 {
		q.NoSpare++
		return 0, false
	}
	at, free := q.rxBuffer[q.head], q.spare[last]
	q.spare = q.spare[:last]
	q.kept[at/q.size] = true
	q.RxFrames++
	q.RxBytes += uint64(q.length)
	q.refill(free)
	return Kept(at), true
}

// owned finds the buffer of k and stops the caller that does not own it: its frame would be received into or transmitted from
// memory that somebody else uses.
func (q *Queue) owned(k Kept) uint32 {
	at := uint32(k)
	if n := int(at / q.size); at%q.size != 0 || n >= len(q.kept) || !q.kept[n] {
		panic(fmt.Sprintf("nic: buffer %#x is not kept: it was released or transmitted before", at))
	}
	return at
}

// Bytes is the whole buffer of a kept frame.
func (q *Queue) Bytes(k Kept) []byte {
	at := q.owned(k)
	return q.buffers[at : at+q.size : at+q.size]
}

// Release gives the buffer of a kept frame back.
func (q *Queue) Release(k Kept) {
	at := q.owned(k)
	q.kept[at/q.size] = false
	q.spare = append(q.spare, at) // never grows: there are as many places as spare buffers
}

// SendKept transmits the first n bytes of a kept buffer, which is released by it. It says false when it cannot; then the buffer is
// still the caller's.
func (q *Queue) SendKept(k Kept, n int, o Offload) bool {
	at := q.owned(k)
	if !q.admit(n) {
		return false
	}
	q.kept[at/q.size] = false
	q.spare = append(q.spare, q.txBuffer[q.tail])
	q.txBuffer[q.tail] = at
	q.post(at, n, o)
	return true
}

// Spare is how many frames can be kept now.
func (q *Queue) Spare() int { return len(q.spare) }

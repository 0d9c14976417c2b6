package nic

import (
	"sync/atomic"

	"nom.dev/nom/hw/igb"
)

// Answer is what is to be done with a received frame: transmit the first N bytes of its buffer, or drop it (N <= 0).
type Answer struct {
	N       int
	Offload Offload
}

// Stack is what gets frames. A frame is as Receive gives it; Input may call Keep instead of answering it, or Buffer and Send beside.
type Stack interface {
	Input(frame []byte, status Status) Answer
}

// Poll gives the frames that have arrived to s, one by one, at most a batch of them, and does with them what it answers. Frames that
// could not be answered because the transmit ring is full stay in the receive ring. Poll says how many descriptors it
// handled; the caller flushes.
//
// It is Receive and Reply in one loop, for half of the instructions.
func (q *Queue) Poll(s Stack) int {
	n, batch := 0, min(q.Batch(), q.Room())
	for ; n < batch; n++ {
		i := q.head
		hi := atomic.LoadUint64(&q.rx[i].hi)
		if hi&igb.RxDone == 0 {
			break
		}
		length := igb.RxLength(hi)
		if hi&(igb.RxEnd|igb.RxError) != igb.RxEnd || length-1 >= q.size || q.skip {
			q.reject(hi, length)
			continue
		}
		at := q.rxBuffer[i]
		q.length = length
		a := s.Input(q.buffer(at, length), Status(hi))
		if q.head != i { // it was kept
			continue
		}
		q.RxFrames++
		q.RxBytes += uint64(length)
		if a.N > 0 && q.fits(a.N) {
			t := q.tail
			free := q.txBuffer[t]
			q.txBuffer[t] = at
			q.post(at, a.N, a.Offload)
			at = free
		}
		q.refill(at)
	}
	return n
}

// fits says whether a frame of n bytes can be transmitted now.
func (q *Queue) fits(n int) bool {
	return uint(n-headerLen) <= uint(q.size-headerLen) && q.room != 0 || q.admit(n)
}

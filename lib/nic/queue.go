package nic

import (
	"sync/atomic"

	"nom.dev/nom/hw/igb"
)

// RingSize is how many descriptors a ring has: a page of them. One is always empty, so that full differs from empty.
const RingSize = 256

// refillBatch is how many slots of the receive ring are consumed before the device is told. The ring never looks full because of
// it, and a small batch costs one access to a register less.
const refillBatch = 32

// minFrame is what Ethernet transmits at least, without check sequence. The controller pads what is shorter (TCTL.PSP); a driver
// that did so would have it count the padding as payload where it fills in lengths and checksums (QEMU's igb does).
const minFrame = 60

// headerLen is an Ethernet header: what a frame has at least.
const headerLen = 14

// Queue is a receive ring and a transmit ring. It belongs to one goroutine at a time.
type Queue struct {
	rx, tx  *ring
	done    *uint32 // written by the device: how far it has transmitted
	first   *byte   // of buffers
	buffers []byte
	address uint64 // of buffers, as the device knows it
	size    uint32 // of a buffer

	head     uint8  // the receive slot that comes next
	given    uint8  // what RDT was last written with
	tail     uint8  // the transmit slot that comes next
	sent     uint8  // what TDT was last written with
	room     uint8  // transmit slots free for certain; 0 when stale
	skip     bool   // in the middle of a frame that did not fit a buffer
	stale    bool   // the device's context of TCP is not that of Offload TCP: one comes before the next frame
	wanted   int    // transmit slots that Buffer or Part did not have since Run polled last
	length   uint32 // of the frame that Receive returned last
	rxBuffer [RingSize]uint32
	txBuffer [RingSize]uint32

	// Counters of what happened. They belong to the goroutine that owns the queue, as everything here.
	Counters

	regs   Registers
	index  uint32
	rdt    uint32 // registers of the tails
	tdt    uint32
	memory Memory
	spare  []uint32
	kept   []bool // by number of buffer
	wait   waiter
}

// Counters count what a queue did since it was opened.
type Counters struct {
	RxFrames, RxBytes uint64 // received and given to the caller
	TxFrames, TxBytes uint64 // given to the device
	TxCut             uint64 // of TxFrames: packets of TCP for the device to cut, see SendTCP
	TxSegments        uint64 // what it makes of them
	RxErrors          uint64 // the device said that the frame is broken
	RxLong            uint64 // frames that did not fit a buffer
	RxLength          uint64 // lengths that no frame can have
	TxFull            uint64 // refused: the transmit ring was full
	TxLength          uint64 // refused: length that no frame can have
	NoSpare           uint64 // refused: no spare buffer to keep the frame
	Flushes           uint64 // batches for which the device was told
	Sleeps            uint64 // times that Wait waited for an interrupt
	Nudges            uint64 // times that the device was told again, because it did not transmit
}

// Receive returns the next frame that has arrived, in the buffer to which the device wrote it, with the buffer's whole size as
// capacity; nil when there is none. It returns the same frame again until one of Reply, Keep and Drop was called for it; from
// then on the slice must not be used any more.
func (q *Queue) Receive() ([]byte, Status) {
	hi := atomic.LoadUint64(&q.rx[q.head].hi)
	if hi&igb.RxDone == 0 {
		return nil, 0
	}
	n := igb.RxLength(hi)
	if hi&(igb.RxEnd|igb.RxError) != igb.RxEnd || n-1 >= q.size || q.skip {
		return q.receiveOther(hi, n)
	}
	q.length = n
	return q.buffer(q.rxBuffer[q.head], n), Status(hi)
}

// receiveOther drops what holds no whole, correct frame, and goes on to what follows.
func (q *Queue) receiveOther(hi uint64, n uint32) ([]byte, Status) {
	q.reject(hi, n)
	return q.Receive() // never deep: a ring that is all rejected ends, because its descriptors are empty then
}

// reject drops a descriptor that holds no whole, correct frame.
func (q *Queue) reject(hi uint64, n uint32) {
	last := hi&igb.RxEnd != 0
	switch {
	case !last || q.skip:
		// A frame longer than a buffer comes in several, the last of which says EOP.
		if last {
			q.RxLong++
		}
		q.skip = !last
	case hi&igb.RxError != 0:
		q.RxErrors++
	default:
		q.RxLength++
	}
	q.refill(q.rxBuffer[q.head])
}

// refill gives the buffer at an offset to the receive slot that was just consumed. The device sees it when RDT is written.
func (q *Queue) refill(at uint32) {
	d := &q.rx[q.head]
	d.lo = q.address + uint64(at)
	d.hi = 0
	q.rxBuffer[q.head] = at
	q.head++
}

// pending says that a frame is there.
func (q *Queue) pending() bool { return atomic.LoadUint64(&q.rx[q.head].hi)&igb.RxDone != 0 }

// Drop gives the buffer of the frame that Receive returned back to the device.
//
// Preconditions: Receive returned a frame.
func (q *Queue) Drop() {
	q.RxFrames++
	q.RxBytes += uint64(q.length)
	q.refill(q.rxBuffer[q.head])
}

// Reply transmits the first n bytes of the buffer of the frame that Receive returned. It says false when it cannot: when the
// transmit ring is full, or no frame can have this length. Then the frame is still the caller's.
//
// Preconditions: Receive returned a frame.
func (q *Queue) Reply(n int, o Offload) bool {
	if !q.fits(n) {
		return false
	}
	i, t := q.head, q.tail
	at, free := q.rxBuffer[i], q.txBuffer[t]
	q.txBuffer[t] = at
	q.post(at, n, o)
	q.RxFrames++
	q.RxBytes += uint64(q.length)
	q.refill(free)
	return true
}

// Buffer is an empty buffer for a frame to transmit with Send, nil when the transmit ring is full; then Run, instead of sleeping
// until an interrupt, polls again soon. It is the same one until then. Reply in between takes it away.
func (q *Queue) Buffer() []byte {
	if q.room == 0 && !q.reclaim() {
		q.TxFull++
		q.wanted = max(q.wanted, 1)
		return nil
	}
	return q.buffer(q.txBuffer[q.tail], q.size)
}

// Send transmits the first n bytes of Buffer.
func (q *Queue) Send(n int, o Offload) bool {
	if !q.admit(n) {
		return false
	}
	q.post(q.txBuffer[q.tail], n, o)
	return true
}

// Room says how many frames can be transmitted now: how many transmit slots are free. A caller that answers asks before it receives, and so leaves what it could not
// answer in the receive ring.
func (q *Queue) Room() int {
	n := q.free()
	if q.stale { // and a context
		return int(max(n, 1) - 1)
	}
	q.room = n
	return int(n)
}

// free is how many transmit slots the device has not to transmit from any more. Whatever it wrote, the result is within the ring.
func (q *Queue) free() uint8 { return RingSize - 1 - (q.tail - uint8(atomic.LoadUint32(q.done))) }

// reclaim makes room for frames.
func (q *Queue) reclaim() bool {
	q.room = q.free()
	if q.stale {
		q.renewTCP()
	}
	return q.room != 0
}

// admit says whether a frame of n bytes can be transmitted.
func (q *Queue) admit(n int) bool {
	if q.room == 0 && !q.reclaim() {
		q.TxFull++
		return false
	}
	if n < headerLen || n > int(q.size) {
		q.TxLength++
		return false
	}
	return true
}

// post fills the next transmit slot.
func (q *Queue) post(at uint32, n int, o Offload) {
	d := &q.tx[q.tail]
	d.lo = q.address + uint64(at)
	d.hi = o.command() + uint64(n)*lengths
	q.tail++
	q.room--
	q.TxFrames++
	q.TxBytes += uint64(n)
}

// behind says that the device has not transmitted all that it was told of.
func (q *Queue) behind() bool { return uint8(atomic.LoadUint32(q.done)) != q.sent }

// nudge tells the device once more what there is to transmit, if it is behind: a function whose nonkernel has let it send nothing for
// a while, because it had sent more than it may, goes on only when its tail is written (QEMU's igb; others take no notice).
func (q *Queue) nudge() {
	if q.behind() {
		q.Nudges++
		q.regs.Write32(q.tdt, uint32(q.sent))
	}
}

// Flush tells the device what was put into the rings since the last time. Until then nothing is transmitted.
func (q *Queue) Flush() {
	if q.tail != q.sent {
		// Only the last descriptor of a batch asks for a report: the device then writes the position beyond it to done.
		q.tx[q.tail-1].hi |= igb.TxReport
		q.sent = q.tail
		q.Flushes++
		q.regs.Write32(q.tdt, uint32(q.tail))
	}
	if last := q.head - 1; last-q.given >= refillBatch {
		q.given = last
		q.regs.Write32(q.rdt, uint32(last))
	}
}

package nic

import (
	"errors"
	"fmt"

	"nom.dev/nom/hw/igb"
)

// ErrReset says that the function was reset under the driver: by the nonkernel, or by a program that wrote to its registers. What
// was in the rings is lost. Restart brings the function back once the nonkernel has enabled it again.
var ErrReset = errors.New("nic: the network function was reset")

// Limits of the device.
const (
	// MaxQueues is how many queues a virtual function has.
	MaxQueues = 2
	// DefaultMaxFrame is the longest Ethernet frame without a VLAN tag and without check sequence.
	DefaultMaxFrame = 1514
	// LargestFrame is the longest jumbo frame that the device transmits, without check sequence.
	LargestFrame = 9724
)

// Config says how a function is to be driven. The zero value is a good choice but for MAC.
type Config struct {
	MAC      [6]byte // the function's address, which it does not know itself
	Queues   int     // 1 or 2; 0 is 1
	MaxFrame int     // bytes without check sequence: an MTU and 14; 0 is DefaultMaxFrame. Longer ones are asked for: see ErrRefused
	Spare    int     // frames of each queue that can be kept at a time: see Queue.Keep
	Setting  Setting // zero is Latency

	granted int // longest frame that is let in without a question
}

// Function is a virtual function.
type Function struct {
	MAC      [6]byte
	MaxFrame int
	queues   []*Queue
	regs     Registers
	device   uint64 // what hypercalls name it by
	entries  int    // interrupts that it can raise
}

// check fills in what was left out.
func (c *Config) check() error {
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = DefaultMaxFrame
	}
	if c.Setting == (Setting{}) {
		c.Setting = Latency
	}
	switch {
	case c.Queues < 1 || c.Queues > MaxQueues:
		return fmt.Errorf("nic: %d queues: a virtual function has 1 or %d", c.Queues, MaxQueues)
	case c.MaxFrame < minFrame || c.MaxFrame > LargestFrame:
		return fmt.Errorf("nic: frames of %d bytes: the device takes %d to %d", c.MaxFrame, minFrame, LargestFrame)
	case c.Spare < 0 || c.Spare > 1<<16:
		return fmt.Errorf("nic: %d spare buffers: give 0 to %d", c.Spare, 1<<16)
	}
	return c.Setting.check()
}

// bufferSize is a whole number of KiB, as SRRCTL.BSIZEPACKET wants it, with room for a VLAN tag.
func (c *Config) bufferSize() int { return max(2048, (c.MaxFrame+4+1023)&^1023) }

// MemoryNeed is how many bytes of memory each queue of the configuration needs.
func (c Config) MemoryNeed() (int, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	need := layoutBuffers + (2*RingSize+c.Spare)*c.bufferSize()
	return (need + pageSize - 1) &^ (pageSize - 1), nil
}

// New drives the function behind regs, with the memory that alloc gives for each queue: zeroed, of MemoryNeed bytes. It starts the
// queues and leaves interrupts off.
func New(regs Registers, alloc func(bytes int) (Memory, error), c Config) (*Function, error) {
	need, err := c.MemoryNeed()
	if err != nil {
		return nil, err
	}
	_ = c.check() // it was right a moment ago, and now is filled in
	f := &Function{MAC: c.MAC, MaxFrame: c.MaxFrame, regs: regs, entries: igb.VFVectors}
	for i := range c.Queues {
		m, err := alloc(need)
		if err != nil {
			return nil, fmt.Errorf("nic: memory for queue %d: %w", i, err)
		}
		q, err := newQueue(f, uint32(i), m, c)
		if err != nil {
			return nil, err
		}
		f.queues = append(f.queues, q)
	}
	if err := f.Restart(); err != nil {
		return nil, err
	}
	if c.MaxFrame > max(c.granted, DefaultMaxFrame) {
		if err := f.lengthen(c.MaxFrame); err != nil {
			f.Stop()
			return nil, fmt.Errorf("nic: frames of %d bytes: %w", c.MaxFrame, err)
		}
	}
	return f, nil
}

// Queue is the queue with a number.
func (f *Function) Queue(n int) *Queue { return f.queues[n] }

// Queues is how many there are.
func (f *Function) Queues() int { return len(f.queues) }

// Link says whether the link is up.
func (f *Function) Link() bool {
	v := f.regs.Read32(igb.VTSTATUS)
	return v&igb.STATUS_LU != 0 && v != ^uint32(0)
}

// Check reads whether the function still is as the driver set it up, and answers ErrReset when not. Run calls it from time to time.
func (f *Function) Check() error {
	for _, q := range f.queues {
		if err := q.check(); err != nil {
			return err
		}
	}
	return nil
}

// Restart starts all queues anew: after New, and after ErrReset. Frames that were in the rings are lost; kept ones stay kept.
func (f *Function) Restart() error {
	f.regs.Write32(igb.VTEIMC, 1<<igb.VFVectors-1)
	for _, q := range f.queues {
		if err := q.start(); err != nil {
			return err
		}
	}
	f.routeCauses()
	return nil
}

// Stop halts the queues and interrupts: the device does not touch the memory any more.
func (f *Function) Stop() {
	f.regs.Write32(igb.VTEIMC, 1<<igb.VFVectors-1)
	for _, q := range f.queues {
		q.stop()
	}
}

// newQueue lays out the memory and deals out the buffers: each slot of both rings gets one, the rest are spare.
func newQueue(f *Function, index uint32, m Memory, c Config) (*Queue, error) {
	q := &Queue{regs: f.regs, index: index, size: uint32(c.bufferSize())}
	q.rdt, q.tdt = igb.VFRxQueue(index)+igb.RDT, igb.VFTxQueue(index)+igb.TDT
	if err := q.carve(m); err != nil {
		return nil, err
	}
	n := 2*RingSize + c.Spare
	if have := len(q.buffers) / int(q.size); have < n {
		return nil, fmt.Errorf("nic: memory for %d buffers of %d bytes, need %d: see MemoryNeed", have, q.size, n)
	}
	for i := range uint32(RingSize) {
		q.rxBuffer[i] = i * q.size
		q.txBuffer[i] = (RingSize + i) * q.size
	}
	q.spare = make([]uint32, 0, c.Spare)
	for i := range c.Spare {
		q.spare = append(q.spare, uint32(2*RingSize+i)*q.size)
	}
	q.kept = make([]bool, n)
	q.wait.function = f
	q.wait.setting = c.Setting
	return q, nil
}

// start programs the rings, with the buffers where they are, and enables them. Datasheet sections 4.5.9 and 4.5.10.
func (q *Queue) start() error {
	q.stop()
	for i := range q.rx {
		q.rx[i] = descriptor{lo: q.address + uint64(q.rxBuffer[i])}
		q.tx[i] = descriptor{}
	}
	*q.done = 0
	q.head, q.given, q.tail, q.sent, q.skip, q.stale = 0, RingSize-1, 0, 0, false, false
	rx, tx, head := q.memory.Addr+layoutRx, q.memory.Addr+layoutTx, q.memory.Addr+layoutHead
	rxq, txq := igb.VFRxQueue(q.index), igb.VFTxQueue(q.index)
	for _, w := range []struct{ register, value uint32 }{
		{rxq + igb.RDBAL, uint32(rx)}, {rxq + igb.RDBAH, uint32(rx >> 32)}, {rxq + igb.RDLEN, pageSize},
		{rxq + igb.SRRCTL, q.size>>10*igb.SRRCTL_KiB | igb.SRRCTL_ADV_ONEBUF | igb.SRRCTL_DROP_EN}, {rxq + igb.RDH, 0}, {rxq + igb.RDT, 0},
		{txq + igb.TDBAL, uint32(tx)}, {txq + igb.TDBAH, uint32(tx >> 32)}, {txq + igb.TDLEN, pageSize}, {txq + igb.TDH, 0}, {txq + igb.TDT, 0},
		{txq + igb.TDWBAL, uint32(head) | reportHead}, {txq + igb.TDWBAH, uint32(head >> 32)},
	} {
		q.regs.Write32(w.register, w.value)
	}
	for _, register := range q.controls() {
		q.regs.Write32(register, igb.QueueEnable)
		if !q.settles(register, igb.QueueEnable) {
			return fmt.Errorf("nic: queue %d does not start (register %#x): is the function enabled? %w", q.index, register, ErrReset)
		}
	}
	q.postContexts()
	q.regs.Write32(q.rdt, RingSize-1)
	return nil
}

// reportHead in TDWBAL: the device writes TDH to memory, and not DD into descriptors.
const reportHead = 1

// controls are RXDCTL and TXDCTL.
func (q *Queue) controls() [2]uint32 {
	return [2]uint32{igb.VFRxQueue(q.index) + igb.RXDCTL, igb.VFTxQueue(q.index) + igb.TXDCTL}
}

// stop disables both rings and waits until the device has finished with them.
func (q *Queue) stop() {
	for _, register := range q.controls() {
		q.regs.Write32(register, 0)
		q.settles(register, 0)
	}
}

// settles waits until the enable bit of a ring's control register reads as wanted. It takes microseconds at most.
func (q *Queue) settles(register, want uint32) bool {
	for range 10_000 {
		if v := q.regs.Read32(register); v&igb.QueueEnable == want && v != ^uint32(0) {
			return true
		}
	}
	return false
}

// check reads what a reset would have cleared. A function without address decoding reads as zeros or as ones.
func (q *Queue) check() error {
	for _, register := range q.controls() {
		if v := q.regs.Read32(register); v&igb.QueueEnable == 0 || v == ^uint32(0) {
			return fmt.Errorf("queue %d is off (register %#x reads %#x): %w", q.index, register, v, ErrReset)
		}
	}
	if at := q.regs.Read32(igb.VFRxQueue(q.index) + igb.RDBAL); at != uint32(q.memory.Addr+layoutRx) {
		return fmt.Errorf("queue %d has its ring at %#x: %w", q.index, at, ErrReset)
	}
	return nil
}

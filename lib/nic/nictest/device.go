package nictest

import (
	"fmt"
	"sync"

	"nom.dev/nom/lib/nic"
)

// Queues is how many queues the function has, Entries how many interrupts.
const (
	Queues  = 2
	Entries = 3
)

// Device is the function. The exported fields are to be set before it is used; hooks are called with the device locked, so they must
// not call it.
type Device struct {
	OnSend  func(queue int, frame []byte) // a frame left; the bytes are valid during the call
	OnRaise func(entry int)               // an interrupt was sent
	// A buffer is filled, or transmitted.
	OnReceiveBuffer, OnSendBuffer func(addr uint64)
	// What is reported of a received frame, and what is written as the position of transmission, can be changed by the way.
	MangleRx func(slot uint32, lo, hi uint64) (uint64, uint64)
	MangleTx func(head uint32) uint32

	Late      bool // transmit only when Complete is called
	NoMask    bool // ignore VTEIAM, as QEMU does
	NoPadding bool // deliver frames shorter than 60 bytes as they are
	MaxFrame  int  // longest frame received, without check sequence; 0 = 1514. The driver changes it by the mailbox
	Longest   int  // what the physical function lets it be changed to; 0 = 9014
	Mute      bool // the physical function answers nothing in the mailbox

	mu     sync.Mutex
	regs   map[uint32]uint32 // guarded by mu, as all below
	queues [Queues]queue
	memory []nic.Memory
	link   bool
	dead   uint32 // what every register reads as while the function does not decode addresses
	gone   bool
	paused bool
	eicr   uint32
	eims   uint32
	eiac   uint32
	eiam   uint32
	frame  []byte // scratch: the frame being transmitted
	cutOff []byte // scratch: a segment of it
	stats  Stats
}

// Stats counts what the device did and what was done to it.
type Stats struct {
	RxFrames   uint64
	RxFull     uint64 // dropped: no free descriptor
	RxLong     uint64 // dropped: longer than MaxFrame
	RxOff      uint64 // dropped: link or queue off
	TxFrames   uint64
	TxCut      uint64 // packets that were cut into segments, which count as TxFrames
	TxBad      uint64 // descriptors that make no frame
	Faults     uint64 // accesses to memory that is not mapped
	Reads      uint64 // of registers
	Writes     uint64
	TailWrites [2]uint64 // of RDT and TDT
	Interrupts uint64
	Reports    uint64 // descriptors that asked for a report
}

// queue is the state of one queue beyond its registers.
type queue struct {
	contexts [2]txContext
	partial  bool // in the middle of a frame of several descriptors
	first    uint64
}

// New makes a function that was just reset, with the link up.
func New() *Device {
	return &Device{regs: map[uint32]uint32{}, link: true}
}

// Map lets the device reach memory.
func (d *Device) Map(m nic.Memory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.memory = append(d.memory, m)
}

// Unmap takes all memory away: every access faults from now on.
func (d *Device) Unmap() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.memory = nil
}

// Alloc makes memory and maps it, for nic.New. Its device address has nothing to do with the address of the bytes.
func (d *Device) Alloc(bytes int) (nic.Memory, error) {
	if bytes <= 0 || bytes%4096 != 0 {
		return nic.Memory{}, fmt.Errorf("nictest: %d bytes are no whole pages", bytes)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := nic.Memory{Bytes: alignedPages(bytes), Addr: 0x1_2340_0000}
	for _, have := range d.memory {
		m.Addr = max(m.Addr, have.Addr+uint64(len(have.Bytes))+1<<20)
	}
	d.memory = append(d.memory, m)
	return m, nil
}

// Stats is what happened so far.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// SetLink plugs the cable in or out.
func (d *Device) SetLink(up bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.link = up
}

// Pause keeps the function from transmitting, as a nonkernel does with one that has sent more than it may. When that ends, nothing
// happens before the driver writes a tail.
func (d *Device) Pause(paused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paused = paused
}

// Reset resets the function as FLR does: its registers lose their values.
func (d *Device) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reset()
}

func (d *Device) reset() {
	clear(d.regs)
	d.queues = [Queues]queue{}
	d.eicr, d.eims, d.eiac, d.eiam = 0, 0, 0, 0
}

// Remove stops the function from decoding addresses: registers read as value, which is 0 in QEMU and all ones on hardware.
func (d *Device) Remove(value uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reset()
	d.gone, d.dead = true, value
}

// Return ends Remove.
func (d *Device) Return() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = false
}

// dma finds n bytes at a device address, nil when they are not the device's: the access is blocked, and the device does not notice.
func (d *Device) dma(addr uint64, n int) []byte {
	for _, m := range d.memory {
		if addr >= m.Addr && addr-m.Addr <= uint64(len(m.Bytes)) && uint64(n) <= uint64(len(m.Bytes))-(addr-m.Addr) {
			return m.Bytes[addr-m.Addr:][:n:n]
		}
	}
	d.stats.Faults++
	return nil
}

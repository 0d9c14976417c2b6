package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// The queue of the network function: a virtual function of an Intel 82576 (Datasheet, revision 2.65: sections 7.1, 7.2, 7.3, 8.26).
// Each slot of both rings has a buffer of its own. What arrives is copied to a socket before its buffer is given back; what leaves
// is built in the buffer of its slot. The device is not trusted: what it writes is checked before it is used.

const (
	nicSlots      = 256          // a page of descriptors
	nicMost       = nicSlots - 2 // one slot stays empty, and one is kept for a context
	nicBufferSize = 2048
	nicLayoutTx   = pageSize
	nicLayoutDone = 2 * pageSize
	nicLayoutRxB  = 3 * pageSize
	nicLayoutTxB  = nicLayoutRxB + nicSlots*nicBufferSize
	nicMemory     = nicLayoutTxB + nicSlots*nicBufferSize
	nicRefill     = 16 // slots that are consumed before the device is told
	nicReportHead = 1  // in TDWBAL: TDH is written to memory

	nicNudgeEvery = 5_000_000 // nanoseconds
)

var nic struct {
	regs    uint64 // address of the registers
	memory  uint64 // physical address of rings and buffers
	device  uint64
	head    uint8 // the receive slot that comes next
	given   uint8 // what RDT was written with
	tail    uint8 // the transmit slot that comes next
	sent    uint8 // what TDT was written with
	room    uint8
	other   uint64 // what frames of TCP say that its context is not for
	cut     uint64 // what the context of TCP says of frames that are to be cut, see nicSendLong
	skip    bool   // in the middle of a frame that did not fit a buffer
	nudgeAt uint64 // when to look whether the device has transmitted what it was told of; 0 = it had

	resets uint64
}

// Contexts of the queue: what the device knows about headers. There is room for two. That of TCP is for IPv4 or for IPv6, and is posted
// anew before a frame of the other kind.
const (
	nicContextUDP = 0
	nicContextTCP = 1
)

// Commands of frames, without their length.
const (
	sendPlain = igb.TxEnd | igb.TxFCS | igb.TxExtended | 3<<20
	sendUDP   = sendPlain | igb.TxIP | igb.TxL4 | nicContextUDP<<36
	sendTCP   = sendPlain | igb.TxIP | igb.TxL4 | nicContextTCP<<36
	sendTCP6  = sendPlain | igb.TxL4 | nicContextTCP<<36 | sendSix
	sendSix   = 1 << 37 // not the device's: it has two contexts
	ofTCP     = sendSix | nicContextTCP<<36
	sendIP    = sendPlain | igb.TxIP | nicContextUDP<<36
	lengths   = 1 | 1<<46 // times a length is what it adds: the buffer's and the frame's
)

func nicRead(r uint64) uint32     { return atomic.LoadUint32(at[uint32](nic.regs + r)) }
func nicWrite(r uint64, v uint32) { writeRegister(nic.regs+r, v) }

// writeRegister stores 32 bits: the compiler neither merges nor drops it. In cpu_amd64.s.
func writeRegister(address uint64, v uint32)

// nicOpen starts the queue of the function that was granted, with the interrupt off.
func nicOpen(g *abi.DeviceGrant) bool {
	if !nicTake(g) {
		return false
	}
	vmmcall(uint64(abi.CallRoute), nic.device, 0, 0, netVector, 0, 0)
	vmmcall(uint64(abi.CallMaskDevice), nic.device, 0, 0, 0, 0, 0)
	return true
}

// nicTake gives the function memory and starts its queue.
func nicTake(g *abi.DeviceGrant) bool {
	nic.regs, nic.device = direct(g.BAR.Addr), uint64(g.Index)
	memLock.lock()
	nic.memory = pool.contiguous(nicMemory, pageSize)
	memLock.unlock()
	if nic.memory == 0 {
		return false
	}
	for o := uint64(0); o < nicMemory; o += pageSize { // the device reaches a page from its first touch on
		store64(direct(nic.memory+o), 0)
	}
	for _, b := range g.MAC {
		net.mac = net.mac<<8 | uint64(b)
	}
	return nicStart()
}

// nicStart programs both rings and enables them (4.5.9, 4.5.10).
func nicStart() bool {
	rxq, txq := uint64(igb.VFRxQueue(0)), uint64(igb.VFTxQueue(0))
	nicWrite(igb.VTEIMC, 1<<igb.VFVectors-1)
	nicWrite(rxq+igb.RXDCTL, 0)
	nicWrite(txq+igb.TXDCTL, 0)
	nic.head, nic.given, nic.tail, nic.sent, nic.room, nic.skip, nic.nudgeAt = 0, nicSlots-1, 0, 0, nicMost, false, 0
	for i := range uint64(nicSlots) {
		nicPrepare(i)
	}
	store64(direct(nic.memory+nicLayoutDone), 0)
	ring := nic.memory
	nicWrite(rxq+igb.RDBAL, uint32(ring))
	nicWrite(rxq+igb.RDBAH, uint32(ring>>32))
	nicWrite(rxq+igb.RDLEN, pageSize)
	nicWrite(rxq+igb.SRRCTL, nicBufferSize>>10*igb.SRRCTL_KiB|igb.SRRCTL_ADV_ONEBUF|igb.SRRCTL_DROP_EN)
	nicWrite(rxq+igb.RDH, 0)
	nicWrite(rxq+igb.RDT, 0)
	ring += nicLayoutTx
	nicWrite(txq+igb.TDBAL, uint32(ring))
	nicWrite(txq+igb.TDBAH, uint32(ring>>32))
	nicWrite(txq+igb.TDLEN, pageSize)
	nicWrite(txq+igb.TDH, 0)
	nicWrite(txq+igb.TDT, 0)
	done := nic.memory + nicLayoutDone
	nicWrite(txq+igb.TDWBAL, uint32(done)|nicReportHead)
	nicWrite(txq+igb.TDWBAH, uint32(done>>32))
	for _, r := range [...]uint64{rxq + igb.RXDCTL, txq + igb.TXDCTL} {
		nicWrite(r, igb.QueueEnable)
		for n := 0; nicRead(r)&igb.QueueEnable == 0; n++ {
			if n == 10_000 {
				return false
			}
		}
	}
	nicPutContext(igb.Context{Index: nicContextUDP, MACLen: 14, IPLen: 20, IPv4: true})
	nicPutContext(igb.Context{Index: nicContextTCP, MACLen: 14, IPLen: 20, IPv4: true, TCP: true})
	nic.other, nic.cut = ofTCP, 0
	nicWrite(igb.VTIVAR, igb.IVARValid)
	nicWrite(igb.VTEIAC, 1)
	nicWrite(igb.VTEIAM, 1)
	nicWrite(igb.VTEITR0, 0)
	nicWrite(rxq+igb.RDT, nicSlots-1)
	return true
}

// nicPutContext posts what the device is to remember about headers until the queue is reset.
func nicPutContext(c igb.Context) {
	d := nicTx(nic.tail)
	lo, hi := c.Encode()
	store64(d, lo)
	store64(d+8, hi)
	nic.tail++
	if nic.room > 1 { // else it takes the slot that is kept for it
		nic.room--
	}
}

func nicRx(i uint8) uint64 { return direct(nic.memory) + uint64(i)*igb.DescriptorSize }
func nicTx(i uint8) uint64 { return direct(nic.memory) + nicLayoutTx + uint64(i)*igb.DescriptorSize }

// nicPrepare fills receive descriptor i.
func nicPrepare(i uint64) {
	d := nicRx(uint8(i))
	store64(d, nic.memory+nicLayoutRxB+i*nicBufferSize)
	store64(d+8, 0)
}

// nicPending tells whether a frame has arrived.
func nicPending() bool { return atomic.LoadUint64(at[uint64](nicRx(nic.head)+8))&igb.RxDone != 0 }

// received is a frame that has arrived: valid until nicRelease.
type received struct {
	b  []byte
	hi uint64 // what the device says of it
}

// nicReceive is the next frame that has arrived whole. It looks at each slot once at most.
func nicReceive() (received, bool) {
	for range nicSlots {
		hi := atomic.LoadUint64(at[uint64](nicRx(nic.head) + 8))
		if hi&igb.RxDone == 0 {
			return received{}, false
		}
		n := uint64(igb.RxLength(hi))
		last := hi&igb.RxEnd != 0
		if last && !nic.skip && hi&igb.RxError == 0 && n-1 < nicBufferSize {
			b := bytesAt(direct(nic.memory)+nicLayoutRxB+uint64(nic.head)*nicBufferSize, n)
			if capture.snap != 0 {
				captureFrame(b)
			}
			return received{b, hi}, true
		}
		nic.skip = !last
		drop(abi.DropDevice)
		nicRelease()
	}
	return received{}, false
}

// nicRelease gives the buffer of the frame that came last back to the device.
func nicRelease() {
	nicPrepare(uint64(nic.head))
	nic.head++
	if last := nic.head - 1; last-nic.given >= nicRefill {
		nic.given = last
		nicWrite(uint64(igb.VFRxQueue(0))+igb.RDT, uint32(last))
	}
}

// nicBuffer is the buffer for the next frame to send, or 0 when the ring is full. It is the same one until nicSend.
func nicBuffer() uint64 {
	if nic.room == 0 {
		used := nic.tail - uint8(load32(direct(nic.memory+nicLayoutDone)))
		if used >= nicMost {
			return 0
		}
		nic.room = nicMost - used
	}
	return direct(nic.memory) + nicLayoutTxB + uint64(nic.tail)*nicBufferSize
}

// frameBuffer is nicBuffer for a frame that is dropped when the ring is full.
func frameBuffer() uint64 {
	b := nicBuffer()
	if b == 0 {
		drop(abi.DropSendFull)
	}
	return b
}

// nicSend posts the first n bytes of nicBuffer.
func nicSend(n, command uint64) {
	buffer := nic.memory + nicLayoutTxB + uint64(nic.tail)*nicBufferSize
	if command&ofTCP == nic.other {
		nicContextFor(command, 0, 0)
	}
	d := nicTx(nic.tail)
	if capture.snap != 0 {
		captureSent(bytesAt(direct(buffer), n), command)
	}
	store64(d, buffer)
	store64(d+8, command&^sendSix+n*lengths)
	nic.tail++
	nic.room--
}

// nicContextFor has the device take frames of TCP as the command says, and cut them as is said. The context goes before the frame into the
// ring, so the frame in nicBuffer, of a slot that needs none any more, is that of a later slot: it is free when that one is.
func nicContextFor(command, head, cut uint64) {
	c := igb.Context{Index: nicContextTCP, MACLen: 14, IPLen: inet.IPv4Len, IPv4: true, TCP: true, L4Len: uint32(head), Segment: uint32(cut)}
	nic.other = ofTCP
	if command&sendSix != 0 {
		nic.other = nicContextTCP << 36
		c.IPLen, c.IPv4 = inet.IPv6Len, false
	}
	nic.cut = head<<16 | cut
	nicPutContext(c)
}

// nicLongest is how long the frame in nicBuffer may be that nicSendLong is to send: its buffers lie side by side. It is 0 if that is not
// worth it.
func nicLongest() uint64 {
	used := uint64(nic.tail - uint8(load32(direct(nic.memory+nicLayoutDone))))
	if used >= nicMost {
		return 0
	}
	n := min(nicMost-used, nicSlots-uint64(nic.tail))
	if n < 3 {
		return 0
	}
	return min(n*nicBufferSize, longestFrame)
}

// longestFrame is that of the longest packet of IPv4.
const longestFrame = inet.EthernetLen + 1<<16 - 1

// nicSendLong posts n bytes of nicBuffer, a frame of TCP with the given headers, to be sent as frames with cut bytes of data each. Its
// buffers are those of the slots that it takes.
func nicSendLong(n, headers, cut, command uint64) {
	buffer := nic.memory + nicLayoutTxB + uint64(nic.tail)*nicBufferSize
	head := headers - frameHead
	if command&sendSix != 0 {
		head = headers - frameHead6
	}
	if command&ofTCP == nic.other || nic.cut != head<<16|cut {
		nicContextFor(command, head, cut)
	}
	if capture.snap != 0 { // as one frame, as others show what the card is to cut
		captureSent(bytesAt(direct(buffer), n), command)
	}
	command = command&^(sendSix|igb.TxEnd) | igb.TxSegment | (n-headers)<<46
	for {
		d, k := nicTx(nic.tail), min(n, nicBufferSize)
		store64(d, buffer)
		nic.tail++
		nic.room = max(nic.room, 1) - 1
		if n -= k; n == 0 {
			store64(d+8, command|igb.TxEnd|k)
			return
		}
		store64(d+8, command|k)
		buffer += k
	}
}

// nicFlush tells the device of what was posted.
func nicFlush() {
	if nic.tail == nic.sent {
		return
	}
	last := nicTx(nic.tail-1) + 8
	store64(last, load64(last)|igb.TxReport)
	nic.sent = nic.tail
	nicWrite(uint64(igb.VFTxQueue(0))+igb.TDT, uint32(nic.tail))
	if nic.nudgeAt == 0 && nicBehind() {
		nic.nudgeAt = nanotime() + nicNudgeEvery
		netWakeAt(nic.nudgeAt)
	}
}

// nicBehind tells whether the device has not transmitted all that it was told of.
func nicBehind() bool { return uint8(load32(direct(nic.memory+nicLayoutDone))) != nic.sent }

// nicNudge tells the device once more what there is to transmit, if it is behind for long: a function that the nonkernel has kept
// from sending, because it had sent more than it may, goes on only when its tail is written (QEMU's igb; others take no notice).
func nicNudge(now uint64) {
	if nic.nudgeAt == 0 {
		return
	}
	if !nicBehind() {
		nic.nudgeAt = 0
		return
	}
	if now >= nic.nudgeAt {
		nicWrite(uint64(igb.VFTxQueue(0))+igb.TDT, uint32(nic.sent))
		nic.nudgeAt = now + nicNudgeEvery
	}
	netWakeAt(nic.nudgeAt)
}

// nicArm enables the interrupt: what arrived before and is in the ring still must be looked for afterwards.
func nicArm() {
	nicWrite(igb.VTEICR, 1)
	nicWrite(igb.VTEIMS, 1)
}

func nicDisarm() { nicWrite(igb.VTEIMC, 1) }

// nicCheck starts the queue anew after the function was reset: by the nonkernel, or by the program itself.
func nicCheck() {
	v := nicRead(uint64(igb.VFRxQueue(0)) + igb.RXDCTL)
	if v&igb.QueueEnable != 0 && v != ^uint32(0) && nicRead(uint64(igb.VFRxQueue(0))+igb.RDBAL) == uint32(nic.memory) {
		return
	}
	nic.resets++
	if nicStart() && net.armed {
		nicArm()
	}
}

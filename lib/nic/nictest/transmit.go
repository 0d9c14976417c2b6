package nictest

import "encoding/binary"

// Bits of transmit descriptors, section 7.2.2.
const (
	typeMask          = 15 << 20
	typeContext       = 2 << 20
	typeData          = 3 << 20
	cmdEOP            = 1 << 24
	cmdIFCS           = 1 << 25
	cmdRS             = 1 << 27
	cmdDEXT           = 1 << 29
	cmdTSE            = 1 << 31
	optIXSM, optTXSM  = 1 << 40, 1 << 41
	doneBit           = 1 << 32
	shortest, longest = 17, 9728
)

// txContext is what a context descriptor said.
type txContext struct {
	mac, ip, l4, mss int
	ipv4, tcp        bool
}

// Complete transmits up to n descriptors of queue 0 that wait because the device is Late; all of them when n is negative.
func (d *Device) Complete(n int) { d.CompleteOf(0, n) }

// CompleteOf transmits descriptors of a queue.
func (d *Device) CompleteOf(q, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.gone {
		d.transmit(q, n)
	}
}

// Waiting is how many descriptors of a queue wait to be transmitted.
func (d *Device) Waiting(q int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.reg(q, tdlen) / descriptorSize
	if n == 0 {
		return 0
	}
	return int((d.reg(q, tdt) + n - d.reg(q, tdh)) % n)
}

// transmit works on the descriptors between head and tail.
func (d *Device) transmit(q, most int) {
	n := d.reg(q, tdlen) / descriptorSize
	if d.paused || n == 0 || d.reg(q, tdt) >= n || d.reg(q, txdctl)&enabled == 0 {
		return
	}
	reports := false
	for ; d.reg(q, tdh) != d.reg(q, tdt) && most != 0; most-- {
		slot := d.reg(q, tdh)
		at := uint64(d.reg(q, tdbah))<<32 + uint64(d.reg(q, tdbal)) + uint64(slot)*descriptorSize
		desc := d.dma(at, descriptorSize)
		d.set(q, tdh, (slot+1)%n)
		if desc == nil {
			continue
		}
		lo, hi := binary.LittleEndian.Uint64(desc), binary.LittleEndian.Uint64(desc[8:])
		d.descriptor(q, lo, hi)
		if hi&cmdRS != 0 {
			d.report(q, desc, hi)
			reports = true
		}
	}
	if reports {
		d.raise(d.cause(q, 1))
	}
}

// report says that a descriptor is done: in the descriptor, or by writing the position to memory.
func (d *Device) report(q int, desc []byte, hi uint64) {
	d.stats.Reports++
	where := d.reg(q, tdwbal)
	if where&1 == 0 {
		storeUint64(desc[8:], hi|doneBit)
		return
	}
	if b := d.dma(uint64(d.reg(q, tdwbah))<<32+uint64(where&^3), 4); b != nil {
		head := d.reg(q, tdh)
		if d.MangleTx != nil {
			head = d.MangleTx(head)
		}
		storeUint32(b, head)
	}
}

// descriptor takes one descriptor in; the last of a frame sends it.
func (d *Device) descriptor(q int, lo, hi uint64) {
	st := &d.queues[q]
	if hi&cmdDEXT != 0 && hi&typeMask == typeContext {
		st.contexts[hi>>36&1] = txContext{
			mac: int(lo >> 9 & 0x7f), ip: int(lo & 0x1ff), l4: int(hi >> 40 & 0xff), mss: int(hi >> 48),
			ipv4: hi&(1<<10) != 0, tcp: hi&(1<<11) != 0,
		}
		return
	}
	if !st.partial {
		d.frame, st.partial, st.first = d.frame[:0], true, hi
	}
	if d.OnSendBuffer != nil {
		d.OnSendBuffer(lo)
	}
	b := d.dma(lo, int(hi&0xffff))
	if hi&cmdDEXT == 0 || hi&typeMask != typeData || (hi^st.first)&cmdTSE != 0 || b == nil {
		st.first = 0 // nothing is sent
	}
	d.frame = append(d.frame, b...)
	if hi&cmdEOP == 0 {
		return
	}
	st.partial = false
	switch c := st.contexts[st.first>>36&1]; {
	case st.first&cmdTSE != 0 && d.cut(q, st.first, c):
		d.stats.TxCut++
	case st.first != 0 && st.first&cmdTSE == 0 && int(st.first>>46) == len(d.frame) && d.send(q, d.frame, st.first, c):
	default:
		d.stats.TxBad++
	}
}

// send lets a frame out, with the checksums that its descriptor asks for.
func (d *Device) send(q int, frame []byte, hi uint64, c txContext) bool {
	if len(frame) < shortest || len(frame) > longest || !insertSums(frame, hi, c) {
		return false
	}
	d.stats.TxFrames++
	if d.OnSend != nil {
		d.OnSend(q, frame)
	}
	return true
}

// insertSums computes the checksums that a descriptor asks for, as hardware does: over what the context says, from the sum that the
// driver left in the field.
func insertSums(frame []byte, hi uint64, c txContext) bool {
	start := c.mac + c.ip
	if hi&(optIXSM|optTXSM) != 0 && (c.mac < etherLen || c.ip < 20 || start > len(frame)) {
		return false
	}
	if hi&optIXSM != 0 {
		ip := frame[c.mac:start]
		binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	}
	if hi&optTXSM != 0 {
		field := 6
		if c.tcp {
			field = 16
		}
		l4 := frame[start:]
		if len(l4) < field+2 {
			return false
		}
		s := ^sum(0, l4)
		if s == 0 && !c.tcp {
			s = 0xffff // RFC 768: zero says that there is none
		}
		binary.BigEndian.PutUint16(l4[field:], s)
	}
	return true
}

// InsertChecksums does with a frame what the device does when UDP's and IPv4's checksums are asked for. It says whether the device
// would send the frame.
func InsertChecksums(frame []byte) bool {
	return insertSums(frame, optIXSM|optTXSM, txContext{mac: etherLen, ip: 20})
}

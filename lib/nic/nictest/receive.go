package nictest

import "encoding/binary"

// Bits of a receive descriptor as written back, section 7.1.5.2.
const (
	dd, eop             = 1 << 0, 1 << 1
	udpcs, tcpcs, ipcs  = 1 << 4, 1 << 5, 1 << 6
	ipidv               = 1 << 9
	l4Error, ipError    = 1 << 29, 1 << 30
	typeIPv4, typeUDP   = 1 << 4, 0x20 << 4
	typeTCP             = 0x10 << 4
	descriptorSize      = 16
	etherLen, etherIPv4 = 14, 0x0800
)

// Deliver gives a frame to queue 0, as if it came from the wire. It says whether it was received.
func (d *Device) Deliver(frame []byte) bool { return d.DeliverTo(0, frame) }

// DeliverTo gives a frame to a queue.
func (d *Device) DeliverTo(q int, frame []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	longest := d.MaxFrame
	if longest == 0 {
		longest = 1514
	}
	switch {
	case d.gone || !d.link || d.reg(q, rxdctl)&enabled == 0:
		d.stats.RxOff++
		return false
	case len(frame) > longest:
		d.stats.RxLong++
		return false
	}
	var padded [60]byte
	if len(frame) < len(padded) && !d.NoPadding {
		copy(padded[:], frame)
		frame = padded[:]
	}
	size := int(d.reg(q, srrctl)&0x7f) << 10
	if size == 0 {
		size = 2048
	}
	n := d.reg(q, rdlen) / descriptorSize
	if n == 0 || d.reg(q, rdt) >= n {
		d.stats.RxOff++
		return false
	}
	free := (d.reg(q, rdt) + n - d.reg(q, rdh)) % n
	need := max(1, (len(frame)+size-1)/size)
	if int(free) < need {
		d.stats.RxFull++
		return false
	}
	flags := check(frame)
	for i := range need {
		part := frame[i*size : min(len(frame), (i+1)*size)]
		hi := uint64(len(part))<<32 | dd
		lo := uint64(0)
		if i == need-1 {
			hi |= eop | flags&0xffff_ffff
			lo = flags >> 32
		}
		d.writeBack(q, part, lo, hi, n)
	}
	d.stats.RxFrames++
	d.raise(d.cause(q, 0))
	return true
}

// writeBack fills one buffer and reports it in its descriptor: payload first, then the descriptor, DD last.
func (d *Device) writeBack(q int, part []byte, lo, hi uint64, n uint32) {
	slot := d.reg(q, rdh)
	at := uint64(d.reg(q, rdbah))<<32 + uint64(d.reg(q, rdbal)) + uint64(slot)*descriptorSize
	d.set(q, rdh, (slot+1)%n)
	desc := d.dma(at, descriptorSize)
	if desc == nil {
		return
	}
	if d.OnReceiveBuffer != nil {
		d.OnReceiveBuffer(binary.LittleEndian.Uint64(desc))
	}
	if b := d.dma(binary.LittleEndian.Uint64(desc), len(part)); b != nil {
		copy(b, part)
	}
	if d.MangleRx != nil {
		lo, hi = d.MangleRx(slot, lo, hi)
	}
	binary.LittleEndian.PutUint64(desc, lo)
	storeUint64(desc[8:], hi)
}

// check is what the device finds out about a frame: status and errors in bits 31:0, the packet type from bit 32 on.
func check(frame []byte) uint64 {
	if len(frame) < etherLen+20 || binary.BigEndian.Uint16(frame[12:]) != etherIPv4 {
		return 0
	}
	ip := frame[etherLen:]
	header := int(ip[0]&15) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || header < 20 || total < header || total > len(ip) {
		return 0
	}
	flags := uint64(ipcs|ipidv) | typeIPv4<<32
	if sum(0, ip[:header]) != 0xffff {
		flags |= ipError
	}
	fragment := binary.BigEndian.Uint16(ip[6:])&0x3fff != 0
	l4 := ip[header:total]
	pseudo := pseudoSum(ip, len(l4))
	switch {
	case fragment:
	case ip[9] == 17 && len(l4) >= 8:
		flags |= typeUDP << 32
		if binary.BigEndian.Uint16(l4[6:]) != 0 {
			flags |= udpcs | tcpcs
			if sum(pseudo, l4) != 0xffff {
				flags |= l4Error
			}
		}
	case ip[9] == 6 && len(l4) >= 20:
		flags |= tcpcs | typeTCP<<32
		if sum(pseudo, l4) != 0xffff {
			flags |= l4Error
		}
	}
	return flags
}

// pseudoSum begins the checksum of UDP or TCP over IPv4.
func pseudoSum(ip []byte, length int) uint32 {
	return uint32(sum(uint32(ip[9])+uint32(length), ip[12:20]))
}

// sum is the sum of RFC 1071, byte by byte, not complemented.
func sum(start uint32, b []byte) uint16 {
	for i, v := range b {
		if i%2 == 0 {
			start += uint32(v) << 8
		} else {
			start += uint32(v)
		}
	}
	for start>>16 != 0 {
		start = start&0xffff + start>>16
	}
	return uint16(start)
}

// Check is what the device would say of a frame: the status and errors of its last descriptor.
func Check(frame []byte) uint32 { return uint32(check(frame)) | dd | eop }

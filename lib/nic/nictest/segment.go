package nictest

import "encoding/binary"

// Flags of TCP that not all segments of a packet have: the first values of DTXTCPFLGL and DTXTCPFLGH.
const (
	flagsFirst  = 0xf6 // no FIN, no PSH
	flagsMiddle = 0x76 // nor CWR
	flagsLast   = 0x7f
)

// cut sends the packet that was gathered as segments, section 7.2.4: each has the packet's headers, of which the device changes lengths,
// IPv4's identification, sequence number, flags and checksums. It says false, and sends nothing, when the descriptors make no such packet.
func (d *Device) cut(q int, hi uint64, c txContext) bool {
	head, payload := c.mac+c.ip+c.l4, int(hi>>46)
	switch {
	case !c.tcp || c.mss == 0 || c.mac < etherLen || c.ip < 20 || c.l4 < 20 || head+c.mss > longest:
		return false
	case hi&cmdIFCS == 0 || hi&optTXSM == 0 || (hi&optIXSM != 0) != c.ipv4:
		return false
	case payload == 0 || head+payload != len(d.frame):
		return false
	}
	headers, data := d.frame[:head], d.frame[head:]
	for n := 0; n*c.mss < payload; n++ {
		part := data[n*c.mss : min(payload, (n+1)*c.mss)]
		d.cutOff = append(append(d.cutOff[:0], headers...), part...)
		ip, tcp := d.cutOff[c.mac:c.mac+c.ip], d.cutOff[c.mac+c.ip:]
		if c.ipv4 {
			binary.BigEndian.PutUint16(ip[2:], uint16(c.ip+len(tcp)))
			binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(n))
		} else {
			binary.BigEndian.PutUint16(ip[4:], uint16(c.ip-40+len(tcp)))
		}
		binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(n*c.mss))
		last := (n+1)*c.mss >= payload
		switch {
		case n == 0 && !last:
			tcp[13] &= flagsFirst
		case !last:
			tcp[13] &= flagsMiddle
		case n > 0:
			tcp[13] &= flagsLast
		}
		// The driver left the sum of the pseudo header without the length, which differs.
		binary.BigEndian.PutUint16(tcp[16:], sum(uint32(binary.BigEndian.Uint16(tcp[16:]))+uint32(len(tcp)), nil))
		if !d.send(q, d.cutOff, hi, c) {
			return false
		}
	}
	return true
}

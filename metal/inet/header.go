package inet

// Sizes and numbers of headers.
const (
	EthernetLen = 14
	IPv4Len     = 20 // without options
	IPv6Len     = 40
	UDPLen      = 8
	TCPLen      = 20 // without options
	ARPLen      = 28
	ICMPLen     = 8

	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd

	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Be16, Be32, PutBe16 and PutBe32 are numbers in network byte order.
func Be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }
func Be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
func PutBe16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }
func PutBe32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

// IPv4 is what a packet's header says.
type IPv4 struct {
	From, To uint32
	Proto    uint8
	ID       uint16
	Fragment uint16 // offset in bytes
	More     bool   // fragments follow
	Payload  []byte
}

// ParseIPv4 reads the header of a packet. What is behind the packet, as padding of a frame is, is cut off. checked says that
// the header checksum was found right already. False: it is no correct packet.
func ParseIPv4(b []byte, checked bool, p *IPv4) bool {
	if len(b) < IPv4Len || b[0]>>4 != 4 {
		return false
	}
	header, total := int(b[0]&15)*4, int(Be16(b[2:]))
	if header < IPv4Len || total < header || total > len(b) {
		return false
	}
	if !checked && Checksum(0, b[:header]) != 0 {
		return false
	}
	p.From, p.To, p.Proto, p.ID = Be32(b[12:]), Be32(b[16:]), b[9], Be16(b[4:])
	f := Be16(b[6:])
	p.More, p.Fragment = f&0x2000 != 0, f&0x1fff*8
	p.Payload = b[header:total]
	return true
}

// PutIPv4 writes a header without options for a payload of n bytes, not to be fragmented if id is 0. The checksum is left 0.
func PutIPv4(b []byte, from, to uint32, proto uint8, id uint16, n int) {
	_ = b[IPv4Len-1]
	b[0], b[1] = 0x45, 0
	PutBe16(b[2:], uint16(IPv4Len+n))
	PutBe16(b[4:], id)
	b[6], b[7] = 0x40, 0
	if id != 0 {
		b[6] = 0
	}
	b[8], b[9] = 64, proto
	b[10], b[11] = 0, 0
	PutBe32(b[12:], from)
	PutBe32(b[16:], to)
}

// PseudoIPv4 is the sum of the pseudo header for n bytes of TCP or UDP.
func PseudoIPv4(from, to uint32, proto uint8, n int) uint64 {
	return uint64(from>>16) + uint64(from&0xffff) + uint64(to>>16) + uint64(to&0xffff) + uint64(proto) + uint64(n)
}

// PseudoIPv6 is the same for IPv6; addresses are given as two numbers of 64 bits.
func PseudoIPv6(fromHi, fromLo, toHi, toLo uint64, proto uint8, n int) uint64 {
	sum := uint64(proto) + uint64(n)
	for _, v := range [...]uint64{fromHi, fromLo, toHi, toLo} {
		sum += v>>32 + v&0xffff_ffff
	}
	return sum
}

// UDP is what a datagram's header says.
type UDP struct {
	From, To uint16
	Sum      bool // it has a checksum
	Payload  []byte
}

// ParseUDP reads the header of a datagram.
func ParseUDP(b []byte, u *UDP) bool {
	if len(b) < UDPLen {
		return false
	}
	n := int(Be16(b[4:]))
	if n < UDPLen || n > len(b) {
		return false
	}
	u.From, u.To, u.Sum = Be16(b), Be16(b[2:]), b[6]|b[7] != 0
	u.Payload = b[UDPLen:n]
	return true
}

// PutUDP writes a header for n bytes of payload, with the given checksum field.
func PutUDP(b []byte, from, to uint16, n int, sum uint16) {
	PutBe16(b, from)
	PutBe16(b[2:], to)
	PutBe16(b[4:], uint16(UDPLen+n))
	PutBe16(b[6:], sum)
}

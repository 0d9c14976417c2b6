package inet

import "encoding/binary"

// IPv6 is what a packet's headers say. Addresses are two numbers each.
type IPv6 struct {
	FromHi, FromLo, ToHi, ToLo uint64
	Hops                       uint8
	Proto                      uint8 // of Payload
	Part                       bool  // it is a fragment: extension headers may still be in the whole, see SkipIPv6
	Fragment                   uint16
	More                       bool
	ID                         uint32
	Payload                    []byte
}

// Extension headers (RFC 8200, 4).
const (
	nextHopByHop    = 0
	nextRouting     = 43
	nextFragment    = 44
	nextDestination = 60

	mostExtensions = 8
)

// ParseIPv6 reads the header of a packet, and what extension headers there are. What is behind the packet is cut off. False: it is
// no correct packet, or one that must not be taken.
func ParseIPv6(b []byte, p *IPv6) bool {
	if len(b) < IPv6Len || b[0]>>4 != 6 {
		return false
	}
	n := int(Be16(b[4:]))
	if n > len(b)-IPv6Len {
		return false
	}
	p.FromHi, p.FromLo = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	p.ToHi, p.ToLo = binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])
	p.Hops = b[7]
	p.Part, p.More, p.Fragment, p.ID = false, false, 0, 0
	if Multicast(p.FromHi) {
		return false
	}
	next, rest := b[6], b[IPv6Len:IPv6Len+n]
	if next == nextHopByHop {
		var ok bool
		if next, rest, ok = skipOptions(rest); !ok {
			return false
		}
	}
	next, rest, ok := SkipIPv6(next, rest)
	if ok && next == nextFragment {
		next, rest, ok = p.fragment(rest)
	}
	p.Proto, p.Payload = next, rest
	return ok
}

// fragment reads a fragment header. One that is the whole (RFC 6946) counts for nothing.
func (p *IPv6) fragment(b []byte) (uint8, []byte, bool) {
	if len(b) < 8 {
		return 0, nil, false
	}
	f := Be16(b[2:])
	p.Fragment, p.More, p.ID = f&^7, f&1 != 0, Be32(b[4:])
	next, rest := b[0], b[8:]
	if p.More && len(rest)%8 != 0 {
		return 0, nil, false
	}
	if !p.More && p.Fragment == 0 {
		next, rest, ok := SkipIPv6(next, rest)
		return next, rest, ok && next != nextFragment
	}
	p.Part = true
	return next, rest, true
}

// SkipIPv6 goes over extension headers to what they precede: a protocol, or a fragment. It is for what was put together from
// fragments, too. False: the packet must not be taken.
func SkipIPv6(next uint8, b []byte) (uint8, []byte, bool) {
	for range mostExtensions {
		ok := true
		switch next {
		case nextDestination:
			next, b, ok = skipOptions(b)
		case nextRouting: // one that was followed to its end says nothing
			if len(b) < 8 || b[3] != 0 {
				return 0, nil, false
			}
			n := 8 + 8*int(b[1])
			if n > len(b) {
				return 0, nil, false
			}
			next, b = b[0], b[n:]
		case nextHopByHop: // only at the beginning
			return 0, nil, false
		default:
			return next, b, true
		}
		if !ok {
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// skipOptions goes over a header of options. None of them means anything here, but some must be understood.
func skipOptions(b []byte) (next uint8, rest []byte, ok bool) {
	if len(b) < 8 {
		return 0, nil, false
	}
	n := 8 + 8*int(b[1])
	if n > len(b) {
		return 0, nil, false
	}
	for o := b[2:n]; len(o) != 0; {
		if o[0] == 0 { // one byte of padding
			o = o[1:]
			continue
		}
		if o[0]>>6 != 0 || len(o) < 2 || int(o[1]) > len(o)-2 {
			return 0, nil, false
		}
		o = o[2+int(o[1]):]
	}
	return b[0], b[n:], true
}

// PutIPv6 writes a header for n bytes of payload.
func PutIPv6(b []byte, fromHi, fromLo, toHi, toLo uint64, proto, hops uint8, n int) {
	_ = b[IPv6Len-1]
	PutBe32(b, 6<<28)
	PutBe16(b[4:], uint16(n))
	b[6], b[7] = proto, hops
	binary.BigEndian.PutUint64(b[8:], fromHi)
	binary.BigEndian.PutUint64(b[16:], fromLo)
	binary.BigEndian.PutUint64(b[24:], toHi)
	binary.BigEndian.PutUint64(b[32:], toLo)
}

// Multicast tells whether an address is that of a group, by its first half.
func Multicast(hi uint64) bool { return hi>>56 == 0xff }

// LinkLocal tells whether an address is known on its link only, by its first half.
func LinkLocal(hi uint64) bool { return hi>>54 == 0xfe80>>6 }

// SolicitedNode is the group that is asked for the neighbour whose address ends in lo (RFC 4291, 2.7.1).
func SolicitedNode(lo uint64) (hi, group uint64) { return 0xff02 << 48, 0x1_ff00_0000 | lo&0xff_ffff }

// GroupMAC is where a group is on Ethernet (RFC 2464).
func GroupMAC(lo uint64) [6]byte {
	return [6]byte{0x33, 0x33, byte(lo >> 24), byte(lo >> 16), byte(lo >> 8), byte(lo)}
}

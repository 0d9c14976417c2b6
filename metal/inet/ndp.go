package inet

import "encoding/binary"

// Types of messages of neighbour discovery (RFC 4861).
const (
	RouterSolicitation     = 133
	RouterAdvertisement    = 134
	NeighbourSolicitation  = 135
	NeighbourAdvertisement = 136
)

// Options of them, with their size.
const (
	optionSourceMAC = 1
	optionTargetMAC = 2
	optionPrefix    = 3
	optionMTU       = 5
	optionDNS       = 25 // RFC 8106

	macLen    = 8
	prefixLen = 32
	mtuLen    = 8
	dnsLen    = 8 // and 16 for each server
	ndpHops   = 255
	ndpShort  = 8
	ndpTarget = 24
	ndpRouter = 16

	mostPrefixes = 4
	mostServers  = 4
)

// Address is one of IPv6.
type Address struct{ Hi, Lo uint64 }

// Prefix is what a router says about a part of the address space.
type Prefix struct {
	Address
	Bits               uint8
	OnLink, Autonomous bool
	Valid, Preferred   uint32 // seconds
}

// NDP is a message of neighbour discovery.
type NDP struct {
	Type   uint8
	Target Address // of a solicitation or advertisement of a neighbour

	Router, Solicited, Override bool // of an advertisement of a neighbour

	// MAC is that of the sender, or in an advertisement of a neighbour that of the target.
	HasMAC bool
	MAC    [6]byte

	// What follows is of a router's advertisement.
	Hops               uint8
	Managed, Other     bool
	Lifetime           uint16 // seconds; 0: it is no way out
	Reachable, Retrans uint32 // milliseconds
	MTU                uint32 // 0: not said
	Prefixes           [mostPrefixes]Prefix
	NumPrefixes        uint8
	Servers            [mostServers]Address // of names
	NumServers         uint8
	ServersLifetime    uint32
}

// ParseNDP reads a message from a packet of ICMPv6. checked says that its checksum was found right already. False: it is not one,
// or not correct, or comes from behind a router.
func ParseNDP(p *IPv6, checked bool, m *NDP) bool {
	b := p.Payload
	if p.Proto != ProtoICMPv6 || p.Part || p.Hops != ndpHops || len(b) < ndpShort || b[1] != 0 {
		return false
	}
	if !checked && Checksum(PseudoIPv6(p.FromHi, p.FromLo, p.ToHi, p.ToLo, ProtoICMPv6, len(b)), b) != 0 {
		return false
	}
	*m = NDP{Type: b[0]}
	n := m.fixedLen()
	if n == 0 || len(b) < n {
		return false
	}
	m.parseFixed(b)
	return m.parseOptions(b[n:]) && m.correct(p)
}

// fixedLen is how long the message is without options; 0: it is not of neighbour discovery.
func (m *NDP) fixedLen() int {
	switch m.Type {
	case RouterSolicitation:
		return ndpShort
	case RouterAdvertisement:
		return ndpRouter
	case NeighbourSolicitation, NeighbourAdvertisement:
		return ndpTarget
	}
	return 0
}

func (m *NDP) parseFixed(b []byte) {
	switch m.Type {
	case RouterAdvertisement:
		m.Hops, m.Managed, m.Other = b[4], b[5]&0x80 != 0, b[5]&0x40 != 0
		m.Lifetime, m.Reachable, m.Retrans = Be16(b[6:]), Be32(b[8:]), Be32(b[12:])
	case NeighbourAdvertisement:
		m.Router, m.Solicited, m.Override = b[4]&0x80 != 0, b[4]&0x40 != 0, b[4]&0x20 != 0
		m.Target = address(b[8:])
	case NeighbourSolicitation:
		m.Target = address(b[8:])
	}
}

// correct is what RFC 4861 wants to be tested in 6.1 and 7.1.
func (m *NDP) correct(p *IPv6) bool {
	nobody := p.FromHi|p.FromLo == 0
	switch m.Type {
	case RouterSolicitation:
		return !nobody || !m.HasMAC
	case RouterAdvertisement:
		return LinkLocal(p.FromHi)
	case NeighbourSolicitation:
		if nobody {
			hi, lo := SolicitedNode(m.Target.Lo)
			if m.HasMAC || p.ToHi != hi || p.ToLo != lo {
				return false
			}
		}
	case NeighbourAdvertisement:
		if m.Solicited && Multicast(p.ToHi) {
			return false
		}
	}
	return !Multicast(m.Target.Hi)
}

// parseOptions reads the options that are known. One without a length spoils the message.
func (m *NDP) parseOptions(b []byte) bool {
	for len(b) != 0 {
		if len(b) < 8 {
			return false
		}
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			return false
		}
		m.parseOption(b[:n])
		b = b[n:]
	}
	return true
}

// ownMAC is the option with the MAC that matters.
func (m *NDP) ownMAC() uint8 {
	if m.Type == NeighbourAdvertisement {
		return optionTargetMAC
	}
	return optionSourceMAC
}

func (m *NDP) parseOption(o []byte) {
	router := m.Type == RouterAdvertisement
	switch {
	case o[0] == m.ownMAC() && len(o) == macLen:
		m.HasMAC = true
		copy(m.MAC[:], o[2:macLen])
	case router && o[0] == optionMTU && len(o) == mtuLen:
		m.MTU = Be32(o[4:])
	case router && o[0] == optionPrefix && len(o) == prefixLen:
		p := Prefix{address(o[16:]), o[2], o[3]&0x80 != 0, o[3]&0x40 != 0, Be32(o[4:]), Be32(o[8:])}
		if p.Bits <= 128 && p.Preferred <= p.Valid && !LinkLocal(p.Hi) && m.NumPrefixes < mostPrefixes {
			m.Prefixes[m.NumPrefixes] = p
			m.NumPrefixes++
		}
	case router && o[0] == optionDNS && len(o) >= dnsLen+16:
		m.ServersLifetime = Be32(o[4:])
		for a := o[dnsLen:]; len(a) >= 16 && m.NumServers < mostServers; a = a[16:] {
			m.Servers[m.NumServers] = address(a)
			m.NumServers++
		}
	}
}

// Len is how long the message is that Put writes.
func (m *NDP) Len() int {
	n := m.fixedLen()
	if m.HasMAC {
		n += macLen
	}
	if m.Type != RouterAdvertisement {
		return n
	}
	if m.MTU != 0 {
		n += mtuLen
	}
	if m.NumServers != 0 {
		n += dnsLen + 16*int(m.NumServers)
	}
	return n + prefixLen*int(m.NumPrefixes)
}

// Put writes the message; b has Len bytes. It is to be sent with 255 hops. The checksum is left 0.
func (m *NDP) Put(b []byte) {
	clear(b)
	b[0] = m.Type
	switch m.Type {
	case RouterAdvertisement:
		b[4], b[5] = m.Hops, flag(m.Managed, 0x80)|flag(m.Other, 0x40)
		PutBe16(b[6:], m.Lifetime)
		PutBe32(b[8:], m.Reachable)
		PutBe32(b[12:], m.Retrans)
	case NeighbourAdvertisement:
		b[4] = flag(m.Router, 0x80) | flag(m.Solicited, 0x40) | flag(m.Override, 0x20)
		putAddress(b[8:], m.Target)
	case NeighbourSolicitation:
		putAddress(b[8:], m.Target)
	}
	b = b[m.fixedLen():]
	if m.HasMAC {
		b[0], b[1] = m.ownMAC(), macLen/8
		copy(b[2:macLen], m.MAC[:])
		b = b[macLen:]
	}
	if m.Type == RouterAdvertisement {
		m.putRouter(b)
	}
}

// putRouter writes the options of a router.
func (m *NDP) putRouter(b []byte) {
	if m.MTU != 0 {
		b[0], b[1] = optionMTU, mtuLen/8
		PutBe32(b[4:], m.MTU)
		b = b[mtuLen:]
	}
	for i := range m.NumPrefixes {
		p := &m.Prefixes[i]
		b[0], b[1], b[2], b[3] = optionPrefix, prefixLen/8, p.Bits, flag(p.OnLink, 0x80)|flag(p.Autonomous, 0x40)
		PutBe32(b[4:], p.Valid)
		PutBe32(b[8:], p.Preferred)
		putAddress(b[16:], p.Address)
		b = b[prefixLen:]
	}
	if m.NumServers != 0 {
		b[0], b[1] = optionDNS, 1+2*m.NumServers
		PutBe32(b[4:], m.ServersLifetime)
		for i := range m.NumServers {
			putAddress(b[dnsLen+16*int(i):], m.Servers[i])
		}
	}
}

func flag(set bool, bit uint8) uint8 {
	if set {
		return bit
	}
	return 0
}

func address(b []byte) Address {
	return Address{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func putAddress(b []byte, a Address) {
	binary.BigEndian.PutUint64(b, a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
}

package inet

// Messages of DHCP (RFC 2131, 2132), with the options that matter here.

// Ports of UDP.
const (
	DHCPServerPort = 67
	DHCPClientPort = 68
)

// Types of messages.
const (
	DHCPDiscover = 1
	DHCPOffer    = 2
	DHCPRequest  = 3
	DHCPDecline  = 4
	DHCPAck      = 5
	DHCPNak      = 6
)

// Options (RFC 2132).
const (
	dhcpPad        = 0
	dhcpMask       = 1
	dhcpRouter     = 3
	dhcpDNS        = 6
	dhcpName       = 12
	dhcpRequested  = 50
	dhcpLease      = 51
	dhcpOverload   = 52
	dhcpType       = 53
	dhcpServer     = 54
	dhcpParameters = 55
	dhcpT1         = 58
	dhcpT2         = 59
	dhcpEnd        = 255
)

// Where things lie in a message.
const (
	dhcpSeconds = 8
	dhcpClient  = 12
	dhcpYour    = 16
	dhcpMAC     = 28
	dhcpSname   = 44
	dhcpFile    = 108
	dhcpMagicAt = 236
	dhcpOptions = 240

	dhcpMagic    = 0x6382_5363
	dhcpEthernet = 1<<8 | 6 // kind and length of addresses

	dhcpLeast = 300 // old servers and relays take no shorter message (RFC 1542, 2.1)

	// DHCPMost is how long a message that Put writes is at most.
	DHCPMost = 448

	mostDHCPServers = 3
	mostDHCPName    = 63
)

// DHCP is a message. Numbers that are 0, but for the transaction's, are not there.
type DHCP struct {
	Reply   bool // from a server
	Type    uint8
	XID     uint32
	Seconds uint16
	Client  uint32 // the address that the client has
	Your    uint32 // the one that it is to have
	MAC     uint64 // the client's

	Requested, Server    uint32
	Mask, Router         uint32
	DNS                  [mostDHCPServers]uint32
	NumDNS               uint8
	Lease, Renew, Rebind uint32 // seconds
	Name                 [mostDHCPName]byte
	NameLen              uint8
}

// ParseDHCP reads a message. False: it is none, or not correct, or not for Ethernet.
func ParseDHCP(b []byte, m *DHCP) bool {
	if len(b) < dhcpOptions || b[0] != 1 && b[0] != 2 || Be16(b[1:]) != dhcpEthernet || Be32(b[dhcpMagicAt:]) != dhcpMagic {
		return false
	}
	*m = DHCP{Reply: b[0] == 2, XID: Be32(b[4:]), Seconds: Be16(b[dhcpSeconds:]), Client: Be32(b[dhcpClient:]), Your: Be32(b[dhcpYour:]),
		MAC: uint64(Be16(b[dhcpMAC:]))<<32 | uint64(Be32(b[dhcpMAC+2:]))}
	overload := uint8(0)
	if !m.parseOptions(b[dhcpOptions:], &overload) {
		return false
	}
	none := uint8(0)
	if overload&1 != 0 && !m.parseOptions(b[dhcpFile:dhcpMagicAt], &none) {
		return false
	}
	if overload&2 != 0 && !m.parseOptions(b[dhcpSname:dhcpFile], &none) {
		return false
	}
	return m.Type != 0
}

// parseOptions reads the options of one field. One that is longer than what is left spoils the message. overload is set to which of
// the other fields have options, too.
func (m *DHCP) parseOptions(b []byte, overload *uint8) bool {
	for len(b) != 0 && b[0] != dhcpEnd {
		if b[0] == dhcpPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b)-2 < int(b[1]) {
			return false
		}
		n := 2 + int(b[1])
		if b[0] == dhcpOverload && n == 3 {
			*overload = b[2]
		}
		m.parseOption(b[0], b[2:n])
		b = b[n:]
	}
	return true
}

func (m *DHCP) parseOption(kind uint8, b []byte) {
	if p := m.word(kind); p != nil {
		if len(b) == 4 || kind == dhcpRouter && len(b) >= 4 {
			*p = Be32(b)
		}
		return
	}
	switch kind {
	case dhcpType:
		if len(b) == 1 {
			m.Type = b[0]
		}
	case dhcpDNS:
		for m.NumDNS = 0; len(b) >= 4 && m.NumDNS < mostDHCPServers; b = b[4:] {
			m.DNS[m.NumDNS] = Be32(b)
			m.NumDNS++
		}
	case dhcpName:
		m.NameLen = uint8(copy(m.Name[:], b))
	}
}

// word is where an option of 32 bits belongs, or nil.
func (m *DHCP) word(kind uint8) *uint32 {
	switch kind {
	case dhcpMask:
		return &m.Mask
	case dhcpRouter:
		return &m.Router
	case dhcpRequested:
		return &m.Requested
	case dhcpLease:
		return &m.Lease
	case dhcpServer:
		return &m.Server
	case dhcpT1:
		return &m.Renew
	case dhcpT2:
		return &m.Rebind
	}
	return nil
}

// dhcpWords are the options of 32 bits.
var dhcpWords = [...]uint8{dhcpMask, dhcpRouter, dhcpRequested, dhcpLease, dhcpServer, dhcpT1, dhcpT2}

// Put writes the message into b, which has DHCPMost bytes, and returns how long it is.
func (m *DHCP) Put(b []byte) int {
	_ = b[DHCPMost-1]
	clear(b[:DHCPMost])
	b[0] = 1
	if m.Reply {
		b[0] = 2
	}
	PutBe16(b[1:], dhcpEthernet)
	PutBe32(b[4:], m.XID)
	PutBe16(b[dhcpSeconds:], m.Seconds)
	PutBe32(b[dhcpClient:], m.Client)
	PutBe32(b[dhcpYour:], m.Your)
	PutBe16(b[dhcpMAC:], uint16(m.MAC>>32))
	PutBe32(b[dhcpMAC+2:], uint32(m.MAC))
	PutBe32(b[dhcpMagicAt:], dhcpMagic)
	n := dhcpOptions
	n += putOption(b[n:], dhcpType, 1)
	b[n-1] = m.Type
	for _, kind := range dhcpWords {
		if v := *m.word(kind); v != 0 {
			n += putOption(b[n:], kind, 4)
			PutBe32(b[n-4:], v)
		}
	}
	if m.NumDNS != 0 {
		k := min(int(m.NumDNS), mostDHCPServers)
		n += putOption(b[n:], dhcpDNS, 4*k)
		for i := range k {
			PutBe32(b[n-4*(k-i):], m.DNS[i])
		}
	}
	if m.NameLen != 0 {
		k := min(int(m.NameLen), mostDHCPName)
		n += putOption(b[n:], dhcpName, k)
		copy(b[n-k:], m.Name[:k])
	}
	if !m.Reply {
		n += putOption(b[n:], dhcpParameters, 6)
		p := b[n-6:]
		p[0], p[1], p[2], p[3], p[4], p[5] = dhcpMask, dhcpRouter, dhcpDNS, dhcpLease, dhcpT1, dhcpT2
	}
	b[n] = dhcpEnd
	return max(n+1, dhcpLeast)
}

// putOption writes the head of an option of n bytes, and returns its whole length.
func putOption(b []byte, kind uint8, n int) int {
	b[0], b[1] = kind, uint8(n)
	return 2 + n
}

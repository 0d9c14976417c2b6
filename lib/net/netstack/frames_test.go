package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// ipFrame builds an IPv4 frame from the peer. flags are those of the packet, with the offset in units of 8 bytes.
func ipFrame(protocol tcpip.TransportProtocolNumber, flags uint16, payload []byte) []byte {
	f := append(append(append([]byte{}, ourMAC[:]...), peerMAC[:]...), 8, 0)
	ip := make(header.IPv4, header.IPv4MinimumSize)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(ip) + len(payload)),
		ID:          77,
		TTL:         64,
		Protocol:    uint8(protocol),
		SrcAddr:     tcpip.AddrFrom4(peerAddr.As4()),
		DstAddr:     tcpip.AddrFrom4(ourAddr.As4()),
	})
	binary.BigEndian.PutUint16(ip[6:], flags)
	ip.SetChecksum(^ip.CalculateChecksum())
	return append(append(f, ip...), payload...)
}

// pseudo is the sum of the pseudo header of what the peer sends.
func pseudo(protocol tcpip.TransportProtocolNumber, length int) uint16 {
	return header.PseudoHeaderChecksum(protocol, tcpip.AddrFrom4(peerAddr.As4()), tcpip.AddrFrom4(ourAddr.As4()), uint16(length))
}

// syn is the beginning of a connection to port 80.
func syn(from uint16) []byte {
	t := make(header.TCP, header.TCPMinimumSize)
	t.Encode(&header.TCPFields{SrcPort: from, DstPort: 80, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000})
	t.SetChecksum(^checksum.Checksum(t, pseudo(header.TCPProtocolNumber, len(t))))
	return ipFrame(header.TCPProtocolNumber, 0, t)
}

// strangeSyn is one from a station that does not exist.
func strangeSyn() []byte {
	f := syn(999)
	f[etherLen+15] = 66
	ip, t := header.IPv4(f[etherLen:]), header.TCP(f[transportAt:])
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	t.SetChecksum(0)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(t)))
	t.SetChecksum(^checksum.Checksum(t, sum))
	return f
}

// udpPacket is a datagram without its IPv4 header.
func udpPacket(from, to uint16, payload []byte) []byte {
	u := make(header.UDP, header.UDPMinimumSize, header.UDPMinimumSize+len(payload))
	u.Encode(&header.UDPFields{SrcPort: from, DstPort: to, Length: uint16(len(u) + len(payload))})
	all := append(u, payload...)
	u.SetChecksum(^checksum.Checksum(all, pseudo(header.UDPProtocolNumber, len(all))))
	return all
}

func sumOf(b []byte) uint16 { return checksum.Checksum(b, 0) }

// arpFrame is a packet of ARP from the peer for this station.
func arpFrame(operation uint8, from, target [6]byte) []byte {
	f := append(append([]byte{}, ourMAC[:]...), from[:]...)
	f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation)
	f = append(append(f, from[:]...), peerAddr.AsSlice()...)
	return append(append(f, target[:]...), ourAddr.AsSlice()...)
}

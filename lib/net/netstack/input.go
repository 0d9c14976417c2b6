package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nom.dev/nom/lib/nic"
)

// input is a Stack that gets what inplace passes on.
type input Stack

// Input implements nic.Stack.
func (i *input) Input(frame []byte, status nic.Status) nic.Answer {
	s := (*Stack)(i)
	if len(frame) < transportAt {
		s.counters.NotMine++
		return nic.Answer{}
	}
	if addr, ok := announced(frame); ok {
		// gVisor would believe the old address for some seconds more. Without it, it asks when it has something to send.
		_ = s.stack.RemoveNeighbor(nicID, header.IPv4ProtocolNumber, addr) // the error says that it knows none
		return nic.Answer{}
	}
	if [6]byte(frame) != s.config.MAC {
		s.counters.NotMine++
		return nic.Answer{}
	}
	switch tcpip.NetworkProtocolNumber(binary.BigEndian.Uint16(frame[12:])) {
	case header.ARPProtocolNumber:
		s.answered = true
		s.pass(header.ARPProtocolNumber, frame, false)
	case header.IPv4ProtocolNumber:
		return s.ipv4(frame, status)
	default:
		s.counters.NotMine++
	}
	return nic.Answer{}
}

// announced says whose new Ethernet address a frame announces: by a question of ARP for the address of who asks.
func announced(frame []byte) (addr tcpip.Address, ok bool) {
	if binary.BigEndian.Uint16(frame[12:]) != uint16(header.ARPProtocolNumber) {
		return addr, false
	}
	p := header.ARP(frame[etherLen:])
	if !p.IsValid() || p.Op() != header.ARPRequest || [4]byte(p.ProtocolAddressSender()) != [4]byte(p.ProtocolAddressTarget()) {
		return addr, false
	}
	return tcpip.AddrFrom4Slice(p.ProtocolAddressSender()), true
}

func (s *Stack) ipv4(frame []byte, status nic.Status) nic.Answer {
	ip := header.IPv4(frame[etherLen:])
	switch {
	case ip.DestinationAddress() != s.address:
		s.counters.NotMine++
	case isPlainIPv4(frame) && ip.TransportProtocol() == header.UDPProtocolNumber:
		return s.datagram(frame)
	default:
		checked := s.config.Offload && status.IPv4OK() && status.TransportOK()
		if !s.holdAck(frame, checked) {
			s.pass(header.IPv4ProtocolNumber, frame, checked)
		}
	}
	return nic.Answer{}
}

// pass gives a copy of a frame to gVisor.
func (s *Stack) pass(protocol tcpip.NetworkProtocolNumber, frame []byte, checked bool) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer p.DecRef()
	if !s.link.ParseHeader(p) {
		return
	}
	p.PktType = tcpip.PacketHost
	s.counters.Passed++
	s.passed++
	s.link.deliver(protocol, p, checked)
}

package netstack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nom.dev/nom/lib/net/inplace"
	"nom.dev/nom/lib/nic"
)

// udpHeaders is all that stands before the payload of a datagram in a frame.
const udpHeaders = transportAt + header.UDPMinimumSize

// largestDatagram is the longest payload that IPv4 can say.
const largestDatagram = 65535 - header.IPv4MinimumSize - header.UDPMinimumSize

// errNobody says that nobody wants datagrams.
var errNobody = errors.New("netstack: nobody listens")

// HandleUDP calls h for each datagram that no listener of InPlace takes. h runs in the goroutine of Serve, and must not block it;
// payload is valid until it returns. It may call SendUDP. When h returns an error, or is nil, the sender is told that the port
// is unreachable, so far as not too many are.
func (s *Stack) HandleUDP(h func(src, dst netip.AddrPort, payload []byte) error) {
	if h == nil {
		s.udp.Store(nil)
		return
	}
	s.udp.Store(&h)
}

// received gives a datagram to the application.
func (s *Stack) received(src, dst netip.AddrPort, payload []byte) error {
	h := s.udp.Load()
	if h == nil {
		return errNobody
	}
	s.counters.Datagrams++
	return (*h)(src, dst, payload)
}

// datagram handles a whole datagram for this station, which inplace has checked.
func (s *Stack) datagram(frame []byte) nic.Answer {
	if len(frame) < udpHeaders {
		return nic.Answer{}
	}
	ip, u := header.IPv4(frame[etherLen:]), header.UDP(frame[transportAt:])
	end := transportAt + int(u.Length())
	if end < udpHeaders || end > len(frame) {
		return nic.Answer{}
	}
	src := netip.AddrPortFrom(netip.AddrFrom4(ip.SourceAddress().As4()), u.SourcePort())
	dst := netip.AddrPortFrom(s.config.Address.Addr(), u.DestinationPort())
	if s.received(src, dst, frame[udpHeaders:end:end]) == nil {
		return nic.Answer{}
	}
	s.counters.Unreachable++
	if !s.stack.AllowICMPMessage() {
		return nic.Answer{}
	}
	return s.unreachable(frame)
}

// largestError is how long an ICMP error may be, RFC 1812 section 4.3.2.3.
const largestError = 576

// unreachable makes of a datagram the answer that its port is unreachable: RFC 792.
func (s *Stack) unreachable(frame []byte) nic.Answer {
	const overhead = header.IPv4MinimumSize + header.ICMPv4MinimumSize
	quoted := min(int(header.IPv4(frame[etherLen:]).TotalLength()), len(frame)-etherLen, largestError-overhead, cap(frame)-etherLen-overhead)
	n := etherLen + overhead + quoted
	frame = frame[:max(n, len(frame))]
	peer := [6]byte(frame[6:])
	to := header.IPv4(frame[etherLen:]).SourceAddress()
	copy(frame[etherLen+overhead:n], frame[etherLen:etherLen+quoted])
	copy(frame, peer[:])
	copy(frame[6:], s.config.MAC[:])
	ip := header.IPv4(frame[etherLen:n])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(overhead + quoted),
		Flags:       header.IPv4FlagDontFragment,
		TTL:         64,
		Protocol:    uint8(header.ICMPv4ProtocolNumber),
		SrcAddr:     s.address,
		DstAddr:     to,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	icmp := header.ICMPv4(frame[transportAt:n])
	clear(icmp[:header.ICMPv4MinimumSize])
	icmp.SetType(header.ICMPv4DstUnreachable)
	icmp.SetCode(header.ICMPv4PortUnreachable)
	icmp.SetChecksum(^checksum.Checksum(icmp, 0))
	return nic.Answer{N: n}
}

// reassembled handles a datagram that came through gVisor: in fragments, or with options. gVisor answers when it says false.
func (s *Stack) reassembled(id stack.TransportEndpointID, p *stack.PacketBuffer) bool {
	u := header.UDP(p.TransportHeader().Slice())
	sum := func() uint16 { return p.Data().Checksum() }
	size := p.Data().Size()
	lengthOK, sumOK := header.UDPValid(u, sum, uint16(size), ipv4.ProtocolNumber, id.RemoteAddress, id.LocalAddress, p.RXChecksumValidated)
	if !lengthOK || !sumOK {
		return true // dropped
	}
	src := netip.AddrPortFrom(netip.AddrFrom4(id.RemoteAddress.As4()), id.RemotePort)
	dst := netip.AddrPortFrom(netip.AddrFrom4(id.LocalAddress.As4()), id.LocalPort)
	payload := p.Data().AsRange().ToSlice()[:int(u.Length())-header.UDPMinimumSize]
	return s.received(src, dst, payload) == nil
}

// SendUDP sends a datagram, from any goroutine. src has the port, and the address of this station or none. What it returns nil for
// may still be lost, as datagrams are: when the neighbour does not answer, for example.
func (s *Stack) SendUDP(src, dst netip.AddrPort, payload []byte) error {
	own := s.config.Address.Addr()
	if a := src.Addr().Unmap(); a.IsValid() && a != own && a != netip.IPv4Unspecified() {
		return fmt.Errorf("netstack: %v is not an address of this station", src)
	}
	to, err := inplace.EndpointOf(dst)
	switch {
	case err != nil:
		return err
	case s.closed.Load():
		return ErrClosed
	case !s.config.Gateway.IsValid() && !s.config.Address.Contains(to.Addr()) || to.Addr() == own:
		return inplace.ErrUnreachable
	case len(payload) > largestDatagram:
		return inplace.ErrTooLong
	case len(payload) > s.config.MTU-header.IPv4MinimumSize-header.UDPMinimumSize:
		return s.sendFragments(src.Port(), to, payload)
	}
	d := datagrams.Get().(*datagram)
	d.from, d.to, d.payload = src.Port(), to, append(d.payload[:0], payload...)
	if err := s.out.putDatagram(d); err != nil {
		datagrams.Put(d)
		return err
	}
	return nil
}

// sendFragments sends a datagram that is longer than a packet through gVisor.
func (s *Stack) sendFragments(from uint16, to inplace.Endpoint, payload []byte) error {
	remote := tcpip.AddrFrom4(to.Addr().As4())
	route, err := s.stack.FindRoute(nicID, s.address, remote, ipv4.ProtocolNumber, false)
	if err != nil {
		return fmt.Errorf("netstack: sending to %v: %v", to, err)
	}
	defer route.Release()
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(route.MaxHeaderLength()) + header.UDPMinimumSize,
		Payload:            buffer.MakeWithData(payload),
	})
	defer p.DecRef()
	length := uint16(header.UDPMinimumSize + len(payload))
	u := header.UDP(p.TransportHeader().Push(header.UDPMinimumSize))
	p.TransportProtocolNumber = header.UDPProtocolNumber
	u.Encode(&header.UDPFields{SrcPort: from, DstPort: to.Port, Length: length})
	// The device cannot do it: no fragment has all.
	sum := checksum.Combine(route.PseudoHeaderChecksum(header.UDPProtocolNumber, length), checksum.Checksum(payload, 0))
	sum = ^u.CalculateChecksum(sum)
	if sum == 0 {
		sum = 0xffff // RFC 768: 0 says that there is none
	}
	binary.BigEndian.PutUint16(u[6:], sum)
	params := stack.NetworkHeaderParams{Protocol: header.UDPProtocolNumber, TTL: ipv4.DefaultTTL}
	if err := route.WritePacket(params, p); err != nil {
		return fmt.Errorf("netstack: sending %d bytes to %v: %v", len(payload), to, err)
	}
	return nil
}

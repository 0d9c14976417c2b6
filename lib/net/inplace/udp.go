package inplace

import (
	"encoding/binary"
	"math/bits"

	"nom.dev/nom/lib/nic"
)

// udp handles the length bytes that follow the IPv4 header.
func (s *Stack) udp(frame []byte, h *[headers]byte, length int, status nic.Status) Answer {
	n := int(binary.BigEndian.Uint16(h[38:40]))
	if n < udpLen || n > length {
		return drop(&s.Malformed)
	}
	if (!s.offload || !status.UDPOK()) && !s.udpSumOK(frame, h, n) {
		return drop(&s.Checksum)
	}
	return s.question(frame, h, n, status)
}

// question gives a datagram of n bytes, all checked, to who listens, and makes the answer.
func (s *Stack) question(frame []byte, h *[headers]byte, n int, status nic.Status) Answer {
	port := bits.ReverseBytes16(binary.LittleEndian.Uint16(h[36:38]))
	page := s.ports[port>>8]
	if page == nil || page[port&255] == nil {
		return s.pass(&s.NoPort, frame, status)
	}
	s.Requests++
	from := Endpoint{binary.LittleEndian.Uint32(h[26:30]), bits.ReverseBytes16(binary.LittleEndian.Uint16(h[34:36]))}
	r := page[port&255](from, frame[headers:headers+n-udpLen])
	switch {
	case !s.fits(frame, r):
		return s.noReply(r)
	case from.Port == 0: // who sends from port 0 wants no answer
		return Answer{}
	}
	s.Replies++
	return s.answer(frame, h, r)
}

// udpSumOK verifies the checksum of a datagram of n bytes. A sender may leave it out: then it is 0.
func (s *Stack) udpSumOK(frame []byte, h *[headers]byte, n int) bool {
	if h[40]|h[41] == 0 {
		return true
	}
	le := binary.LittleEndian
	sum := pseudo(le.Uint32(h[26:30]), le.Uint32(h[30:34]), protoUDP, n)
	return fold(add(sum, frame[etherLen+ipLen:etherLen+ipLen+n])) == 0xffff
}

// answer makes the answer of r bytes of payload that a handler left in the frame.
func (s *Stack) answer(frame []byte, h *[headers]byte, r int) Answer {
	s.turn(h, ipLen+udpLen+r, protoUDP)
	ports := binary.LittleEndian.Uint32(h[34:38])
	binary.LittleEndian.PutUint32(h[34:38], bits.RotateLeft32(ports, 16))
	return s.seal(frame, h, r)
}

// fits says whether a datagram with r bytes of payload fits the buffer of frame and a packet.
func (s *Stack) fits(frame []byte, r int) bool {
	return uint(r) <= uint(s.largest) && headers+r <= cap(frame)
}

// seal writes length and checksums, or what the device needs to write them.
func (s *Stack) seal(frame []byte, h *[headers]byte, payload int) Answer {
	le := binary.LittleEndian
	n := udpLen + payload
	sum := pseudo(le.Uint32(h[26:30]), le.Uint32(h[30:34]), protoUDP, n)
	size := uint32(bits.ReverseBytes16(uint16(n)))
	if s.offload {
		le.PutUint32(h[38:42], size|uint32(fold(sum))<<16)
		return Answer{N: headers + payload, Offload: nic.UDP}
	}
	sealIP(h)
	le.PutUint32(h[38:42], size)
	check := ^fold(add(sum, frame[etherLen+ipLen:headers+payload]))
	if check == 0 {
		check = 0xffff // RFC 768: 0 says that there is none
	}
	le.PutUint16(h[40:42], check)
	return Answer{N: headers + payload}
}

// Payload is where in a frame's buffer the payload of a datagram belongs: see Output.
func Payload(buffer []byte) []byte { return buffer[headers:] }

// Output makes a datagram out of the n bytes at Payload(buffer), from a port of this station to an endpoint. The answer says what to
// transmit of the buffer, with any error: with ErrAsking it is a question for the neighbour's address, or nothing because it was
// just asked.
func (s *Stack) Output(buffer []byte, n int, from uint16, to Endpoint) (Answer, error) {
	if n < 0 || len(buffer) < headers || !s.fits(buffer, n) {
		return Answer{}, ErrTooLong
	}
	next := to.addr
	if !s.onLink(next) {
		next = s.gateway
	}
	if next == 0 || !s.sourceOK(to.addr) || !s.sourceOK(next) {
		return Answer{}, ErrUnreachable
	}
	h := (*[headers]byte)(buffer)
	mac := s.neighbours.find(next, s.now)
	if mac == 0 {
		return s.ask(h, next), ErrAsking
	}
	s.Sent++
	s.ether(h, mac)
	binary.LittleEndian.PutUint16(h[12:14], etherIPv4)
	s.ip(h, to.addr, ipLen+udpLen+n, protoUDP)
	binary.BigEndian.PutUint16(h[34:36], from)
	binary.BigEndian.PutUint16(h[36:38], to.Port)
	return s.seal(buffer[:headers+n], h, n), nil
}

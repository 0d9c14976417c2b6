package netstack

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nom.dev/nom/lib/net/inplace"
	"nom.dev/nom/lib/nic"
)

// Bounds of what is sent.
const (
	batch      = 64 // packets between two looks at what arrives
	maxWaiting = 64 // datagrams that wait for a neighbour's address
	patience   = 3  // seconds that they wait
)

// pump moves packets from the ring into buffers of the card, a batch at most, and says how many. Run tells the card afterwards.
func (s *Stack) pump() int {
	n := 0
	if len(s.waiting) > 0 && (s.answered || s.asked != s.now) {
		n = s.retry()
	}
	taken, need := s.out.take(s.batch[:], s.queue.Room())
	for taken == 0 && need > 0 && s.queue.RoomFor(need) { // the card has transmitted meanwhile; else the queue looks again soon
		taken, need = s.out.take(s.batch[:], s.queue.Room())
	}
	for i, o := range s.batch[:taken] {
		s.batch[i] = outgoing{}
		if o.frame != nil {
			s.sendFrame(o)
		} else {
			o.datagram.until = s.now + patience
			s.sendDatagram(o)
		}
	}
	return n + taken
}

// sendFrame copies a frame of gVisor into a buffer of the card, or several.
func (s *Stack) sendFrame(o outgoing) {
	defer o.drop()
	if o.cut() {
		s.sendLong(o.frame)
		return
	}
	b, n := s.queue.Buffer(), 0
	if b == nil { // questions took the room
		s.counters.Refused++
		return
	}
	if o.frame.Size() > len(b) {
		s.counters.TooLong++
		return
	}
	for _, part := range o.frame.AsSlices() {
		n += copy(b[n:], part)
	}
	s.queue.Send(n, s.offload(b[:n]))
}

// sendLong copies a frame that the card is to cut.
func (s *Stack) sendLong(frame *stack.PacketBuffer) {
	lengths := s.parts[:0]
	var b []byte // what is left of the last part
	for _, from := range frame.AsSlices() {
		for len(from) > 0 {
			if len(b) == 0 {
				if b = s.queue.Part(len(lengths)); b == nil || len(lengths) == cap(lengths) {
					s.counters.Refused++
					return
				}
				lengths = append(lengths, 0)
			}
			n := copy(b, from)
			b, from = b[n:], from[n:]
			lengths[len(lengths)-1] += n
		}
	}
	if s.queue.SendTCP(lengths, int(frame.GSOOptions.MSS)) != nil {
		s.counters.Refused++ // gVisor sends no flags with data but ACK and PSH, so this is want of room: TCP sends it again
	}
}

// Places in a frame with an IPv4 header of 20 bytes.
const (
	transportAt = etherLen + header.IPv4MinimumSize
	ipSumAt     = etherLen + 10
	addressesAt = etherLen + 12
	tcpSumAt    = transportAt + 16
)

// offload prepares a frame for what the device shall compute. gVisor left the checksum of TCP out if the device can do it; IPv4's is
// there, and the device wants it to be 0.
func (s *Stack) offload(frame []byte) nic.Offload {
	if !s.config.Offload || len(frame) < transportAt+header.TCPMinimumSize || !isPlainIPv4(frame) || frame[etherLen+9] != uint8(header.TCPProtocolNumber) {
		return nic.Plain
	}
	sum := checksum.Checksum(frame[addressesAt:transportAt], uint16(header.TCPProtocolNumber))
	sum = checksum.Combine(sum, uint16(len(frame)-transportAt))
	binary.BigEndian.PutUint16(frame[ipSumAt:], 0)
	binary.BigEndian.PutUint16(frame[tcpSumAt:], sum)
	return nic.TCP
}

// isPlainIPv4 says whether a frame of at least transportAt bytes is a whole IPv4 packet without options.
func isPlainIPv4(frame []byte) bool {
	const moreAndOffset = 0x3fff
	return binary.BigEndian.Uint16(frame[12:]) == uint16(header.IPv4ProtocolNumber) && frame[etherLen] == 0x45 &&
		binary.BigEndian.Uint16(frame[etherLen+6:])&moreAndOffset == 0
}

// sendDatagram makes a frame of a datagram, or has it wait for the neighbour's address.
func (s *Stack) sendDatagram(o outgoing) {
	d, b := o.datagram, s.queue.Buffer()
	if b == nil { // questions took the room: as if the neighbour had not answered yet
		s.wait(o)
		return
	}
	if len(d.payload) > len(inplace.Payload(b)) {
		s.counters.TooLong++
		o.drop()
		return
	}
	a, err := s.inplace.Output(b, copy(inplace.Payload(b), d.payload), d.from, d.to)
	if a.N > 0 {
		s.queue.Send(a.N, a.Offload)
	}
	switch {
	case errors.Is(err, inplace.ErrAsking):
		s.wait(o)
	case err != nil:
		s.counters.Undelivered++
		o.drop()
	default:
		o.drop()
	}
}

// wait keeps a datagram for retry, unless it has waited for too long or too many do.
func (s *Stack) wait(o outgoing) {
	if len(s.waiting) == maxWaiting || int32(s.now-o.datagram.until) > 0 {
		s.counters.Undelivered++
		o.drop()
		return
	}
	s.asked = s.now
	s.waiting = append(s.waiting, o)
}

// retry sends the datagrams that wait, of which some may wait on.
func (s *Stack) retry() int {
	n := min(len(s.waiting), s.queue.Room())
	var again [maxWaiting]outgoing
	list := again[:copy(again[:], s.waiting)]
	clear(s.waiting)
	s.waiting, s.answered, s.asked = s.waiting[:0], false, s.now
	for _, o := range list {
		s.sendDatagram(o)
	}
	return n
}

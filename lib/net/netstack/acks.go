package netstack

import (
	"encoding/binary"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Of acknowledgements that arrive together, gVisor gets the last of a connection: each by itself would have it send as much as that one
// allows, a segment for a segment, and what the device is to cut would never be long.

const (
	maxAcks = 16 // connections of which one is kept until the batch ends
	// ackLen is a frame with nothing but an acknowledgement, and at most a time stamp.
	ackLen     = transportAt + header.TCPMinimumSize + timestampLen
	flowLen    = 12 // addresses and ports: side by side in a packet without options of IPv4
	seqAt      = transportAt + 4
	ackAt      = transportAt + 8
	tcpFlagsAt = transportAt + 13
)

// timestampLen is the option with its padding (RFC 7323, appendix A).
const timestampLen = 12

// acks are those of the batch that is being looked at.
type acks struct {
	list [maxAcks]ack
	n    int
}

type ack struct {
	frame  [ackLen]byte
	length int
}

// flow is what tells connections apart.
func flow(frame []byte) [flowLen]byte { return [flowLen]byte(frame[addressesAt:]) }

// holdAck keeps a frame whose checksums were found right, if it is nothing but an acknowledgement, and says so. It takes the place of one of
// the same connection that acknowledges less; of any other frame that is kept of the connection gVisor gets to know first.
func (s *Stack) holdAck(frame []byte, checked bool) bool {
	if len(frame) < transportAt+header.TCPMinimumSize || !isPlainIPv4(frame) || frame[etherLen+9] != uint8(header.TCPProtocolNumber) {
		return false
	}
	key, pure := flow(frame), checked && isAck(frame)
	for i := range s.acks.list[:s.acks.n] {
		a := &s.acks.list[i]
		if flow(a.frame[:]) != key {
			continue
		}
		if pure && a.before(frame) {
			s.counters.Acks++
			a.length = copy(a.frame[:], frame)
			return true
		}
		s.passAck(i)
		break
	}
	if !pure {
		return false
	}
	if s.acks.n == maxAcks {
		s.passAck(0)
	}
	a := &s.acks.list[s.acks.n]
	a.length = copy(a.frame[:], frame)
	s.acks.n++
	return true
}

// isAck says whether a segment has no data, no flag but ACK and no option but a time stamp.
func isAck(frame []byte) bool {
	head := int(frame[transportAt+12]>>4) * 4
	if frame[tcpFlagsAt] != uint8(header.TCPFlagAck) || int(binary.BigEndian.Uint16(frame[etherLen+2:])) != header.IPv4MinimumSize+head {
		return false
	}
	const nopNopTimestamp = 0x0101080a
	return head == header.TCPMinimumSize ||
		head == header.TCPMinimumSize+timestampLen && len(frame) >= ackLen && binary.BigEndian.Uint32(frame[transportAt+header.TCPMinimumSize:]) == nopNopTimestamp
}

// before says whether the other acknowledges more, and is the same else. One that acknowledges as much is a duplicate, which counts, or has
// another window.
func (a *ack) before(frame []byte) bool {
	more := binary.BigEndian.Uint32(frame[ackAt:]) - binary.BigEndian.Uint32(a.frame[ackAt:])
	return int32(more) > 0 && slices.Equal(frame[seqAt:ackAt], a.frame[seqAt:ackAt]) && frame[transportAt+12] == a.frame[transportAt+12]
}

// passAck gives one to gVisor.
func (s *Stack) passAck(i int) {
	a := &s.acks.list[i]
	s.pass(header.IPv4ProtocolNumber, a.frame[:a.length], true)
	s.acks.n--
	*a = s.acks.list[s.acks.n]
}

// passAcks gives all to gVisor.
func (s *Stack) passAcks() {
	for s.acks.n > 0 {
		s.passAck(s.acks.n - 1)
	}
}

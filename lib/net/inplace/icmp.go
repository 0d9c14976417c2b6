package inplace

import (
	"encoding/binary"

	"nom.dev/nom/lib/nic"
)

// echoRequest and echoReply are type and code, as they lie in memory.
const (
	echoRequest = 0x0008
	echoReply   = 0x0000
)

// icmp answers echo requests of a packet of total bytes; nothing else of ICMP concerns this stack.
func (s *Stack) icmp(frame []byte, h *[headers]byte, total int, status nic.Status) Answer {
	le := binary.LittleEndian
	if le.Uint16(h[34:36]) != echoRequest {
		return s.pass(&s.Unknown, frame, status)
	}
	if total > s.largest+ipLen+udpLen {
		return drop(&s.TooLong)
	}
	if fold(add(0, frame[etherLen+ipLen:etherLen+total])) != 0xffff {
		return drop(&s.Checksum)
	}
	s.Echoes++
	s.turn(h, total, protoICMP)
	sealIP(h)
	// RFC 1624, equation 3: one word changed from echoRequest to echoReply.
	was := le.Uint16(h[36:38])
	le.PutUint16(h[34:36], echoReply)
	le.PutUint16(h[36:38], ^fold(uint64(^was)+uint64(^uint16(echoRequest))+echoReply))
	return Answer{N: etherLen + total}
}

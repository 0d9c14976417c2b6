package inplace

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"nom.dev/nom/lib/nic"
)

// Lengths of headers.
const (
	etherLen = 14
	ipLen    = 20
	udpLen   = 8
	headers  = etherLen + ipLen + udpLen // also: a whole ARP packet, and a whole ICMP echo without data
)

// Words as they lie in memory.
const (
	etherIPv4 = 0x0008
	etherARP  = 0x0608
	ipPlain   = 0x45
	dontFrag  = 0x0040_0000 // identification 0, DF: an atomic datagram, RFC 6864
	fragment  = 0xff3f      // MF and the offset
	protoICMP = 1
	protoUDP  = 17
	hops      = 64
)

// Answer is what is to be done with a frame: transmit its first N bytes, nothing (0), or leave it alone (Taken).
type Answer = nic.Answer

// Results of a Handler other than the length of an answer.
const (
	NoReply = -1 // the datagram is not answered
	Taken   = -2 // the handler has taken the frame, with nic.Queue.Keep
)

// Handler gets a datagram where it lies in the frame. It may write its answer over it, as far as the slice's capacity, and returns the
// answer's length, or NoReply, or Taken. payload is not valid after that, except when it is taken.
type Handler func(from Endpoint, payload []byte) int

// Stack is one station: an Ethernet and an IPv4 address. It belongs to one goroutine, that of its queue.
type Stack struct {
	mac        uint64
	addr, mask uint32
	broadcast  uint32 // of the own network; 0 when it has none
	gateway    uint32
	largest    int // payload of a datagram
	offload    bool
	words
	ports      [256]*[256]Handler
	neighbours neighbours
	next       nic.Stack
	now        uint32 // seconds, see Tick
	Counters
}

// Counters count what became of frames.
type Counters struct {
	Requests, Replies  uint64 // datagrams given to handlers, and their answers
	Echoes             uint64 // ICMP echo requests answered
	ARPReplies         uint64
	Sent               uint64 // datagrams that Output made
	Malformed          uint64 // dropped: lengths or fields that no such packet has
	Checksum           uint64 // dropped: a checksum is wrong
	Options            uint64 // dropped: IPv4 with options
	Fragments          uint64 // dropped: a part of a packet
	NotMine            uint64 // dropped: not addressed to this station alone
	Source             uint64 // dropped: a sender that cannot be
	Unknown            uint64 // dropped: a protocol that this stack does not speak
	NoPort             uint64 // dropped: nobody listens
	TooLong            uint64 // not answered: the answer does not fit
	ARPIgnored         uint64 // ARP that was neither a question for this station nor an answer that it waits for
	NeighboursReplaced uint64
	Passed             uint64 // given to the next stack
}

// New makes a stack.
func New(c Config) (*Stack, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Stack{mac: rawMAC(c.MAC), addr: rawAddr(c.Address.Addr()), largest: c.MaxSize, offload: c.Offload, next: c.Next}
	s.mask = bits.ReverseBytes32(^uint32(0) << (32 - c.Address.Bits()))
	if c.Address.Bits() < 31 {
		s.broadcast = s.addr | ^s.mask
	}
	if c.Gateway.IsValid() {
		s.gateway = rawAddr(c.Gateway)
	}
	s.largest -= ipLen + udpLen
	s.setWords()
	return s, nil
}

// Listen gives the datagrams that arrive for a port to h; nil stops that.
func (s *Stack) Listen(port uint16, h Handler) error {
	page := &s.ports[port>>8]
	if *page == nil {
		*page = new([256]Handler)
	}
	if h != nil && (*page)[port&255] != nil {
		return fmt.Errorf("inplace: somebody listens on UDP port %d already", port)
	}
	(*page)[port&255] = h
	return nil
}

// Tick tells the stack the time, in seconds since any moment. Once a second is enough.
func (s *Stack) Tick(now uint32) { s.now = now }

// anyFrame handles every frame, with each check by itself, so that what is dropped is counted where it belongs.
func (s *Stack) anyFrame(frame []byte, status nic.Status) Answer {
	if len(frame) < headers {
		s.Malformed++
		return Answer{}
	}
	h := (*[headers]byte)(frame)
	switch binary.LittleEndian.Uint16(h[12:14]) {
	case etherIPv4:
		return s.ipv4(frame, h, status)
	case etherARP:
		return s.arp(frame, h, status)
	}
	return s.pass(&s.Unknown, frame, status)
}

// pass gives a frame that does not concern this stack to the next one. If there is none it is dropped, and counted as counter.
func (s *Stack) pass(counter *uint64, frame []byte, status nic.Status) Answer {
	if s.next == nil {
		return drop(counter)
	}
	s.Passed++
	return s.next.Input(frame, status)
}

// drop counts a frame that is not answered.
func drop(counter *uint64) Answer {
	*counter++
	return Answer{}
}

func (s *Stack) ipv4(frame []byte, h *[headers]byte, status nic.Status) Answer {
	le := binary.LittleEndian
	total := int(binary.BigEndian.Uint16(h[16:18]))
	switch {
	case le.Uint64(h[0:8])&mask48 != s.mac || le.Uint32(h[30:34]) != s.addr:
		return s.pass(&s.NotMine, frame, status)
	case h[14] != ipPlain:
		if h[14]>>4 == 4 && h[14]&15 > 5 {
			return s.pass(&s.Options, frame, status)
		}
		return drop(&s.Malformed)
	case total < ipLen || total > len(frame)-etherLen:
		return drop(&s.Malformed)
	case le.Uint16(h[20:22])&fragment != 0:
		return s.pass(&s.Fragments, frame, status)
	case total < headers-etherLen: // only the last fragment may be that short
		return drop(&s.Malformed)
	case !s.offload || !status.IPv4OK():
		if headerSum(h) != 0xffff {
			return drop(&s.Checksum)
		}
	}
	if h[6]&groupBit != 0 || !s.sourceOK(le.Uint32(h[26:30])) {
		return drop(&s.Source)
	}
	switch h[23] {
	case protoUDP:
		return s.udp(frame, h, total-ipLen, status)
	case protoICMP:
		return s.icmp(frame, h, total, status)
	}
	return s.pass(&s.Unknown, frame, status)
}

// turn makes the Ethernet and IPv4 headers those of an answer of total bytes: back to the sender, from this station. The header's
// checksum is 0 after it.
func (s *Stack) turn(h *[headers]byte, total int, protocol uint8) {
	s.ether(h, binary.LittleEndian.Uint64(h[6:14])&mask48)
	s.ip(h, binary.LittleEndian.Uint32(h[26:30]), total, protocol)
}

// ether writes the Ethernet addresses.
func (s *Stack) ether(h *[headers]byte, to uint64) {
	binary.LittleEndian.PutUint64(h[0:8], to|s.mac<<48)
	binary.LittleEndian.PutUint32(h[8:12], uint32(s.mac>>16))
}

// ip writes an IPv4 header with checksum 0.
func (s *Stack) ip(h *[headers]byte, to uint32, total int, protocol uint8) {
	le := binary.LittleEndian
	le.PutUint32(h[14:18], ipPlain|uint32(bits.ReverseBytes16(uint16(total)))<<16)
	le.PutUint32(h[18:22], dontFrag)
	le.PutUint32(h[22:26], hops|uint32(protocol)<<8)
	le.PutUint32(h[26:30], s.addr)
	le.PutUint32(h[30:34], to)
}

// sealIP writes the header's checksum, over a field that is 0.
func sealIP(h *[headers]byte) { binary.LittleEndian.PutUint16(h[24:26], ^headerSum(h)) }

package inet

// Seq is a sequence number. Comparisons are modulo 2^32.
type Seq uint32

func (a Seq) before(b Seq) bool { return int32(a-b) < 0 }
func (a Seq) after(b Seq) bool  { return int32(a-b) > 0 }

// Flags of a segment.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// Range is a stretch of sequence numbers; To is the first beyond.
type Range struct{ From, To Seq }

const (
	// mostBlocks is how many selective acknowledgements are sent: as many as there is room for beside timestamps.
	mostBlocks = 3
	// roomForBlocks is how many may arrive.
	roomForBlocks = 4
)

// Segment is a TCP header, and how much data belongs to it.
type Segment struct {
	From, To uint16 // ports
	Seq, Ack Seq
	Flags    uint8
	Window   uint16
	Len      uint32 // bytes of data
	Offset   uint32 // to send: where they lie behind what is not acknowledged
	Cut      uint32 // to send: if not 0, whoever sends it makes segments of so many bytes of it

	MSS          uint16 // 0: no such option
	Scale        uint8
	HasScale     bool
	SACKOK       bool
	HasTS        bool
	TSVal, TSEcr uint32
	Blocks       [roomForBlocks]Range
	NumBlocks    int
}

// ParseTCP reads a header and its options, and returns the data. False: it is no correct segment. The checksum is the caller's.
func ParseTCP(b []byte, s *Segment) ([]byte, bool) {
	if len(b) < TCPLen {
		return nil, false
	}
	header := int(b[12]>>4) * 4
	if header < TCPLen || header > len(b) {
		return nil, false
	}
	s.From, s.To = Be16(b), Be16(b[2:])
	s.Seq, s.Ack = Seq(Be32(b[4:])), Seq(Be32(b[8:]))
	s.Flags, s.Window = b[13]&0x3f, Be16(b[14:])
	s.Len, s.Offset, s.MSS, s.HasScale, s.SACKOK, s.HasTS, s.NumBlocks = uint32(len(b)-header), 0, 0, false, false, false, 0
	if header != TCPLen {
		s.parseOptions(b[TCPLen:header])
	}
	return b[header:], true
}

const (
	optionEnd    = 0
	optionNop    = 1
	optionMSS    = 2
	optionScale  = 3
	optionSACKOK = 4
	optionSACK   = 5
	optionTS     = 8
	mostScale    = 14
)

// parseOptions reads the options that are known. A length that cannot be ends it.
func (s *Segment) parseOptions(b []byte) {
	// What most segments have: two no-operations and timestamps.
	if len(b) == 12 && Be32(b) == optionNop<<24|optionNop<<16|optionTS<<8|10 {
		s.HasTS, s.TSVal, s.TSEcr = true, Be32(b[4:]), Be32(b[8:])
		return
	}
	for len(b) != 0 {
		kind := b[0]
		if kind == optionEnd {
			return
		}
		if kind == optionNop {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return
		}
		n := int(b[1])
		switch {
		case kind == optionMSS && n == 4:
			s.MSS = Be16(b[2:])
		case kind == optionScale && n == 3:
			s.HasScale, s.Scale = true, min(b[2], mostScale)
		case kind == optionSACKOK && n == 2:
			s.SACKOK = true
		case kind == optionSACK && n%8 == 2 && n <= 2+8*roomForBlocks && s.Flags&SYN == 0:
			s.NumBlocks = n / 8
			for i := range s.NumBlocks {
				s.Blocks[i] = Range{Seq(Be32(b[2+8*i:])), Seq(Be32(b[6+8*i:]))}
			}
		case kind == optionTS && n == 10:
			s.HasTS, s.TSVal, s.TSEcr = true, Be32(b[2:]), Be32(b[6:])
		}
		b = b[n:]
	}
}

// HeaderLen is how long the header is that Put writes.
func (s *Segment) HeaderLen() int {
	n := TCPLen
	if s.Flags&SYN != 0 {
		n += 4
		if s.HasScale {
			n += 4
		}
		if s.SACKOK && !s.HasTS {
			n += 4
		}
	}
	if s.HasTS {
		n += 12
	}
	if s.NumBlocks != 0 {
		n += 4 + 8*s.NumBlocks
	}
	return n
}

// Put writes the header with its options; b has HeaderLen bytes. The checksum field gets what is given.
func (s *Segment) Put(b []byte, sum uint16) {
	PutBe16(b, s.From)
	PutBe16(b[2:], s.To)
	PutBe32(b[4:], uint32(s.Seq))
	PutBe32(b[8:], uint32(s.Ack))
	b[12], b[13] = byte(len(b)/4)<<4, s.Flags
	PutBe16(b[14:], s.Window)
	PutBe16(b[16:], sum)
	b[18], b[19] = 0, 0
	b = b[TCPLen:]
	if s.Flags&SYN != 0 {
		PutBe32(b, optionMSS<<24|4<<16|uint32(s.MSS))
		b = b[4:]
		if s.HasScale {
			PutBe32(b, optionNop<<24|optionScale<<16|3<<8|uint32(s.Scale))
			b = b[4:]
		}
	}
	if s.HasTS {
		first := uint32(optionNop<<24 | optionNop<<16)
		if s.Flags&SYN != 0 && s.SACKOK {
			first = optionSACKOK<<24 | 2<<16
		}
		PutBe32(b, first|optionTS<<8|10)
		PutBe32(b[4:], s.TSVal)
		PutBe32(b[8:], s.TSEcr)
		b = b[12:]
	} else if s.Flags&SYN != 0 && s.SACKOK {
		PutBe32(b, optionNop<<24|optionNop<<16|optionSACKOK<<8|2)
		b = b[4:]
	}
	if s.NumBlocks != 0 {
		PutBe32(b, optionNop<<24|optionNop<<16|optionSACK<<8|uint32(2+8*s.NumBlocks))
		for i := range s.NumBlocks {
			PutBe32(b[4+8*i:], uint32(s.Blocks[i].From))
			PutBe32(b[8+8*i:], uint32(s.Blocks[i].To))
		}
	}
}

// Refusal turns s, which nobody wanted, into the reset that answers it (RFC 9293, 3.10.7.1). False: it must not be answered.
func (s *Segment) Refusal() bool {
	if s.Flags&RST != 0 {
		return false
	}
	r := Segment{From: s.To, To: s.From, Flags: RST}
	if s.Flags&ACK != 0 {
		r.Seq = s.Ack
	} else {
		r.Flags |= ACK
		r.Ack = s.Seq + s.length()
	}
	*s = r
	return true
}

// length is how many sequence numbers the segment takes.
func (s *Segment) length() Seq {
	n := Seq(s.Len)
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

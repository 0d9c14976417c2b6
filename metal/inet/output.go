package inet

// Next is the next segment to be sent, if there is one: with s.Len bytes from s.Offset behind what is not acknowledged. The
// caller adds ports and checksum.
func (c *Conn) Next(s *Segment, now uint64) bool {
	switch c.state {
	case Closed:
		return false
	case SynSent, SynReceived:
		if c.nxt != c.iss {
			return false
		}
		c.nextSYN(s, now)
		return true
	}
	if c.resend {
		c.resend = false
		if c.max != c.una && c.sndWnd != 0 {
			c.nextAgain(s, now)
			return true
		}
	}
	repairs := c.recovery && c.sackOK
	if repairs && c.nextLost(s, now) {
		return true
	}
	if c.sacked.n != 0 { // what is sent again from the first on leaves out what the peer has
		c.nxt = c.sacked.gap(c.nxt, c.max).From
	}
	again := c.nxt.before(c.max)
	c.restartIdle(now)
	offset := c.inFlight()
	n := uint32(0)
	if offset <= c.queued {
		n = c.sendable(offset)
	}
	// The end may go beyond the window: it is no data, and who has no room may still take it.
	size := c.segmentSize()
	// It is not part of what is cut: not every device that cuts leaves it to the last piece.
	fin := c.closing && n <= size && offset <= c.queued && offset+n == c.queued && c.state != FinWait2 && c.state != TimeWait
	if n == 0 && !fin {
		if repairs && c.nextUnsure(s, now) || c.nextBare(s, now) {
			return true
		}
		c.watchWindow(offset, now)
		return false
	}
	c.fill(s, now)
	s.Seq = c.nxt
	if n > size {
		s.Cut = size
	}
	if n != 0 {
		s.Offset, s.Len = offset, n
	}
	if n != 0 && offset+n == c.queued {
		s.Flags |= PSH
	}
	c.nxt += Seq(n)
	if n != 0 && n < size {
		c.small = c.nxt
	}
	if fin {
		s.Flags |= FIN
		c.finSent = true
		c.nxt++
	}
	if again {
		c.countAgain(n, size)
	}
	c.force, c.probe = false, false
	c.sent(now)
	return true
}

// nextBare is an acknowledgement or a probe, without data.
func (c *Conn) nextBare(s *Segment, now uint64) bool {
	switch {
	case c.ackNow:
		c.fill(s, now)
		s.Seq = c.bareSeq()
	case c.probe:
		c.probe = false
		c.fill(s, now)
		s.Seq = c.una - 1
	default:
		return false
	}
	return true
}

// segmentSize is how much data fits a segment, beside the selective acknowledgements that it will have (RFC 6691).
func (c *Conn) segmentSize() uint32 {
	if n := c.blocks(); n != 0 {
		return c.mss - 4 - 8*n
	}
	return c.mss
}

// blocks is how many selective acknowledgements are to be sent.
func (c *Conn) blocks() uint32 {
	if !c.sackOK {
		return 0
	}
	return uint32(min(c.numHeld, mostBlocks))
}

// sendable is how many bytes can be sent from offset on.
func (c *Conn) sendable(offset uint32) uint32 {
	left := c.queued - offset
	if left == 0 {
		return 0
	}
	way := offset // is on the way
	if c.sacked.n != 0 || c.recovery {
		way = c.pipe()
	}
	window := c.congestionWindow()
	if c.sndWnd <= offset || window <= way {
		if c.force && offset == 0 {
			return 1
		}
		return 0
	}
	size := c.segmentSize()
	n := min(left, c.sndWnd-offset, window-way, max(size, c.Burst))
	if c.sacked.n != 0 && c.nxt.before(c.max) { // again, up to what the peer has
		n = min(n, c.sacked.gap(c.nxt, c.max).size())
	}
	if n >= size || c.force {
		if n > size { // full ones first
			n -= n % size
		}
		return n
	}
	again := c.nxt.before(c.max)
	switch {
	case n < left && n < c.mostWnd/2 && !again: // RFC 9293, 3.8.6.2.1: no silly window
		return 0
	case c.closing, again:
	case c.Cork:
		return 0
	case !c.NoDelay && offset != 0 && c.small.after(c.una) && !c.small.after(c.max):
		// Nagle, with Minshall's change: only one segment that is not full is on the way.
		return 0
	}
	return n
}

// watchWindow sees to it that a shut window is asked about.
func (c *Conn) watchWindow(offset uint32, now uint64) {
	if c.queued != 0 && offset == 0 && c.retransmitAt == 0 {
		if c.max == c.una {
			c.progressAt = now
		}
		c.arm(now)
	}
}

// fill is what all segments of an established connection have.
func (c *Conn) fill(s *Segment, now uint64) {
	*s = Segment{Ack: c.rcvNxt, Flags: ACK, Window: c.offer()}
	if c.tsOK {
		s.HasTS, s.TSVal, s.TSEcr = true, uint32(now/milli), c.tsRecent
	}
	if n := c.blocks(); n != 0 {
		s.NumBlocks = int(n)
		for i := range n {
			s.Blocks[i] = c.held[i]
		}
	}
	c.lastAck = c.rcvNxt
	c.ackNow = false
	c.ackAt = 0
}

// offer is the window to be told. It grows by a large step or not at all (RFC 1122, 4.2.3.3).
func (c *Conn) offer() uint16 {
	w := c.window()
	edge := c.rcvNxt + Seq(w)
	if int32(edge-c.rcvAdv) < int32(min(c.rcvMost/2, c.ownMSS)) && !c.rcvNxt.after(c.rcvAdv) {
		// The edge does not go back because the unit is large (RFC 7323, 2.4), if there is room.
		if unit := uint32(1) << c.rcvScale; uint32(c.rcvAdv-c.rcvNxt)+unit-1 <= w {
			w = uint32(c.rcvAdv-c.rcvNxt) + unit - 1
		} else {
			w = uint32(c.rcvAdv - c.rcvNxt)
		}
	}
	w = min(w>>c.rcvScale, mostWindow)
	c.rcvAdv = c.rcvNxt + Seq(w<<c.rcvScale)
	return uint16(w)
}

func (c *Conn) nextSYN(s *Segment, now uint64) {
	ack := c.state == SynReceived
	window := min(c.rcvMost, mostWindow) // not scaled
	*s = Segment{Seq: c.iss, Flags: SYN, Window: uint16(window), MSS: uint16(c.ownMSS), Scale: ownScale}
	if ack {
		s.Flags |= ACK
		s.Ack = c.rcvNxt
	}
	s.HasScale, s.SACKOK = c.scaleOK, c.sackOK
	if c.tsOK {
		s.HasTS, s.TSVal = true, uint32(now/milli)
		if ack {
			s.TSEcr = c.tsRecent
		}
	}
	c.rcvAdv = c.rcvNxt + Seq(window)
	c.ackNow = false
	c.nxt = c.iss + 1
	c.sent(now)
}

// nextAgain is the first segment that was not acknowledged.
func (c *Conn) nextAgain(s *Segment, now uint64) {
	n := min(c.queued, c.segmentSize(), c.sndWnd, c.sacked.gap(c.una, c.max).size())
	c.fill(s, now)
	s.Seq = c.una
	s.Len = n
	if c.finSent && n == c.queued {
		s.Flags |= FIN
	}
	if c.sackOK {
		c.sentAgain = c.una + s.length()
		c.rescueAt = c.sentAgain
	}
	c.countAgain(n, c.mss)
	c.timing = false // an acknowledgement may be that of either
	c.lastSent = now
	c.arm(now)
}

// sent notes that sequence numbers up to nxt were used.
func (c *Conn) sent(now uint64) {
	c.lastSent = now
	if c.max == c.una {
		c.progressAt = now
	}
	if c.retransmitAt == 0 {
		c.arm(now)
	}
	if !c.nxt.after(c.max) {
		return
	}
	c.max = c.nxt
	if !c.timing && (!c.tsOK || !c.synchronized()) {
		c.timing, c.timedSeq, c.timedAt = true, c.nxt, now
	}
}

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
		if c.max != c.una {
			c.nextAgain(s, now)
			return true
		}
	}
	offset := c.inFlight()
	n := uint32(0)
	if offset <= c.queued {
		n = c.sendable(offset)
	}
	fin := c.closing && !c.Cork && offset <= c.queued && offset+n == c.queued && c.nxt == c.una+Seq(offset) && (n != 0 || c.mayEnd(offset))
	if n == 0 && !fin && !c.ackNow && !c.probe {
		c.watchWindow(offset, now)
		return false
	}
	c.fill(s, now)
	s.Seq = c.nxt
	if n != 0 {
		s.Offset, s.Len = offset, n
	}
	if n == 0 && !fin {
		if c.probe && !c.ackNow {
			s.Seq = c.una - 1
		}
		c.probe = false
		return true
	}
	if n != 0 && offset+n == c.queued {
		s.Flags |= PSH
	}
	c.nxt += Seq(n)
	if fin {
		s.Flags |= FIN
		c.finSent = true
		c.nxt++
	}
	c.force = false
	c.sent(now)
	return true
}

// mayEnd tells whether the end, alone, is to be sent: it was not yet, or is sent again.
func (c *Conn) mayEnd(offset uint32) bool {
	return c.state != FinWait2 && c.state != TimeWait && offset == c.queued
}

// sendable is how many bytes can be sent from offset on.
func (c *Conn) sendable(offset uint32) uint32 {
	left := c.queued - offset
	if left == 0 {
		return 0
	}
	window := min(c.sndWnd, c.cwnd)
	if window <= offset {
		if c.force && offset == 0 {
			return 1
		}
		return 0
	}
	n := min(left, window-offset, c.mss)
	if n == c.mss || c.force {
		return n
	}
	again := c.nxt.before(c.max)
	switch {
	case n < left && n < c.mostWnd/2 && !again: // RFC 9293, 3.8.6.2.1: no silly window
		return 0
	case c.closing, again:
	case c.Cork:
		return 0
	case !c.NoDelay && offset != 0: // Nagle
		return 0
	}
	return n
}

// watchWindow sees to it that a shut window is asked about.
func (c *Conn) watchWindow(offset uint32, now uint64) {
	if c.queued != 0 && offset == 0 && c.retransmitAt == 0 {
		c.retransmitAt = now + c.rto
	}
}

// fill is what all segments of an established connection have.
func (c *Conn) fill(s *Segment, now uint64) {
	*s = Segment{Ack: c.rcvNxt, Flags: ACK}
	w := c.window()
	s.Window = uint16(w)
	if edge := c.rcvNxt + Seq(w); edge.after(c.rcvAdv) {
		c.rcvAdv = edge
	}
	if c.tsOK {
		s.HasTS, s.TSVal, s.TSEcr = true, uint32(now/milli), c.tsRecent
	}
	if c.sackOK && c.numHeld != 0 {
		s.NumBlocks = int(min(c.numHeld, mostBlocks))
		for i := range s.NumBlocks {
			s.Blocks[i] = c.held[i]
		}
	}
	c.lastAck = c.rcvNxt
	c.ackNow = false
	c.ackAt = 0
}

func (c *Conn) nextSYN(s *Segment, now uint64) {
	ack := c.state == SynReceived
	*s = Segment{Seq: c.iss, Flags: SYN, Window: mostWindow, MSS: uint16(c.ownMSS)}
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
	c.rcvAdv = c.rcvNxt + mostWindow
	c.ackNow = false
	c.nxt = c.iss + 1
	c.sent(now)
}

// nextAgain is the first segment that was not acknowledged.
func (c *Conn) nextAgain(s *Segment, now uint64) {
	c.fill(s, now)
	s.Seq = c.una
	s.Len = min(c.queued, c.mss, uint32(c.max-c.una))
	if c.finSent && s.Len == c.queued {
		s.Flags |= FIN
	}
	c.retransmitAt = now + c.rto
	c.lastSent = now
}

// sent notes that sequence numbers up to nxt were used.
func (c *Conn) sent(now uint64) {
	c.lastSent = now
	if c.retransmitAt == 0 {
		c.retransmitAt = now + c.rto
	}
	if !c.nxt.after(c.max) {
		return
	}
	c.max = c.nxt
	if !c.timing && !c.tsOK {
		c.timing, c.timedSeq, c.timedAt = true, c.nxt, now
	}
}

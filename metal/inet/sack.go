package inet

// What becomes of selective acknowledgements: RFC 2018 and 6675. It is used with peers that offer them; with others RFC 6582 is
// (congestion.go), whose recovery knows of one loss in each round trip.

// dupThresh is how many segments beyond one say that it was lost, and did not only come late.
const dupThresh = 3

// selective takes the blocks of an acknowledgement, and looks whether something was lost. They may be invented: what was not sent, or is
// acknowledged, is ignored, and with that what was received twice (RFC 2883), too.
func (c *Conn) selective(s *Segment) {
	if !c.sackOK {
		return
	}
	fresh := false
	for i := range min(s.NumBlocks, len(s.Blocks)) {
		r := s.Blocks[i]
		if r.From.after(c.una) && r.From.before(r.To) && !r.To.after(c.max) && c.sacked.add(r) {
			fresh = true
		}
	}
	if fresh && c.dupAcks < 255 {
		c.dupAcks++
	}
	// What was sent before a time-out says nothing of what was sent again since.
	if c.recovery || c.sacked.n == 0 || c.sndWnd == 0 || c.nxt != c.max || c.una.before(c.recover) {
		return
	}
	if c.dupAcks >= dupThresh || c.sacked.lostBefore(c.una, c.mss).after(c.una) {
		c.beginRecovery()
	}
}

// beginRecovery makes the window half of what was on the way, without what duplicates let go since (RFC 6675, 5, step 4).
func (c *Conn) beginRecovery() {
	c.ssthresh = max(min(uint32(c.max-c.una), c.cwnd)/2, 2*c.mss)
	c.cwnd = c.ssthresh
	c.recovery = true
	c.recover = c.max
	c.sentAgain = c.una
	c.rescueAt = c.max
	c.resend = true
	c.timing = false
}

// pipe is how much is on the way (RFC 6675, 4): not what the peer has, nor what was lost, and what was sent again as well.
func (c *Conn) pipe() uint32 {
	if !c.sackOK {
		return c.inFlight()
	}
	n := c.inFlight() - c.sacked.has(c.una, c.nxt)
	if c.recovery {
		n += c.missing(c.una, c.repaired())
		n -= c.missing(c.una, c.sacked.lostBefore(c.una, c.mss))
	}
	return n
}

// missing is how much of a stretch the peer has not.
func (c *Conn) missing(from, to Seq) uint32 {
	if !from.before(to) {
		return 0
	}
	return uint32(to-from) - c.sacked.has(from, to)
}

// repaired is behind what was acknowledged or, if it was lost, sent again in this recovery (HighRxt).
func (c *Conn) repaired() Seq {
	if c.sentAgain.before(c.una) {
		return c.una
	}
	return c.sentAgain
}

// nextLost sends what is lost (NextSeg of RFC 6675, 4, rule 1).
func (c *Conn) nextLost(s *Segment, now uint64) bool {
	r := c.sacked.gap(c.repaired(), c.sacked.lostBefore(c.una, c.mss))
	return r.From != r.To && c.nextRepair(s, now, r)
}

// nextUnsure is for when there is nothing new to send: what may have been lost (rule 3), or, once in a recovery and after a round trip, the
// last of what was sent before it and is not heard of: if that and all before was lost, no other segment would tell (rule 4).
func (c *Conn) nextUnsure(s *Segment, now uint64) bool {
	top := c.sacked.top(c.una)
	from := c.repaired()
	if r := c.sacked.gap(from, top); r.From != r.To {
		return c.nextRepair(s, now, r)
	}
	if from.before(top) {
		from = top
	}
	if !c.una.after(c.rescueAt) || !from.before(c.recover) {
		return false
	}
	last := c.recover - Seq(c.segmentSize())
	if c.finSent && c.recover == c.una+Seq(c.queued)+1 { // the end goes with it
		last--
	}
	if last.after(from) {
		from = last
	}
	if was := c.sentAgain; c.nextRepair(s, now, Range{from, c.recover}) {
		c.sentAgain = was // all before it may have been lost
		c.rescueAt = c.recover
		return true
	}
	return false
}

// nextRepair sends the first of r again, if the window lets it.
func (c *Conn) nextRepair(s *Segment, now uint64, r Range) bool {
	size := c.segmentSize()
	offset := uint32(r.From - c.una)
	way := c.pipe()
	if c.cwnd < way+size || offset >= c.sndWnd {
		return false
	}
	n := min(r.size(), c.queued-min(offset, c.queued), c.sndWnd-offset, c.cwnd-way, max(size, c.Burst))
	if n > size { // full ones first
		n -= n % size
	}
	c.fill(s, now)
	s.Seq, s.Offset, s.Len = r.From, offset, n
	c.sentAgain = r.From + Seq(n)
	if n > size {
		s.Cut = size
	} else if c.finSent && offset+n == c.queued && r.To.after(c.sentAgain) {
		s.Flags |= FIN
		c.sentAgain++
	}
	c.countAgain(n, size)
	c.timing = false
	c.lastSent = now
	return true
}

// countAgain notes that n bytes were sent again, in segments of a size.
func (c *Conn) countAgain(n, size uint32) { c.again += max((n+size-1)/size, 1) }

package inet

// Place says where the data of s belong that can be taken: n bytes of them, from skip on, lie at distance behind what can be
// read already. They must be stored there before Input; who cannot store all of them calls s.Shorten first.
func (c *Conn) Place(s *Segment) (skip, distance, n uint32) {
	if s.Len == 0 || s.Flags&(SYN|RST|ACK) != ACK || c.orphan || c.tsOK && !(s.HasTS && c.recent(s)) || !c.ackable(s.Ack) {
		return 0, 0, 0
	}
	return c.place(s)
}

// place is Place for a segment that is not forged, as far as can be told.
func (c *Conn) place(s *Segment) (skip, distance, n uint32) {
	if c.state < SynReceived || c.state > FinWait2 {
		return 0, 0, 0
	}
	if d := int32(c.rcvNxt - s.Seq); d > 0 {
		if uint32(d) >= s.Len {
			return 0, 0, 0
		}
		skip = uint32(d)
	} else {
		distance = uint32(-d)
	}
	w := c.window()
	if c.endHeld { // nothing is behind the end
		w = min(w, uint32(c.heldEnd-c.rcvNxt))
	}
	if distance < w {
		n = min(s.Len-skip, w-distance)
	}
	return skip, distance, n
}

// Shorten leaves the first n bytes of data to s. The end, if s has it, is not next to them any more.
func (s *Segment) Shorten(n uint32) {
	if n < s.Len {
		s.Len = n
		s.Flags &^= FIN
	}
}

// Outcome is what a segment did.
type Outcome struct {
	Events Events
	Arrive uint32 // bytes more that can be read
	Acked  uint32 // bytes that were sent and need not be kept any more
	Answer bool   // the segment itself was turned into a reset to be sent
}

// Input takes a segment of the connection. What is to be sent afterwards, Next tells. The connection may be Closed afterwards,
// also without an event.
func (c *Conn) Input(s *Segment, now uint64, o *Outcome) {
	*o = Outcome{}
	switch {
	case c.state == SynSent:
		c.inputSynSent(s, now, o)
		return
	case c.state == Closed:
		o.Answer = s.Refusal()
		return
	case c.state == SynReceived && s.Flags&(SYN|RST) == SYN && !c.crossed(s):
		c.nxt = c.una // its SYN again: ours may have been lost
		c.timing = false
		return
	}
	if c.tsOK && s.Flags&RST == 0 && !c.timely(s, now) {
		return
	}
	if !c.acceptable(s) {
		c.unacceptable(s, now)
		return
	}
	if s.Flags&RST != 0 {
		c.inputReset(s, now, o)
		return
	}
	if s.Flags&SYN != 0 {
		c.challengeAck(now)
		return
	}
	if s.Flags&ACK == 0 || !c.inputAck(s, now, o) {
		return
	}
	c.heard(s, now)
	c.inputData(s, now, o)
}

// crossed tells whether s is the SYN of a peer that asked at the same time, with the acknowledgement of ours. It is made the
// acknowledgement alone.
func (c *Conn) crossed(s *Segment) bool {
	if s.Flags&ACK == 0 || s.Seq+1 != c.rcvNxt || !c.ackable(s.Ack) {
		return false
	}
	s.Flags &^= SYN | FIN
	s.Seq++
	s.Len = 0
	s.Window >>= c.sndScale // that of a SYN is not scaled
	return true
}

// recent tells whether the timestamp of s is not older than what was seen (RFC 7323, 5.3).
func (c *Conn) recent(s *Segment) bool { return int32(s.TSVal-c.tsRecent) >= 0 }

// timely is the test for segments of a former round of sequence numbers.
func (c *Conn) timely(s *Segment, now uint64) bool {
	const days = 24 * 60 * 60 * second
	switch {
	case !s.HasTS: // RFC 7323, 3.2; but who begins anew may do without
		return s.Flags&SYN != 0
	case c.recent(s):
		return true
	case now-c.tsRecentAt > 24*days:
		// What is remembered says nothing any more. Place knows no time and took no data; they come again.
		s.Shorten(0)
		return true
	}
	c.unacceptable(s, now)
	return false
}

// acceptable is the test of RFC 9293, 3.10.7.4.
func (c *Conn) acceptable(s *Segment) bool {
	n, w := s.length(), Seq(c.window())
	if n == 0 {
		// The peer may have filled the window with what was lost: the edge counts too.
		return !s.Seq.before(c.rcvNxt) && !s.Seq.after(c.rcvNxt+w)
	}
	if w == 0 {
		return s.Seq == c.rcvNxt && s.Flags&ACK != 0 // its acknowledgement is taken, its data are not
	}
	first := !s.Seq.before(c.rcvNxt) && s.Seq.before(c.rcvNxt+w)
	last := s.Seq + n - 1
	return first || !last.before(c.rcvNxt) && last.before(c.rcvNxt+w) || s.Seq.before(c.rcvNxt) && last.after(c.rcvNxt)
}

// unacceptable tells the peer what is waited for.
func (c *Conn) unacceptable(s *Segment, now uint64) {
	if s.Flags&RST != 0 {
		return
	}
	if c.state == TimeWait && s.Flags&FIN != 0 {
		c.endAt = now + timeWait
	}
	if s.Len == 0 && s.Flags&FIN == 0 { // acknowledgements must not answer each other without end
		c.challengeAck(now)
		return
	}
	c.ackNow = true
}

func (c *Conn) inputSynSent(s *Segment, now uint64, o *Outcome) {
	if s.Flags&ACK != 0 && (!s.Ack.after(c.iss) || s.Ack.after(c.max)) {
		o.Answer = s.Refusal()
		return
	}
	if s.Flags&RST != 0 {
		if s.Flags&ACK != 0 {
			c.stop()
			o.Events = Refused
		}
		return
	}
	if s.Flags&SYN == 0 {
		return
	}
	c.takeSYN(s, now)
	if s.Flags&ACK == 0 { // both asked at the same time
		c.state = SynReceived
		c.nxt = c.iss
		c.timing = false
		return
	}
	c.measure(s, now)
	c.una, c.nxt = s.Ack, s.Ack
	c.establish(now)
	c.ackNow = true
	o.Events = Connected
}

func (c *Conn) establish(now uint64) {
	c.state = Established
	if c.closing {
		c.state = FinWait1
	}
	if c.retries > 1 { // RFC 6928: who loses its SYNs begins slowly
		c.cwnd = c.mss
	}
	c.retries = 0
	c.retransmitAt = 0
	c.timing = false
	if c.KeepIdle != 0 {
		c.keepAt = now + c.KeepIdle
	}
}

func (c *Conn) inputReset(s *Segment, now uint64, o *Outcome) {
	if c.state == TimeWait { // RFC 1337: a late segment made the peer say so, and more of them may be on the way
		return
	}
	if s.Seq != c.rcvNxt { // RFC 5961, 3.2
		c.challengeAck(now)
		return
	}
	o.Events = Reset
	if c.state == SynReceived {
		o.Events = Refused
	}
	c.stop()
}

// challengeAck asks a peer whose segment may be forged, at most a few times a second.
func (c *Conn) challengeAck(now uint64) {
	if s := uint32(now / second); s != c.challengedAt {
		c.challengedAt, c.challenge = s, 0
	}
	if c.challenge < 10 {
		c.challenge++
		c.ackNow = true
	}
}

// ackable tells whether a can be an acknowledgement of what was sent (RFC 5961, 5.2).
func (c *Conn) ackable(a Seq) bool {
	if c.state == SynReceived {
		return a.after(c.iss) && !a.after(c.max)
	}
	return !a.after(c.max) && !a.before(c.una-Seq(max(c.mostWnd, mostWindow)))
}

// inputAck takes the acknowledgement and the window. False: the segment is of no further use.
func (c *Conn) inputAck(s *Segment, now uint64, o *Outcome) bool {
	if !c.ackable(s.Ack) {
		if c.state == SynReceived {
			o.Answer = s.Refusal()
		} else {
			c.challengeAck(now)
		}
		return false
	}
	if c.state == SynReceived {
		c.una++ // the SYN
		c.nxt = c.una
		c.measure(s, now)
		c.establish(now)
		c.wl1, c.wl2 = s.Seq, s.Ack
		c.setWindow(s, now)
		o.Events |= Connected
	}
	switch {
	case s.Ack.before(c.una): // late: its window is too
		return true
	case s.Ack != c.una:
		c.acknowledged(s, now, o)
	case !c.sackOK:
		c.duplicateAck(s)
	}
	if s.NumBlocks != 0 || c.sacked.n != 0 {
		c.selective(s)
	}
	if c.wl1.before(s.Seq) || c.wl1 == s.Seq && !c.wl2.after(s.Ack) {
		c.setWindow(s, now)
		c.wl1, c.wl2 = s.Seq, s.Ack
	}
	return c.state != Closed
}

func (c *Conn) setWindow(s *Segment, now uint64) {
	shut := c.sndWnd == 0
	c.sndWnd = uint32(s.Window) << c.sndScale
	c.mostWnd = max(c.mostWnd, c.sndWnd)
	if c.sndWnd == 0 {
		return
	}
	if shut { // it took nothing of what asked for room, and that the answers came late does not count
		c.nxt = c.una
		c.timing = false
		if c.recovery {
			c.endRecovery()
		}
		c.setRTO()
	}
	if shut || c.max == c.una {
		c.retries = 0
		c.retransmitAt = 0
		if c.max != c.una {
			c.arm(now)
		}
	}
}

func (c *Conn) acknowledged(s *Segment, now uint64, o *Outcome) {
	c.measure(s, now)
	n := uint32(s.Ack - c.una)
	data := min(n, c.queued)
	c.queued -= data
	o.Acked = data
	c.una = s.Ack
	if c.nxt.before(c.una) {
		c.nxt = c.una
	}
	if c.sacked.n != 0 {
		c.sacked.trim(c.una)
	}
	c.retries = 0
	c.force = false
	c.progressAt = now
	c.openWindow(n)
	c.retransmitAt = 0
	if c.max != c.una {
		c.arm(now)
	}
	if c.finSent && n > data {
		c.finAcked(now, o)
	}
}

// finAcked is the acknowledgement of our end.
func (c *Conn) finAcked(now uint64, o *Outcome) {
	o.Events |= Confirmed
	switch c.state {
	case FinWait1:
		c.state = FinWait2
		if c.orphan {
			c.endAt = now + timeWait
		}
	case Closing:
		c.enterTimeWait(now)
	case LastAck:
		c.stop()
	}
}

func (c *Conn) enterTimeWait(now uint64) {
	c.state = TimeWait
	c.retransmitAt, c.keepAt = 0, 0
	c.endAt = now + timeWait
}

// heard notes that the peer is there.
func (c *Conn) heard(s *Segment, now uint64) {
	c.lastHeard = now
	c.probes = 0
	if c.keepAt != 0 {
		c.keepAt = now + c.KeepIdle
	}
	if c.sndWnd == 0 { // RFC 9293, 3.8.6.1: who answers is waited for
		c.retries = 0
	}
	if c.tsOK && s.HasTS && !s.Seq.after(c.lastAck) {
		c.tsRecent, c.tsRecentAt = s.TSVal, now
	}
}

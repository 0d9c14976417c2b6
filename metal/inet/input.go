package inet

// Place says where the data of s belong that can be taken: n bytes of them, from skip on, lie at distance behind what can be
// read already. They must be stored there before Input; who cannot store all of them shortens s.
func (c *Conn) Place(s *Segment) (skip, distance, n uint32) {
	if s.Len == 0 || c.state < SynReceived || c.state > FinWait2 || s.Flags&(SYN|RST) != 0 {
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
	if w := c.window(); distance < w {
		n = min(s.Len-skip, w-distance)
	}
	return skip, distance, n
}

// Outcome is what a segment did.
type Outcome struct {
	Events Events
	Arrive uint32 // bytes more that can be read
	Acked  uint32 // bytes that were sent and need not be kept any more
	Answer bool   // the segment itself was turned into a reset to be sent
}

// Input takes a segment of the connection. What is to be sent afterwards, Next tells.
func (c *Conn) Input(s *Segment, now uint64, o *Outcome) {
	*o = Outcome{}
	if c.state == SynSent {
		c.inputSynSent(s, now, o)
		return
	}
	if c.state == Closed {
		o.Answer = s.Refusal()
		return
	}
	if c.tsOK && s.HasTS && int32(s.TSVal-c.tsRecent) < 0 && s.Flags&RST == 0 && c.state != SynReceived { // RFC 7323, 5.3
		c.ackNow = true
		return
	}
	if !c.acceptable(s) {
		if s.Flags&RST == 0 {
			if c.state == SynReceived && s.Flags&SYN != 0 {
				c.nxt = c.una // its SYN again: ours may have been lost
				return
			}
			if c.state == TimeWait && s.Flags&FIN != 0 {
				c.endAt = now + timeWait
			}
			c.ackNow = true
		}
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
	if s.Flags&ACK == 0 {
		return
	}
	c.lastHeard = now
	c.probes = 0
	if c.keepAt != 0 {
		c.keepAt = now + c.KeepIdle
	}
	if c.tsOK && s.HasTS && !s.Seq.after(c.lastAck) {
		c.tsRecent = s.TSVal
	}
	if !c.inputAck(s, now, o) {
		return
	}
	c.inputData(s, now, o)
}

// acceptable is the test of RFC 9293, 3.10.7.4.
func (c *Conn) acceptable(s *Segment) bool {
	n, w := s.length(), Seq(c.window())
	first := !s.Seq.before(c.rcvNxt) && s.Seq.before(c.rcvNxt+w)
	switch {
	case n == 0 && w == 0:
		return s.Seq == c.rcvNxt
	case n == 0:
		return first
	case w == 0:
		return s.Seq == c.rcvNxt && s.Flags&ACK != 0 // its acknowledgement is taken, its data are not
	}
	last := s.Seq + n - 1
	return first || !last.before(c.rcvNxt) && last.before(c.rcvNxt+w) || s.Seq.before(c.rcvNxt) && last.after(c.rcvNxt)
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
		return
	}
	c.measure(s, now)
	c.una = s.Ack
	c.establish(now)
	c.ackNow = true
	o.Events = Connected
}

func (c *Conn) establish(now uint64) {
	c.state = Established
	if c.closing {
		c.state = FinWait1
	}
	c.retries = 0
	c.retransmitAt = 0
	if c.KeepIdle != 0 {
		c.keepAt = now + c.KeepIdle
	}
}

func (c *Conn) inputReset(s *Segment, now uint64, o *Outcome) {
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

// inputAck takes the acknowledgement and the window. False: the segment is of no further use.
func (c *Conn) inputAck(s *Segment, now uint64, o *Outcome) bool {
	if c.state == SynReceived {
		if !s.Ack.after(c.iss) || s.Ack.after(c.max) {
			o.Answer = s.Refusal()
			return false
		}
		c.una++ // the SYN
		if c.nxt.before(c.una) {
			c.nxt = c.una
		}
		c.measure(s, now)
		c.establish(now)
		c.wl1, c.wl2 = s.Seq, s.Ack
		c.setWindow(s)
		o.Events |= Connected
	}
	switch {
	case s.Ack.after(c.max):
		c.challengeAck(now)
		return false
	case s.Ack.before(c.una - Seq(max(c.mostWnd, mostWindow))): // RFC 5961, 5.2
		c.challengeAck(now)
		return false
	case s.Ack.after(c.una):
		c.acknowledged(s, now, o)
	case s.Ack == c.una:
		c.duplicateAck(s)
	}
	if c.wl1.before(s.Seq) || c.wl1 == s.Seq && !c.wl2.after(s.Ack) {
		c.setWindow(s)
		c.wl1, c.wl2 = s.Seq, s.Ack
	}
	return c.state != Closed
}

func (c *Conn) setWindow(s *Segment) {
	c.sndWnd = uint32(s.Window) << c.sndScale
	c.mostWnd = max(c.mostWnd, c.sndWnd)
	if c.sndWnd != 0 && c.inFlight() == 0 {
		c.retransmitAt = 0
		c.retries = 0
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
	c.retries = 0
	c.openWindow(n)
	c.retransmitAt = 0
	if c.max != c.una {
		c.retransmitAt = now + c.rto
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
		if c.UserTimeout != 0 && c.KeepIdle == 0 { // nobody is there who would wait for more
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

// inputData takes the data and the end, which Place has found a place for.
func (c *Conn) inputData(s *Segment, now uint64, o *Outcome) {
	if s.Len == 0 && s.Flags&FIN == 0 {
		return
	}
	if c.state != Established && c.state != FinWait1 && c.state != FinWait2 {
		c.ackNow = true
		return
	}
	_, distance, n := c.Place(s)
	if s.Flags&FIN != 0 {
		c.endHeld, c.heldEnd = true, s.Seq+Seq(s.Len)
	}
	if distance != 0 {
		if n != 0 {
			c.hold(Range{c.rcvNxt + Seq(distance), c.rcvNxt + Seq(distance+n)})
		}
		c.ackNow = true
		return
	}
	from := c.rcvNxt
	c.rcvNxt += Seq(n)
	if c.numHeld != 0 {
		c.joinHeld()
		c.ackNow = true
	}
	o.Arrive = uint32(c.rcvNxt - from)
	c.buffered += o.Arrive
	if c.endHeld && c.heldEnd == c.rcvNxt {
		c.rcvNxt++
		c.takeEnd(now, o)
		return
	}
	if n == 0 { // nothing new, or no room
		c.ackNow = true
		return
	}
	c.delayAck(now)
}

// delayAck lets an acknowledgement wait for data to go with, but every second full segment is acknowledged (RFC 5681, 4.2).
func (c *Conn) delayAck(now uint64) {
	if uint32(c.rcvNxt-c.lastAck) >= 2*c.mss {
		c.ackNow = true
	} else if c.ackAt == 0 {
		c.ackAt = now + delayedAck
	}
}

func (c *Conn) takeEnd(now uint64, o *Outcome) {
	c.ackNow = true
	c.numHeld = 0
	o.Events |= Ended
	switch c.state {
	case Established:
		c.state = CloseWait
	case FinWait1:
		c.state = Closing
	case FinWait2:
		c.enterTimeWait(now)
	}
}

// hold notes that data were stored beyond a gap. When there are too many gaps the data are forgotten, and come again.
func (c *Conn) hold(r Range) {
	for i := uint8(0); i < c.numHeld; {
		h := c.held[i]
		if r.To.before(h.From) || h.To.before(r.From) {
			i++
			continue
		}
		if h.From.before(r.From) {
			r.From = h.From
		}
		if h.To.after(r.To) {
			r.To = h.To
		}
		c.numHeld--
		c.held[i] = c.held[c.numHeld]
	}
	if c.numHeld == mostHeld {
		return
	}
	// The latest comes first, as RFC 2018 wants it reported.
	for i := c.numHeld; i > 0; i-- {
		c.held[i] = c.held[i-1]
	}
	c.held[0] = r
	c.numHeld++
}

// joinHeld moves rcvNxt over what was held and is not beyond a gap any more.
func (c *Conn) joinHeld() {
	for again := true; again; {
		again = false
		for i := uint8(0); i < c.numHeld; i++ {
			h := c.held[i]
			if h.From.after(c.rcvNxt) {
				continue
			}
			if h.To.after(c.rcvNxt) {
				c.rcvNxt = h.To
			}
			c.numHeld--
			c.held[i] = c.held[c.numHeld]
			again = true
			break
		}
	}
}

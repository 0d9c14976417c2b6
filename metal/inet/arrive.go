package inet

// What becomes of the peer's data and its end.

// inputData takes the data and the end, which Place has found a place for.
func (c *Conn) inputData(s *Segment, now uint64, o *Outcome) {
	if s.Len == 0 && s.Flags&FIN == 0 {
		return
	}
	if c.state != Established && c.state != FinWait1 && c.state != FinWait2 {
		c.ackNow = true
		return
	}
	if c.orphan && s.Len != 0 && (s.Seq + Seq(s.Len)).after(c.rcvNxt) { // RFC 1122, 4.2.2.13
		o.Answer = s.Refusal()
		c.stop()
		return
	}
	if s.Flags&FIN != 0 {
		c.holdEnd(s.Seq + Seq(s.Len))
	}
	_, distance, n := c.place(s)
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

// holdEnd notes where the peer's end is. There is only one, and it is behind everything.
func (c *Conn) holdEnd(at Seq) {
	if c.endHeld {
		return
	}
	for i := uint8(0); i < c.numHeld; i++ {
		if c.held[i].To.after(at) {
			return
		}
	}
	c.endHeld, c.heldEnd = true, at
}

func (c *Conn) takeEnd(now uint64, o *Outcome) {
	c.ackNow = true
	c.numHeld = 0
	c.endHeld = false
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
	kept := uint8(0)
	for i := range c.numHeld {
		h := c.held[i]
		if r.To.before(h.From) || h.To.before(r.From) {
			c.held[kept] = h
			kept++
			continue
		}
		if h.From.before(r.From) {
			r.From = h.From
		}
		if h.To.after(r.To) {
			r.To = h.To
		}
	}
	c.numHeld = kept
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
		kept := uint8(0)
		for i := range c.numHeld {
			h := c.held[i]
			if h.From.after(c.rcvNxt) {
				c.held[kept] = h
				kept++
				continue
			}
			if h.To.after(c.rcvNxt) {
				c.rcvNxt = h.To
			}
			again = true
		}
		c.numHeld = kept
	}
}

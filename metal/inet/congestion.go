package inet

// How fast to send: RFC 6298 for the timer, RFC 5681 and 6582 for the window. With selective acknowledgements sack.go knows more.

// measure takes a round trip time from an acknowledgement.
func (c *Conn) measure(s *Segment, now uint64) {
	switch {
	case c.tsOK && s.HasTS && s.TSEcr != 0:
		ms := uint32(now/milli) - s.TSEcr
		if ms < 1<<20 {
			c.sample(max(uint64(ms)*milli, milli/2))
		}
	case c.timing && !s.Ack.before(c.timedSeq):
		c.timing = false
		c.sample(now - c.timedAt)
	}
}

func (c *Conn) sample(rtt uint64) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = rtt, rtt/2
	} else {
		d := int64(c.srtt - rtt)
		if d < 0 {
			d = -d
		}
		c.rttvar += uint64(d)/4 - c.rttvar/4
		c.srtt += rtt/8 - c.srtt/8
	}
	c.setRTO()
}

// setRTO makes the time to wait what was measured, without backing off.
func (c *Conn) setRTO() {
	c.rto = firstRTO
	if c.srtt != 0 {
		c.rto = min(max(c.srtt+4*c.rttvar, minRTO), maxRTO)
	}
}

// mostCongestionWindow is more than fits the buffer, so that it limits nothing.
const mostCongestionWindow = 4 * MostBuffer

// initialWindow is that of RFC 6928.
func initialWindow(mss uint32) uint32 { return min(10*mss, max(2*mss, 14600)) }

// congestionWindow is how much may be on the way. The first two duplicate acknowledgements say that segments left (RFC 3042); selective ones
// say which, and pipe does not count those.
func (c *Conn) congestionWindow() uint32 {
	if c.recovery || c.sackOK {
		return c.cwnd
	}
	return c.cwnd + min(uint32(c.dupAcks), 2)*c.mss
}

// restartIdle forgets what the path could take when nothing was sent for a while (RFC 5681, 4.1).
func (c *Conn) restartIdle(now uint64) {
	if c.max == c.una && c.queued != 0 && now-c.lastSent > c.rto {
		c.cwnd = min(c.cwnd, initialWindow(c.mss))
	}
}

// openWindow is what an acknowledgement of n sequence numbers does to the congestion window; una has moved.
func (c *Conn) openWindow(n uint32) {
	c.dupAcks = 0
	if c.recovery {
		if !c.una.before(c.recover) {
			c.recovery = false
			if !c.sackOK {
				c.cwnd = min(c.ssthresh, max(uint32(c.max-c.una), c.mss)+c.mss)
			}
			return
		}
		if c.sackOK {
			return
		}
		// A partial acknowledgement: the next segment was lost too.
		c.resend = true
		c.cwnd -= min(n, c.cwnd-c.mss)
		c.cwnd += c.mss
		return
	}
	if int32(c.una-c.recover) > 1<<30 { // it must not come to seem ahead
		c.recover = c.una - 1
	}
	if c.cwnd >= mostCongestionWindow || uint32(c.max-c.una)+n < c.cwnd/2 { // what is not used says nothing of the path (RFC 7661)
		return
	}
	if c.cwnd < c.ssthresh {
		c.cwnd += min(n, 2*c.mss)
	} else { // bytes are counted: who splits acknowledgements gains nothing
		c.cwnd += max(uint32(uint64(c.mss)*uint64(min(n, 2*c.mss))/uint64(c.cwnd)), 1)
	}
}

// duplicateAck counts acknowledgements that tell of segments beyond a gap, without saying which.
func (c *Conn) duplicateAck(s *Segment) {
	if s.Len != 0 || s.Flags&FIN != 0 || c.max == c.una || c.sndWnd == 0 || uint32(s.Window)<<c.sndScale != c.sndWnd {
		return
	}
	if c.dupAcks < 255 {
		c.dupAcks++
	}
	switch {
	case c.recovery:
		c.cwnd = min(c.cwnd+c.mss, mostCongestionWindow)
	case c.dupAcks == 3 && c.una.after(c.recover):
		c.halve()
		c.recovery = true
		c.recover = c.max
		c.cwnd = c.ssthresh + 3*c.mss
		c.resend = true
		c.timing = false
	}
}

// endRecovery is for what is sent again from the first on: what comes back of it says nothing of new losses (RFC 6582, 3.2).
func (c *Conn) endRecovery() {
	c.recovery = false
	c.recover = c.max
	c.dupAcks = 0
	c.timing = false
}

func (c *Conn) halve() { c.ssthresh = max(uint32(c.max-c.una)/2, 2*c.mss) }

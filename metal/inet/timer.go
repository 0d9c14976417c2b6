package inet

// Deadline is when Expire has something to do, 0 when nothing is waited for.
func (c *Conn) Deadline() uint64 {
	return min(c.retransmitAt-1, c.ackAt-1, c.endAt-1, c.keepAt-1) + 1 // what is not set is last
}

func due(t, now uint64) bool { return t != 0 && t <= now }

// Expire does what the time has come for. What is to be sent then, Next tells.
func (c *Conn) Expire(now uint64) Events {
	if due(c.ackAt, now) {
		c.ackAt = 0
		c.ackNow = true
	}
	if due(c.endAt, now) {
		c.stop()
		return 0
	}
	if due(c.keepAt, now) && !c.keepAlive(now) {
		c.stop()
		return TimedOut
	}
	if due(c.retransmitAt, now) && !c.retransmit(now) {
		c.stop()
		return TimedOut
	}
	return 0
}

// arm sets the timer for what is on the way.
func (c *Conn) arm(now uint64) {
	c.retransmitAt = now + c.rto
	if end := c.progressAt + c.UserTimeout; c.UserTimeout != 0 && end > now {
		c.retransmitAt = min(c.retransmitAt, end)
	}
}

// givenUp tells whether it was tried often enough.
func (c *Conn) givenUp(now uint64) bool {
	if c.UserTimeout != 0 && now-c.progressAt >= c.UserTimeout {
		return true
	}
	switch {
	case c.state == SynSent:
		return c.retries >= mostSynRetries
	case c.state == SynReceived:
		return c.retries >= mostHalfOpenRetries
	}
	return c.UserTimeout == 0 && c.retries >= mostRetries
}

// retransmit begins again with what was not acknowledged. False: it was tried often enough.
func (c *Conn) retransmit(now uint64) bool {
	if c.givenUp(now) {
		return false
	}
	if c.retries < 255 {
		c.retries++
	}
	c.rto = min(2*c.rto, maxRTO)
	c.arm(now)
	c.timing = false
	if !c.synchronized() {
		c.nxt = c.iss
		return true
	}
	if c.max != c.una && c.sndWnd != 0 {
		if c.retries == 1 {
			c.halve()
		}
		c.cwnd = c.mss
	}
	c.endRecovery()
	c.sacked.n = 0 // the peer may have thrown away what it had (RFC 2018, 8)
	c.resend = false
	c.nxt = c.una
	c.force = true
	return true
}

// keepAlive asks an idle peer whether it is still there. False: it did not answer often enough.
func (c *Conn) keepAlive(now uint64) bool {
	if c.KeepIdle == 0 {
		c.keepAt = 0
		return true
	}
	if idle := now - c.lastHeard; idle < c.KeepIdle {
		c.keepAt = c.lastHeard + c.KeepIdle
		return true
	}
	if c.probes >= c.KeepCount {
		return false
	}
	c.keepAt = now + max(c.KeepInterval, milli)
	if c.max == c.una { // otherwise the retransmissions ask
		c.probes++
		c.probe = true
	}
	return true
}

// SetKeepAlive changes keep-alive of a connection at work; idle 0 switches it off.
func (c *Conn) SetKeepAlive(idle, interval uint64, count uint8, now uint64) {
	c.KeepIdle, c.KeepInterval, c.KeepCount = idle, interval, count
	c.keepAt = 0
	if idle != 0 && c.synchronized() && c.state != TimeWait {
		c.keepAt = now + idle
	}
}

package inet

// Deadline is when Expire has something to do, 0 when nothing is waited for.
func (c *Conn) Deadline() uint64 {
	d := c.retransmitAt
	for _, t := range [...]uint64{c.ackAt, c.endAt, c.keepAt} {
		if t != 0 && (d == 0 || t < d) {
			d = t
		}
	}
	return d
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

// retransmit begins again with what was not acknowledged. False: it was tried often enough.
func (c *Conn) retransmit(now uint64) bool {
	shut := c.synchronized() && c.sndWnd == 0
	most := uint8(mostRetries)
	switch c.state {
	case SynSent:
		most = mostSynRetries
	case SynReceived:
		most = mostHalfOpenRetries
	}
	heard := shut && now-c.lastHeard < 2*maxRTO // it answers, and has no room
	if !heard {
		if c.retries >= most || c.retries != 0 && c.UserTimeout != 0 && now-c.lastHeard > c.UserTimeout {
			return false
		}
	}
	if c.retries < 255 {
		c.retries++
	}
	c.rto = min(2*c.rto, maxRTO)
	c.retransmitAt = now + c.rto
	c.timing = false
	if !c.synchronized() {
		c.nxt = c.iss
		return true
	}
	if c.max != c.una && !shut {
		if c.retries == 1 {
			c.halve()
		}
		c.cwnd = c.mss
	}
	c.recovery = false
	c.recover = c.max
	c.dupAcks = 0
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
	c.keepAt = now + c.KeepInterval
	if c.inFlight() == 0 {
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

package inet

// Info is what can be told of a connection: struct tcp_info of Linux has these, under names like them.
type Info struct {
	Timestamps, SACK, Scaled bool
	SendScale                uint8 // the peer's
	Retries, Probes          uint8 // without an answer
	RTO, RTT, RTTVar         uint64
	SinceSent, SinceHeard    uint64 // nanoseconds; 0: never
	SendMSS, OwnMSS          uint32
	InFlight                 uint32 // bytes that are not acknowledged, and of these:
	SACKed, Lost             uint32 // what the peer has, what seems lost and is not sent again,
	Again                    uint32 // what was sent again
	EverAgain                uint32 // segments behind the handshake that were sent again since the beginning
	Cwnd, SSThresh           uint32 // bytes
}

// Info tells of the connection.
func (c *Conn) Info(now uint64, i *Info) {
	*i = Info{Timestamps: c.tsOK, SACK: c.sackOK, Scaled: c.scaleOK, SendScale: c.sndScale, Retries: c.retries, Probes: c.probes,
		RTO: c.rto, RTT: c.srtt, RTTVar: c.rttvar, SendMSS: c.mss, OwnMSS: c.ownMSS, InFlight: uint32(c.max - c.una),
		SACKed: c.sacked.has(c.una, c.max), EverAgain: c.again, Cwnd: c.cwnd, SSThresh: c.ssthresh}
	switch {
	case c.nxt.before(c.max): // all of it begins again
		i.Again, i.Lost = c.missing(c.una, c.nxt), c.missing(c.nxt, c.max)
	case c.recovery && c.sackOK:
		i.Again, i.Lost = c.missing(c.una, c.repaired()), c.missing(c.repaired(), c.sacked.lostBefore(c.una, c.mss))
	}
	if c.lastSent != 0 {
		i.SinceSent = now - c.lastSent
	}
	if c.lastHeard != 0 {
		i.SinceHeard = now - c.lastHeard
	}
}

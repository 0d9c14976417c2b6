package inet

// State is that of a connection (RFC 9293, 3.3.2). Who listens has no connection yet.
type State uint8

// States. A connection that is Closed has nothing to send or to wait for any more.
const (
	Closed State = iota
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
)

// Events are what an input or a time-out changed for who uses the connection.
type Events uint8

const (
	// Connected: both sides know of the connection.
	Connected Events = 1 << iota
	// Ended: the peer sends no more.
	Ended
	// Refused: the peer does not want the connection.
	Refused
	// Reset: the peer broke the connection.
	Reset
	// TimedOut: the peer does not answer any more.
	TimedOut
	// Confirmed: everything that was sent, the end included, has arrived.
	Confirmed
)

const (
	milli  = 1_000_000
	second = 1000 * milli

	minRTO         = 200 * milli
	maxRTO         = 120 * second
	firstRTO       = 1 * second
	delayedAck     = 40 * milli
	timeWait       = 60 * second
	mostRetries    = 15
	mostSynRetries = 6

	mostHalfOpenRetries = 4

	// DefaultMSS is what a peer takes that does not say it.
	DefaultMSS    = 536
	minMSS        = 88
	optionTSBytes = 12

	// BufferSize is how much data each direction of a connection holds at first; see Buffers.
	BufferSize = 64 << 10
	// MostBuffer is how much it may come to hold.
	MostBuffer = 1 << 20
	mostWindow = 65535
	ownScale   = 5 // windows are told in units of 2^ownScale bytes: enough for MostBuffer
	mostHeld   = 16
)

// Conn is the state of a connection. The zero value is closed.
type Conn struct {
	state   State
	closing bool // no more will be written
	finSent bool
	scaleOK bool
	tsOK    bool
	sackOK  bool
	ackNow  bool
	force   bool // send one byte although the window is shut
	probe   bool // send a keep-alive
	resend  bool // send the first segment again
	endHeld bool // the peer's end arrived, and is at heldEnd
	orphan  bool // nobody reads any more

	// Burst is how many bytes of data Next may give out in one segment that is to be cut; 0: every segment is one to send.
	Burst uint32

	// NoDelay sends small segments at once (TCP_NODELAY); Cork only full ones (TCP_CORK).
	NoDelay, Cork bool

	sndScale  uint8
	rcvScale  uint8
	dupAcks   uint8
	retries   uint8
	probes    uint8
	recovery  bool
	timing    bool
	challenge uint8 // how many challenges were sent in this second

	mss          uint32 // largest segment to send
	ownMSS       uint32
	iss          Seq
	una, nxt     Seq // SND.UNA, SND.NXT
	max          Seq // the highest that was ever sent
	wl1, wl2     Seq
	sndWnd       uint32
	mostWnd      uint32 // the largest that the peer offered
	queued       uint32 // bytes to send and not acknowledged
	cwnd         uint32
	ssthresh     uint32
	recover      Seq
	rcvNxt       Seq
	rcvAdv       Seq    // right edge of the window that the peer knows
	buffered     uint32 // bytes that nobody read yet
	sndMost      uint32 // how much may be queued
	rcvMost      uint32 // how much may be received and not read
	paceEnd      Seq    // when what was read comes to it, a buffer full was read since paceAt
	tsRecent     uint32
	lastAck      Seq // the last that was sent
	timedSeq     Seq
	small        Seq             // behind the last segment that was not full
	held         [mostHeld]Range // data that arrived out of order
	numHeld      uint8
	heldEnd      Seq
	sentAgain    Seq    // in recovery: what was lost before it was sent again
	rescueAt     Seq    // in recovery: when this is acknowledged the last segment may be sent again
	again        uint32 // how many segments were sent again, ever
	challengedAt uint32 // in seconds

	srtt, rttvar, rto uint64
	timedAt           uint64
	lastSent          uint64
	lastHeard         uint64
	tsRecentAt        uint64
	paceAt            uint64
	progressAt        uint64 // since when the first of what is unacknowledged is waited for

	retransmitAt, ackAt, endAt, keepAt uint64 // 0: not set

	// KeepIdle, KeepInterval and KeepCount are TCP_KEEPIDLE and so on; an idle time of 0 switches keep-alive off. Nanoseconds.
	KeepIdle, KeepInterval uint64
	KeepCount              uint8
	// UserTimeout is TCP_USER_TIMEOUT: how long data may stay unacknowledged, or unsent because the peer's window is shut; 0: the
	// number of retries without any answer decides.
	UserTimeout uint64

	sacked scoreboard // what the peer has beyond a gap
}

// Connect begins a connection: the next segment is its SYN. mss is the largest segment that may arrive.
func (c *Conn) Connect(iss Seq, mss uint32) {
	c.begin(iss, mss)
	c.state = SynSent
	c.tsOK, c.scaleOK, c.sackOK = true, true, true
}

// Accept begins a connection that s, a SYN, asks for.
func (c *Conn) Accept(s *Segment, iss Seq, mss uint32, now uint64) {
	c.begin(iss, mss)
	c.state = SynReceived
	c.tsOK, c.scaleOK, c.sackOK = s.HasTS, s.HasScale, s.SACKOK
	c.takeSYN(s, now)
}

func (c *Conn) begin(iss Seq, mss uint32) {
	*c = Conn{iss: iss, una: iss, nxt: iss, max: iss, ownMSS: mss, mss: min(mss, DefaultMSS), recover: iss, small: iss, rto: firstRTO, ssthresh: 1 << 30,
		sndMost: BufferSize, rcvMost: mostWindow}
}

// takeSYN notes what the peer's SYN says.
func (c *Conn) takeSYN(s *Segment, now uint64) {
	c.rcvNxt = s.Seq + 1
	c.rcvAdv = c.rcvNxt
	c.lastAck = c.rcvNxt
	c.tsOK = c.tsOK && s.HasTS
	c.scaleOK = c.scaleOK && s.HasScale
	c.sackOK = c.sackOK && s.SACKOK
	if c.tsOK {
		c.tsRecent, c.tsRecentAt = s.TSVal, now
	}
	if c.scaleOK {
		c.sndScale, c.rcvScale = s.Scale, ownScale
	}
	c.paceEnd, c.paceAt = c.rcvNxt+Seq(c.rcvMost), now
	mss := uint32(s.MSS)
	if mss == 0 {
		mss = DefaultMSS
	}
	c.setMSS(min(mss, c.ownMSS))
	c.sndWnd, c.wl1, c.wl2 = uint32(s.Window), s.Seq, s.Ack
	c.mostWnd = c.sndWnd
	c.lastHeard = now
}

func (c *Conn) setMSS(mss uint32) {
	c.mss = max(mss, minMSS)
	if c.tsOK {
		c.mss -= optionTSBytes
	}
	c.cwnd = initialWindow(c.mss)
}

// LimitMSS is what a router says who cannot pass on longer packets: a segment with its headers must fit mtu bytes, of which the
// header of IPv4 is counted (for IPv6, 20 less is to be given). Who may say so, InFlight tells.
func (c *Conn) LimitMSS(mtu uint32) {
	mss := max(mtu, 296) - IPv4Len - TCPLen
	if mss >= c.ownMSS {
		return
	}
	c.ownMSS = mss
	if c.tsOK {
		mss -= optionTSBytes
	}
	if mss >= c.mss {
		return
	}
	c.mss = mss
	c.cwnd = min(c.cwnd, initialWindow(mss))
	if c.synchronized() && c.max != c.una { // all of it may have been too long
		c.nxt = c.una
		c.endRecovery()
	}
}

// InFlight tells whether seq was sent and is not acknowledged. What an ICMP message quotes must be: others are forged (RFC 5927).
func (c *Conn) InFlight(seq Seq) bool {
	return c.state != Closed && !seq.before(c.una) && seq.before(c.max)
}

// State is the state.
func (c *Conn) State() State { return c.state }

// synchronized tells whether the peer's sequence numbers are known and its SYN is acknowledged.
func (c *Conn) synchronized() bool { return c.state >= Established }

func (c *Conn) inFlight() uint32 { return uint32(c.nxt - c.una) }

// Room is how many bytes can be written.
func (c *Conn) Room() uint32 {
	if c.closing {
		return 0
	}
	return c.sndMost - min(c.queued, c.sndMost)
}

// Buffers are how much may be queued, and how much may be received and not read.
func (c *Conn) Buffers() (send, receive uint32) { return c.sndMost, c.rcvMost }

// SetBuffers changes them. A peer that was told of a larger window may use it all the same.
func (c *Conn) SetBuffers(send, receive uint32) {
	c.sndMost, c.rcvMost = send, receive
	if !c.scaleOK {
		c.rcvMost = min(receive, mostWindow)
	}
}

// SendsMore tells whether a larger buffer would let more be on the way.
func (c *Conn) SendsMore() bool {
	return c.sndMost < MostBuffer && min(c.sndWnd, c.cwnd) > c.sndMost/2
}

// ReadsMore tells whether a larger window would let more arrive: a window full was read in the time that an answer takes, or two of it. It
// costs little until a window full was read.
func (c *Conn) ReadsMore(now uint64) bool {
	read := c.rcvNxt - Seq(c.buffered)
	took := now - c.paceAt
	c.paceEnd, c.paceAt = read+Seq(c.rcvMost), now
	return c.rcvScale != 0 && c.rcvMost < MostBuffer && took < 2*max(c.srtt, milli)
}

// ReadMuch tells whether a window full was read since ReadsMore was asked.
func (c *Conn) ReadMuch() bool { return !(c.rcvNxt - Seq(c.buffered)).before(c.paceEnd) }

// Queued is how many bytes were written and are not acknowledged.
func (c *Conn) Queued() uint32 { return c.queued }

// Write says that n more bytes are to be sent, for which there is room.
func (c *Conn) Write(n uint32) { c.queued += n }

// Read says that n bytes more were read by whom they are for. True: the peer should hear of the room.
func (c *Conn) Read(n uint32) bool {
	c.buffered -= n
	if c.state != Established && c.state != FinWait1 && c.state != FinWait2 {
		return false
	}
	if growth := int32(c.rcvNxt + Seq(c.window()) - c.rcvAdv); growth >= int32(min(c.rcvMost/2, 2*c.ownMSS)) {
		c.ackNow = true
		return true
	}
	return false
}

// window is what may be received beyond rcvNxt.
func (c *Conn) window() uint32 { return c.rcvMost - min(c.buffered, c.rcvMost) }

// Close says that nothing more will be written: the end is sent behind what is queued.
func (c *Conn) Close() {
	if c.closing {
		return
	}
	c.closing = true
	switch c.state {
	case SynSent:
		c.stop()
	case Established:
		c.state = FinWait1
	case CloseWait:
		c.state = LastAck
	}
}

// Orphan says that nobody will read any more: data that come are answered by a reset, and a peer that makes no progress, or does
// not end its side, is waited for only so long.
func (c *Conn) Orphan(now uint64) {
	c.orphan = true
	c.KeepIdle = 0
	c.keepAt = 0
	if c.state == FinWait2 && c.endAt == 0 {
		c.endAt = now + timeWait
	}
	if c.UserTimeout == 0 {
		c.UserTimeout = timeWait
	}
	c.progressAt = now
	if c.retransmitAt > now+c.UserTimeout {
		c.retransmitAt = now + c.UserTimeout
	}
}

// Abort ends the connection. True: s is the reset to be sent.
func (c *Conn) Abort(s *Segment) bool {
	tell := c.state != Closed && c.state != SynSent && c.state != TimeWait
	*s = Segment{Seq: c.bareSeq(), Ack: c.rcvNxt, Flags: RST | ACK}
	c.stop()
	return tell
}

// bareSeq is the sequence number of a segment that takes none. What was sent before counts, also when it is being sent again; but
// the peer must find it in its window.
func (c *Conn) bareSeq() Seq {
	if edge := c.una + Seq(c.sndWnd); c.synchronized() && c.max.after(edge) {
		return edge
	}
	return c.max
}

func (c *Conn) stop() {
	c.state = Closed
	c.retransmitAt, c.ackAt, c.endAt, c.keepAt = 0, 0, 0, 0
	c.ackNow, c.force, c.probe, c.resend, c.endHeld = false, false, false, false, false
	c.queued, c.numHeld, c.sacked.n = 0, 0, 0
}

// Holds tells whether data lie beyond what can be read, in the same buffer.
func (c *Conn) Holds() bool { return c.numHeld != 0 }

// Reusable tells whether s, a SYN, may begin a new connection in place of this one, which waits for its time to end (RFC 1122,
// 4.2.2.13, and RFC 6191).
func (c *Conn) Reusable(s *Segment) bool {
	if c.state != TimeWait || s.Flags&(SYN|ACK|RST) != SYN {
		return false
	}
	if c.tsOK && s.HasTS && s.TSVal != c.tsRecent {
		return int32(s.TSVal-c.tsRecent) > 0
	}
	return s.Seq.after(c.rcvNxt)
}

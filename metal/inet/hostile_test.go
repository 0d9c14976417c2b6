package inet

import (
	"testing"

	"pgregory.net/rapid"
)

// hostage is a connection whose peer does what it wants, and the rules that hold nevertheless.
type hostage struct {
	t      *rapid.T
	c      Conn
	now    uint64
	key    Key
	base   Seq            // where what can be read begins
	stored map[Seq]bool   // what was put into the buffer, from base on
	queued uint32         // written and not acknowledged
	unread uint32         // arrived and not read
	sent   map[uint8]bool // flags
}

func newHostage(t *rapid.T) *hostage {
	h := &hostage{t: t, now: rapid.Uint64Range(0, 1<<50).Draw(t, "now"), stored: map[Seq]bool{}, sent: map[uint8]bool{}}
	mss := rapid.SampledFrom([]uint32{1460, 1440, 536, 256, 65495}).Draw(t, "own MSS")
	iss := -Seq(rapid.Uint32Range(0, 100_000).Draw(t, "iss"))
	s := h.segment()
	s.Flags = SYN
	switch rapid.IntRange(0, 2).Draw(t, "begin") {
	case 0:
		h.c.Connect(iss, mss)
	case 1:
		h.c.Accept(&s, iss, mss, h.now)
	case 2:
		tuple := Tuple{Hi: 1, Lo: 2, OwnLo: 3, Ports: 4}
		s.Ack = h.key.Cookie(&tuple, &s, h.now) + 1
		s.Seq++
		s.Flags = ACK
		if !h.c.FromCookie(&h.key, &tuple, &s, mss, h.now) {
			t.Fatal("the cookie of a moment ago is not known")
		}
	}
	h.base = h.c.rcvNxt
	return h
}

// near is a number around one that matters.
func near(t *rapid.T, label string, around ...Seq) Seq {
	if rapid.IntRange(0, 9).Draw(t, label+" wild") == 0 {
		return Seq(rapid.Uint32().Draw(t, label))
	}
	a := rapid.SampledFrom(around).Draw(t, label+" around")
	return a + Seq(rapid.SampledFrom([]int32{0, 0, 0, 0, 1, -1, 2, 100, 1000, -1000, 65535, 70000, -70000}).Draw(t, label))
}

func (h *hostage) segment() Segment {
	t, c := h.t, &h.c
	s := Segment{
		Seq:    near(t, "seq", c.rcvNxt, c.rcvNxt+Seq(c.window()), c.heldEnd, c.held[0].From, c.held[1].To),
		Ack:    near(t, "ack", c.una, c.max, c.max, c.nxt, c.iss+1),
		Flags:  rapid.SampledFrom([]uint8{ACK, ACK, ACK, ACK, ACK | PSH, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, 0, 63}).Draw(t, "flags"),
		Window: rapid.SampledFrom([]uint16{0, 1, 2, 100, 1460, 5000, 65535, 65535, 65535}).Draw(t, "window"),
		Len:    rapid.SampledFrom([]uint32{0, 0, 0, 1, 2, 100, 1000, 1460, 65495}).Draw(t, "len"),
		HasTS:  c.tsOK || rapid.Bool().Draw(t, "ts"),
		SACKOK: rapid.Bool().Draw(t, "sack"),
		MSS:    rapid.SampledFrom([]uint16{0, 1, 88, 536, 1460, 65535}).Draw(t, "mss"),
	}
	s.TSVal = c.tsRecent + uint32(rapid.SampledFrom([]int32{0, 0, 0, 1, 1000, -1, 1 << 30}).Draw(t, "tsval"))
	s.TSEcr = uint32(h.now/milli) - uint32(rapid.SampledFrom([]int32{0, 1, 1000, -1, 1 << 30}).Draw(t, "tsecr"))
	s.NumBlocks = rapid.IntRange(0, roomForBlocks).Draw(t, "blocks")
	for i := range s.NumBlocks {
		r := &s.Blocks[i]
		r.From = near(t, "from", c.una, c.una+Seq(c.mss), c.max-Seq(c.mss), c.max, c.una+Seq(rapid.Uint32Range(0, 70_000).Draw(t, "beyond")))
		r.To = near(t, "to", r.From+Seq(c.mss), r.From+1, c.max, c.una)
	}
	s.HasScale, s.Scale = rapid.Bool().Draw(t, "scale"), uint8(rapid.IntRange(0, mostScale).Draw(t, "shift"))
	return s
}

// input hands it a segment, with data stored before as the platform does.
func (h *hostage) input() {
	s := h.segment()
	if rapid.IntRange(0, 9).Draw(h.t, "shorten") == 0 {
		s.Shorten(s.Len / 2)
	}
	h.take(s)
}

func (h *hostage) take(s Segment) {
	c := &h.c
	was := s
	skip, distance, n := c.Place(&s)
	if skip+n > s.Len || n != 0 && distance+n > mostWindow-h.unread {
		h.t.Fatalf("%d bytes from %d on are to lie at %d behind %d; the segment is %+v", n, skip, distance, h.unread, s)
	}
	for i := range Seq(n) {
		h.stored[s.Seq+Seq(skip)+i] = true
	}
	synSent := c.state == SynSent
	var o Outcome
	c.Input(&s, h.now, &o)
	if synSent {
		h.base = c.rcvNxt
	}
	for range o.Arrive {
		if !h.stored[h.base] {
			h.t.Fatalf("%d bytes arrive, and %d was not stored", o.Arrive, h.base)
		}
		delete(h.stored, h.base)
		h.base++
	}
	h.unread += o.Arrive
	if h.unread > mostWindow {
		h.t.Fatalf("%d bytes are in the buffer", h.unread)
	}
	if o.Acked > h.queued {
		h.t.Fatalf("%d of %d bytes are acknowledged by %+v", o.Acked, h.queued, was)
	}
	h.queued -= o.Acked
	if o.Answer && (s.Flags&RST == 0 || was.Flags&RST != 0) {
		h.t.Fatalf("%+v is answered by %+v", was, s)
	}
	h.invariant()
}

func (h *hostage) invariant() {
	c := &h.c
	if c.state == Closed {
		h.queued = 0
		return
	}
	if c.queued != h.queued || c.buffered != h.unread || c.queued > BufferSize {
		h.t.Fatalf("%d queued, want %d; %d to be read, want %d", c.queued, h.queued, c.buffered, h.unread)
	}
	if c.una.after(c.nxt) || c.nxt.after(c.max) || uint32(c.max-c.una) > c.queued+1 {
		h.t.Fatalf("una %d, nxt %d, max %d; %d queued", c.una-c.iss, c.nxt-c.iss, c.max-c.iss, c.queued)
	}
	if c.state != SynSent && c.cwnd < c.mss || c.cwnd > 2*mostCongestionWindow || c.mss < minMSS-optionTSBytes {
		h.t.Fatalf("cwnd %d, mss %d", c.cwnd, c.mss)
	}
	if c.rcvNxt.after(c.rcvNxt+Seq(c.window())) || c.rto < minRTO || c.rto > maxRTO {
		h.t.Fatalf("%+v", c)
	}
	for i := range c.numHeld {
		if r := c.held[i]; !r.From.after(c.rcvNxt) || !r.From.before(r.To) || r.To.after(c.rcvNxt+Seq(c.window())) {
			h.t.Fatalf("holds %d to %d behind %d", r.From-c.rcvNxt, r.To-c.rcvNxt, c.window())
		}
	}
	h.scoreboard()
	// What is waited for must be waited for.
	if c.synchronized() && c.max != c.una && c.retransmitAt == 0 {
		h.t.Fatalf("sent until %d of %d and does not wait: state %d", c.max-c.una, c.queued, c.state)
	}
}

// scoreboard: nothing is believed to have arrived that was not sent, and what is on the way is no more than what was sent, and sent again.
func (h *hostage) scoreboard() {
	c := &h.c
	last := c.una
	for i := range c.sacked.n {
		r := c.sacked.ranges[i]
		if !r.From.after(last) || !r.From.before(r.To) || r.To.after(c.max) {
			h.t.Fatalf("has %d to %d behind %d, and %d were sent", r.From-c.una, r.To-c.una, last-c.una, c.max-c.una)
		}
		last = r.To
	}
	if sent := uint32(c.max - c.una); c.pipe() > 2*sent || !c.sackOK && c.sacked.n != 0 {
		h.t.Fatalf("%d bytes are on the way of %d", c.pipe(), sent)
	}
	if c.recovery && c.sackOK && (c.nxt != c.max || c.repaired().after(c.max) || c.recover.after(c.max) || !c.recover.after(c.una)) {
		h.t.Fatalf("recovers until %d, %d repaired, %d and %d sent", c.recover-c.una, c.repaired()-c.una, c.nxt-c.una, c.max-c.una)
	}
	var i Info
	c.Info(h.now, &i)
	if i.SACKed+i.Lost > i.InFlight || i.SACKed+i.Again > i.InFlight {
		h.t.Fatalf("%+v", i)
	}
}

// drain takes what is to be sent, and counts.
func (h *hostage) drain() {
	c := &h.c
	most := 4 + h.queued/c.leastSegment() + 2*mostSacked // and one for each small gap
	var s Segment
	for n := uint32(0); c.Next(&s, h.now); n++ {
		h.sent[s.Flags] = true
		if n > most {
			h.t.Fatalf("more than %d segments at once", most)
		}
		if s.Offset+s.Len > h.queued || s.Flags&(SYN|RST) != 0 && s.Len != 0 {
			h.t.Fatalf("sends %d bytes from %d on of %d", s.Len, s.Offset, h.queued)
		}
		if end := s.Seq + Seq(s.Len); s.Len > 1 && end.after(c.una+Seq(c.sndWnd)) {
			h.t.Fatalf("sends %d bytes to %d, and the window is %d", s.Len, end-c.una, c.sndWnd)
		}
		if n := c.sacked.has(s.Seq, s.Seq+Seq(s.Len)); n != 0 {
			h.t.Fatalf("sends %d bytes to who has %d of them", s.Len, n)
		}
		size := s.Len
		if s.Cut != 0 {
			if size = s.Cut; size >= s.Len || s.Len > c.Burst || s.Flags&FIN != 0 {
				h.t.Fatalf("is to be cut, with a burst of %d: %+v", c.Burst, s)
			}
		}
		if s.HeaderLen() > 60 || s.HeaderLen()+int(size) > TCPLen+int(max(c.ownMSS, minMSS)) && s.Flags&SYN == 0 {
			h.t.Fatalf("a segment of %d and %d bytes; MSS %d", s.HeaderLen(), s.Len, c.ownMSS)
		}
		h.invariant()
	}
	h.invariant()
	// Something is to be sent and cannot: the time is set when it will.
	if c.synchronized() && h.queued != 0 && c.retransmitAt == 0 {
		h.t.Fatalf("%d bytes are queued and nothing waits: %+v", h.queued, *c)
	}
}

// leastSegment is the least size of a segment that is full.
func (c *Conn) leastSegment() uint32 { return max(c.mss, minMSS-optionTSBytes) - 28 }

func (h *hostage) expire() {
	if d := h.c.Deadline(); d != 0 {
		h.now = max(h.now, d)
	}
	h.c.Expire(h.now)
	h.invariant()
	if d := h.c.Deadline(); d != 0 && d <= h.now {
		h.t.Fatalf("at %d the next is due at %d: %+v", h.now, d, h.c)
	}
}

// user does something that a program may do.
func (h *hostage) user() {
	c, t := &h.c, h.t
	switch rapid.SampledFrom([]int{0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9}).Draw(t, "call") {
	case 0:
		if c.state != Closed {
			n := rapid.Uint32Range(0, c.Room()).Draw(t, "write")
			c.Write(n)
			h.queued += n
		}
	case 1:
		n := rapid.Uint32Range(0, h.unread).Draw(t, "read")
		h.unread -= n
		c.Read(n)
	case 2:
		c.NoDelay = !c.NoDelay
	case 3:
		c.Cork = !c.Cork
	case 4:
		c.UserTimeout = rapid.SampledFrom([]uint64{0, 1, second, 3600 * second}).Draw(t, "user timeout")
	case 5:
		c.SetKeepAlive(rapid.SampledFrom([]uint64{0, second, 7200 * second}).Draw(t, "idle"), second, 9, h.now)
	case 6:
		c.LimitMSS(rapid.Uint32Range(0, 2000).Draw(t, "mtu"))
	case 7:
		c.Close()
	case 8:
		if rapid.IntRange(0, 3).Draw(t, "orphan") == 0 {
			c.Close()
			c.Orphan(h.now)
		}
	case 9:
		if rapid.IntRange(0, 9).Draw(t, "abort") == 0 {
			var s Segment
			c.Abort(&s)
		}
	}
	h.invariant()
}

// TestHostile: whatever the peer sends and the program does, nothing is written or read where it must not be, and all ends.
func TestHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHostage(t)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				h.now += rapid.SampledFrom([]uint64{1, milli, second, 100 * second, 30 * 24 * 3600 * second}).Draw(t, "pass")
			case 1:
				h.expire()
			case 2, 3:
				h.user()
			case 4, 5, 6:
				h.input()
			default:
				h.drain()
			}
		}
		h.drain()
		for n := 0; h.c.Deadline() != 0; n++ {
			if n > 10_000 { // keep-alive looks each second whether an hour of retransmissions is over
				t.Fatalf("waits for ever: %+v", h.c)
			}
			h.expire()
			h.drain()
		}
	})
}

// TestHostileBlocks is the same for a connection that is used, and a peer that invents what it has: in acknowledgements that are right otherwise.
func TestHostileBlocks(t *testing.T) {
	recovered := 0
	rapid.Check(t, func(t *rapid.T) {
		h := &hostage{t: t, now: second, stored: map[Seq]bool{}, sent: map[uint8]bool{}}
		c := &h.c
		syn := Segment{Flags: SYN, Window: 65535, MSS: 1000, SACKOK: true, HasTS: rapid.Bool().Draw(t, "ts"), HasScale: true}
		c.Accept(&syn, -Seq(rapid.Uint32Range(0, 50_000).Draw(t, "iss")), 1460, h.now)
		h.base = c.rcvNxt
		h.drain()
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			s := Segment{Seq: c.rcvNxt, Ack: max(c.una, c.iss+1), Flags: ACK, Window: 65535, HasTS: syn.HasTS, TSVal: c.tsRecent}
			switch rapid.IntRange(0, 15).Draw(t, "step") {
			case 0:
				h.expire()
			case 1:
				h.user()
			case 2:
				s.Window = rapid.Uint16Range(0, 30_000).Draw(t, "window")
			case 3, 4:
				s.Ack += Seq(rapid.Uint32Range(0, uint32(c.max-c.una)).Draw(t, "acknowledge"))
			case 5, 6:
				if c.state == Closed {
					break
				}
				n := c.Room()
				c.Write(n)
				h.queued += n
				c.Burst = rapid.SampledFrom([]uint32{0, 0, 5000, 64_000}).Draw(t, "burst")
			case 7:
				h.now += 10 * milli
			}
			s.NumBlocks = rapid.IntRange(0, roomForBlocks).Draw(t, "blocks")
			for i := range s.NumBlocks {
				from := c.una + Seq(rapid.Uint32Range(0, uint32(c.max-c.una)+1).Draw(t, "from"))
				s.Blocks[i] = Range{from, from + Seq(rapid.SampledFrom([]uint32{1, 1, 100, 1000, 1000, 3000, 1 << 16}).Draw(t, "size"))}
			}
			h.take(s)
			if c.recovery {
				recovered++
			}
			h.drain()
		}
		for n := 0; c.Deadline() != 0; n++ {
			if n > 10_000 {
				t.Fatalf("waits for ever: %+v", *c)
			}
			h.expire()
			h.drain()
		}
	})
	if recovered == 0 {
		t.Error("no invented block began a recovery")
	}
}

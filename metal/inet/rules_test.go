package inet

import "testing"

// desk is a connection whose peer is played by hand: its segments are written down, and what it should send is.
type desk struct {
	t    *testing.T
	c    Conn
	now  uint64
	peer Segment // what the peer's segments have: seq, ack, window, timestamps
	o    Outcome
}

const (
	deskISS  = Seq(0xffff_ff00) // wraps around soon
	deskPeer = Seq(0xffff_ff80)
)

// newDesk is an accepted connection. change may change the peer's SYN.
func newDesk(t *testing.T, change func(syn *Segment)) *desk {
	d := &desk{t: t, now: 1000 * second}
	syn := Segment{Seq: deskPeer, Flags: SYN, Window: 20000, MSS: 1000}
	if change != nil {
		change(&syn)
	}
	d.c.Accept(&syn, deskISS, 1460, d.now)
	d.want(SYN|ACK, deskISS, 0)
	d.peer = Segment{Seq: syn.Seq + 1, Ack: deskISS + 1, Flags: ACK, Window: syn.Window, HasTS: syn.HasTS, TSVal: syn.TSVal}
	d.in(Segment{})
	if d.c.State() != Established || d.o.Events != Connected {
		t.Fatalf("after the handshake: state %d, events %d", d.c.State(), d.o.Events)
	}
	d.silent()
	return d
}

func withTS(s *Segment) { s.HasTS, s.TSVal = true, 5000 }

// in hands the connection a segment: what s does not say is as the peer has it.
func (d *desk) in(s Segment) {
	d.t.Helper()
	if s.Seq == 0 {
		s.Seq = d.peer.Seq
	}
	if s.Ack == 0 {
		s.Ack = d.peer.Ack
	}
	if s.Flags == 0 {
		s.Flags = d.peer.Flags
	}
	if s.Window == 0 {
		s.Window = d.peer.Window
	}
	if !s.HasTS {
		s.HasTS, s.TSVal = d.peer.HasTS, d.peer.TSVal
	}
	d.c.Input(&s, d.now, &d.o)
}

// want says what is sent next.
func (d *desk) want(flags uint8, seq Seq, n uint32) Segment {
	d.t.Helper()
	var s Segment
	if !d.c.Next(&s, d.now) {
		d.t.Fatalf("nothing is sent, want flags %#x, seq %d, %d bytes; state %d", flags, seq-deskISS, n, d.c.State())
	}
	if s.Flags&^PSH != flags || s.Seq != seq || s.Len != n {
		d.t.Fatalf("got flags %#x, seq %d, %d bytes; want %#x, %d, %d", s.Flags, s.Seq-deskISS, s.Len, flags, seq-deskISS, n)
	}
	return s
}

func (d *desk) silent() {
	d.t.Helper()
	var s Segment
	if d.c.Next(&s, d.now) {
		d.t.Fatalf("sends flags %#x, seq %d, %d bytes, want nothing", s.Flags, s.Seq-deskISS, s.Len)
	}
}

// expire lets the time pass until something is due.
func (d *desk) expire() Events {
	d.t.Helper()
	if d.c.Deadline() == 0 {
		d.t.Fatal("nothing is waited for")
	}
	d.now = max(d.now, d.c.Deadline())
	return d.c.Expire(d.now)
}

func (d *desk) state(s State) {
	d.t.Helper()
	if d.c.State() != s {
		d.t.Fatalf("got state %d, want %d", d.c.State(), s)
	}
}

// first is where data begin.
var first = deskISS + 1

// Both sides ask at the same time: the SYN with an acknowledgement completes the connection, and is not answered by another.
func TestSimultaneousOpen(t *testing.T) {
	d := &desk{t: t, now: second}
	d.c.Connect(deskISS, 1460)
	d.want(SYN, deskISS, 0)
	d.peer = Segment{Seq: deskPeer, Window: 1000, MSS: 500, HasScale: true, Scale: 2}
	d.in(Segment{Flags: SYN, HasScale: true, Scale: 2})
	d.want(SYN|ACK, deskISS, 0)
	d.in(Segment{Flags: SYN | ACK, Ack: first})
	d.state(Established)
	if d.o.Events != Connected || d.c.sndWnd != 1000 {
		t.Errorf("got events %d, window %d", d.o.Events, d.c.sndWnd)
	}
	d.silent()
}

// A SYN that comes again while the answer is on the way is answered again, whatever its number is.
func TestSYNAgain(t *testing.T) {
	var d desk
	d.t, d.now = t, second
	d.peer = Segment{Seq: deskPeer, Window: 1000}
	syn := Segment{Seq: deskPeer, Flags: SYN, Window: 1000, HasTS: true, TSVal: 7}
	d.c.Accept(&syn, deskISS, 1460, d.now)
	d.want(SYN|ACK, deskISS, 0)
	for _, seq := range []Seq{deskPeer, deskPeer + 5, deskPeer - 70000} {
		d.in(Segment{Seq: seq, Flags: SYN})
		d.want(SYN|ACK, deskISS, 0)
		d.silent()
	}
	d.in(Segment{Seq: deskPeer + 1, Flags: ACK, Ack: first, HasTS: true, TSVal: 8})
	d.state(Established)
}

// The time-out of a SYN passes, and the answer comes before it was sent again.
func TestSYNAnsweredLate(t *testing.T) {
	d := &desk{t: t, now: second}
	d.c.Connect(deskISS, 1460)
	d.want(SYN, deskISS, 0)
	d.expire()
	d.in(Segment{Seq: deskPeer, Flags: SYN | ACK, Ack: first, Window: 9000, MSS: 1000})
	d.state(Established)
	d.want(ACK, first, 0)
	d.c.Write(100)
	d.want(ACK, first, 100)
	d.silent()
}

// RFC 5961: who cannot see the connection can only make it ask.
func TestBlind(t *testing.T) {
	d := newDesk(t, nil)
	rcv := d.peer.Seq
	for _, s := range []Segment{
		{Seq: rcv + 1, Flags: RST},
		{Seq: rcv + 65535, Flags: RST},
		{Seq: rcv, Flags: SYN},
		{Seq: rcv - 100_000, Flags: SYN},
		{Seq: rcv, Flags: ACK, Ack: first + 1, Len: 10},       // of what was never sent
		{Seq: rcv, Flags: ACK, Ack: first - 65537, Len: 10},   // too old
		{Seq: rcv + 70000, Flags: ACK, Ack: first, Len: 10},   // beyond the window
		{Seq: rcv - 1, Flags: ACK, Ack: first},                // a keep-alive
		{Seq: rcv - 10, Flags: ACK, Ack: first, Len: 10},      // old data
		{Seq: rcv - 10, Flags: ACK | FIN, Ack: first, Len: 9}, // an end that was before
	} {
		if _, _, n := d.c.Place(&s); n != 0 {
			t.Errorf("%+v: %d bytes have a place", s, n)
		}
		d.in(s)
		d.state(Established)
		if d.o != (Outcome{}) {
			t.Errorf("%+v: got %+v", s, d.o)
		}
		d.want(ACK, first, 0)
		d.silent()
		d.now += second
	}
	for _, s := range []Segment{
		{Seq: rcv - 1, Flags: RST},
		{Seq: rcv + 65536, Flags: RST | ACK},
		{Seq: rcv, Flags: PSH, Len: 10},
	} {
		d.in(s)
		d.state(Established)
		d.silent()
	}
	answers := 0
	for range 100 {
		d.in(Segment{Seq: rcv + 1, Flags: RST})
		if d.c.ackNow {
			d.want(ACK, first, 0)
			answers++
		}
	}
	if answers > 10 {
		t.Errorf("%d answers to 100 resets in a second, want at most 10", answers)
	}
	d.in(Segment{Seq: rcv, Flags: RST})
	d.state(Closed)
	if d.o.Events != Reset {
		t.Errorf("events %d, want %d", d.o.Events, Reset)
	}
}

// Forged data must not replace what was stored beyond a gap.
func TestPlaceOfForged(t *testing.T) {
	d := newDesk(t, withTS)
	rcv := d.peer.Seq
	good := Segment{Seq: rcv + 100, Flags: ACK, Ack: first, Len: 100, Window: 20000, HasTS: true, TSVal: 5001}
	if _, distance, n := d.c.Place(&good); distance != 100 || n != 100 {
		t.Fatalf("got %d bytes at %d", n, distance)
	}
	d.in(good)
	for i, change := range []func(*Segment){
		func(s *Segment) { s.Ack++ },
		func(s *Segment) { s.Ack -= 70000 },
		func(s *Segment) { s.TSVal = 4999 },
		func(s *Segment) { s.HasTS = false },
		func(s *Segment) { s.Flags = 0 },
		func(s *Segment) { s.Flags |= SYN },
		func(s *Segment) { s.Flags |= RST },
	} {
		s := good
		change(&s)
		if _, _, n := d.c.Place(&s); n != 0 {
			t.Errorf("change %d: %d bytes have a place", i, n)
		}
	}
}

// A timestamp counts only in a segment whose acknowledgement can be: else a forged one would shut out the peer.
func TestForgedTimestamp(t *testing.T) {
	d := newDesk(t, withTS)
	d.in(Segment{Ack: first + 1, HasTS: true, TSVal: 1 << 30})
	d.in(Segment{HasTS: true, TSVal: 5001, Len: 10})
	if d.o.Arrive != 10 {
		t.Errorf("got %d bytes, want 10", d.o.Arrive)
	}
}

// RFC 7323, 5.5: what was remembered longer than 24 days ago says nothing, and the connection goes on.
func TestPAWS(t *testing.T) {
	d := newDesk(t, withTS)
	old := Segment{HasTS: true, TSVal: 4999, Len: 10}
	d.in(old)
	if d.o.Arrive != 0 {
		t.Fatal("an old segment was taken")
	}
	d.want(ACK, first, 0)
	d.in(Segment{HasTS: true, TSVal: 4999, Flags: RST, Seq: d.peer.Seq + 1})
	d.want(ACK, first, 0) // resets are not tested
	d.now += 25 * 24 * 3600 * second
	s := old
	s.Seq, s.Flags, s.Ack = d.peer.Seq, ACK, first
	if _, _, n := d.c.Place(&s); n != 0 {
		t.Fatal("Place cannot know how late it is")
	}
	for i := range 2 {
		d.in(old)
		if want := uint32(i * 10); d.o.Arrive != want {
			t.Errorf("segment %d: got %d bytes, want %d", i, d.o.Arrive, want)
		}
	}
	d.c.ackNow = true
	if s := d.want(ACK, first, 0); s.TSEcr != 4999 {
		t.Errorf("echoes %d", s.TSEcr)
	}
}

// Acknowledgements of two sides that both miss something do not answer each other for ever.
func TestAcknowledgementLoop(t *testing.T) {
	d := newDesk(t, nil)
	n := 0
	for range 1000 {
		d.in(Segment{Seq: d.peer.Seq - 5})
		if d.c.ackNow {
			d.want(ACK, first, 0)
			n++
		}
	}
	if n > 10 {
		t.Errorf("%d answers to 1000 useless acknowledgements in a second", n)
	}
	// One at the window's edge is useful: the peer filled the window, and all of it was lost.
	d.c.Write(10)
	d.want(ACK, first, 10)
	d.in(Segment{Seq: d.peer.Seq + 65535, Ack: first + 10})
	if d.o.Acked != 10 {
		t.Errorf("acknowledged %d, want 10", d.o.Acked)
	}
}

// An acknowledgement without data, while data are sent again, has the number behind all that was sent: the peer would not look at
// another.
func TestBareAcknowledgement(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(3000)
	for i := range Seq(3) {
		d.want(ACK, first+1000*i, 1000)
	}
	d.expire()
	d.want(ACK, first, 1000) // cwnd is one segment
	d.silent()
	d.in(Segment{Seq: d.peer.Seq + 10, Len: 10})
	d.want(ACK, first+3000, 0)
	var s Segment
	if !d.c.Abort(&s) || s.Seq != first+3000 {
		t.Errorf("the reset has %d, want 3000", s.Seq-first)
	}
}

// Selective acknowledgements take room from data.
func TestBlocksAndData(t *testing.T) {
	d := newDesk(t, func(s *Segment) { s.HasTS, s.TSVal, s.SACKOK = true, 1, true })
	for i := range Seq(4) {
		d.in(Segment{Seq: d.peer.Seq + 100 + 200*i, Len: 100, HasTS: true, TSVal: 1})
	}
	d.c.Write(5000)
	s := d.want(ACK, first, 1000-12-28)
	if n := s.HeaderLen() + int(s.Len); n != TCPLen+1000 || s.NumBlocks != 3 {
		t.Errorf("a segment of %d bytes with %d blocks", n, s.NumBlocks)
	}
	if got, want := s.Blocks[0], (Range{d.peer.Seq + 700, d.peer.Seq + 800}); got != want {
		t.Errorf("the first block is %v, want the latest, %v", got, want)
	}
}

// The peer's end is one, and behind all of its data.
func TestContradictoryEnd(t *testing.T) {
	d := newDesk(t, nil)
	rcv := d.peer.Seq
	d.in(Segment{Seq: rcv + 100, Len: 100})
	d.in(Segment{Seq: rcv + 50, Len: 10, Flags: ACK | FIN}) // before what is there already
	d.in(Segment{Seq: rcv + 200, Flags: ACK | FIN})
	d.in(Segment{Seq: rcv + 60, Len: 10, Flags: ACK | FIN})
	s := Segment{Seq: rcv + 150, Flags: ACK, Ack: first, Len: 100}
	if _, _, n := d.c.Place(&s); n != 50 {
		t.Errorf("%d bytes have a place, want the 50 before the end", n)
	}
	d.in(Segment{Len: 100})
	if d.o.Arrive != 200 || d.o.Events != Ended {
		t.Errorf("got %+v, want 200 bytes and the end", d.o)
	}
	d.want(ACK, first, 0)
}

// Who cannot store a segment whole does not see an end that is not there.
func TestShorten(t *testing.T) {
	d := newDesk(t, nil)
	s := Segment{Seq: d.peer.Seq, Flags: ACK | FIN, Ack: first, Len: 100, Window: 100}
	s.Shorten(100)
	s.Shorten(40)
	d.in(s)
	if d.o.Arrive != 40 || d.o.Events != 0 {
		t.Errorf("got %+v", d.o)
	}
	d.in(Segment{Seq: d.peer.Seq + 40, Len: 60, Flags: ACK | FIN})
	if d.o.Arrive != 60 || d.o.Events != Ended {
		t.Errorf("got %+v", d.o)
	}
}

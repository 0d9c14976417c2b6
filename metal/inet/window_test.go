package inet

import "testing"

// The peer's window is shut: it is asked with one byte, for as long as it answers, and what it did not take is sent first once it
// opens, at once.
func TestPersist(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(20000)
	for i := range Seq(10) {
		d.want(ACK, first+1000*i, 1000)
	}
	d.silent()
	una := first + 10000
	d.peer.Ack = una
	shut := Segment{Seq: d.peer.Seq, Ack: una, Flags: ACK}
	d.c.Input(&shut, d.now, &d.o)
	d.silent()
	for i := range 300 {
		if ev := d.expire(); ev != 0 {
			t.Fatalf("probe %d: events %d", i, ev)
		}
		d.want(ACK, una, 1)
		d.silent()
		s := shut
		d.c.Input(&s, d.now, &d.o)
		d.silent()
	}
	if d.c.ssthresh != 1<<30 {
		t.Error("probes were taken for losses")
	}
	d.in(Segment{})
	d.want(ACK, una, 1000)
	if wait := d.c.Deadline() - d.now; wait > firstRTO {
		t.Errorf("after the window opened a loss is noticed after %d ms", wait/milli)
	}
}

// A peer that shut its window and does not answer is given up.
func TestPersistUnanswered(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(10)
	shut := Segment{Seq: d.peer.Seq, Ack: first, Flags: ACK}
	d.c.Input(&shut, d.now, &d.o)
	d.silent()
	n := 0
	for ; d.expire() == 0; n++ {
		d.want(ACK, first, 1)
		d.silent()
	}
	if n != mostRetries || d.c.State() != Closed {
		t.Errorf("given up after %d probes in state %d", n, d.c.State())
	}
}

// TCP_USER_TIMEOUT ends also what the peer only puts off.
func TestUserTimeout(t *testing.T) {
	for _, window := range []uint16{0, 5000} {
		d := newDesk(t, nil)
		d.c.UserTimeout = 5 * second
		d.c.Write(3000)
		begin := d.now
		for {
			d.c.Input(&Segment{Seq: d.peer.Seq, Ack: first, Flags: ACK, Window: window}, d.now, &d.o)
			var s Segment
			for d.c.Next(&s, d.now) {
			}
			if d.expire() == TimedOut {
				break
			}
		}
		if waited := d.now - begin; waited < 5*second || waited > 6*second {
			t.Errorf("window %d: ended after %d ms, want 5000", window, waited/milli)
		}
	}
}

// What is left behind by a program ends: whatever the peer does.
func TestOrphan(t *testing.T) {
	t.Run("shut window", func(t *testing.T) {
		d := newDesk(t, nil)
		d.c.Write(10)
		d.c.Close()
		d.c.Orphan(d.now)
		begin := d.now
		for d.c.State() != Closed {
			d.c.Input(&Segment{Seq: d.peer.Seq, Ack: first, Flags: ACK}, d.now, &d.o)
			var s Segment
			for d.c.Next(&s, d.now) {
			}
			d.expire()
		}
		if waited := d.now - begin; waited > 2*timeWait {
			t.Errorf("ended after %d s", waited/second)
		}
	})
	t.Run("no end", func(t *testing.T) {
		d := newDesk(t, nil)
		d.c.Close()
		d.want(ACK|FIN, first, 0)
		d.c.Orphan(d.now)
		d.in(Segment{Ack: first + 1})
		d.state(FinWait2)
		if d.expire() != 0 || d.c.State() != Closed {
			t.Error("waits for ever")
		}
	})
	t.Run("data", func(t *testing.T) {
		d := newDesk(t, nil)
		d.c.Close()
		d.want(ACK|FIN, first, 0)
		d.c.Orphan(d.now)
		s := Segment{Seq: d.peer.Seq, Ack: first + 1, Flags: ACK, Len: 10}
		if _, _, n := d.c.Place(&s); n != 0 {
			t.Error("there is a place for what nobody reads")
		}
		d.c.Input(&s, d.now, &d.o)
		if d.c.State() != Closed || !d.o.Answer || s.Flags != RST || s.Seq != first+1 {
			t.Errorf("state %d, answer %v: %+v", d.c.State(), d.o.Answer, s)
		}
	})
	t.Run("half closed is no orphan", func(t *testing.T) {
		d := newDesk(t, nil)
		d.c.UserTimeout = second
		d.c.Close()
		d.want(ACK|FIN, first, 0)
		d.in(Segment{Ack: first + 1})
		d.state(FinWait2)
		if d.c.Deadline() != 0 {
			t.Error("the peer may take its time")
		}
	})
}

// The window that is told grows by a segment or not at all.
func TestReceiverSillyWindow(t *testing.T) {
	d := newDesk(t, nil)
	for range 66 {
		n := min(1000, d.c.window())
		d.in(Segment{Len: n})
		d.peer.Seq += Seq(n)
		var s Segment
		for d.c.Next(&s, d.now) {
		}
	}
	edge := d.c.rcvAdv
	for i := range 1459 {
		if d.c.Read(1) {
			t.Fatalf("after %d bytes the peer is told", i)
		}
		d.c.ackNow = true
		if s := d.want(ACK, first, 0); d.c.rcvNxt+Seq(s.Window) != edge {
			t.Fatalf("after %d bytes the window is %d", i, s.Window)
		}
	}
	d.c.Read(1)
	d.c.ackNow = true
	if s := d.want(ACK, first, 0); s.Window != 1460 {
		t.Errorf("a segment fits, and the window is %d", s.Window)
	}
	if !d.c.Read(3000) {
		t.Error("the peer does not hear of two segments")
	}
}

// The sender does not fill the rest of a window with a small segment, except after a while.
func TestSenderSillyWindow(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(5000)
	d.peer.Window = 1300
	d.in(Segment{})
	d.want(ACK, first, 1000)
	d.silent() // 300 more would fit
	d.peer.Ack += 1000
	d.peer.Window = 300
	d.in(Segment{})
	d.silent()
	d.expire()
	d.want(ACK, first+1000, 300)
	d.silent()
}

// Nagle holds back a small segment only while another one is on the way: the peer may wait to acknowledge either.
func TestNagle(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(1500)
	d.want(ACK, first, 1000)
	d.want(ACK, first+1000, 500)
	d.c.Write(100)
	d.silent()
	d.in(Segment{Ack: first + 1000})
	d.silent()
	d.in(Segment{Ack: first + 1500})
	d.want(ACK, first+1500, 100)
	d.c.NoDelay = true
	d.c.Write(1)
	d.want(ACK, first+1600, 1)
	d.c.Cork = true
	d.c.Write(1)
	d.silent()
	d.c.Close() // the end takes the cork out
	d.want(ACK|FIN, first+1601, 1)
	d.state(FinWait1)
}

// Every second full segment is acknowledged, and a single one after a moment, or with data.
func TestDelayedAck(t *testing.T) {
	d := newDesk(t, nil)
	next := func() {
		d.in(Segment{Len: 1000})
		d.peer.Seq += 1000
	}
	next()
	d.silent()
	next()
	d.want(ACK, first, 0)
	next()
	d.silent()
	if wait := d.c.Deadline() - d.now; wait != delayedAck {
		t.Errorf("waits %d ms", wait/milli)
	}
	d.expire()
	d.want(ACK, first, 0)
	next()
	d.c.Write(5)
	d.want(ACK, first, 5)
	d.silent()
}

// NewReno: three duplicates bring the first segment again, a partial acknowledgement the next, and time-outs count once.
func TestNewReno(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(10000)
	for i := range Seq(10) {
		d.want(ACK, first+1000*i, 1000)
	}
	d.c.Write(10000)
	d.in(Segment{})
	d.want(ACK, first+10000, 1000) // RFC 3042
	d.in(Segment{})
	d.want(ACK, first+11000, 1000)
	d.in(Segment{})
	d.want(ACK, first, 1000)
	if d.c.ssthresh != 6000 || d.c.cwnd != 9000 {
		t.Errorf("ssthresh %d, cwnd %d, want 6000, 9000", d.c.ssthresh, d.c.cwnd)
	}
	for range 4 {
		d.in(Segment{})
	}
	d.want(ACK, first+12000, 1000)
	d.silent()
	d.peer.Ack = first + 4000 // the fifth was lost too
	d.in(Segment{})
	d.want(ACK, first+4000, 1000)
	d.peer.Ack = first + 13000
	d.in(Segment{})
	if d.c.recovery || d.c.cwnd > 6000 {
		t.Errorf("after all arrived: recovery %v, cwnd %d", d.c.recovery, d.c.cwnd)
	}
}

// RFC 6298: the timer begins anew with each acknowledgement of new data, backs off, and what was sent twice is not measured.
func TestRetransmissionTimer(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(4000)
	for i := range Seq(4) {
		d.want(ACK, first+1000*i, 1000)
	}
	rto := d.c.rto
	d.now += rto / 2
	d.in(Segment{Ack: first + 1000})
	if d.c.Deadline() != d.now+d.c.rto {
		t.Error("the timer was not begun anew")
	}
	rto = d.c.rto
	for i := range 5 {
		d.expire()
		d.want(ACK, first+1000, 1000)
		d.silent()
		if rto *= 2; d.c.rto != min(rto, maxRTO) || d.c.Deadline() != d.now+d.c.rto {
			t.Errorf("time-out %d: waits %d ms, want %d", i, (d.c.Deadline()-d.now)/milli, rto/milli)
		}
	}
	if d.c.cwnd != 1000 || d.c.ssthresh != 2000 {
		t.Errorf("cwnd %d, ssthresh %d", d.c.cwnd, d.c.ssthresh)
	}
	srtt := d.c.srtt
	d.in(Segment{Ack: first + 2000})
	if d.c.srtt != srtt || d.c.rto != rto {
		t.Error("measured what was sent more than once")
	}
	d.want(ACK, first+2000, 1000)
	d.want(ACK, first+3000, 1000)
	d.in(Segment{Ack: first + 4000})
	d.c.Write(1000)
	d.want(ACK, first+4000, 1000)
	d.now += milli
	d.in(Segment{Ack: first + 5000})
	if d.c.rto >= rto {
		t.Error("still backs off after a measurement")
	}
}

// A connection that sent nothing for a while does not burst (RFC 5681, 4.1).
func TestIdleRestart(t *testing.T) {
	d := newDesk(t, nil)
	d.c.cwnd = 60000
	d.peer.Window = 65000
	d.now += d.c.rto + 1
	d.c.Write(40000)
	d.in(Segment{})
	n := 0
	var s Segment
	for d.c.Next(&s, d.now) {
		n++
	}
	if n != 10 {
		t.Errorf("%d segments at once, want 10", n)
	}
}

// A lost SYN makes a small begin.
func TestLostSYN(t *testing.T) {
	d := &desk{t: t, now: second}
	d.c.Connect(deskISS, 1460)
	for range 3 {
		d.want(SYN, deskISS, 0)
		d.expire()
	}
	d.want(SYN, deskISS, 0)
	d.in(Segment{Seq: deskPeer, Flags: SYN | ACK, Ack: first, Window: 9000, MSS: 1000})
	if d.c.cwnd != 1000 {
		t.Errorf("cwnd %d", d.c.cwnd)
	}
	n := 0
	d = &desk{t: t, now: second}
	d.c.Connect(deskISS, 1460)
	for ; ; n++ {
		d.want(SYN, deskISS, 0)
		if d.expire() == TimedOut {
			break
		}
	}
	if n != mostSynRetries {
		t.Errorf("given up after %d", n)
	}
}

// Who says that packets are too long makes segments shorter, never longer, and all are sent again.
func TestLimitMSS(t *testing.T) {
	d := newDesk(t, nil)
	d.c.Write(3000)
	for i := range Seq(3) {
		d.want(ACK, first+1000*i, 1000)
	}
	if !d.c.InFlight(first) || !d.c.InFlight(first+2999) || d.c.InFlight(first+3000) || d.c.InFlight(first-1) {
		t.Error("InFlight")
	}
	d.c.LimitMSS(1045) // 1005 bytes, and the peer takes only 1000
	if d.c.mss != 1000 {
		t.Errorf("mss %d", d.c.mss)
	}
	d.silent()
	d.c.LimitMSS(600)
	for i := range Seq(5) {
		d.want(ACK, first+560*i, 560)
	}
	d.want(ACK, first+2800, 200)
	d.silent()
	d.c.LimitMSS(1400)
	d.c.LimitMSS(0)
	if d.c.mss != 256 {
		t.Errorf("mss %d, want 256", d.c.mss)
	}
}

// A dead peer is found by keep-alive, also when an interval is nonsense; one that answers is not.
func TestKeepAlive(t *testing.T) {
	d := newDesk(t, nil)
	d.c.SetKeepAlive(10*second, second, 3, d.now)
	for range 5 {
		d.expire()
		d.want(ACK, first-1, 0)
		d.silent()
		d.in(Segment{})
	}
	d.in(Segment{Len: 1}) // a delayed acknowledgement is no probe
	d.now += 10 * second
	d.c.Expire(d.now)
	d.want(ACK, first, 0)
	d.want(ACK, first-1, 0)
	d.silent()
	for i := range 3 {
		ev := d.expire()
		if i == 2 {
			if ev != TimedOut {
				t.Errorf("events %d", ev)
			}
			break
		}
		d.want(ACK, first-1, 0)
	}
	d = newDesk(t, nil)
	d.c.Write(5)
	d.want(ACK, first, 5)
	d.c.SetKeepAlive(1, 0, 255, d.now)
	for n := 0; d.c.State() != Closed; n++ {
		if n > 2_000_000 {
			t.Fatal("time stands still")
		}
		d.expire()
	}
}

// Both ends come at the same time; the last one waits, takes an end that comes again, and can be begun anew.
func TestSimultaneousClose(t *testing.T) {
	d := newDesk(t, withTS)
	d.c.Close()
	d.want(ACK|FIN, first, 0)
	d.in(Segment{Flags: ACK | FIN})
	d.state(Closing)
	d.want(ACK, first+1, 0)
	d.expire()
	d.want(ACK|FIN, first, 0)
	d.in(Segment{Seq: d.peer.Seq + 1, Ack: first + 1})
	d.state(TimeWait)
	if d.o.Events != Confirmed {
		t.Errorf("events %d", d.o.Events)
	}
	d.now += timeWait / 2
	d.in(Segment{Flags: ACK | FIN, Ack: first + 1})
	d.want(ACK, first+1, 0)
	if d.c.Deadline() != d.now+timeWait {
		t.Error("an end that came again does not begin the time anew")
	}
	d.in(Segment{Seq: d.peer.Seq + 1, Flags: RST, Ack: first + 1})
	d.state(TimeWait)
	for _, tc := range []struct {
		seq  Seq
		ts   uint32
		want bool
	}{{5, 5000, true}, {0, 5000, false}, {5, 4999, false}, {0, 5001, true}} {
		if got := d.c.Reusable(&Segment{Flags: SYN, Seq: d.c.rcvNxt + tc.seq, HasTS: true, TSVal: tc.ts}); got != tc.want {
			t.Errorf("%+v: got %v", tc, got)
		}
	}
	d.expire()
	d.state(Closed)
}

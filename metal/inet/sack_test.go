package inet

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// losses are segments of a stream that the wire loses, each once.
type losses struct {
	base Seq
	size uint32
	lost []bool
	n    int // were lost
}

// drawLosses loses up to most of n segments such that no time-out is needed: three arrive behind the first that is lost, of the last not too
// many in a row are lost, and in all fewer than the halved window holds, because what is not known to be lost counts as on the way.
func drawLosses(t *rapid.T, base Seq, size uint32, n, most int) *losses {
	l := &losses{base: base, size: size, lost: make([]bool, n)}
	last := n - 1 - rapid.IntRange(0, 4).Draw(t, "last")
	for range rapid.IntRange(1, most).Draw(t, "losses") {
		l.lost[rapid.IntRange(0, last).Draw(t, "lost")] = true
	}
	first, after, tail := -1, 0, 0
	for i, lost := range l.lost {
		switch {
		case lost && first < 0:
			first, tail = i, 1
		case lost:
			tail++
		default:
			tail = 0
			if first >= 0 {
				after++
			}
		}
	}
	if after < dupThresh || tail > n/4 || 2*l.want()+2 > n-first {
		t.Skip("only a time-out would tell")
	}
	return l
}

func (l *losses) want() (n int) {
	for _, lost := range l.lost {
		if lost {
			n++
		}
	}
	return n
}

// lose is asked once for each segment on the wire.
func (l *losses) lose(s *Segment) bool {
	i := int(s.Seq-l.base) / int(l.size)
	if s.Len == 0 || i >= len(l.lost) || !l.lost[i] {
		return false
	}
	l.lost[i] = false
	l.n++
	return true
}

// TestLossesInWindow: whatever is lost of one window, as long as the peer can tell, is sent again once, and no time-out is waited for; also
// when the segments are cut by the card, without timestamps, and with more data behind.
func TestLossesInWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWire(t, rapid.Int64().Draw(rt, "seed"), 0)
		for w.ends[0].events&Connected == 0 || len(w.air[1]) != 0 {
			w.pass()
		}
		e := w.ends[0]
		w.long = rapid.Bool().Draw(rt, "long")
		n := rapid.IntRange(8, 44).Draw(rt, "segments")
		e.c.cwnd = uint32(n) * e.c.mss
		more := rapid.SampledFrom([]int{0, 0, 1, 500, 40_000}).Draw(rt, "more")
		want := pattern(n*int(e.c.mss)+more, n)
		l := drawLosses(rt, e.c.una, e.c.mss, n, mostHeld-1)
		count := l.want()
		w.lose = func(i int, s *Segment) bool { return i == 0 && l.lose(s) }
		for step := 0; len(w.ends[1].in) < len(want) || len(e.out) != 0; step++ {
			if step > 10_000 {
				rt.Fatalf("%d of %d bytes: %+v", len(w.ends[1].in), len(want), e.c)
			}
			if e.written < len(want) {
				w.write(0, want[e.written:])
			}
			if r := w.ends[1]; r.c.buffered != 0 && r.c.Read(r.c.buffered) {
				w.flush(1)
			}
			w.pass()
		}
		if !bytes.Equal(w.ends[1].in, want) {
			rt.Fatal("other bytes than were sent")
		}
		if int(e.c.again) != count || l.n != count || w.late != 0 {
			rt.Fatalf("%d segments were lost, %d sent again after %d time-outs", l.n, e.c.again, w.late)
		}
		if e.c.recovery || e.c.sacked.n != 0 || e.c.pipe() != 0 {
			rt.Fatalf("after all arrived: %+v", e.c)
		}
	})
}

// peerLosses sends some data to gVisor, loses of a window of 40 segments what p says, and returns how many round trips it took until
// all had arrived.
func peerLosses(t *testing.T, seed int64, p *losses, edit func(*Segment)) (l *lab, trips uint64) {
	t.Helper()
	l = newLab(t, seed)
	l.edit = edit
	l.connect()
	warm := pattern(200_000, 0)
	for sent := 0; l.theirs.Got.Len() < len(warm) || l.c.queued != 0; { // until its window is open
		sent += l.write(warm[sent:])
		l.step()
		l.theirs.Pull()
	}
	if l.c.sndWnd < 40*l.c.mss {
		t.Fatalf("gVisor offers %d bytes", l.c.sndWnd)
	}
	l.theirs.Got.Reset()
	p.base, p.size = l.c.una, l.c.mss
	l.lose = p.lose
	l.c.cwnd = 40 * l.c.mss
	want := pattern(len(p.lost)*int(l.c.mss)+int(seed)*300, int(seed))
	done, begin := 0, l.now
	l.until("data", func() bool {
		done += l.write(want[done:])
		l.theirs.Pull()
		return l.theirs.Got.Len() == len(want) && l.c.queued == 0
	})
	if !bytes.Equal(l.theirs.Got.Bytes(), want) {
		t.Fatalf("seed %d: other bytes than were sent", seed)
	}
	return l, (l.now - begin) / (2 * milli)
}

// TestPeerLosses is the same with gVisor at the other end, and without selective acknowledgements, which takes a round trip for each loss.
func TestPeerLosses(t *testing.T) {
	draw := rapid.Custom(func(rt *rapid.T) *losses { return drawLosses(rt, 0, 1, 40, 18) })
	lost, trips := 0, [2]uint64{}
	for seed := range int64(60) {
		p := draw.Example(int(seed))
		count := p.want()
		lost += count
		l, n := peerLosses(t, seed, p, func(s *Segment) { s.HasTS = s.HasTS && seed%3 != 0 })
		if int(l.c.again) != count || p.n != count || l.late != 0 {
			t.Errorf("seed %d: %d segments were lost, %d sent again after %d time-outs", seed, p.n, l.c.again, l.late)
		}
		if n > 12 {
			t.Errorf("seed %d: %d round trips for %d losses", seed, n, count)
		}
		trips[0] += n
		_, n = peerLosses(t, seed, draw.Example(int(seed)), func(s *Segment) { s.SACKOK = false })
		trips[1] += n
	}
	t.Logf("%d segments lost in 60 windows: %d round trips, %d without selective acknowledgements", lost, trips[0], trips[1])
	if trips[0] >= trips[1] {
		t.Error("they gain nothing")
	}
}

func withSACK(s *Segment) { s.SACKOK = true }

// has is an acknowledgement with blocks, of which the numbers count from the first byte on.
func (d *desk) has(ack Seq, blocks ...Range) {
	d.t.Helper()
	d.peer.Ack = first + ack
	s := Segment{NumBlocks: len(blocks)}
	for i, r := range blocks {
		s.Blocks[i] = Range{first + r.From, first + r.To}
	}
	d.in(s)
}

// RFC 6675 step by step, with three segments lost: they are sent again as others arrive, new ones follow, and the window is halved once.
func TestSACK(t *testing.T) {
	d := newDesk(t, withSACK)
	d.c.Write(20000)
	next := func(seq Seq) {
		t.Helper()
		d.want(ACK, first+seq, 1000)
	}
	for i := range Seq(10) {
		next(1000 * i)
	}
	d.silent()
	d.has(0, Range{1000, 2000})
	next(10000) // limited transmit
	d.has(0, Range{1000, 2000})
	d.silent() // nothing new was said
	d.has(0, Range{1000, 3000})
	next(11000)
	d.has(0, Range{4000, 5000}, Range{1000, 3000})
	next(0)
	d.silent()
	if d.c.ssthresh != 5000 || d.c.cwnd != 5000 {
		t.Errorf("ssthresh %d, cwnd %d, want 5000", d.c.ssthresh, d.c.cwnd)
	}
	for to := Seq(7000); to <= 8000; to += 1000 {
		d.has(0, Range{6000, to}, Range{4000, 5000}, Range{1000, 3000})
		d.silent()
	}
	d.has(0, Range{6000, 9000}, Range{4000, 5000}, Range{1000, 3000})
	next(3000)
	d.silent()
	d.has(0, Range{6000, 10000}, Range{4000, 5000}, Range{1000, 3000})
	next(5000)
	d.silent()
	d.has(0, Range{6000, 11000}, Range{4000, 5000}, Range{1000, 3000})
	next(12000)
	d.silent()
	var i Info
	d.c.Info(d.now, &i)
	if i.InFlight != 13000 || i.SACKed != 8000 || i.Lost != 0 || i.Again != 3000 || i.EverAgain != 3 {
		t.Errorf("%+v", i)
	}
	d.has(3000, Range{6000, 11000}, Range{4000, 5000})
	next(13000)
	d.has(5000, Range{6000, 12000})
	next(14000)
	next(15000)
	d.silent()
	d.has(12000) // all that was sent before
	next(16000)
	d.silent()
	if d.c.recovery || d.c.cwnd != 5000 || d.c.again != 3 {
		t.Errorf("recovery %v, cwnd %d, %d sent again", d.c.recovery, d.c.cwnd, d.c.again)
	}
	// What was sent since is lost, too: another loss.
	d.has(12000, Range{13000, 16000})
	next(12000)
	if d.c.ssthresh != 2500 {
		t.Errorf("ssthresh %d, want 2500", d.c.ssthresh)
	}
}

// A time-out makes it forget what the peer said, which may have thrown it away. What it says since is heeded.
func TestSACKTimeout(t *testing.T) {
	d := newDesk(t, withSACK)
	d.c.Write(5000)
	for i := range Seq(5) {
		d.want(ACK, first+1000*i, 1000)
	}
	d.has(0, Range{2000, 3000})
	d.expire()
	if d.c.sacked.n != 0 {
		t.Error("still believes the peer")
	}
	d.want(ACK, first, 1000)
	d.silent()
	d.has(1000, Range{2000, 3000})
	d.want(ACK, first+1000, 1000)
	d.want(ACK, first+3000, 1000)
	d.silent()
	d.expire() // and now it has thrown it away
	d.want(ACK, first+1000, 1000)
	d.has(2000)
	d.want(ACK, first+2000, 1000)
	d.want(ACK, first+3000, 1000)
	d.silent()
	d.has(5000)
	d.silent()
	if d.c.Deadline() != 0 || d.c.again != 6 {
		t.Errorf("deadline %d, %d sent again", d.c.Deadline(), d.c.again)
	}
}

// The last segments are lost, too, and nobody tells: the very last is sent again once, and what comes of it tells of the others. The end of
// the connection goes with it.
func TestSACKRescue(t *testing.T) {
	for _, end := range []uint8{0, FIN} {
		d := newDesk(t, withSACK)
		d.c.Write(10000)
		if end != 0 {
			d.c.Close()
		}
		for i := range Seq(9) {
			d.want(ACK, first+1000*i, 1000)
		}
		d.want(ACK|end, first+9000, 1000)
		d.has(0, Range{1000, 4000})
		d.want(ACK, first, 1000)
		d.has(0, Range{1000, 7000})
		d.silent()
		d.has(7000)
		d.want(ACK|end, first+9000, 1000)
		d.silent()
		d.has(7000, Range{9000, 10000 + Seq(end&FIN)})
		d.want(ACK, first+7000, 1000)
		d.want(ACK, first+8000, 1000)
		d.silent()
		if d.c.again != 4 {
			t.Errorf("%d sent again", d.c.again)
		}
		d.has(10000 + Seq(end&FIN))
		if d.c.Deadline() != 0 || d.c.recovery {
			t.Errorf("waits for something: %+v", d.c)
		}
	}
}

// Who says that he has what was not sent, or is acknowledged, or nothing at all, is not believed, and duplicates alone mean nothing.
func TestSACKForged(t *testing.T) {
	d := newDesk(t, withSACK)
	d.c.Write(20000)
	for i := range Seq(10) {
		d.want(ACK, first+1000*i, 1000)
	}
	d.has(2000)
	d.want(ACK, first+10000, 1000)
	d.want(ACK, first+11000, 1000)
	d.want(ACK, first+12000, 1000)
	d.want(ACK, first+13000, 1000)
	for _, r := range []Range{
		{2000, 3000},           // it would be acknowledged
		{0, 1000}, {500, 3000}, // it came twice (RFC 2883)
		{5000, 5000}, {6000, 4000}, // nothing
		{13000, 14001}, {20000, 30000}, {1 << 31, 1<<31 + 5}, // never sent
		{4000, 1<<31 + 4000}, {4000, 3999},
	} {
		for range 4 {
			d.has(2000, r)
			d.silent()
		}
		if d.c.sacked.n != 0 || d.c.recovery || d.c.dupAcks != 0 {
			t.Fatalf("%v is believed: %+v", r, d.c.sacked)
		}
	}
	for range 9 {
		d.has(2000)
		d.silent()
	}
	// One who did not offer it, or asks too late, is not heard.
	d = newDesk(t, nil)
	d.c.Write(5000)
	for i := range Seq(5) {
		d.want(ACK, first+1000*i, 1000)
	}
	d.has(0, Range{1000, 5000})
	d.silent()
	if d.c.sacked.n != 0 {
		t.Error("a peer without the option is heard")
	}
}

// A connection that lost nothing in 6 GiB repairs its first loss like any other: what it remembers of the last one must not come round.
func TestLossAfterManyBytes(t *testing.T) {
	for _, change := range []func(*Segment){nil, withSACK} {
		d := newDesk(t, change)
		for sent := 0; sent < 6<<30; {
			d.c.Burst = 64000
			d.c.Write(d.c.Room())
			var s Segment
			for d.c.Next(&s, d.now) {
				sent += int(s.Len)
			}
			d.peer.Ack = d.c.max
			d.in(Segment{})
		}
		d.c.Burst = 0
		d.c.Write(5000)
		una := d.c.una
		for i := range Seq(5) {
			d.want(ACK, una+1000*i, 1000)
		}
		for i := range Seq(3) {
			s := Segment{}
			if change != nil {
				s.NumBlocks, s.Blocks[0] = 1, Range{una + 1000, una + 2000 + 1000*i}
			}
			d.in(s)
		}
		d.want(ACK, una, 1000)
	}
}

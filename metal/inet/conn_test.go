package inet

import (
	"math/rand"
	"testing"
)

// end is a connection with its buffers, as the platform has them.
type end struct {
	c       Conn
	out     []byte // written, from what is not acknowledged on
	in      []byte // can be read
	ahead   map[uint32]byte
	events  Events
	written int
}

// wire carries segments between two ends, and loses and reorders them.
type wire struct {
	t    *testing.T
	r    *rand.Rand
	now  uint64
	ends [2]*end
	air  [2][]packet // on the way to each
	loss float64
	sent int
	long bool                         // some segments are long, and cut
	lose func(i int, s *Segment) bool // loses more, if there is one
	late int                          // how many retransmission time-outs there were
}

type packet struct {
	s    Segment
	data []byte
}

func newWire(t *testing.T, seed int64, loss float64) *wire {
	w := &wire{t: t, r: rand.New(rand.NewSource(seed)), now: second, loss: loss}
	for i := range w.ends {
		w.ends[i] = &end{ahead: map[uint32]byte{}}
	}
	w.ends[0].c.Connect(Seq(w.r.Uint32()), 1460)
	w.flush(0)
	for len(w.air[1]) == 0 {
		w.tick(w.ends[0].c.Deadline())
	}
	syn := w.air[1][0]
	w.air[1] = nil
	w.ends[1].c.Accept(&syn.s, Seq(w.r.Uint32()), 1460, w.now)
	w.flush(1)
	return w
}

// flush sends what end i has to send. Each segment goes through bytes.
func (w *wire) flush(i int) {
	e := w.ends[i]
	var s Segment
	for n := 0; ; n++ {
		if w.long {
			e.c.Burst = uint32(w.r.Intn(2) * w.r.Intn(1<<16))
		}
		if !e.c.Next(&s, w.now) {
			return
		}
		if n > 1000 {
			w.t.Fatalf("end %d sends without end: %+v", i, s)
		}
		if int(s.Offset+s.Len) > len(e.out) {
			w.t.Fatalf("end %d sends %d bytes from %d on, and %d were written", i, s.Len, s.Offset, len(e.out))
		}
		if s.Cut != 0 && (s.Len <= s.Cut || s.Len > e.c.Burst || s.Flags&FIN != 0) {
			w.t.Fatalf("end %d has this cut, with a burst of %d: %+v", i, e.c.Burst, s)
		}
		for size := s.Cut; s.Cut != 0 && s.Len > size; {
			part := s
			part.Len, part.Cut = size, 0
			w.send(i, &part)
			s.Seq, s.Offset, s.Len = s.Seq+Seq(size), s.Offset+size, s.Len-size
		}
		w.send(i, &s)
	}
}

// send puts a segment of end i on the wire, or not.
func (w *wire) send(i int, s *Segment) {
	e := w.ends[i]
	w.sent++
	b := make([]byte, s.HeaderLen(), s.HeaderLen()+int(s.Len))
	s.Put(b, 0)
	b = append(b, e.out[s.Offset:s.Offset+s.Len]...)
	if w.r.Float64() < w.loss || w.lose != nil && w.lose(i, s) {
		return
	}
	var p packet
	data, ok := ParseTCP(b, &p.s)
	if !ok {
		w.t.Fatalf("end %d sends what cannot be read: % x", i, b)
	}
	p.data = data
	q := &w.air[1-i]
	*q = append(*q, p)
	if w.r.Float64() < w.loss && len(*q) > 1 {
		k := w.r.Intn(len(*q))
		(*q)[k], (*q)[len(*q)-1] = (*q)[len(*q)-1], (*q)[k]
	}
	if w.r.Float64() < w.loss {
		*q = append(*q, p)
	}
}

// arrive hands the next packet to end i.
func (w *wire) arrive(i int) {
	e := w.ends[i]
	p := w.air[i][0]
	w.air[i] = w.air[i][1:]
	skip, distance, n := e.c.Place(&p.s)
	for k := range n {
		e.ahead[uint32(len(e.in))+distance+k] = p.data[skip+k]
	}
	var o Outcome
	e.c.Input(&p.s, w.now, &o)
	if o.Answer && e.c.State() != Closed {
		w.t.Fatalf("end %d in state %d answers with a reset: %+v", i, e.c.State(), p.s)
	}
	e.events |= o.Events
	e.out = e.out[o.Acked:]
	for range o.Arrive {
		k := uint32(len(e.in))
		b, ok := e.ahead[k]
		if !ok {
			w.t.Fatalf("end %d: byte %d arrived and was not stored", i, k)
		}
		delete(e.ahead, k)
		e.in = append(e.in, b)
	}
	w.flush(i)
}

func (w *wire) tick(to uint64) {
	w.now = max(w.now+1, to)
	for i, e := range w.ends {
		if d := e.c.Deadline(); d != 0 && d <= w.now {
			if due(e.c.retransmitAt, w.now) {
				w.late++
			}
			if ev := e.c.Expire(w.now); ev != 0 {
				w.t.Fatalf("end %d: %d at %d", i, ev, w.now)
			}
			w.flush(i)
		}
	}
}

func (w *wire) write(i int, b []byte) int {
	e := w.ends[i]
	n := min(len(b), int(e.c.Room()))
	e.out = append(e.out, b[:n]...)
	e.c.Write(uint32(n))
	e.written += n
	w.flush(i)
	return n
}

// pass lets everything arrive, or time pass when nothing is on the way.
func (w *wire) pass() {
	i := w.r.Intn(2)
	if len(w.air[i]) == 0 {
		i = 1 - i
	}
	if len(w.air[i]) != 0 {
		w.now += uint64(w.r.Intn(milli))
		w.arrive(i)
		return
	}
	next := uint64(0)
	for _, e := range w.ends {
		if d := e.c.Deadline(); d != 0 && (next == 0 || d < next) {
			next = d
		}
	}
	if next == 0 {
		next = w.now + milli
	}
	w.tick(next)
}

func pattern(n, seed int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(seed))).Read(b)
	return b
}

// Whatever is lost, doubled or reordered, both sides get all bytes of the other in order, then the end, and close.
func TestTransfer(t *testing.T) {
	for seed := range int64(90) {
		loss := float64(seed%6) * 0.04
		long := seed >= 60
		if long {
			loss = float64(seed%3) * 0.04
		}
		w := newWire(t, seed, loss)
		w.long = long
		sizes := [2]int{w.r.Intn(400_000), w.r.Intn(400_000)}
		want := [2][]byte{pattern(sizes[0], 1), pattern(sizes[1], 2)}
		read := [2]int{}
		for step := 0; ; step++ {
			if step > 2_000_000 {
				t.Fatalf("seed %d: stuck: states %d %d, written %d %d, read %d %d, air %d %d\n%+v\n%+v", seed, w.ends[0].c.state, w.ends[1].c.state,
					w.ends[0].written, w.ends[1].written, read[0], read[1], len(w.air[0]), len(w.air[1]), w.ends[0].c, w.ends[1].c)
			}
			w.pass()
			for i, e := range w.ends {
				if !e.c.synchronized() && e.events&Connected == 0 {
					continue
				}
				if e.written < sizes[i] && w.r.Intn(4) == 0 {
					rest := want[i][e.written:]
					w.write(i, rest[:min(len(rest), 1+w.r.Intn(9000))])
				}
				if e.written == sizes[i] && !e.c.closing {
					e.c.Close()
					w.flush(i)
				}
				if n := len(e.in) - read[i]; n != 0 && w.r.Intn(8) == 0 {
					k := 1 + w.r.Intn(n)
					read[i] += k
					if e.c.Read(uint32(k)) {
						w.flush(i)
					}
				}
			}
			if w.ends[0].c.State() == Closed && w.ends[1].c.State() == Closed {
				break
			}
		}
		for i, e := range w.ends {
			if got := e.in; string(got) != string(want[1-i]) {
				t.Fatalf("seed %d: end %d got %d bytes that are not the %d that were sent", seed, i, len(got), len(want[1-i]))
			}
			if e.events&Ended == 0 {
				t.Fatalf("seed %d: end %d did not see the end", seed, i)
			}
		}
	}
}

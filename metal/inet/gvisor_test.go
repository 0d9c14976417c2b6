package inet

import (
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"nom.dev/nom/test/peer"
)

const (
	ourAddr, ourPort     = 0x0a00_0001, 1001
	theirAddr, theirPort = 0x0a00_0002, 2002

	labISS = Seq(0xffff_f000) // wraps around soon
)

// lab is a connection of this package with gVisor's stack at the other end of a wire, all in a time of its own.
type lab struct {
	*peer.Peer
	t   *testing.T
	now uint64

	// edit changes the SYNs of both sides as they are on the wire, to make a peer of fewer options.
	edit func(*Segment)

	c       Conn
	mss     uint32
	cookies bool
	refuse  bool
	key     Key
	out, in []byte
	ahead   map[uint32]byte
	events  Events
	read    int // of in
	sent    int
	late    int                   // how many retransmission time-outs there were
	lose    func(s *Segment) bool // loses what we send, if there is one

	listener tcpip.Endpoint
	theirs   peer.End
}

func newLab(t *testing.T, seed int64) *lab {
	return &lab{Peer: peer.New(t, seed), t: t, now: 100 * second, mss: 1460, ahead: map[uint32]byte{}, key: Key{1, 2}}
}

// connect makes gVisor listen, and us connect.
func (l *lab) connect() {
	l.listener = l.Listen(theirPort, 4)
	l.c.Connect(labISS, l.mss)
	l.established()
}

// accept makes gVisor connect to us.
func (l *lab) accept() {
	l.theirs.Endpoint = l.Dial(theirPort, ourPort)
	l.established()
}

func (l *lab) established() {
	l.t.Helper()
	l.until("the connection", func() bool {
		if l.theirs.Endpoint == nil {
			if ep, _, err := l.listener.Accept(nil); err == nil {
				l.theirs.Endpoint = ep
			}
		}
		return l.theirs.Endpoint != nil && l.events&Connected != 0 && tcp.EndpointState(l.theirs.State()) == tcp.StateEstablished
	})
}

// until lets the time pass until something is so.
func (l *lab) until(what string, so func() bool) {
	l.t.Helper()
	for n := 0; !so(); n++ {
		if n > 400_000 {
			l.t.Fatalf("no %s: state %d, %d; at %d ms, %d read, %d sent segments, failed %v: %+v", what, l.c.State(), l.theirs.State(), l.now/milli, len(l.in), l.sent, l.theirs.Fail, l.c)
		}
		l.step()
	}
}

func (l *lab) pass(d time.Duration) {
	for end := l.now + uint64(d); l.now < end; {
		l.step()
	}
}

// step lets what is due arrive, or the time pass.
func (l *lab) step() {
	l.flush()
	l.Settle(func(packet []byte) { l.Carry(l.now, true, packet) })
	next := l.now + 20*milli
	if d := l.c.Deadline(); d != 0 {
		next = min(next, max(d, l.now))
	}
	if next = l.Next(next); next > l.now {
		l.Advance(time.Duration(next - l.now))
		l.now = next
	}
	if d := l.c.Deadline(); d != 0 && d <= l.now {
		if due(l.c.retransmitAt, l.now) {
			l.late++
		}
		l.events |= l.c.Expire(l.now)
	}
	switch f, ok := l.Arrived(l.now); {
	case !ok:
	case f.Ours:
		l.input(f.B)
	default:
		l.Inject(f.B)
	}
}

// flush sends what we have to send.
func (l *lab) flush() {
	var s Segment
	for n := 0; l.c.Next(&s, l.now); n++ {
		if n > 2000 {
			l.t.Fatalf("sends without end: %+v", s)
		}
		l.put(&s, l.out[s.Offset:s.Offset+s.Len])
	}
}

// put sends a segment in a packet.
func (l *lab) put(s *Segment, data []byte) {
	l.sent++
	s.From, s.To = ourPort, theirPort
	if s.Flags&SYN != 0 && l.edit != nil {
		l.edit(s)
	}
	n := s.HeaderLen()
	b := make([]byte, IPv4Len+n, IPv4Len+n+len(data))
	PutIPv4(b, ourAddr, theirAddr, ProtoTCP, 0, n+len(data))
	PutBe16(b[10:], Checksum(0, b[:IPv4Len]))
	s.Put(b[IPv4Len:], 0)
	b = append(b, data...)
	PutBe16(b[IPv4Len+16:], Checksum(PseudoIPv4(ourAddr, theirAddr, ProtoTCP, n+len(data)), b[IPv4Len:]))
	if l.lose != nil && l.lose(s) {
		return
	}
	l.Carry(l.now, false, b)
}

// input is a packet for us.
func (l *lab) input(b []byte) {
	var p IPv4
	if !ParseIPv4(b, false, &p) || p.Proto != ProtoTCP || p.From != theirAddr || p.To != ourAddr {
		l.t.Fatalf("not a packet for us: % x", b)
	}
	if Checksum(PseudoIPv4(p.From, p.To, ProtoTCP, len(p.Payload)), p.Payload) != 0 {
		l.t.Fatal("a wrong checksum")
	}
	var s Segment
	data, ok := ParseTCP(p.Payload, &s)
	if !ok {
		l.t.Fatalf("not a segment: % x", p.Payload)
	}
	if s.Flags&SYN != 0 && l.edit != nil {
		l.edit(&s)
	}
	if l.c.State() == Closed && l.events&(Connected|Refused|TimedOut) == 0 && !l.first(&s) {
		return
	}
	skip, distance, n := l.c.Place(&s)
	for k := range n {
		l.ahead[uint32(len(l.in))+distance+k] = data[skip+k]
	}
	var o Outcome
	l.c.Input(&s, l.now, &o)
	l.events |= o.Events
	l.out = l.out[o.Acked:]
	for range o.Arrive {
		k := uint32(len(l.in))
		b, ok := l.ahead[k]
		if !ok {
			l.t.Fatalf("byte %d arrived and was not stored", k)
		}
		delete(l.ahead, k)
		l.in = append(l.in, b)
	}
	if o.Answer {
		l.put(&s, nil)
	}
}

// first is a segment without a connection. True: it has one now.
func (l *lab) first(s *Segment) bool {
	tuple := Tuple{Hi: theirAddr, Lo: 7, OwnLo: 8, Ports: 9}
	switch {
	case l.refuse:
		if s.Refusal() {
			l.put(s, nil)
		}
	case !l.cookies && s.Flags&SYN != 0:
		l.c.Accept(s, labISS, l.mss, l.now)
	case s.Flags&SYN != 0:
		l.put(&Segment{Seq: l.key.Cookie(&tuple, s, l.now), Ack: s.Seq + 1, Flags: SYN | ACK, Window: mostWindow, MSS: uint16(l.mss)}, nil)
	default:
		if !l.c.FromCookie(&l.key, &tuple, s, l.mss, l.now) {
			l.t.Fatalf("%+v does not answer the cookie", s)
		}
		return true
	}
	return false
}

// write lets us write what there is room for.
func (l *lab) write(b []byte) int {
	n := min(len(b), int(l.c.Room()))
	l.out = append(l.out, b[:n]...)
	l.c.Write(uint32(n))
	return n
}

// weRead lets us read what there is.
func (l *lab) weRead() {
	n := len(l.in) - l.read
	l.read += n
	l.c.Read(uint32(n))
}

func (l *lab) theyClose() {
	if err := l.theirs.Shutdown(tcpip.ShutdownWrite); err != nil {
		l.t.Fatalf("gVisor's end: %v", err)
	}
}

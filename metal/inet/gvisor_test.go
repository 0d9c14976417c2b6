package inet

import (
	"bytes"
	"math/rand"
	"runtime"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	ourAddr, ourPort     = 0x0a00_0001, 1001
	theirAddr, theirPort = 0x0a00_0002, 2002

	labISS = Seq(0xffff_f000) // wraps around soon
)

// lab is a connection of this package with gVisor's stack at the other end of a wire, all in a time of its own.
type lab struct {
	t     *testing.T
	r     *rand.Rand
	clock *faketime.ManualClock
	link  *channel.Endpoint
	stack *stack.Stack
	queue waiter.Queue
	now   uint64

	// What the wire does: lose, double and delay so much of what it carries, or everything.
	loss float64
	cut  bool
	air  []frame
	// edit changes the SYNs of both sides as they are on the wire, to make a peer of fewer options.
	edit func(*Segment)

	c        Conn
	mss      uint32
	cookies  bool
	refuse   bool
	key      Key
	out, in  []byte
	ahead    map[uint32]byte
	events   Events
	read     int // of in
	listener tcpip.Endpoint
	ep       tcpip.Endpoint // gVisor's
	got      bytes.Buffer   // by gVisor
	end      bool           // gVisor saw our end
	fail     tcpip.Error    // of gVisor's end
	sent     int
}

type frame struct {
	at   uint64
	ours bool // to be received by us
	b    []byte
}

func newLab(t *testing.T, seed int64) *lab {
	// One thread: who yields has waited for what all the others have to do.
	old := runtime.GOMAXPROCS(1)
	l := &lab{t: t, r: rand.New(rand.NewSource(seed)), clock: faketime.NewManualClock(), now: 100 * second, mss: 1460, ahead: map[uint32]byte{}, key: Key{1, 2}}
	l.link = channel.New(1<<14, 1500, "")
	l.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
		Clock:              l.clock,
		RandSource:         rand.NewSource(seed),
	})
	t.Cleanup(func() {
		l.stack.Close()
		l.clock.Advance(time.Hour)
		l.stack.Wait()
		l.stack.Destroy()
		runtime.GOMAXPROCS(old)
	})
	if err := l.stack.CreateNIC(1, l.link); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4([4]byte{10, 0, 0, 2}).WithPrefix()}
	if err := l.stack.AddProtocolAddress(1, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	l.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	sack := tcpip.TCPSACKEnabled(true)
	l.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	return l
}

// endpoint makes a socket of gVisor's.
func (l *lab) endpoint() tcpip.Endpoint {
	ep, err := l.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &l.queue)
	if err != nil {
		l.t.Fatal(err)
	}
	return ep
}

// listen makes gVisor listen, and us connect.
func (l *lab) connect() {
	l.listener = l.endpoint()
	if err := l.listener.Bind(tcpip.FullAddress{Port: theirPort}); err != nil {
		l.t.Fatal(err)
	}
	if err := l.listener.Listen(4); err != nil {
		l.t.Fatal(err)
	}
	l.c.Connect(labISS, l.mss)
	l.established()
}

// accept makes gVisor connect to us.
func (l *lab) accept() {
	l.ep = l.endpoint()
	if err := l.ep.Bind(tcpip.FullAddress{Port: theirPort}); err != nil {
		l.t.Fatal(err)
	}
	to := tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), Port: ourPort}
	if _, started := l.ep.Connect(to).(*tcpip.ErrConnectStarted); !started {
		l.t.Fatal("gVisor does not connect")
	}
	l.established()
}

func (l *lab) established() {
	l.t.Helper()
	l.until("the connection", func() bool {
		if l.ep == nil {
			if ep, _, err := l.listener.Accept(nil); err == nil {
				l.ep = ep
			}
		}
		return l.ep != nil && l.events&Connected != 0 && tcp.EndpointState(l.ep.State()) == tcp.StateEstablished
	})
}

// until lets the time pass until something is so.
func (l *lab) until(what string, so func() bool) {
	l.t.Helper()
	for n := 0; !so(); n++ {
		if n > 400_000 {
			l.t.Fatalf("no %s: state %d, %d; at %d ms, %d read, %d sent segments, failed %v: %+v", what, l.c.State(), l.ep.State(), l.now/milli, len(l.in), l.sent, l.fail, l.c)
		}
		l.step()
	}
}

func (l *lab) pass(d time.Duration) {
	for end := l.now + uint64(d); l.now < end; {
		l.step()
	}
}

// settle lets gVisor's goroutines do what they can, and takes what they send.
func (l *lab) settle() {
	for quiet := 0; quiet < 8; quiet++ {
		runtime.Gosched()
		for pkt := l.link.Read(); pkt != nil; pkt = l.link.Read() {
			b := pkt.ToView()
			pkt.DecRef()
			l.carry(true, slices.Clone(b.AsSlice()))
			b.Release()
			quiet = 0
		}
	}
}

// step lets what is due arrive, or the time pass.
func (l *lab) step() {
	l.flush()
	l.settle()
	next := l.now + 20*milli
	if d := l.c.Deadline(); d != 0 {
		next = min(next, max(d, l.now))
	}
	for _, f := range l.air {
		next = min(next, f.at)
	}
	if next > l.now {
		l.clock.Advance(time.Duration(next - l.now))
		l.now = next
	}
	if d := l.c.Deadline(); d != 0 && d <= l.now {
		l.events |= l.c.Expire(l.now)
	}
	for i, f := range l.air {
		if f.at <= l.now {
			l.air = slices.Delete(l.air, i, i+1)
			if f.ours {
				l.input(f.b)
				return
			}
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f.b)})
			l.link.InjectInbound(header.IPv4ProtocolNumber, pkt)
			pkt.DecRef()
			return
		}
	}
}

// carry puts a frame onto the wire.
func (l *lab) carry(ours bool, b []byte) {
	if l.cut || l.r.Float64() < l.loss {
		return
	}
	f := frame{l.now + milli, ours, b}
	if l.r.Float64() < l.loss {
		f.at += uint64(l.r.Intn(5 * milli))
	}
	l.air = append(l.air, f)
	if l.r.Float64() < l.loss {
		l.air = append(l.air, frame{f.at + milli, ours, slices.Clone(b)})
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
	l.carry(false, b)
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

// theyWrite lets gVisor write what there is room for.
func (l *lab) theyWrite(b []byte) int {
	n, _ := l.ep.Write(bytes.NewReader(b), tcpip.WriteOptions{})
	return int(n)
}

// theyRead lets gVisor read what there is.
func (l *lab) theyRead() {
	for !l.end && l.fail == nil {
		_, err := l.ep.Read(&l.got, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			return
		case *tcpip.ErrClosedForReceive:
			l.end = true
		default:
			l.fail = err
		}
	}
}

// weRead lets us read what there is.
func (l *lab) weRead() {
	n := len(l.in) - l.read
	l.read += n
	l.c.Read(uint32(n))
}

func (l *lab) theyClose() {
	if err := l.ep.Shutdown(tcpip.ShutdownWrite); err != nil {
		l.t.Fatalf("gVisor's end: %v", err)
	}
}

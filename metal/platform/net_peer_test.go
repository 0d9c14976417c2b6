package main

import (
	"bytes"
	"math/rand"
	"runtime"
	"slices"
	"testing"
	"time"

	gbuffer "gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"nom.dev/nom/metal/inet"
)

// lab is the container's network function with gVisor's stack at the other end of the wire, in a time of its own.
type lab struct {
	*wire
	r     *rand.Rand
	clock *faketime.ManualClock
	at    uint64 // what the clock was advanced to
	link  *channel.Endpoint
	stack *stack.Stack
	queue waiter.Queue
	loss  float64 // so many frames are lost, come twice or late
	air   []flight
}

// flight is a frame on its way.
type flight struct {
	at   uint64
	ours bool // to the container
	b    []byte
}

func newLab(t *testing.T, seed int64) *lab {
	t.Helper()
	// One thread: who yields has waited for what all the others have to do.
	old := runtime.GOMAXPROCS(1)
	l := &lab{wire: newWire(t, 4096), r: rand.New(rand.NewSource(seed)), clock: faketime.NewManualClock(), at: nanotime()}
	l.link = channel.New(1<<12, mtu, "")
	l.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
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
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: peerAddress.WithPrefix()}
	if err := l.stack.AddProtocolAddress(1, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	l.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	sack := tcpip.TCPSACKEnabled(true)
	l.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	return l
}

var (
	peerAddress = tcpip.AddrFrom4([4]byte{10, 0, 0, 2})
	ownAddress  = tcpip.AddrFrom4([4]byte{10, 0, 0, 1})
)

func (l *lab) endpoint(p tcpip.TransportProtocolNumber) tcpip.Endpoint {
	l.t.Helper()
	ep, err := l.stack.NewEndpoint(p, ipv4.ProtocolNumber, &l.queue)
	if err != nil {
		l.t.Fatal(err)
	}
	return ep
}

// until lets time pass until something is so.
func (l *lab) until(what string, so func() bool) {
	l.t.Helper()
	for n := 0; !so(); n++ {
		if n > 100_000 {
			l.t.Fatalf("waited for %s without end: %+v, %+v, %d in the air", what, holding(), netCount, len(l.air))
		}
		l.step()
	}
}

// during lets so much time pass.
func (l *lab) during(d time.Duration) {
	for end := nanotime() + uint64(d); nanotime() < end; {
		l.step()
	}
}

// step carries what left, and lets time pass until something is due.
func (l *lab) step() {
	for _, f := range l.take() {
		l.leave(f)
	}
	l.settle()
	now := nanotime()
	next := min(now+20_000_000, max(net.deadline, now))
	for _, f := range l.air {
		next = min(next, max(f.at, now))
	}
	l.skip(time.Duration(next - now))
	now = nanotime()
	l.clock.Advance(time.Duration(now - l.at))
	l.at = now
	netTimer(now)
	for i := 0; i < len(l.air); i++ {
		if l.air[i].at > now {
			continue
		}
		f := l.air[i]
		l.air = slices.Delete(l.air, i, i+1)
		i--
		if f.ours {
			l.deliver(f.b)
			continue
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: gbuffer.MakeWithData(f.b)})
		l.link.InjectInbound(header.IPv4ProtocolNumber, pkt)
		pkt.DecRef()
	}
	netPoll()
}

// leave is a frame of the container's.
func (l *lab) leave(f []byte) {
	if inet.Be16(f[12:]) == inet.TypeARP {
		if target := inet.Be32(f[14+24:]); target == peerIP && inet.Be16(f[14+6:]) == arpRequest {
			l.carry(true, arpFrame(arpReply, peerMAC, peerIP, ownIP))
		}
		return
	}
	if macOf(f) == peerMAC {
		l.carry(false, f[inet.EthernetLen:])
	}
}

// settle lets gVisor's goroutines do what they can, and takes what they send.
func (l *lab) settle() {
	for quiet := 0; quiet < 8; quiet++ {
		runtime.Gosched()
		for pkt := l.link.Read(); pkt != nil; pkt = l.link.Read() {
			v := pkt.ToView()
			pkt.DecRef()
			b := make([]byte, inet.EthernetLen, inet.EthernetLen+v.Size())
			putMAC(b, net.mac)
			putMAC(b[6:], peerMAC)
			inet.PutBe16(b[12:], inet.TypeIPv4)
			l.carry(true, append(b, v.AsSlice()...))
			v.Release()
			quiet = 0
		}
	}
}

func (l *lab) carry(ours bool, b []byte) {
	if l.r.Float64() < l.loss {
		return
	}
	f := flight{nanotime() + 1_000_000, ours, b}
	if l.r.Float64() < l.loss {
		f.at += uint64(l.r.Intn(5_000_000))
	}
	l.air = append(l.air, f)
	if l.r.Float64() < l.loss {
		l.air = append(l.air, flight{f.at + 1_000_000, ours, slices.Clone(b)})
	}
}

// theirs is an end of a connection that gVisor has.
type theirs struct {
	tcpip.Endpoint
	got  bytes.Buffer
	end  bool        // ours came
	fail tcpip.Error // what is wrong
}

// pull reads what there is.
func (e *theirs) pull() {
	for !e.end && e.fail == nil {
		_, err := e.Read(&e.got, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			return
		case *tcpip.ErrClosedForReceive:
			e.end = true
		default:
			e.fail = err
		}
	}
}

func (e *theirs) push(b []byte) int {
	n, _ := e.Write(bytes.NewReader(b), tcpip.WriteOptions{})
	return int(n)
}

// dialIn has gVisor connect to the container; accepted waits for the connection.
func (l *lab) dialIn(port uint16) *theirs {
	l.t.Helper()
	ep := l.endpoint(tcp.ProtocolNumber)
	if _, ok := ep.Connect(tcpip.FullAddress{NIC: 1, Addr: ownAddress, Port: port}).(*tcpip.ErrConnectStarted); !ok {
		l.t.Fatal("gVisor does not connect")
	}
	return &theirs{Endpoint: ep}
}

// accepted is a connection to listener fd.
func (l *lab) accepted(fd uint64) uint64 {
	l.t.Helper()
	r := errno(eAGAIN)
	l.until("a connection", func() bool {
		r = platformCall(sysAccept4, fd, 0, 0, oNonblock)
		return r != errno(eAGAIN)
	})
	if int64(r) < 0 {
		l.t.Fatalf("accept: %s", result(r))
	}
	return r
}

// pair is a connection: the container's end, and gVisor's.
func (l *lab) pair(inwards bool) (uint64, *theirs) {
	l.t.Helper()
	if inwards {
		fd := tcpListener(l.t, localPort, 8)
		e := l.dialIn(localPort)
		c := l.accepted(fd)
		l.until("their end", func() bool { return tcp.EndpointState(e.State()) == tcp.StateEstablished })
		must(l.t, "close", sysClose, fd)
		return c, e
	}
	listener := l.listen(5000, 8)
	defer listener.Close()
	fd, r := connectOut(l.t, 5000)
	if r != errno(eINPROGRESS) {
		l.t.Fatalf("connect: %s", result(r))
	}
	e := &theirs{}
	l.until("the connection", func() bool {
		if ep, _, err := listener.Accept(nil); err == nil {
			e.Endpoint = ep
		}
		return e.Endpoint != nil && readyNow(fd)&epollOut != 0
	})
	if e := sockError(l.t, fd); e != 0 {
		l.t.Fatalf("connect: %s", result(errno(e)))
	}
	return fd, e
}

func (l *lab) listen(port uint16, backlog int) tcpip.Endpoint {
	l.t.Helper()
	ep := l.endpoint(tcp.ProtocolNumber)
	if err := ep.Bind(tcpip.FullAddress{Port: port}); err != nil {
		l.t.Fatal(err)
	}
	if err := ep.Listen(backlog); err != nil {
		l.t.Fatal(err)
	}
	return ep
}

// finish closes everything, and waits until gVisor has nothing to say any more.
func (l *lab) finish() {
	l.t.Helper()
	l.loss = 0
	for fd := uint64(3); fd < usedDescriptors; fd++ {
		if descriptors[fd].kind != fdFree {
			must(l.t, "close", sysClose, fd)
		}
	}
	l.during(3 * time.Second)
	l.ended()
}

// Package peer is gVisor's TCP/IP at the other end of a wire that loses, doubles and delays packets, all in a time of its own: what nom's own
// TCP/IP is tested against. A test carries packets between the two, and lets the time pass.
//
// It is for tests only: nothing that runs on a machine may import it.
package peer

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
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Addresses of both ends.
var (
	Address = tcpip.AddrFrom4([4]byte{10, 0, 0, 2}) // gVisor's
	Other   = tcpip.AddrFrom4([4]byte{10, 0, 0, 1})
)

const (
	mtu   = 1500
	milli = 1_000_000 // nanoseconds
)

// Peer is gVisor's stack, and the wire to it.
type Peer struct {
	Air
	Stack *stack.Stack
	Queue waiter.Queue

	t     testing.TB
	clock *faketime.ManualClock
	link  *channel.Endpoint
}

// New makes one. What it does depends on the seed alone: until the test ends there is one processor, so that who yields has waited for
// what all goroutines have to do.
func New(t testing.TB, seed int64) *Peer {
	t.Helper()
	old := runtime.GOMAXPROCS(1)
	p := &Peer{t: t, clock: faketime.NewManualClock(), link: channel.New(1<<14, mtu, "")}
	p.R = rand.New(rand.NewSource(seed))
	p.Stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		Clock:              p.clock,
		RandSource:         rand.NewSource(seed),
	})
	t.Cleanup(func() {
		p.Stack.Close()
		p.clock.Advance(time.Hour)
		p.Stack.Wait()
		p.Stack.Destroy()
		runtime.GOMAXPROCS(old)
	})
	if err := p.Stack.CreateNIC(1, p.link); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: Address.WithPrefix()}
	if err := p.Stack.AddProtocolAddress(1, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	p.Stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	sack := tcpip.TCPSACKEnabled(true)
	p.Stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	return p
}

// Endpoint makes a socket.
func (p *Peer) Endpoint(protocol tcpip.TransportProtocolNumber) tcpip.Endpoint {
	p.t.Helper()
	ep, err := p.Stack.NewEndpoint(protocol, ipv4.ProtocolNumber, &p.Queue)
	if err != nil {
		p.t.Fatal(err)
	}
	return ep
}

// Listen makes a socket that listens.
func (p *Peer) Listen(port uint16, backlog int) tcpip.Endpoint {
	p.t.Helper()
	ep := p.Endpoint(tcp.ProtocolNumber)
	if err := ep.Bind(tcpip.FullAddress{Port: port}); err != nil {
		p.t.Fatal(err)
	}
	if err := ep.Listen(backlog); err != nil {
		p.t.Fatal(err)
	}
	return ep
}

// Dial makes a socket that begins to connect to the other end, from a port of its own if from is 0.
func (p *Peer) Dial(from, port uint16) tcpip.Endpoint {
	p.t.Helper()
	ep := p.Endpoint(tcp.ProtocolNumber)
	if err := ep.Bind(tcpip.FullAddress{Port: from}); err != nil {
		p.t.Fatal(err)
	}
	if _, ok := ep.Connect(tcpip.FullAddress{NIC: 1, Addr: Other, Port: port}).(*tcpip.ErrConnectStarted); !ok {
		p.t.Fatal("gVisor does not connect")
	}
	return ep
}

// Advance lets time pass for gVisor.
func (p *Peer) Advance(d time.Duration) { p.clock.Advance(d) }

// Inject is a packet of IPv4 that arrives.
func (p *Peer) Inject(packet []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	p.link.InjectInbound(header.IPv4ProtocolNumber, pkt)
	pkt.DecRef()
}

// Settle lets gVisor's goroutines do what they can, and calls sent for each packet that leaves.
func (p *Peer) Settle(sent func(packet []byte)) {
	for quiet := 0; quiet < 8; quiet++ {
		runtime.Gosched()
		for pkt := p.link.Read(); pkt != nil; pkt = p.link.Read() {
			v := pkt.ToView()
			pkt.DecRef()
			sent(slices.Clone(v.AsSlice()))
			v.Release()
			quiet = 0
		}
	}
}

// Air is what is between two ends.
type Air struct {
	Loss float64 // so much is lost, comes twice or late
	Cut  bool    // everything is lost
	R    *rand.Rand

	frames []Frame
}

// Frame is something on its way.
type Frame struct {
	At   uint64 // when it arrives, in nanoseconds
	Ours bool   // not for gVisor
	B    []byte
}

// Carry puts something into the air.
func (a *Air) Carry(now uint64, ours bool, b []byte) {
	if a.Cut || a.R.Float64() < a.Loss {
		return
	}
	f := Frame{now + milli, ours, b}
	if a.R.Float64() < a.Loss {
		f.At += uint64(a.R.Intn(5 * milli))
	}
	a.frames = append(a.frames, f)
	if a.R.Float64() < a.Loss {
		a.frames = append(a.frames, Frame{f.At + milli, ours, slices.Clone(b)})
	}
}

// Next is when something arrives, or the limit if nothing does before.
func (a *Air) Next(limit uint64) uint64 {
	for _, f := range a.frames {
		limit = min(limit, f.At)
	}
	return limit
}

// Arrived takes something out that has arrived.
func (a *Air) Arrived(now uint64) (Frame, bool) {
	for i, f := range a.frames {
		if f.At <= now {
			a.frames = slices.Delete(a.frames, i, i+1)
			return f, true
		}
	}
	return Frame{}, false
}

// End is an end of a connection that gVisor has.
type End struct {
	tcpip.Endpoint
	Got    bytes.Buffer
	Closed bool        // the other side's end came
	Fail   tcpip.Error // what is wrong
}

// Pull reads what there is.
func (e *End) Pull() {
	for !e.Closed && e.Fail == nil {
		_, err := e.Read(&e.Got, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			return
		case *tcpip.ErrClosedForReceive:
			e.Closed = true
		default:
			e.Fail = err
		}
	}
}

// Push writes what there is room for.
func (e *End) Push(b []byte) int {
	n, _ := e.Write(bytes.NewReader(b), tcpip.WriteOptions{})
	return int(n)
}

package netstack

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
)

var (
	ourMAC   = [6]byte{2, 0, 0, 0, 0, 0x10}
	peerMAC  = [6]byte{2, 0, 0, 0, 0, 0x99}
	ourAddr  = netip.MustParseAddr("10.0.2.15")
	peerAddr = netip.MustParseAddr("10.0.2.2")
)

// limit is how long anything may take.
const limit = 60 * time.Second

func config() Config {
	return Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24), Gateway: netip.MustParseAddr("10.0.2.1"), Offload: true}
}

// station is a Stack over a modelled function.
type station struct {
	*Stack
	d    *nictest.Device
	stop context.CancelFunc
	end  chan error
}

// newStation makes a station that is not served yet.
func newStation(t testing.TB, c Config) *station {
	t.Helper()
	d := nictest.New()
	f, err := nic.New(d, d.Alloc, nic.Config{MAC: c.MAC})
	if err != nil {
		t.Fatal(err)
	}
	v, err := nictest.NewVector()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	d.OnRaise = func(int) { v.Raise() }
	if err := f.Interrupt(0, 0, v); err != nil {
		t.Fatal(err)
	}
	s, err := New(f.Queue(0), c)
	if err != nil {
		t.Fatal(err)
	}
	return &station{Stack: s, d: d, end: make(chan error, 1)}
}

// serve begins to serve. The test ends it.
func (s *station) serve(t testing.TB) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.end <- s.Serve(ctx) }()
	t.Cleanup(func() { s.halt(t) })
}

// halt ends Serve.
func (s *station) halt(t testing.TB) {
	s.stop()
	select {
	case err, first := <-s.end:
		if first && !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: got %v, want %v", err, context.Canceled)
		}
		if first {
			close(s.end)
		}
	case <-time.After(limit):
		t.Error("Serve did not end")
	}
}

// peer is a gVisor stack by itself, on the other end of the wire.
type peer struct {
	*stack.Stack
	wire *channel.Endpoint
}

// wire connects a station with a new peer, and loses one of so many frames in each direction; none when it is 0.
func wire(t testing.TB, s *station, lose int) *peer {
	t.Helper()
	// The mean time of an interrupt to be polled is that of a test; a ring of frames is what a switch has.
	p := &peer{wire: channel.New(1<<14, 1514, tcpip.LinkAddress(peerMAC[:]))}
	p.Stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	if err := p.CreateNIC(1, ethernet.New(p.wire)); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(peerAddr.As4()).WithPrefix()}
	own.AddressWithPrefix.PrefixLen = 24
	if err := p.AddProtocolAddress(1, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	p.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	sack := tcpip.TCPSACKEnabled(true)
	p.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	// The device must not be called from its hook, nor a stack that answers with the device locked: a channel is between.
	sent := make(chan []byte, 1<<14)
	s.d.OnSend = func(_ int, f []byte) {
		select {
		case sent <- bytes.Clone(f):
		default: // lost
		}
	}
	wait.Go(func() {
		for {
			select {
			case f := <-sent:
				if lose == 0 || rand.IntN(lose) != 0 {
					p.inject(f)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	wait.Go(func() {
		for {
			pkt := p.wire.ReadContext(ctx)
			if pkt == nil {
				return
			}
			f := pkt.ToView()
			pkt.DecRef()
			if lose == 0 || rand.IntN(lose) != 0 {
				// The receive ring may be full for a moment.
				for until := time.Now().Add(100 * time.Millisecond); !s.d.Deliver(f.AsSlice()) && time.Now().Before(until); {
					time.Sleep(50 * time.Microsecond)
				}
			}
			f.Release()
		}
	})
	t.Cleanup(func() {
		stop()
		wait.Wait()
		p.Destroy()
	})
	return p
}

func (p *peer) inject(f []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f)})
	p.wire.InjectInbound(0, pkt)
	pkt.DecRef()
}

// full is an address as gVisor has it.
func full(a netip.AddrPort) tcpip.FullAddress {
	f, _ := fullAddress(a)
	return f
}

// ports are addresses with ports.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

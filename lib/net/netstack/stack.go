package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"nom.dev/nom/lib/net/inplace"
	"nom.dev/nom/lib/nic"
)

// nicID is gVisor's name of the only interface.
const nicID = 1

// ErrClosed says that Serve has ended.
var ErrClosed = errors.New("netstack: the stack is not served any more")

// Stack is one station with TCP.
type Stack struct {
	config  Config
	address tcpip.Address
	queue   *nic.Queue
	inplace *inplace.Stack
	stack   *stack.Stack
	link    *link
	out     ring
	tcp     atomic.Pointer[func(*Request)]
	udp     atomic.Pointer[func(src, dst netip.AddrPort, payload []byte) error]
	closed  atomic.Bool

	// What follows belongs to the goroutine of Serve.
	now      uint32 // seconds
	batch    [batch]outgoing
	parts    [nic.MaxParts]int // lengths of those of a packet that the card cuts
	waiting  []outgoing        // datagrams whose neighbour is being asked for
	asked    uint32            // the second in which they were tried last
	answered bool              // an answer of ARP has come since
	acks     acks
	passed   int // packets given to gVisor since the last batch
	counters Counters
}

// Counters count what became of packets. They belong to the goroutine of Serve.
type Counters struct {
	Passed      uint64 // packets given to gVisor
	Acks        uint64 // acknowledgements not given to it, because a later one came in the same batch
	Datagrams   uint64 // given to HandleUDP
	Unreachable uint64 // of them: refused, answered with an ICMP error
	NotMine     uint64 // dropped: of a protocol or for an address that is not this station's
	TooLong     uint64 // not sent: does not fit a buffer
	Refused     uint64 // frames of gVisor not sent: no room
	Undelivered uint64 // datagrams not sent: the neighbour did not answer, or no way to it
}

// New makes a stack over a queue, which it owns from here on.
func New(q *nic.Queue, c Config) (*Stack, error) {
	if err := c.check(cap(q.Buffer())); err != nil {
		return nil, err
	}
	s := &Stack{config: c, queue: q}
	s.out.kick, s.out.buffer = q.Kick, cap(q.Buffer())
	var err error
	if s.inplace, err = inplace.New(c.inplace(s)); err != nil {
		return nil, err
	}
	s.address = tcpip.AddrFrom4(c.Address.Addr().As4())
	s.link = newLink(&s.config, &s.out)
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := s.setUp(); err != nil {
		s.stack.Destroy()
		return nil, err
	}
	return s, nil
}

// setUp gives gVisor its interface, addresses, routes and options.
func (s *Stack) setUp() error {
	if err := s.stack.CreateNIC(nicID, s.link); err != nil {
		return fmt.Errorf("netstack: the interface: %v", err)
	}
	own := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: s.address, PrefixLen: s.config.Address.Bits()},
	}
	if err := s.stack.AddProtocolAddress(nicID, own, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("netstack: address %v: %v", s.config.Address, err)
	}
	routes := []tcpip.Route{{Destination: own.AddressWithPrefix.Subnet(), NIC: nicID}}
	if g := s.config.Gateway; g.IsValid() {
		routes = append(routes, tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFrom4(g.As4()), NIC: nicID})
	}
	s.stack.SetRouteTable(routes)
	for _, o := range options() {
		if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("netstack: option %T of TCP: %v", o, err)
		}
	}
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, s.forwarder())
	s.stack.SetTransportProtocolHandler(udp.ProtocolNumber, s.reassembled)
	return nil
}

// Sizes of a connection's buffers. A buffer takes memory only as far as it is filled, and grows when the connection is fast.
const (
	minBuffer   = 4 << 10
	startBuffer = 256 << 10
	maxBuffer   = 4 << 20
)

// options are those of TCP: see the package comment.
func options() []tcpip.SettableTransportProtocolOption {
	sack, moderate, cubic := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true), tcpip.CongestionControlOption("cubic")
	return []tcpip.SettableTransportProtocolOption{
		&sack, &moderate, &cubic,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: minBuffer, Default: startBuffer, Max: maxBuffer},
		&tcpip.TCPSendBufferSizeRangeOption{Min: minBuffer, Default: startBuffer, Max: maxBuffer},
	}
}

// InPlace is the stack that sees frames first. Its Listen is to be called before Serve, or in the goroutine of Serve.
func (s *Stack) InPlace() *inplace.Stack { return s.inplace }

// Counters are what happened so far. Only the goroutine of Serve may ask while it runs.
func (s *Stack) Counters() Counters { return s.counters }

// Lost is how many packets were lost because the ring to Serve was full.
func (s *Stack) Lost() uint64 { return s.out.lostSoFar() }

// Serve moves packets until ctx is done or the function was reset, in the calling goroutine. Then all connections are reset, and
// the stack is of no more use.
func (s *Stack) Serve(ctx context.Context) error {
	s.announce()
	start, polls, slept := time.Now(), 0, s.queue.Sleeps
	err := s.queue.Run(ctx, func() int {
		// The clock is read after each sleep, and every so many polls.
		if polls++; polls%256 == 0 || s.queue.Sleeps != slept {
			slept = s.queue.Sleeps
			s.now = uint32(time.Since(start) / time.Second)
			s.inplace.Tick(s.now)
		}
		n := s.inplace.Poll(s.queue)
		s.passAcks()
		if s.passed > 0 {
			// gVisor's goroutines have something to do; what they answer belongs into this batch.
			s.passed = 0
			runtime.Gosched()
		}
		return n + s.pump()
	})
	s.shutDown()
	return err
}

// announce tells the neighbours where the address is now. Another station may have had it a moment ago.
func (s *Stack) announce() {
	if b := s.queue.Buffer(); b != nil {
		a := s.inplace.Announce(b)
		s.queue.Send(a.N, a.Offload)
		s.queue.Flush()
	}
}

// shutDown resets all connections, waits for gVisor's goroutines and sends what they still had to say.
func (s *Stack) shutDown() {
	s.closed.Store(true)
	s.stack.Close()
	ended := make(chan struct{})
	go func() {
		s.stack.Wait()
		close(ended)
	}()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-ended:
			s.pump()
			s.queue.Flush()
			s.out.close()
			return
		case <-again.C: // a connection may have been made meanwhile
			s.stack.Close()
		}
	}
}

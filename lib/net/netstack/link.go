package netstack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// link is the interface as gVisor sees it. gVisor calls it from any goroutine.
type link struct {
	mac     tcpip.LinkAddress
	mtu     uint32
	offload bool
	checked atomic.Bool // the device has checked the packet that is being delivered
	out     *ring

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher // guarded by mu
}

var (
	_ stack.LinkEndpoint = (*link)(nil)
	_ stack.GSOEndpoint  = (*link)(nil)
)

func newLink(c *Config, out *ring) *link {
	return &link{mac: tcpip.LinkAddress(c.MAC[:]), mtu: uint32(c.MTU), offload: c.Offload, out: out}
}

// Capabilities are asked for anew for each packet received, so that gVisor checks those that the device has not checked: what
// a device says is about one frame, and what it says nothing about (fragments) may be false.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	c := stack.CapabilityResolutionRequired
	if l.offload {
		c |= stack.CapabilityTXChecksumOffload
	}
	if l.checked.Load() {
		c |= stack.CapabilityRXChecksumOffload
	}
	return c
}

// SupportedGSO says that the device cuts long packets of TCP, as it does when it inserts checksums.
func (l *link) SupportedGSO() stack.SupportedGSO {
	if l.offload {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize is what gVisor subtracts all headers from: no packet of IPv4 can be longer, nor one that nic.Queue.SendTCP takes.
func (l *link) GSOMaxSize() uint32 { return 1 << 16 }

// WritePackets puts packets into the ring to Serve. Those that do not fit are lost.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	n, err := l.out.putFrames(list.AsSlice())
	switch {
	case err != nil:
		return n, &tcpip.ErrClosedForSend{}
	case n < list.Len():
		return n, &tcpip.ErrNoBufferSpace{}
	}
	return n, nil
}

// AddHeader writes the Ethernet header.
func (l *link) AddHeader(p *stack.PacketBuffer) {
	header.Ethernet(p.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: l.mac,
		DstAddr: p.EgressRoute.RemoteLinkAddress,
		Type:    p.NetworkProtocolNumber,
	})
}

// ParseHeader takes the Ethernet header off.
func (l *link) ParseHeader(p *stack.PacketBuffer) bool {
	_, ok := p.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// deliver gives a packet to gVisor.
func (l *link) deliver(protocol tcpip.NetworkProtocolNumber, p *stack.PacketBuffer, checked bool) {
	l.mu.RLock()
	d := l.dispatcher
	l.mu.RUnlock()
	if d == nil {
		return
	}
	l.checked.Store(checked)
	d.DeliverNetworkPacket(protocol, p)
}

// Attach is called with nil when the interface is removed.
func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = d
}

func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// The rest is constant: MTU and address are those of the function.
func (l *link) MTU() uint32                             { return l.mtu }
func (l *link) SetMTU(uint32)                           {}
func (l *link) MaxHeaderLength() uint16                 { return header.EthernetMinimumSize }
func (l *link) LinkAddress() tcpip.LinkAddress          { return l.mac }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (l *link) Wait()                                   {}
func (l *link) Close()                                  {}
func (l *link) SetOnCloseAction(func())                 {}

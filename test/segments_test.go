package test

import (
	"maps"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"nom.dev/nom/api"
)

// cutPackets are the segments of test/programs/segments that were seen on a wire, by protocol and sequence number.
type cutPackets struct {
	mu   sync.Mutex
	seen map[tcpip.NetworkProtocolNumber]map[uint32]int // guarded by mu; how many bytes each has
	bad  int
}

// The program's.
const (
	cutFirst   = 0xffff_f000
	cutPayload = 20_000
	cutSize    = 1000
	cutID      = 0x1234
)

// note looks at a frame, which may be anything.
func (c *cutPackets) note(b []byte) {
	if len(b) < header.EthernetMinimumSize || string(b[:6]) != "\x02\x00\x00\x00\x00\x99" {
		return
	}
	kind, ip := header.Ethernet(b).Type(), b[header.EthernetMinimumSize:]
	var l4 []byte
	var from, to tcpip.Address
	good := false
	switch kind {
	case header.IPv4ProtocolNumber:
		p := header.IPv4(ip)
		if good = p.IsValid(len(ip)) && p.IsChecksumValid(); good {
			from, to, l4 = p.SourceAddress(), p.DestinationAddress(), p.Payload()
			n := (header.TCP(l4).SequenceNumber() - cutFirst) / cutSize
			good = int(p.TotalLength()) == len(ip) && p.ID() == uint16(cutID+n)
		}
	case header.IPv6ProtocolNumber:
		p := header.IPv6(ip)
		if good = p.IsValid(len(ip)); good {
			from, to, l4 = p.SourceAddress(), p.DestinationAddress(), p.Payload()
			good = int(p.PayloadLength()) == len(ip)-header.IPv6MinimumSize
		}
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !good || len(l4) < header.TCPMinimumSize {
		c.bad++
		return
	}
	tcp := header.TCP(l4)
	data, seq := tcp.Payload(), tcp.SequenceNumber()
	if !tcp.IsChecksumValid(from, to, checksum.Checksum(data, 0), uint16(len(data))) || tcp.AckNumber() != 1 || tcp.Flags() != header.TCPFlagAck {
		c.bad++
		return
	}
	for i, v := range data {
		if v != byte((int(seq-cutFirst)+i)*7>>3) {
			c.bad++
			return
		}
	}
	if c.seen[kind] == nil {
		c.seen[kind] = map[uint32]int{}
	}
	c.seen[kind][seq] = len(data)
}

// count is how many were seen.
func (c *cutPackets) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, seen := range c.seen {
		n += len(seen)
	}
	return n
}

// check wants all segments of both packets, as the driver says that it had them made.
func (c *cutPackets) check(o *outcome) {
	o.t.Helper()
	e := o.want("segments", api.ReasonExit, 0)
	if want := "2 packets, 2 to be cut, into 40 segments\n"; e.stdout != want {
		o.t.Errorf("segments printed %q, want %q", e.stdout, want)
	}
	want := map[uint32]int{}
	for n := uint32(0); n < cutPayload; n += cutSize {
		want[cutFirst+n] = cutSize
	}
	for until := time.Now().Add(time.Minute); c.count() < 2*len(want) && time.Now().Before(until); time.Sleep(time.Millisecond) {
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range []tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
		if !maps.Equal(c.seen[kind], want) {
			o.t.Errorf("protocol %#x: %d of %d segments were seen: %x", kind, len(c.seen[kind]), len(want), slices.Sorted(maps.Keys(c.seen[kind])))
		}
	}
	if c.bad != 0 {
		o.t.Errorf("%d segments are wrong", c.bad)
	}
}

package netstack

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// recorder is a gVisor that says what it gets: port, sequence number and acknowledgement.
type recorder struct{ got []string }

func (r *recorder) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, p *stack.PacketBuffer) {
	v := p.ToView()
	defer v.Release()
	t := header.TCP(v.AsSlice()[transportAt:])
	r.got = append(r.got, fmt.Sprintf("%d:%d:%d", t.SourcePort(), t.SequenceNumber(), t.AckNumber()))
}

func (*recorder) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// segment is one from the peer.
type segment struct {
	port     uint16
	seq, ack uint32
	change   string // what is special about it
}

func (s segment) frame() []byte {
	flags, options, data := header.TCPFlagAck, []byte(nil), []byte(nil)
	switch s.change {
	case "time":
		options = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	case "sack":
		options = []byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	case "other":
		options = []byte{1, 1, 1, 1}
	case "data":
		data = []byte("data")
	case "fin":
		flags |= header.TCPFlagFin
	case "ece":
		flags |= header.TCPFlagEce
	}
	t := make(header.TCP, header.TCPMinimumSize+len(options))
	t.Encode(&header.TCPFields{SrcPort: s.port, DstPort: 80, SeqNum: s.seq, AckNum: s.ack, DataOffset: uint8(len(t)), Flags: flags, WindowSize: 1000})
	copy(t[header.TCPMinimumSize:], options)
	all := append(t, data...)
	t.SetChecksum(^checksum.Checksum(all, pseudo(header.TCPProtocolNumber, len(all))))
	if s.change == "broken" {
		all[16] ^= 1
	}
	f := ipFrame(header.TCPProtocolNumber, 0, all)
	if s.change == "fragment" {
		binary.BigEndian.PutUint16(f[etherLen+6:], 0x2000)
		ip := header.IPv4(f[etherLen:])
		ip.SetChecksum(0)
		ip.SetChecksum(^ip.CalculateChecksum())
	}
	return f
}

// TestAcks: of acknowledgements that come in one batch, gVisor gets the last of each connection, and in the order in which they came what
// says more than that.
func TestAcks(t *testing.T) {
	many := func(n int, port func(i int) uint16) (list []segment) {
		for i := range n {
			list = append(list, segment{port(i), 5, uint32(i), ""})
		}
		return list
	}
	for name, c := range map[string]struct {
		in   []segment
		want string
	}{
		"one":           {[]segment{{1, 5, 10, ""}}, "1:5:10"},
		"later":         {[]segment{{1, 5, 10, ""}, {1, 5, 20, ""}, {1, 5, 30, ""}}, "1:5:30"},
		"wrapped":       {[]segment{{1, 5, 0xffff_ff00, ""}, {1, 5, 20, ""}}, "1:5:20"},
		"stamped":       {[]segment{{1, 5, 10, "time"}, {1, 5, 20, "time"}}, "1:5:20"},
		"of two kinds":  {[]segment{{1, 5, 10, "time"}, {1, 5, 20, ""}}, "1:5:10 1:5:20"},
		"duplicates":    {[]segment{{1, 5, 10, ""}, {1, 5, 10, ""}, {1, 5, 10, ""}}, "1:5:10 1:5:10 1:5:10"},
		"older":         {[]segment{{1, 5, 20, ""}, {1, 5, 10, ""}}, "1:5:20 1:5:10"},
		"other seq":     {[]segment{{1, 5, 10, ""}, {1, 6, 20, ""}}, "1:5:10 1:6:20"},
		"data between":  {[]segment{{1, 5, 10, ""}, {1, 5, 20, ""}, {1, 5, 20, "data"}, {1, 9, 30, ""}, {1, 9, 40, ""}}, "1:5:20 1:5:20 1:9:40"},
		"FIN":           {[]segment{{1, 5, 10, ""}, {1, 5, 20, "fin"}}, "1:5:10 1:5:20"},
		"ECE":           {[]segment{{1, 5, 10, "ece"}, {1, 5, 20, "ece"}}, "1:5:10 1:5:20"},
		"SACK":          {[]segment{{1, 5, 10, "sack"}, {1, 5, 20, "sack"}}, "1:5:10 1:5:20"},
		"other options": {[]segment{{1, 5, 10, "other"}, {1, 5, 20, "other"}}, "1:5:10 1:5:20"},
		"broken":        {[]segment{{1, 5, 10, ""}, {1, 5, 20, "broken"}, {1, 5, 30, ""}}, "1:5:10 1:5:20 1:5:30"},
		"fragment":      {[]segment{{1, 5, 10, "fragment"}, {1, 5, 20, "fragment"}}, "1:5:10 1:5:20"},
		"two flows":     {[]segment{{1, 5, 10, ""}, {2, 7, 10, ""}, {1, 5, 20, ""}, {2, 7, 20, ""}, {2, 7, 20, "data"}}, "2:7:20 2:7:20 1:5:20"},
		"many":          {many(10, func(int) uint16 { return 1 }), "1:5:9"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, config())
			defer s.stack.Destroy()
			r := &recorder{}
			s.link.Attach(r)
			for _, g := range c.in {
				if !s.d.Deliver(g.frame()) {
					t.Fatal("not received")
				}
			}
			for s.inplace.Poll(s.queue) > 0 {
			}
			s.passAcks()
			if got := strings.Join(r.got, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := int(s.counters.Acks) + len(r.got); got != len(c.in) {
				t.Errorf("%d of %d are accounted for", got, len(c.in))
			}
		})
	}
	// More connections than are kept.
	s := newStation(t, config())
	defer s.stack.Destroy()
	r := &recorder{}
	s.link.Attach(r)
	for _, g := range many(3*maxAcks, func(i int) uint16 { return uint16(1 + i%(2*maxAcks)) }) {
		s.d.Deliver(g.frame())
	}
	for s.inplace.Poll(s.queue) > 0 {
	}
	s.passAcks()
	slices.Sort(r.got)
	if n := len(r.got); n > 3*maxAcks || n < 2*maxAcks || n+int(s.counters.Acks) != 3*maxAcks || len(slices.Compact(r.got)) != n {
		t.Errorf("got %d, %d were left out: %v", n, s.counters.Acks, r.got)
	}
}

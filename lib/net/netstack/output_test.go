package netstack

import (
	"encoding/binary"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nom.dev/nom/lib/nic"
)

// tcpFrame is a frame of TCP as gVisor hands it on, with so many bytes of data.
func tcpFrame(seq uint32, data int) *stack.PacketBuffer {
	b := make([]byte, transportAt+header.TCPMinimumSize+data)
	header.Ethernet(b).Encode(&header.EthernetFields{SrcAddr: tcpip.LinkAddress(ourMAC[:]), DstAddr: tcpip.LinkAddress(peerMAC[:]), Type: header.IPv4ProtocolNumber})
	header.IPv4(b[etherLen:]).Encode(&header.IPv4Fields{TotalLength: uint16(len(b) - etherLen), TTL: 64, Protocol: uint8(header.TCPProtocolNumber),
		SrcAddr: tcpip.AddrFrom4(ourAddr.As4()), DstAddr: tcpip.AddrFrom4(peerAddr.As4())})
	header.TCP(b[transportAt:]).Encode(&header.TCPFields{SrcPort: 7, DstPort: 8, SeqNum: seq, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagAck})
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	p.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: 1000}
	return p
}

// TestPumpFull: of packets for which the card's ring has no room yet, none is lost, and none overtakes another.
func TestPumpFull(t *testing.T) {
	s := newStation(t, config())
	defer s.stack.Destroy()
	s.d.Late = true
	var got, want []uint32
	s.d.OnSend = func(_ int, f []byte) {
		if !header.TCP(f[transportAt:]).IsChecksumValid(tcpip.AddrFrom4(ourAddr.As4()), tcpip.AddrFrom4(peerAddr.As4()), sumOf(f[transportAt+header.TCPMinimumSize:]), uint16(len(f)-transportAt-header.TCPMinimumSize)) {
			t.Error("a checksum is wrong")
		}
		got = append(got, binary.BigEndian.Uint32(f[transportAt+4:]))
	}
	// Each long one takes 31 slots: 30 buffers of 2048 bytes, and a context.
	const long, slots, packets = 60_000, 31, 20
	seq := uint32(0)
	for i := range packets {
		n := long
		if i%5 == 4 {
			n = 500
		}
		p := tcpFrame(seq, n)
		if k, err := s.out.putFrames([]*stack.PacketBuffer{p}); k != 1 || err != nil {
			t.Fatal(err)
		}
		p.DecRef()
		for at := 0; at < n; at += 1000 {
			want = append(want, seq+uint32(at))
		}
		seq += uint32(n)
	}
	for moved := 0; moved < packets; {
		n := s.pump()
		s.queue.Flush()
		if n == 0 || n > nic.RingSize/slots+2 || s.pump() != 0 {
			t.Fatalf("%d packets were moved after %d, or more could be", n, moved)
		}
		moved += n
		if moved < packets && s.queue.TxFull == 0 {
			t.Error("the queue does not know that it was too full")
		}
		s.d.Complete(-1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d segments left, want %d, or others", len(got), len(want))
	}
	if c := s.queue.Counters; c.TxFrames != packets || c.TxCut != packets*4/5 || s.counters != (Counters{}) {
		t.Errorf("%+v, %+v", c, s.counters)
	}
}

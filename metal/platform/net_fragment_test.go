package main

import (
	"bytes"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// A network function whose registers are memory: what is posted stays in the ring, where the test reads it.

const (
	fakeMAC  = 0x0200_0000_0001
	otherMAC = 0x0200_0000_0002
)

var own4, other4 = ip{0, mapped | 0x0a00_020f}, ip{0, mapped | 0x0a00_0202}

func fakeFunction(t *testing.T) {
	t.Helper()
	fakeMachine(t, 4096, nil)
	prepareFiles()
	clockMult = 1 << 32 // nanotime runs
	nic.regs = addressOf(&alignedBytes(t, 16<<10)[0])
	nic.memory = pool.contiguous(nicMemory, pageSize)
	if nic.memory == 0 || !nicStart() {
		t.Fatal("the function does not start")
	}
	nic.sent = nic.tail
	clear(neighbours[:])
	net.address, net.mask, net.router, net.mac = own4, ^uint64(0xff), ip{}, fakeMAC
	net.up, net.deadline, net.armed = true, never, true
	gateway.own[0], gateway.count = own4, 1
	connHeads, fragmentsReady = 0, false
	neighbourFor(other4).mac = otherMAC
	neighbourFor(other4).seen = nanotime()
	t.Cleanup(func() { net.up, gateway.count, nic.sent = false, 0, nic.tail })
}

// arrive hands a packet to the platform as the function would.
func arrive(kind uint16, packet []byte, hi uint64) {
	b := make([]byte, inet.EthernetLen+len(packet))
	inet.PutBe16(b[12:], kind)
	copy(b[inet.EthernetLen:], packet)
	netInput(&received{b, hi}, nanotime())
	outputDue(nanotime())
}

// left is what was posted since the last call: the frames.
func left(t *testing.T, from uint8) (all [][]byte) {
	t.Helper()
	for i := from; i != nic.tail; i++ {
		at, hi := load64(nicTx(i)), load64(nicTx(i)+8)
		if hi>>20&15 == 2 { // a context
			continue
		}
		f := bytes.Clone(bytesAt(direct(at), hi&0xffff))
		if hi&igb.TxL4 != 0 && inet.Be16(f[12:]) == inet.TypeIPv6 { // the sum of the pseudo header is there
			l4 := f[frameHead6:]
			inet.PutBe16(l4[16:], inet.Checksum(0, l4))
		}
		all = append(all, f)
	}
	return all
}

// cut makes packets of IPv4 of a payload.
func cut(from, to ip, proto uint8, payload []byte) (all [][]byte) {
	for at := 0; at < len(payload); at += mostPart {
		part := payload[at:min(at+mostPart, len(payload))]
		p := make([]byte, inet.IPv4Len+len(part))
		inet.PutIPv4(p, uint32(from.lo), uint32(to.lo), proto, 77, len(part))
		field := uint16(at / 8)
		if at+len(part) < len(payload) {
			field |= 0x2000
		}
		inet.PutBe16(p[6:], field)
		inet.PutBe16(p[10:], inet.Checksum(0, p[:inet.IPv4Len]))
		copy(p[inet.IPv4Len:], part)
		all = append(all, p)
	}
	return all
}

func somePayload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// A datagram of several packets reaches its socket whatever order they come in, and what is sent so is cut.
func TestFragmentsOfDatagrams(t *testing.T) {
	fakeFunction(t)
	i := newSocket(afInet, sockDatagram)
	s := socketAt(i)
	s.bindTo(uint32(i), 7)
	data := somePayload(4000)
	udp := make([]byte, inet.UDPLen, inet.UDPLen+len(data))
	inet.PutUDP(udp, 5000, 7, len(data), 0)
	udp = append(udp, data...)
	inet.PutBe16(udp[6:], inet.Checksum(inet.PseudoIPv4(uint32(other4.lo), uint32(own4.lo), inet.ProtoUDP, len(udp)), udp))
	parts := cut(other4, own4, inet.ProtoUDP, udp)
	for _, k := range []int{2, 0, 1} {
		arrive(inet.TypeIPv4, parts[k], igb.RxIP)
	}
	if got, want := s.in.used(), uint64(datagramHead+len(data)); got != want {
		t.Fatalf("the socket received %d bytes, want %d", got, want)
	}
	got := make([]byte, len(data))
	s.in.copyOut(got, datagramHead)
	if !bytes.Equal(got, data) {
		t.Error("the datagram arrived changed")
	}
	parts[1][30] ^= 1 // the checksum is that of the whole
	inet.PutBe16(parts[1][10:], 0)
	for _, p := range parts {
		inet.PutBe16(p[4:], 78)
		inet.PutBe16(p[10:], 0)
		inet.PutBe16(p[10:], inet.Checksum(0, p[:inet.IPv4Len]))
		arrive(inet.TypeIPv4, p, 0)
	}
	if s.in.used() != uint64(datagramHead+len(data)) || netCount.dropped[abi.DropChecksum] == 0 {
		t.Error("a datagram with a wrong checksum was delivered")
	}
}

// An echo request of several packets is answered in several.
func TestFragmentsOfEcho(t *testing.T) {
	fakeFunction(t)
	echo := append([]byte{icmpEcho, 0, 0, 0, 1, 2, 3, 4}, somePayload(4000)...)
	inet.PutBe16(echo[2:], inet.Checksum(0, echo))
	before := nic.tail
	for _, p := range cut(other4, own4, inet.ProtoICMP, echo) {
		arrive(inet.TypeIPv4, p, 0)
	}
	want := bytes.Clone(echo)
	want[0], want[2], want[3] = icmpEchoReply, 0, 0
	inet.PutBe16(want[2:], inet.Checksum(0, want))
	got := make([]byte, 0, len(want))
	for _, f := range left(t, before) {
		var p inet.IPv4
		if macOf(f) != otherMAC || !inet.ParseIPv4(f[inet.EthernetLen:], false, &p) || int(p.Fragment) != len(got) || p.To != uint32(other4.lo) {
			t.Fatalf("wrong frame %x", f)
		}
		got = append(got, p.Payload...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("answered %d bytes, want the %d of the question", len(got), len(want))
	}
}

// Who says that a segment was too big must quote one that is on its way.
func TestTooBigMustQuote(t *testing.T) {
	fakeFunction(t)
	n := newConnection(own4, 80, other4, 5000)
	c := connectionAt(n)
	c.Connect(1000, ownMSS)
	var s inet.Segment
	now := nanotime()
	if !c.Next(&s, now) {
		t.Fatal("no SYN")
	}
	say := func(seq inet.Seq) {
		quoted := make([]byte, inet.IPv4Len+8)
		inet.PutIPv4(quoted, uint32(own4.lo), uint32(other4.lo), inet.ProtoTCP, 0, 8)
		inet.PutBe16(quoted[inet.IPv4Len:], 80)
		inet.PutBe16(quoted[inet.IPv4Len+2:], 5000)
		inet.PutBe32(quoted[inet.IPv4Len+4:], uint32(seq))
		heardUnreachable(icmpNeedsFrag, 600, quoted)
	}
	mss := func() uint16 { // that of a SYN says what is accepted
		probe := c.Conn
		probe.Expire(now + 2_000_000_000)
		probe.Next(&s, now)
		return s.MSS
	}
	for _, seq := range []inet.Seq{999, 1001, 5} {
		say(seq)
	}
	if got := mss(); got != ownMSS {
		t.Errorf("somebody who knows nothing lowered the segment size to %d", got)
	}
	say(1000)
	if got := mss(); got != 600-inet.IPv4Len-inet.TCPLen {
		t.Errorf("segment size %d", got)
	}
}

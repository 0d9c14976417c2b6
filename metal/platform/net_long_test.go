package main

import (
	"bytes"
	"math/rand"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// Frames that the function cuts.

// longSegment builds a segment with so many bytes of data in nicBuffer, and posts it; cut 0 is one to be sent as it is.
func longSegment(from, to ip, seq inet.Seq, data []byte, cut uint32) {
	s := inet.Segment{From: 7, To: 5000, Seq: seq, Flags: inet.ACK | inet.PSH, HasTS: true, Len: uint32(len(data)), Cut: cut}
	b, head := nicBuffer(), uint64(s.HeaderLen())
	headers, command := frameHead+head, uint64(sendTCP)
	if !to.is4() {
		headers, command = frameHead6+head, sendTCP6
	}
	copy(bytesAt(b+headers, uint64(len(data))), data)
	putSegment(b, &s, from, to)
	if cut == 0 {
		neighbourFor(hopTo(to)).pass(headers+uint64(len(data)), command, nanotime())
		return
	}
	sendLong(to, headers+uint64(len(data)), headers, uint64(cut), command, nanotime())
}

// payload is what a frame carries: the data of TCP, or of UDP.
func payload(t testing.TB, f []byte) ([]byte, inet.Seq) {
	t.Helper()
	proto, l4 := f[inet.EthernetLen+9], f[frameHead:]
	if inet.Be16(f[12:]) == inet.TypeIPv6 {
		proto, l4 = f[inet.EthernetLen+6], f[frameHead6:]
		if inet.Checksum(inet.PseudoIPv6(be64(f[22:]), be64(f[30:]), be64(f[38:]), be64(f[46:]), proto, len(l4)), l4) != 0 || int(inet.Be16(f[18:])) != len(l4) {
			t.Fatalf("a packet of IPv6 is wrong: % x", f)
		}
	}
	if proto != inet.ProtoTCP {
		return l4[inet.UDPLen:], 0
	}
	var s inet.Segment
	data, ok := inet.ParseTCP(l4, &s)
	if !ok {
		t.Fatalf("no segment: % x", f)
	}
	return data, s.Seq
}

func be64(b []byte) uint64 { return uint64(inet.Be32(b))<<32 | uint64(inet.Be32(b[4:])) }

// Whatever frames are posted, short and long, of both families, and however late the function is: it sends each as it was posted.
func TestRingOfFrames(t *testing.T) {
	fakeIPv6(t)
	neighbourFor(other6).know(otherMAC, nanotime())
	w := &wire{t: t, regs: nic.regs - abi.DirectMap, any: true}
	w.take()
	r := rand.New(rand.NewSource(1))
	type frame struct {
		data []byte
		seq  inet.Seq
	}
	var want, got []frame
	full, long := 0, 0
	for range 6000 {
		switch kind := r.Intn(6); {
		case nicBuffer() == 0:
			full++
		case kind == 0: // a frame of neither
			b, n := nicBuffer(), 1+r.Intn(1000)
			data := make([]byte, n)
			r.Read(data)
			copy(bytesAt(b+frameHead+inet.UDPLen, uint64(n)), data)
			h := bytesAt(b+inet.EthernetLen, inet.IPv4Len+inet.UDPLen)
			inet.PutIPv4(h, uint32(own4.lo), uint32(other4.lo), inet.ProtoUDP, 0, inet.UDPLen+n)
			inet.PutUDP(h[inet.IPv4Len:], 7, 5000, n, inet.Fold(inet.PseudoIPv4(uint32(own4.lo), uint32(other4.lo), inet.ProtoUDP, inet.UDPLen+n)))
			sendTo(other4, frameHead+inet.UDPLen+uint64(n), sendUDP, nanotime())
			want = append(want, frame{data, 0})
		default:
			from, to, size := own4, other4, uint32(1448)
			if kind&1 != 0 {
				from, to, size = net6.global, other6, 1000+uint32(r.Intn(2))*400
			}
			n, cut := r.Intn(int(size)), uint32(0)
			if most := longestData(nicLongest()); kind > 3 && most > size {
				n, cut = int(size)+r.Intn(int(most-size))+1, size
				long++
			}
			data, seq := make([]byte, n), inet.Seq(r.Uint32())
			r.Read(data)
			longSegment(from, to, seq, data, cut)
			if cut == 0 {
				cut = size
			}
			for at := 0; at < n || at == 0; at += int(cut) {
				want = append(want, frame{data[at:min(n, at+int(cut))], seq + inet.Seq(at)})
			}
		}
		if r.Intn(3) == 0 {
			nicFlush()
			for _, f := range w.takeSome(r.Intn(40)) {
				data, seq := payload(t, f)
				got = append(got, frame{data, seq})
			}
		}
	}
	nicFlush()
	for _, f := range w.take() {
		data, seq := payload(t, f)
		got = append(got, frame{data, seq})
	}
	if len(got) != len(want) || full == 0 || long == 0 {
		t.Fatalf("%d frames left, %d were posted; the ring was full %d times, %d were long", len(got), len(want), full, long)
	}
	for i := range want {
		if !bytes.Equal(got[i].data, want[i].data) || got[i].seq != want[i].seq {
			t.Fatalf("frame %d: %d bytes at %d, want %d at %d, or others", i, len(got[i].data), got[i].seq, len(want[i].data), want[i].seq)
		}
	}
}

// A long frame to somebody who is not known is lost, and asks who he is.
func TestLongFrameToNobody(t *testing.T) {
	w := newWire(t, 2048)
	to := ip{0, mapped | 0x0a00_0063}
	longSegment(net.address, to, 1, make([]byte, 9000), 1448)
	nicFlush()
	frames := w.take()
	if len(frames) != 1 || inet.Be16(frames[0][12:]) != inet.TypeARP || neighbourFor(to).waiting != 0 {
		t.Errorf("%d frames left", len(frames))
	}
}

package inet

import (
	"bytes"
	"testing"
)

// within tells whether part is a piece of whole, and not only equal to one.
func within(part, whole []byte) bool {
	return len(part) == 0 || cap(part) <= cap(whole) && &part[:cap(part)][cap(part)-1] == &whole[:cap(whole)][cap(whole)-1]
}

func FuzzIPv4(f *testing.F) {
	b := make([]byte, 30)
	PutIPv4(b, 0x0a000001, 0x0a000002, ProtoUDP, 7, 10)
	f.Add(b)
	f.Add(append([]byte{0x46, 0, 0, 24, 0, 1, 0x20, 8}, make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q IPv4
		if ParseIPv4(b, false, &p) && !ParseIPv4(b, true, &q) {
			t.Fatal("a checked packet is less right")
		}
		if !ParseIPv4(b, true, &p) {
			return
		}
		if !within(p.Payload, b) || len(p.Payload) > len(b)-IPv4Len || p.Fragment%8 != 0 {
			t.Fatalf("%+v", p)
		}
		if p.More || p.Fragment != 0 {
			return
		}
		again := make([]byte, IPv4Len, IPv4Len+len(p.Payload))
		PutIPv4(again, p.From, p.To, p.Proto, p.ID, len(p.Payload))
		PutBe16(again[10:], Checksum(0, again))
		again = append(again, p.Payload...)
		if !ParseIPv4(append(again, 1, 2, 3), false, &q) || !bytes.Equal(q.Payload, p.Payload) || q.From != p.From || q.To != p.To || q.Proto != p.Proto || q.ID != p.ID {
			t.Fatalf("got %+v, want %+v", q, p)
		}
	})
}

func FuzzUDP(f *testing.F) {
	b := make([]byte, 20)
	PutUDP(b, 1, 2, 12, 3)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var u, v UDP
		if !ParseUDP(b, &u) {
			return
		}
		if !within(u.Payload, b) || len(u.Payload) > len(b)-UDPLen {
			t.Fatalf("%+v", u)
		}
		again := make([]byte, UDPLen)
		PutUDP(again, u.From, u.To, len(u.Payload), Be16(b[6:]))
		if !ParseUDP(append(again, u.Payload...), &v) || v.From != u.From || v.To != u.To || v.Sum != u.Sum || !bytes.Equal(v.Payload, u.Payload) {
			t.Fatalf("got %+v, want %+v", v, u)
		}
	})
}

func FuzzTCP(f *testing.F) {
	for _, s := range []Segment{
		{Flags: SYN, MSS: 1460, HasScale: true, Scale: 7, SACKOK: true, HasTS: true, TSVal: 1, TSEcr: 2},
		{Flags: SYN | ACK, MSS: 536, SACKOK: true},
		{Flags: ACK, HasTS: true, NumBlocks: 3, Blocks: [roomForBlocks]Range{{1, 2}, {3, 4}, {5, 6}}},
		{Flags: ACK | PSH},
	} {
		b := make([]byte, s.HeaderLen())
		s.Put(b, 0)
		f.Add(append(b, "data"...))
	}
	f.Add([]byte{0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x70, SYN, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180, 3, 3, 15, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Segment{Len: 9, Offset: 9, MSS: 9, HasScale: true, HasTS: true, SACKOK: true, NumBlocks: 2}
		data, ok := ParseTCP(b, &s)
		if !ok {
			return
		}
		if !within(data, b) || uint32(len(data)) != s.Len || s.HasScale && s.Scale > mostScale {
			t.Fatalf("%d bytes of data in %+v", len(data), s)
		}
		// What is written is read again; options of a SYN only where they belong.
		if s.Flags&SYN == 0 {
			s.MSS, s.HasScale, s.SACKOK = 0, false, false
		}
		for i := s.NumBlocks; i < len(s.Blocks); i++ {
			s.Blocks[i] = Range{}
		}
		if !s.HasScale {
			s.Scale = 0
		}
		if !s.HasTS {
			s.TSVal, s.TSEcr = 0, 0
		}
		again := make([]byte, s.HeaderLen())
		s.Put(again, 5)
		var r Segment
		if rest, ok := ParseTCP(append(again, data...), &r); !ok || r != s || !bytes.Equal(rest, data) {
			t.Fatalf("got %+v, want %+v", r, s)
		}
		was := s
		if s.Refusal() {
			if was.Flags&RST != 0 || s.Flags&RST == 0 || s.Refusal() {
				t.Fatalf("%+v is refused by %+v", was, s)
			}
		}
	})
}

// FuzzChecksum: the sum of parts is that of the whole, by any division at an even place, and is that of RFC 1071.
func FuzzChecksum(f *testing.F) {
	f.Add([]byte("nom"), 2)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		var want uint32
		for i, c := range b {
			want += uint32(c) << (8 * (1 - i%2))
			want = want>>16 + want&0xffff
		}
		at = min(max(at, 0), len(b)) &^ 1
		if got := Checksum(Sum(0, b[:at]), b[at:]); got != ^uint16(want) {
			t.Fatalf("got %#x, want %#x", got, ^uint16(want))
		}
	})
}

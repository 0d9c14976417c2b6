package nic_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/lib/nic"
	"pgregory.net/rapid"
)

// packet is a packet of TCP as an application describes it.
type packet struct {
	six        bool
	ipOptions  int // bytes
	tcpOptions int
	flags      byte
	seq        uint32
	id         uint16
	mss        int
}

// head is the packet's headers, with lengths and checksums of n bytes of payload if whole, else with what nobody counts on.
func (p packet) head(data []byte, whole bool) []byte {
	b := append([]byte("\x02\x00\x00\x00\x00\x99\x02\x00\x00\x00\x00\x10"), 8, 0)
	l4 := 20 + p.tcpOptions + len(data)
	var pseudo []byte
	if p.six {
		b[12], b[13] = 0x86, 0xdd
		b = append(b, 0x60, 1, 2, 3, byte(l4>>8), byte(l4), 6, 64)
		for i := range byte(32) {
			b = append(b, 0x20+i)
		}
		pseudo = append(append(pseudo, b[22:54]...), 0, 0, byte(l4>>8), byte(l4), 0, 0, 0, 6)
		if !whole {
			b[18], b[19] = 0xee, 0xee
		}
	} else {
		n := 20 + p.ipOptions
		ip := append([]byte{0x40 | byte(n/4), 0, byte((n + l4) >> 8), byte(n + l4), byte(p.id >> 8), byte(p.id), 0x40, 0, 64, 6, 0, 0,
			10, 0, 2, 15, 10, 0, 2, 2}, bytes.Repeat([]byte{1}, p.ipOptions)...)
		if whole {
			binary.BigEndian.PutUint16(ip[10:], onesSum(ip))
		} else {
			ip[2], ip[3], ip[10], ip[11] = 0xee, 0xee, 0xee, 0xee
		}
		b = append(b, ip...)
		pseudo = append(append(pseudo, ip[12:20]...), 0, 6, byte(l4>>8), byte(l4))
	}
	tcp := append([]byte{0, 7, 0x13, 0x88}, binary.BigEndian.AppendUint32(nil, p.seq)...)
	tcp = append(tcp, 9, 8, 7, 6, byte(20+p.tcpOptions)/4<<4, p.flags, 0x20, 0, 0, 0, 0, 0)
	tcp = append(tcp, bytes.Repeat([]byte{1}, p.tcpOptions)...)
	if whole {
		binary.BigEndian.PutUint16(tcp[16:], onesSum(slices.Concat(pseudo, tcp, data)))
	} else {
		tcp[16], tcp[17] = 0xee, 0xee
	}
	return append(b, tcp...)
}

// onesSum is a checksum of RFC 1071.
func onesSum(b []byte) uint16 {
	n := uint64(0)
	for i, v := range b {
		n += uint64(v) << (8 * (^i & 1))
	}
	return ^uint16((n-1)%0xffff + 1) // a sum that is folded is 0 for nothing but zeros
}

// segments is what a packet is cut into: each segment is made anew, as a stack without a device that cuts would.
func (p packet) segments(data []byte) [][]byte {
	var list [][]byte
	for first := true; len(data) > 0; first = false {
		n := min(p.mss, len(data))
		s := p
		if n < len(data) {
			s.flags &^= 0x08 | 0x01 // PSH, FIN
		}
		if !first {
			s.flags &^= 0x80 // CWR
		}
		list = append(list, append(s.head(data[:n], true), data[:n]...))
		p.seq += uint32(n)
		p.id++
		data = data[n:]
	}
	return list
}

// put writes a packet into the parts that the queue has for it, of which the first has the headers and more bytes; and the rest of others
// as the lengths say, again and again. It says false when there is no room.
func put(q *nic.Queue, head, data []byte, more int, lengths ...int) ([]int, bool) {
	var parts []int
	for i := 0; len(data) > 0 || i == 0; i++ {
		b := q.Part(i)
		if b == nil {
			return nil, false
		}
		n, k := 0, 0
		if i == 0 {
			n, k = copy(b, head), more
		} else {
			k = lengths[i%len(lengths)]
		}
		k = copy(b[n:], data[:min(k, len(data))])
		data = data[k:]
		parts = append(parts, n+k)
	}
	return parts, true
}

// TestSegments sends frames and packets of all kinds through a device that is late, and compares what leaves with what a stack would have
// made without its help. Accounts must balance: a packet takes a slot for each part and one, and a full ring refuses and loses nothing.
func TestSegments(t *testing.T) {
	full, wraps := 0, uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, nic.Config{})
		r.d.Late = true
		r.q.Flush()
		r.d.Complete(-1)
		var want [][]byte
		id := 0
		compare := func() {
			for _, f := range r.take() {
				if len(want) == 0 || !bytes.Equal(f, want[0]) {
					t.Fatalf("got\n% x\nwant\n% x", f, want[:min(len(want), 1)])
				}
				want = want[1:]
			}
			if s := r.d.Stats(); s.Faults != 0 || s.TxBad != 0 {
				t.Fatalf("%+v", s)
			}
			if err := r.q.Verify(); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id++
			room := r.q.Room()
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0: // a frame that the device does not look at
				if b := r.q.Buffer(); b == nil {
					full++
				} else {
					f := frame(60+id, id)
					if copy(b, f); !r.q.Send(len(f), nic.Plain) {
						t.Fatal("a buffer, but no room")
					}
					want = append(want, f)
				}
			case 1: // one segment, for which the device makes checksums
				p := packet{flags: 0x19, seq: uint32(id) << 20, id: uint16(id), tcpOptions: 12, mss: 1000}
				data := frame(100+id, id)
				b := r.q.Buffer()
				if b == nil {
					full++
					continue
				}
				f := p.segments(data)[0]
				n := copy(b, f)
				b[24], b[25] = 0, 0
				binary.BigEndian.PutUint16(b[50:], ^onesSum(append([]byte{0, 6, byte((n - 34) >> 8), byte(n - 34)}, b[26:34]...)))
				if !r.q.Send(n, nic.TCP) {
					t.Fatal("a buffer, but no room")
				}
				want = append(want, f)
			case 2:
				r.q.Flush()
				r.d.Complete(rapid.IntRange(1, 100).Draw(t, "complete"))
				compare()
			default:
				p := packet{
					six:        rapid.Bool().Draw(t, "six"),
					ipOptions:  rapid.SampledFrom([]int{0, 0, 0, 4, 40}).Draw(t, "IP options"),
					tcpOptions: rapid.IntRange(0, 10).Draw(t, "TCP options") * 4,
					flags:      rapid.SampledFrom([]byte{0x10, 0x18, 0x98, 0xd8}).Draw(t, "flags"),
					seq:        rapid.Uint32().Draw(t, "seq"),
					id:         rapid.Uint16().Draw(t, "id"),
					mss:        rapid.IntRange(300, 1360).Draw(t, "mss"),
				}
				data := frame(rapid.SampledFrom([]int{18, 1000, 20000, 60000}).Draw(t, "payload")+rapid.IntRange(0, 2000).Draw(t, "besides"), id)
				more := rapid.IntRange(0, 1900).Draw(t, "more")
				length := rapid.IntRange(1200, 2048).Draw(t, "part")
				parts, ok := put(r.q, p.head(data, false), data, more, length, 2048)
				if !ok {
					full++
					continue
				}
				if err := r.q.SendTCP(parts, p.mss); err != nil {
					t.Fatal(err)
				}
				want = append(want, p.segments(data)...)
				if took, most := room-r.q.Room(), len(parts)+1; took < most-1 || took > most+1 { // a slot for the context of others
					t.Fatalf("%d parts took %d slots", len(parts), took)
				}
			}
		}
		wraps += r.q.TxFrames
		r.q.Flush()
		r.d.Complete(-1)
		compare()
		if len(want) != 0 {
			t.Fatalf("%d frames did not leave", len(want))
		}
	})
	if full == 0 || wraps == 0 {
		t.Errorf("the ring was full %d times", full)
	}
}

// TestSegmentFlags: of FIN, PSH and CWR, which SendTCP or QEMU do not let through, the model does what the datasheet says.
func TestSegmentFlags(t *testing.T) {
	r := newRig(t, nic.Config{})
	r.d.Late = true
	p := packet{flags: 0x10, mss: 100, id: 0xffff}
	data := frame(250, 1)
	head := r.q.Part(0)
	parts, _ := put(r.q, p.head(data, false), data, 250)
	if err := r.q.SendTCP(parts, 100); err != nil {
		t.Fatal(err)
	}
	p.flags = 0xd9
	head[14+20+13] = p.flags
	r.q.Flush()
	r.d.Complete(-1)
	if got, want := r.take(), p.segments(data); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got\n% x\nwant\n% x", got, want)
	}
	if s := r.d.Stats(); s.TxCut != 1 || s.TxFrames != 3 {
		t.Errorf("%+v", s)
	}
}

// TestSendTCPRefuses: what cannot be sent is refused with an error that says what to do, and nothing has changed.
func TestSendTCPRefuses(t *testing.T) {
	data := make([]byte, 3000)
	for want, c := range map[string]struct {
		p      packet
		change func(head []byte)
		parts  []int
		mss    int
	}{
		"0 parts: give 1 to 60": {parts: []int{}},
		"61 parts":              {parts: make([]int, 61)},
		"part 1 has 0 bytes":    {parts: []int{1000, 0}},
		"part 0 has 2049 bytes": {parts: []int{2049}},
		"part 2 has -1 bytes":   {parts: []int{1000, 1000, -1}},
		"at most 65549":         {parts: slices.Repeat([]int{2048}, 33)},
		"segments of 0 bytes":   {mss: -1},
		"segments of 1461 bytes: give 1 to 1460, what frames of 1514 bytes hold": {mss: 1461},
		"give 1 to 1440":            {p: packet{six: true}, mss: 1441},
		"without payload: use Send": {parts: []int{54}},
		"part 0 has 33 bytes":       {parts: []int{33, 1000}},
		"54 of headers at least":    {parts: []int{53, 1000}},
		"74 of headers at least":    {p: packet{six: true}, parts: []int{73, 1000}},
		"the header of TCP 32":      {p: packet{tcpOptions: 12}, parts: []int{65, 1000}},
		"the header of TCP 16":      {change: func(b []byte) { b[46] = 0x40 }},
		"type 0x0806":               {change: func(b []byte) { b[12], b[13] = 8, 6 }},
		"type 0x8100":               {change: func(b []byte) { b[12], b[13] = 0x81, 0 }},
		"IP of version 6":           {change: func(b []byte) { b[14] = 0x65 }},
		"is a fragment":             {change: func(b []byte) { b[20] = 0x20 }},
		"less than 20 bytes":        {change: func(b []byte) { b[14] = 0x44 }},
		"protocol 17":               {change: func(b []byte) { b[23] = 17 }},
		"protocol 44":               {p: packet{six: true}, change: func(b []byte) { b[20] = 44 }},
		"flags 0x11 of TCP":         {change: func(b []byte) { b[47] = 0x11 }},
		"flags 0x2 of TCP":          {change: func(b []byte) { b[47] = 0x02 }},
		"flags 0x14 of TCP":         {change: func(b []byte) { b[47] = 0x14 }},
		"flags 0x30 of TCP":         {change: func(b []byte) { b[47] = 0x30 }},
	} {
		r := newRig(t, nic.Config{})
		c.p.flags |= 0x10
		head := c.p.head(data, false)
		parts, _ := put(r.q, head, data, 1400, 2048)
		if c.parts != nil {
			parts = c.parts
		}
		if c.change != nil {
			c.change(r.q.Part(0))
		}
		mss := 1000
		if c.mss != 0 {
			mss = max(c.mss, 0)
		}
		first, room := bytes.Clone(r.q.Part(0)), r.q.Room()
		err := r.q.SendTCP(parts, mss)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if !bytes.Equal(first, r.q.Part(0)) || room != r.q.Room() || r.q.TxLength != 1 || r.q.TxFrames != 0 {
			t.Errorf("%q: something has changed: %+v", want, r.q.Counters)
		}
	}
}

// TestSegmentsFull: of a ring that the device does not empty, a packet takes what is said, the last that fits fills it, and the next is
// refused with ErrFull.
func TestSegmentsFull(t *testing.T) {
	for _, six := range []bool{false, true} {
		r := newRig(t, nic.Config{})
		r.d.Late = true
		p, data := packet{six: six, flags: 0x10, mss: 1000}, frame(20000, 1)
		r.q.Flush()
		r.d.Complete(-1)
		const each = 11 // ten parts and a context
		sent := 0
		for free := nic.RingSize - 1; ; free -= each {
			parts, ok := put(r.q, p.head(data, false), data, 1900, 2048)
			if ok != (free >= each) {
				t.Fatalf("with %d slots free: %v", free, ok)
			}
			want := free
			if six && sent > 0 {
				want-- // for the context that a frame wants
			}
			if got := r.q.Room(); got != want {
				t.Fatalf("room for %d after %d packets, want %d", got, sent, want)
			}
			if !ok {
				err := r.q.SendTCP(slices.Repeat([]int{2000}, each-1), p.mss)
				if !errors.Is(err, nic.ErrFull) || r.q.TxFull < 2 {
					t.Errorf("got %v, want %v", err, nic.ErrFull)
				}
				break
			}
			if err := r.q.SendTCP(parts, p.mss); err != nil || len(parts) != each-1 {
				t.Fatalf("%d parts: %v", len(parts), err)
			}
			sent++
		}
		if c := r.q.Counters; c.TxCut != uint64(sent) || c.TxFrames != c.TxCut || c.TxSegments != 20*c.TxCut || sent != 255/each {
			t.Errorf("%d packets: %+v", sent, c)
		}
		r.q.Flush()
		if got := r.d.Waiting(0); got != sent*each {
			t.Errorf("%d descriptors, want %d", got, sent*each)
		}
		r.d.Complete(-1)
		if got := len(r.take()); got != 20*sent {
			t.Errorf("%d segments left, want %d", got, 20*sent)
		}
		// The context comes before the next frame.
		b := r.q.Buffer()
		binary.BigEndian.PutUint16(b[50:], 0)
		copy(b, packet{flags: 0x10}.head(data[:100], true))
		binary.BigEndian.PutUint16(b[24:], 0)
		if r.q.Send(154, nic.TCP); r.q.Room() != nic.RingSize-2-map[bool]int{true: 1}[six] {
			t.Errorf("room for %d", r.q.Room())
		}
	}
}

// TestSegmentsInPlace: the device reads from the buffers that the application wrote to, and nothing is allocated.
func TestSegmentsInPlace(t *testing.T) {
	r := newRig(t, nic.Config{})
	r.d.OnSend = nil
	head, data, sent := packet{flags: 0x18}.head(nil, false), frame(60000, 1), 0
	r.d.OnSendBuffer = func(uint64) { sent++ }
	parts := make([]int, 0, nic.MaxParts)
	n := testing.AllocsPerRun(500, func() {
		parts, sent = parts[:0], 0
		for i, rest := 0, data; len(rest) > 0; i++ {
			b, n := r.q.Part(i), 0
			if i == 0 {
				n = copy(b, head)
			}
			k := copy(b[n:], rest)
			parts, rest = append(parts, n+k), rest[k:]
		}
		if len(parts) != r.q.PartsFor(len(head)+len(data)) {
			t.Fatalf("%d parts", len(parts))
		}
		if err := r.q.SendTCP(parts, 1460); err != nil {
			t.Fatal(err)
		}
		r.q.Flush()
		if sent != len(parts) {
			t.Fatalf("%d buffers were read, want %d", sent, len(parts))
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
	if s := r.d.Stats(); s.TxCut != r.q.TxCut || s.TxFrames != r.q.TxSegments || s.TxBad != 0 {
		t.Errorf("%+v, %+v", s, r.q.Counters)
	}
}

// TestSegmentsRestart: a function that was reset has forgotten its contexts, and the queue knows that.
func TestSegmentsRestart(t *testing.T) {
	r := newRig(t, nic.Config{})
	p, data := packet{six: true, flags: 0x10, mss: 500}, frame(1000, 1)
	for range 2 {
		parts, _ := put(r.q, p.head(data, false), data, 1900)
		if err := r.q.SendTCP(parts, p.mss); err != nil {
			t.Fatal(err)
		}
		r.q.Flush()
		if got := r.take(); !slices.EqualFunc(got, p.segments(data), bytes.Equal) {
			t.Fatalf("got %x", got)
		}
		r.d.Reset()
		if err := r.f.Restart(); err != nil {
			t.Fatal(err)
		}
		four := packet{flags: 0x10, mss: 1000}
		want := four.segments(data)[0]
		n := copy(r.q.Buffer(), want)
		b := r.q.Buffer()
		b[24], b[25] = 0, 0
		binary.BigEndian.PutUint16(b[50:], ^onesSum(append([]byte{0, 6, byte((n - 34) >> 8), byte(n - 34)}, b[26:34]...)))
		r.q.Send(n, nic.TCP)
		r.q.Flush()
		if got := r.take(); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Fatalf("after a restart: got\n% x\nwant\n% x", got, want)
		}
	}
}

// TestSegmentsWait: Run, of which a packet finds too little room, though some, comes back to it, and tells a device that does not transmit
// again: one that was paused waits for that.
func TestSegmentsWait(t *testing.T) {
	r := newRig(t, nic.Config{})
	p, data := packet{flags: 0x10, mss: 1000}, frame(60000, 1)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	r.d.Pause(true)
	sent, refused := 0, 0
	err := r.q.Run(ctx, func() int {
		parts, ok := put(r.q, p.head(data, false), data, 1900, 2048)
		if !ok {
			if refused++; refused == 300 {
				r.d.Pause(false)
			}
			return 0
		}
		if err := r.q.SendTCP(parts, p.mss); err != nil {
			t.Error(err)
		}
		if sent++; sent == 10 {
			stop()
		}
		return 1
	})
	if !errors.Is(err, context.Canceled) || sent < 10 || refused < 300 || r.q.Nudges == 0 {
		t.Errorf("%v: %d packets, refused %d times, %d nudges", err, sent, refused, r.q.Nudges)
	}
	if got := len(r.take()); got != sent*60 {
		t.Errorf("%d segments left of %d packets of 60", got, sent)
	}
}

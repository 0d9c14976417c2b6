package nic_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"nom.dev/nom/hw/igb"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
	"nom.dev/nom/metal"
)

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
}

// rig is a driver, its device, and what the device sent.
type rig struct {
	d    *nictest.Device
	f    *nic.Function
	q    *nic.Queue
	sent [][]byte
}

func newRig(t fataler, c nic.Config) *rig {
	t.Helper()
	r := &rig{d: nictest.New()}
	r.d.Longest = c.MaxFrame
	r.d.OnSend = func(_ int, f []byte) { r.sent = append(r.sent, bytes.Clone(f)) }
	f, err := nic.New(r.d, r.d.Alloc, c)
	if err != nil {
		t.Fatal(err)
	}
	r.f, r.q = f, f.Queue(0)
	return r
}

// take is what was sent since the last time.
func (r *rig) take() [][]byte {
	s := r.sent
	r.sent = nil
	return s
}

// frame is a frame of n bytes that tells which one it is.
func frame(n, id int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + id)
	}
	binary.BigEndian.PutUint32(b[14:], uint32(id))
	binary.BigEndian.PutUint16(b[12:], 0x88b5) // for experiments: the device does not look inside
	return b
}

func (r *rig) deliver(t testing.TB, f []byte) {
	t.Helper()
	if !r.d.Deliver(f) {
		t.Fatalf("a frame of %d bytes was not received: %+v", len(f), r.d.Stats())
	}
}

// TestRegisters: what the driver programs, by the numbers of the datasheet.
func TestRegisters(t *testing.T) {
	r := newRig(t, nic.Config{Queues: 2})
	for q := range uint32(2) {
		for _, c := range []struct {
			name              string
			offset, got, want uint32
		}{
			{"RDLEN", 0x2808, 0, 4096}, {"SRRCTL", 0x280c, 0, 0x8200_0002}, {"RDH", 0x2810, 0, 0}, {"RDT", 0x2818, 0, 255},
			{"RXDCTL", 0x2828, 0, 1 << 25}, {"TDLEN", 0x3808, 0, 4096}, {"TXDCTL", 0x3828, 0, 1 << 25}, {"TDT", 0x3818, 0, 0},
			{"VTEIMS", 0x1524, 0, 0},
		} {
			offset := c.offset
			if offset >= 0x2800 {
				offset += 0x100 * q
			}
			if got := r.d.Read32(offset); got != c.want {
				t.Errorf("queue %d, %s: got %#x, want %#x", q, c.name, got, c.want)
			}
		}
		if at := r.d.Read32(0x3838 + 0x100*q); at&1 == 0 || at&0xffc != 0 {
			t.Errorf("queue %d, TDWBAL: got %#x, want an aligned address and bit 0", q, at)
		}
	}
}

// TestEcho sends frames of all kinds of lengths around the rings many times.
func TestEcho(t *testing.T) {
	r := newRig(t, nic.Config{})
	for n := range 3000 {
		f := frame(60+n%1455, n)
		r.deliver(t, f)
		got, _ := r.q.Receive()
		if again, _ := r.q.Receive(); !bytes.Equal(got, f) || &again[0] != &got[0] {
			t.Fatalf("frame %d: got %d bytes, want %d, the same twice", n, len(got), len(f))
		}
		got[0] ^= 0xff
		f[0] ^= 0xff
		if !r.q.Reply(len(got), nic.Plain) {
			t.Fatalf("frame %d: no reply", n)
		}
		if len(r.sent) != 0 {
			t.Fatal("it was sent before Flush")
		}
		r.q.Flush()
		if sent := r.take(); len(sent) != 1 || !bytes.Equal(sent[0], f) {
			t.Fatalf("frame %d: %d frames sent", n, len(sent))
		}
	}
	if err := r.q.Verify(); err != nil {
		t.Error(err)
	}
	want := nic.Counters{RxFrames: 3000, TxFrames: 3000, RxBytes: r.q.TxBytes, TxBytes: r.q.RxBytes, Flushes: 3000}
	if r.q.Counters != want {
		t.Errorf("got %+v, want %+v", r.q.Counters, want)
	}
	if s := r.d.Stats(); s.Faults != 0 || s.TxBad != 0 || s.RxFull != 0 {
		t.Errorf("device: %+v", s)
	}
}

// TestZeroCopy: the buffer that was received into is the one that is transmitted from, and nothing is allocated.
func TestZeroCopy(t *testing.T) {
	r := newRig(t, nic.Config{})
	r.d.OnSend = nil
	f := frame(60, 1)
	var received, sent uint64
	r.d.OnReceiveBuffer = func(addr uint64) { received = addr }
	r.d.OnSendBuffer = func(addr uint64) { sent = addr }
	n := testing.AllocsPerRun(2000, func() {
		r.d.Deliver(f)
		if got, _ := r.q.Receive(); got == nil || !r.q.Reply(len(got), nic.Plain) {
			t.Fatal("no echo")
		}
		r.q.Flush()
		if received != sent || sent == 0 {
			t.Fatalf("received into %#x, sent from %#x", received, sent)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
}

// TestDoorbells: registers are written once a batch to transmit, and once for 32 frames to receive.
func TestDoorbells(t *testing.T) {
	r := newRig(t, nic.Config{})
	before := r.d.Stats()
	const batches, batch = 100, 16
	for n := range batches {
		for i := range batch {
			r.deliver(t, frame(60, n*batch+i))
		}
		for {
			f, _ := r.q.Receive()
			if f == nil {
				break
			}
			r.q.Reply(len(f), nic.Plain)
		}
		r.q.Flush()
	}
	s := r.d.Stats()
	if got := s.TailWrites[1] - before.TailWrites[1]; got != batches {
		t.Errorf("TDT was written %d times, want %d", got, batches)
	}
	if got := s.TailWrites[0] - before.TailWrites[0]; got > batches*batch/32 {
		t.Errorf("RDT was written %d times, want at most %d", got, batches*batch/32)
	}
	if s.Reads != before.Reads || s.Writes-before.Writes != s.TailWrites[0]+s.TailWrites[1]-before.TailWrites[0]-before.TailWrites[1] {
		t.Errorf("other registers were touched: %+v, before %+v", s, before)
	}
	if got := s.Reports - before.Reports; got != batches {
		t.Errorf("%d reports were asked for, want %d", got, batches)
	}
	r.q.Flush()
	if after := r.d.Stats(); after.Writes != s.Writes {
		t.Error("an empty Flush wrote a register")
	}
}

// TestFullRing: a transmit ring that the device does not empty refuses, loses nothing, and works on when it does.
func TestFullRing(t *testing.T) {
	r := newRig(t, nic.Config{})
	r.d.Late = true
	r.q.Flush() // the contexts
	next, done := 0, 0
	for round := range 50 {
		refused := false
		for range 400 {
			b := r.q.Buffer()
			if b == nil {
				refused = true
				break
			}
			copy(b, frame(100, next))
			if !r.q.Send(100, nic.Plain) {
				t.Fatalf("round %d: a buffer but no room", round)
			}
			next++
		}
		r.q.Flush()
		if !refused || r.q.Room() != 0 {
			t.Fatalf("round %d: a ring of %d took 400 frames", round, nic.RingSize)
		}
		if got := r.d.Waiting(0); got != nic.RingSize-1 {
			t.Fatalf("round %d: %d descriptors wait, want %d", round, got, nic.RingSize-1)
		}
		// Received frames stay where they are while they cannot be answered.
		if round == 0 {
			r.deliver(t, frame(60, 7))
			f, _ := r.q.Receive()
			if f == nil || r.q.Reply(len(f), nic.Plain) {
				t.Fatal("a reply to a full ring was not refused")
			}
			if again, _ := r.q.Receive(); !bytes.Equal(again, frame(60, 7)) {
				t.Fatal("the refused frame is gone")
			}
			r.q.Drop()
		}
		r.d.Complete(1 + round*5)
		r.d.Complete(-1)
		for _, f := range r.take() {
			if !bytes.Equal(f, frame(100, done)) {
				t.Fatalf("frame %d is another one", done)
			}
			done++
		}
	}
	if done != next || r.q.TxFull == 0 {
		t.Errorf("%d of %d frames were sent, %d refusals", done, next, r.q.TxFull)
	}
	if err := r.q.Verify(); err != nil {
		t.Error(err)
	}
}

// TestLengths: what cannot be a frame is refused; what is short is padded with zeros, not with what was in the buffer.
func TestLengths(t *testing.T) {
	r := newRig(t, nic.Config{})
	for _, n := range []int{-1, 0, 13, 2049, 1 << 20} {
		r.deliver(t, frame(60, 0))
		r.q.Receive()
		if r.q.Reply(n, nic.Plain) || r.q.Send(n, nic.Plain) {
			t.Errorf("a frame of %d bytes was taken", n)
		}
		r.q.Drop()
	}
	if r.q.TxLength != 10 {
		t.Errorf("got %d refusals, want 10", r.q.TxLength)
	}
	for _, n := range []int{42, 59, 60, 61, 2048} {
		r.deliver(t, bytes.Repeat([]byte{0xee}, 1514))
		f, _ := r.q.Receive()
		f = f[:cap(f)]
		for i := range f {
			f[i] = 0xee
		}
		r.q.Reply(n, nic.Plain)
		r.q.Flush()
		want := bytes.Repeat([]byte{0xee}, n) // the controller pads, not the driver
		if sent := r.take(); len(sent) != 1 || !bytes.Equal(sent[0], want) {
			t.Errorf("%d bytes: sent %x", n, sent)
		}
	}
}

// TestLong: a frame that spans buffers is dropped as one, and what follows is not hurt.
func TestLong(t *testing.T) {
	r := newRig(t, nic.Config{})
	r.d.MaxFrame = 9000
	for n, size := range []int{60, 2048, 2049, 60, 4096, 4097, 9000, 2048, 61} {
		r.deliver(t, frame(size, n))
		f, _ := r.q.Receive()
		switch {
		case size <= 2048 && !bytes.Equal(f, frame(size, n)):
			t.Errorf("frame of %d: got %d bytes", size, len(f))
		case size > 2048 && f != nil:
			t.Errorf("frame of %d: got %d bytes, want none", size, len(f))
		}
		if f != nil {
			r.q.Drop()
		}
	}
	if r.q.RxLong != 4 || r.q.RxFrames != 5 {
		t.Errorf("got %+v, want 4 long ones and 5 others", r.q.Counters)
	}
	if err := r.q.Verify(); err != nil {
		t.Error(err)
	}
}

// TestJumbo: long frames, which the driver asks for.
func TestJumbo(t *testing.T) {
	for _, size := range []int{4000, 9014, nic.LargestFrame} {
		r := newRig(t, nic.Config{MaxFrame: size})
		for n := range 600 {
			want := frame(size-n%50, n)
			r.deliver(t, want)
			f, _ := r.q.Receive()
			if !bytes.Equal(f, want) || !r.q.Reply(len(f), nic.Plain) {
				t.Fatalf("frame %d of %d bytes: got %d", n, len(want), len(f))
			}
			r.q.Flush()
			if sent := r.take(); len(sent) != 1 || !bytes.Equal(sent[0], want) {
				t.Fatalf("frame %d of %d bytes: not sent", n, len(want))
			}
		}
	}
}

// TestJumboRefused: who may not have long frames gets to know, and a driver whose question nobody answers ends.
func TestJumboRefused(t *testing.T) {
	for _, c := range []struct {
		longest, frame int
		ok             bool
	}{{0, 9014, true}, {0, 9015, false}, {0, nic.LargestFrame, false}, {1600, 1515, true}, {1600, 1601, false}, {100, 1514, true}, {100, 60, true}} {
		d := nictest.New()
		d.Longest = c.longest
		f, err := nic.New(d, d.Alloc, nic.Config{MaxFrame: c.frame})
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, nic.ErrRefused) {
			t.Errorf("%+v: got %v", c, err)
		}
		if err != nil {
			if d.Read32(0x2828) != 0 || d.Read32(0x3828) != 0 {
				t.Error("refused, but the queue runs")
			}
			continue
		}
		got := d.Deliver(frame(max(c.frame, 1514), 1))
		if f, _ := f.Queue(0).Receive(); !got || len(f) != max(c.frame, 1514) {
			t.Errorf("%+v: received %v, %d bytes", c, got, len(f))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		d := nictest.New()
		d.Mute = true
		if _, err := nic.New(d, d.Alloc, nic.Config{MaxFrame: 9014}); err == nil || errors.Is(err, nic.ErrRefused) {
			t.Errorf("nobody answers: got %v", err)
		}
	})
}

// TestTwoQueues: they share nothing but the function.
func TestTwoQueues(t *testing.T) {
	r := newRig(t, nic.Config{Queues: 2})
	got := [2]int{}
	r.d.OnSend = func(q int, f []byte) {
		if int(f[14+3])%2 != q {
			t.Errorf("frame %d left from queue %d", f[17], q)
		}
		got[q]++
	}
	for n := range 1000 {
		q := r.f.Queue(n % 2)
		if !r.d.DeliverTo(n%2, frame(60, n%256)) {
			t.Fatal("not received")
		}
		f, _ := q.Receive()
		if f == nil || !q.Reply(60, nic.Plain) {
			t.Fatal("no echo")
		}
		q.Flush()
	}
	if got != [2]int{500, 500} || r.f.Queues() != 2 {
		t.Errorf("sent %v", got)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []nic.Config{
		{Queues: 3}, {Queues: -1}, {MaxFrame: 59}, {MaxFrame: 9725}, {Spare: -1}, {Spare: 1 << 20},
		{Setting: nic.Setting{Batch: 256}}, {Setting: nic.Setting{Batch: 1, Spin: -1}}, {Setting: nic.Setting{Batch: 1, Interval: 8192000}},
	} {
		d := nictest.New()
		if _, err := nic.New(d, d.Alloc, c); err == nil {
			t.Errorf("%+v: got no error", c)
		}
	}
	d := nictest.New()
	broken := errors.New("no memory")
	if _, err := nic.New(d, func(int) (nic.Memory, error) { return nic.Memory{}, broken }, nic.Config{}); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	for _, m := range []nic.Memory{{}, {Bytes: make([]byte, 100)}, {Bytes: alloc(t, d, 3*4096).Bytes, Addr: 1}, alloc(t, d, 4*4096)} {
		if _, err := nic.New(d, func(int) (nic.Memory, error) { return m, nil }, nic.Config{}); err == nil {
			t.Errorf("%d bytes at %#x: got no error", len(m.Bytes), m.Addr)
		}
	}
	if _, err := nic.Open(0, nic.Config{}); !errors.Is(err, metal.ErrNotRunning) {
		t.Errorf("Open on Linux: got %v, want %v", err, metal.ErrNotRunning)
	}
	if g := nic.Grants(); g != nil {
		t.Errorf("got %d functions on Linux", len(g))
	}
}

func alloc(t *testing.T, d *nictest.Device, n int) nic.Memory {
	t.Helper()
	m, err := d.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestReset: the driver notices each way in which a function can go away, and comes back.
func TestReset(t *testing.T) {
	for name, reset := range map[string]func(d *nictest.Device){
		"reset":         (*nictest.Device).Reset,
		"reads zeros":   func(d *nictest.Device) { d.Remove(0) },
		"reads ones":    func(d *nictest.Device) { d.Remove(^uint32(0)) },
		"receiver off":  func(d *nictest.Device) { d.Write32(0x2828, 0) },
		"sender off":    func(d *nictest.Device) { d.Write32(0x3828, 0) },
		"another ring":  func(d *nictest.Device) { d.Write32(0x2800, 0x1000) },
		"second queue":  func(d *nictest.Device) { d.Write32(0x2928, 0) },
		"driver's Stop": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nic.Config{Queues: 2, Spare: 4})
			if err := r.f.Check(); err != nil {
				t.Fatal(err)
			}
			r.deliver(t, frame(60, 1))
			r.q.Receive()
			kept, _ := r.q.Keep()
			r.deliver(t, frame(60, 2)) // lost
			if reset == nil {
				r.f.Stop()
			} else {
				reset(r.d)
			}
			if err := r.f.Check(); !errors.Is(err, nic.ErrReset) {
				t.Errorf("got %v, want %v", err, nic.ErrReset)
			}
			if v := r.d.Read32(igb.VTSTATUS); v == 0 || v == ^uint32(0) {
				if err := r.f.Restart(); !errors.Is(err, nic.ErrReset) || r.f.Link() {
					t.Errorf("restart of a function that is gone: got %v", err)
				}
			}
			r.d.Return()
			if err := r.f.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := r.f.Check(); err != nil {
				t.Error(err)
			}
			if f, _ := r.q.Receive(); f != nil {
				t.Error("a frame from before the reset")
			}
			r.deliver(t, frame(60, 3))
			if f, _ := r.q.Receive(); !bytes.Equal(f, frame(60, 3)) || !r.q.Reply(60, nic.Plain) {
				t.Error("no echo after the restart")
			}
			r.q.Flush()
			if len(r.take()) != 1 || !bytes.Equal(r.q.Bytes(kept)[:60], frame(60, 1)) {
				t.Error("nothing sent after the restart, or a kept frame lost")
			}
			r.q.Release(kept)
			if err := r.q.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLink(t *testing.T) {
	r := newRig(t, nic.Config{})
	if !r.f.Link() {
		t.Error("got no link")
	}
	r.d.SetLink(false)
	if r.f.Link() {
		t.Error("got a link that is down")
	}
}

// TestBlocked: memory that the device may not reach looks like success to the driver, as the hardware has it; nothing breaks.
func TestBlocked(t *testing.T) {
	r := newRig(t, nic.Config{})
	r.d.Unmap()
	r.d.Deliver(frame(60, 1))
	if f, _ := r.q.Receive(); f != nil {
		t.Error("got a frame that the device could not write")
	}
	copy(r.q.Buffer(), frame(60, 2))
	r.q.Send(60, nic.Plain)
	r.q.Flush()
	if s := r.d.Stats(); s.Faults == 0 || len(r.sent) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWindow(t *testing.T) {
	memory := make([]byte, 64)
	w := nic.NewWindow(memory)
	w.Write32(8, 0x01020304)
	if got := w.Read32(8); got != 0x01020304 || memory[8] != 4 || memory[12] != 0 {
		t.Errorf("got %#x, % x", got, memory[:16])
	}
	defer func() {
		if recover() == nil {
			t.Error("got a register outside of the window")
		}
	}()
	w.Read32(62)
}

func ExampleQueue() {
	device := nictest.New() // elsewhere: nic.Open
	device.OnSend = func(_ int, frame []byte) { fmt.Printf("sent %d bytes to % x\n", len(frame), frame[:6]) }
	function, err := nic.New(device, device.Alloc, nic.Config{MAC: [6]byte{2, 0, 0, 0, 0, 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	device.Deliver(append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0xb5}, make([]byte, 50)...))

	queue := function.Queue(0)
	for {
		frame, _ := queue.Receive()
		if frame == nil {
			break
		}
		copy(frame[0:6], frame[6:12]) // back to the sender
		copy(frame[6:12], function.MAC[:])
		if !queue.Reply(len(frame), nic.Plain) {
			queue.Drop()
		}
	}
	queue.Flush()
	// Output: sent 64 bytes to 02 00 00 00 00 09
}

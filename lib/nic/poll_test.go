package nic_test

import (
	"bytes"
	"testing"

	"nom.dev/nom/lib/nic"
	"pgregory.net/rapid"
)

// moody does something else with each frame, as next says, and notes what it expects to be sent.
type moody struct {
	t     *rapid.T
	q     *nic.Queue
	next  func() int
	got   [][]byte
	given [][]byte
	kept  []nic.Kept
}

func (m *moody) Input(f []byte, _ nic.Status) nic.Answer {
	m.got = append(m.got, bytes.Clone(f))
	switch m.next() {
	case 0: // drop
	case 1: // no frame can have this length
		return nic.Answer{N: 1 << 20}
	case 2: // keep
		k, ok := m.q.Keep()
		if !ok {
			m.q.Release(m.kept[0])
			m.kept = m.kept[1:]
			return nic.Answer{}
		}
		m.kept = append(m.kept, k)
		return nic.Answer{N: 60} // it is not there any more: nothing is sent
	case 3: // send something else first
		if b := m.q.Buffer(); b != nil {
			copy(b, frame(77, 5))
			if !m.q.Send(77, nic.Plain) {
				m.t.Fatal("a buffer, but no room")
			}
			m.given = append(m.given, frame(77, 5))
		}
		fallthrough
	default:
		f[0] ^= 0xff
		if m.q.Room() > 0 {
			m.given = append(m.given, bytes.Clone(f))
		}
		return nic.Answer{N: len(f)}
	}
	return nic.Answer{}
}

// TestPoll: whatever the stack does with its frames, among them some that do not fit a buffer, and however late the device transmits.
func TestPoll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, nic.Config{Spare: 2})
		r.d.Late = true
		r.d.MaxFrame = 9000
		m := &moody{t: t, q: r.q, next: func() int { return rapid.IntRange(0, 9).Draw(t, "mood") }}
		var want, sent [][]byte
		for step := range rapid.IntRange(1, 30).Draw(t, "steps") {
			for i := range rapid.IntRange(0, 60).Draw(t, "frames") {
				n := 60 + (step*131+i*37)%2200
				if f := frame(n, step*100+i); r.d.Deliver(f) && n <= 2048 {
					want = append(want, f)
				}
			}
			for range rapid.IntRange(0, 5).Draw(t, "polls") {
				if n := r.q.Poll(m); n > r.q.Batch() {
					t.Fatalf("%d frames in a batch of %d", n, r.q.Batch())
				}
			}
			r.q.Flush()
			r.d.Complete(rapid.IntRange(0, 100).Draw(t, "complete"))
			sent = append(sent, r.take()...)
			if err := r.q.Verify(); err != nil {
				t.Fatal(err)
			}
		}
		for idle := 0; idle < 2; idle++ {
			if r.q.Poll(m) > 0 {
				idle = 0
			}
			r.q.Flush()
			r.d.Complete(-1)
		}
		sent = append(sent, r.take()...)
		same := func(what string, got, want [][]byte) {
			if len(got) != len(want) {
				t.Fatalf("%s: got %d frames, want %d", what, len(got), len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("%s: frame %d of %d differs", what, i, len(got))
				}
			}
		}
		same("received", m.got, want)
		same("sent", sent, m.given)
		if r.q.RxFrames != uint64(len(want)) || r.q.TxFrames != uint64(len(sent)) {
			t.Fatalf("%+v, want %d and %d", r.q.Counters, len(want), len(sent))
		}
	})
}

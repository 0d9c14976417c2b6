package nic_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"nom.dev/nom/lib/nic"
	"pgregory.net/rapid"
)

// TestAnyOrder does everything that a queue can do in any order, against a device that transmits late, and checks that each buffer
// is in one place, that what is received is what was delivered, that what is sent is what was given, in order, and that kept
// frames do not change.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, nic.Config{Spare: 3})
		r.d.Late = true
		var wire, given [][]byte // delivered but not yet received; put into the transmit ring but not yet seen
		kept := map[nic.Kept][]byte{}
		next := 0
		anyKept := func() (nic.Kept, bool) {
			for k := range kept {
				return k, true
			}
			return 0, false
		}
		receive := func() []byte {
			f, _ := r.q.Receive()
			if (f == nil) != (len(wire) == 0) {
				t.Fatalf("got a frame of %d bytes, %d are waiting", len(f), len(wire))
			}
			if f != nil && !bytes.Equal(f, wire[0]) {
				t.Fatalf("got a frame of %d bytes, want another one of %d", len(f), len(wire[0]))
			}
			return f
		}
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					next++
					f := frame(60+next*37%1455, next)
					if r.d.Deliver(f) {
						wire = append(wire, f)
					}
				}
			},
			"reply": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "n") {
					f := receive()
					if f == nil {
						return
					}
					f[1]++
					want := bytes.Clone(f)
					if !r.q.Reply(len(f), nic.Plain) {
						f[1]--
						return
					}
					wire, given = wire[1:], append(given, want)
				}
			},
			"drop": func(*rapid.T) {
				if receive() != nil {
					r.q.Drop()
					wire = wire[1:]
				}
			},
			"keep": func(t *rapid.T) {
				f := receive()
				if f == nil {
					return
				}
				k, ok := r.q.Keep()
				if ok != (len(kept) < 3) {
					t.Fatalf("with %d frames kept: %v", len(kept), ok)
				}
				if ok {
					kept[k] = wire[0]
					wire = wire[1:]
				}
			},
			"release": func(*rapid.T) {
				if k, ok := anyKept(); ok {
					r.q.Release(k)
					delete(kept, k)
				}
			},
			"send kept": func(*rapid.T) {
				if k, ok := anyKept(); ok && r.q.SendKept(k, len(kept[k]), nic.Plain) {
					given = append(given, kept[k])
					delete(kept, k)
				}
			},
			"send": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					b := r.q.Buffer()
					if b == nil {
						return
					}
					next++
					f := frame(60+next*41%1455, next)
					copy(b, f)
					if !r.q.Send(len(f), nic.Plain) {
						t.Fatal("a buffer, but no room")
					}
					given = append(given, f)
				}
			},
			"flush":    func(*rapid.T) { r.q.Flush() },
			"complete": func(t *rapid.T) { r.d.Complete(rapid.IntRange(1, 300).Draw(t, "n")) },
			"": func(t *rapid.T) {
				if err := r.q.Verify(); err != nil {
					t.Fatal(err)
				}
				for _, f := range r.take() {
					if len(given) == 0 || !bytes.Equal(f, given[0]) {
						t.Fatalf("sent a frame of %d bytes that nobody gave", len(f))
					}
					given = given[1:]
				}
				for k, want := range kept {
					if !bytes.Equal(r.q.Bytes(k)[:len(want)], want) {
						t.Fatal("a kept frame has changed")
					}
				}
				if s := r.d.Stats(); s.Faults != 0 || s.TxBad != 0 {
					t.Fatalf("%+v", s)
				}
			},
		})
	})
}

// TestKeptTwice: who releases a buffer twice is stopped before somebody else's frame is in two places.
func TestKeptTwice(t *testing.T) {
	for name, misuse := range map[string]func(q *nic.Queue, k nic.Kept){
		"release": func(q *nic.Queue, k nic.Kept) { q.Release(k) },
		"send":    func(q *nic.Queue, k nic.Kept) { q.SendKept(k, 60, nic.Plain) },
		"read":    func(q *nic.Queue, k nic.Kept) { q.Bytes(k) },
		"other":   func(q *nic.Queue, k nic.Kept) { q.Release(k + 1) },
		"beyond":  func(q *nic.Queue, k nic.Kept) { q.Release(1 << 31) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nic.Config{Spare: 1})
			r.deliver(t, frame(60, 1))
			r.q.Receive()
			k, ok := r.q.Keep()
			if !ok || r.q.Spare() != 0 {
				t.Fatal("cannot keep")
			}
			r.q.Release(k)
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			misuse(r.q, k)
		})
	}
}

// FuzzHostileDevice lets the device write what it likes into descriptors and into the place where it reports what it has sent. The
// driver must neither crash nor lose a buffer, and must work again when the device does.
func FuzzHostileDevice(f *testing.F) {
	f.Add(uint64(1), uint64(0), uint64(0xffff_ffff_ffff_ffff), uint32(0xffff_ffff))
	f.Add(uint64(2), uint64(1)<<63, uint64(0x2049_0000_0003), uint32(256))
	f.Add(uint64(3), uint64(0), uint64(0x8000_0003|60<<32), uint32(17))
	f.Add(uint64(4), uint64(0), uint64(1), uint32(254))
	f.Fuzz(func(t *testing.T, seed, xorLo, orHi uint64, head uint32) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, nic.Config{Spare: 2})
		hostile := true
		r.d.MangleRx = func(_ uint32, lo, hi uint64) (uint64, uint64) {
			if !hostile || random.IntN(3) == 0 {
				return lo, hi
			}
			return lo ^ xorLo, hi ^ orHi&random.Uint64() | 1
		}
		r.d.MangleTx = func(at uint32) uint32 {
			if !hostile || random.IntN(3) == 0 {
				return at
			}
			return at ^ head
		}
		var kept []nic.Kept
		for n := range 800 {
			r.d.Deliver(frame(60+n%1400, n))
			if n%5 == 0 {
				r.q.Poll(echoStack{})
				continue
			}
			got, status := r.q.Receive()
			_, _ = status.UDPOK(), status.TransportBad()
			if got == nil {
				continue
			}
			switch random.IntN(4) {
			case 0:
				r.q.Drop()
			case 1:
				if k, ok := r.q.Keep(); ok {
					kept = append(kept, k)
				} else {
					r.q.Release(kept[0])
					kept = kept[1:]
				}
			default:
				for i := range got[:cap(got)] {
					got[:cap(got)][i] = byte(i)
				}
				if !r.q.Reply(len(got), nic.Offload(random.UintN(256))) {
					r.q.Drop()
				}
			}
			if n%7 == 0 {
				p := packet{six: n%2 == 0, flags: 0x10, mss: 1000}
				if parts, ok := put(r.q, p.head(nil, false), frame(9000, n), 1900, 2048); ok {
					if err := r.q.SendTCP(parts, p.mss); err != nil {
						t.Fatal(err)
					}
				}
				r.q.Flush()
			}
		}
		if err := r.q.Verify(); err != nil {
			t.Fatal(err)
		}
		hostile = false
		if err := r.f.Restart(); err != nil {
			t.Fatal(err)
		}
		r.take()
		for n := range 600 {
			r.deliver(t, frame(60, n))
			got, _ := r.q.Receive()
			if !bytes.Equal(got, frame(60, n)) || !r.q.Reply(60, nic.Plain) {
				t.Fatalf("after the hostile device, frame %d: got %x", n, got)
			}
			r.q.Flush()
			if sent := r.take(); len(sent) != 1 || !bytes.Equal(sent[0], frame(60, n)) {
				t.Fatalf("after the hostile device, frame %d: sent %x", n, sent)
			}
		}
	})
}

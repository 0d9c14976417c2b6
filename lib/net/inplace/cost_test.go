package inplace

import (
	"testing"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
)

// echoCost is how many instructions driver and stack take for a batch of echoed datagrams of n bytes of payload, everything between
// the device's write of the first descriptor and the write of the tails.
func echoCost(t *testing.T, offload bool, batch, payload int) int {
	d := nictest.New()
	d.Late = true
	f, err := nic.New(d, d.Alloc, nic.Config{MAC: ourMAC, Setting: nic.Setting{Batch: 64}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, offload)
	if err := s.Listen(7, echo); err != nil {
		t.Fatal(err)
	}
	q := f.Queue(0)
	once := func() {
		if n := s.Poll(q); n != batch {
			t.Fatalf("polled %d frames of %d", n, batch)
		}
	}
	question := request(make([]byte, payload))
	for range 4 { // the first time round is not the usual one
		for range batch {
			d.Deliver(question)
		}
		once()
		q.Flush()
		d.Complete(-1)
	}
	for range batch {
		d.Deliver(question)
	}
	return nictest.Instructions(t, once)
}

// TestEchoCost holds the native path to its price, which does not depend on how long a datagram is: nothing copies or reads the
// payload unless the device does no checksums. The doorbells are not in it: one or two stores to registers a batch.
func TestEchoCost(t *testing.T) {
	if testing.Short() {
		t.Skip("steps through instructions one by one")
	}
	short := 0
	for _, c := range []struct {
		name    string
		offload bool
		payload int
		bound   int
	}{{"device 18", true, 18, 300}, {"device 1472", true, 1472, 300}, {"software 64", false, 64, 800}} {
		t.Run(c.name, func(t *testing.T) {
			few, many := echoCost(t, c.offload, 4, c.payload), echoCost(t, c.offload, 20, c.payload)
			each := float64(many-few) / 16
			t.Logf("%.1f instructions a datagram, and %.0f a batch", each, float64(few)-4*each)
			if c.payload == 18 {
				short = many
			}
			if c.payload == 1472 && many != short {
				t.Errorf("%d instructions for a batch of long datagrams, %d for short ones", many, short)
			}
			if each > float64(c.bound) {
				t.Errorf("%.1f instructions a datagram, want at most %d", each, c.bound)
			}
		})
	}
}

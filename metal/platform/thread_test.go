package main

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A queue gives each CPU the first thread that may run there.
func TestThreadQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q threadQueue
		var model []*thread
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			if rapid.Bool().Draw(t, "put") {
				n := &thread{mask: rapid.Uint64Range(1, 7).Draw(t, "mask")}
				q.put(n)
				model = append(model, n)
				continue
			}
			bit := uint64(1) << rapid.IntRange(0, 2).Draw(t, "cpu")
			var want *thread
			if i := slices.IndexFunc(model, func(n *thread) bool { return n.mask&bit != 0 }); i >= 0 {
				want = model[i]
				model = slices.Delete(model, i, i+1)
			}
			if got := q.take(bit); got != want {
				t.Fatalf("take(%#x): got %p, want %p", bit, got, want)
			}
			if q.n != len(model) || (q.tail == nil) != (len(model) == 0) {
				t.Fatalf("got length %d, tail %p; want %d", q.n, q.tail, len(model))
			}
		}
	})
}

// Sleepers are in the order of their deadlines, and first come first among equals.
func TestSleepList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l sleepList
		var model []*thread
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			if len(model) == 0 || rapid.IntRange(0, 2).Draw(t, "add") > 0 {
				n := &thread{deadline: rapid.Uint64Range(1, 9).Draw(t, "deadline")}
				l.add(n)
				model = append(model, n)
				slices.SortStableFunc(model, func(a, b *thread) int { return int(a.deadline) - int(b.deadline) })
			} else {
				i := rapid.IntRange(0, len(model)-1).Draw(t, "remove")
				l.remove(model[i])
				if model[i].sleeping || model[i].sleepNext != nil {
					t.Fatal("a removed thread is still linked")
				}
				model = slices.Delete(model, i, i+1)
			}
			var got []*thread
			for n := l.head; n != nil; n = n.sleepNext {
				got = append(got, n)
			}
			if !slices.Equal(got, model) {
				t.Fatalf("got %d sleepers in another order than the %d expected", len(got), len(model))
			}
			want := uint64(never)
			if len(model) > 0 {
				want = model[0].deadline
			}
			if l.first() != want {
				t.Fatalf("first: got %d, want %d", l.first(), want)
			}
		}
	})
}

// FUTEX_WAKE wakes those that wait for the address, with a bit in common, oldest first and no more than asked.
func TestFutexWake(t *testing.T) {
	fakeCPU(t)
	rapid.Check(t, func(t *rapid.T) {
		waiters = futexTable{}
		cpus[0].queue = threadQueue{}
		var model []*thread
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			addr := uint64(rapid.SampledFrom([]int{0x1000, 0x1004, 0x1100, 0x9000}).Draw(t, "address"))
			if rapid.IntRange(0, 2).Draw(t, "wait") > 0 {
				n := &thread{state: threadBlocked, wait: waitFutex, waitAddr: addr, mask: never, cpu: &cpus[0]}
				n.bitset = rapid.Uint32Range(1, 3).Draw(t, "bits")
				waiters.add(n, addr)
				model = append(model, n)
				continue
			}
			most := rapid.Uint64Range(0, 3).Draw(t, "most")
			bits := rapid.Uint32Range(1, 3).Draw(t, "bits")
			var want []*thread
			for _, n := range model {
				if n.waitAddr == addr && n.bitset&bits != 0 && uint64(len(want)) < most {
					want = append(want, n)
				}
			}
			if got := futexRouse(addr, most, bits); got != uint64(len(want)) {
				t.Fatalf("got %d woken, want %d", got, len(want))
			}
			for _, n := range want {
				if got := cpus[0].queue.take(1); got != n {
					t.Fatal("woken in another order than they began to wait, or not queued")
				}
				waiters.remove(n, addr)
				model = slices.DeleteFunc(model, func(m *thread) bool { return m == n })
			}
			if n := cpus[0].queue.take(1); n != nil {
				t.Fatal("one too many was woken")
			}
		}
	})
}

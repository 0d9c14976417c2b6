package main

import (
	"testing"

	"pgregory.net/rapid"
)

// A pipe that does not block against a queue of bytes.
func TestPipe(t *testing.T) {
	fakeMachine(t, 1024, nil)
	rapid.Check(t, func(rt *rapid.T) {
		must(t, "pipe2", sysPipe2, buffer(0), oNonblock)
		r, w := uint64(load32(buffer(0))), uint64(load32(buffer(0)+4))
		defer must(t, "close", sysClose, r)
		defer must(t, "close", sysClose, w)
		var model []byte
		next := byte(0)
		for range rapid.IntRange(1, 80).Draw(rt, "operations") {
			n := rapid.SampledFrom([]int{0, 1, 100, 4095, 4096, 4097, 20000, 65536}).Draw(rt, "n")
			room := pipeCapacity - len(model)
			if rapid.Bool().Draw(rt, "write") {
				for i := range n {
					dataBuffers[0][i] = next
					next = next*5 + 1
				}
				want := uint64(min(n, room))
				if n > 0 && (room == 0 || n <= pipeAtomic && room < n) {
					want = errno(eAGAIN)
				}
				got := platformCall(sysWrite, w, buffer(0), uint64(n))
				if got != want {
					rt.Fatalf("write of %d with room for %d: got %s, want %s", n, room, result(got), result(want))
				}
				if int64(got) > 0 {
					model = append(model, dataBuffers[0][:got]...)
				}
				continue
			}
			want := uint64(min(n, len(model)))
			if n > 0 && len(model) == 0 {
				want = errno(eAGAIN)
			}
			got := platformCall(sysRead, r, buffer(0), uint64(n))
			if got != want || int64(got) > 0 && string(dataBuffers[0][:got]) != string(model[:got]) {
				rt.Fatalf("read of %d with %d there: got %s, want %s and the bytes written", n, len(model), result(got), result(want))
			}
			if int64(got) > 0 {
				model = model[got:]
			}
		}
	})
}

func TestPipeEnds(t *testing.T) {
	fakeMachine(t, 1024, nil)
	must(t, "pipe2", sysPipe2, buffer(0), 0) // the table of pipes keeps its frames
	must(t, "close", sysClose, uint64(load32(buffer(0))))
	must(t, "close", sysClose, uint64(load32(buffer(0)+4)))
	free := pool.nfree
	must(t, "pipe2", sysPipe2, buffer(0), oNonblock)
	r, w := uint64(load32(buffer(0))), uint64(load32(buffer(0)+4))
	again := must(t, "dup", sysDup, w)
	must(t, "write", sysWrite, w, buffer(0), 5)
	must(t, "close", sysClose, w)
	fails(t, "read of the wrong end", eBADF, sysRead, again, buffer(0), 1)
	fails(t, "seek", eSPIPE, sysLseek, r, 0, 0)
	must(t, "read", sysRead, r, buffer(0), 5)
	fails(t, "read while somebody can write", eAGAIN, sysRead, r, buffer(0), 5)
	must(t, "close", sysClose, again)
	if n := must(t, "read", sysRead, r, buffer(0), 5); n != 0 {
		t.Errorf("read after the last writer: got %d, want 0", n)
	}
	must(t, "close", sysClose, r)

	must(t, "pipe2", sysPipe2, buffer(0), 0)
	r, w = uint64(load32(buffer(0))), uint64(load32(buffer(0)+4))
	must(t, "close", sysClose, r)
	fails(t, "write without a reader", ePIPE, sysWrite, w, buffer(0), 1)
	if got := cpus[0].current.pending; got != 1<<(sigPIPE-1) {
		t.Errorf("pending signals: got %#x, want SIGPIPE", got)
	}
	must(t, "close", sysClose, w)
	if got := pool.nfree; got != free {
		t.Errorf("free frames: got %d, want %d", got, free)
	}
}

// The poller reports each end of a pipe when it becomes ready, and an edge once.
func TestPipePolled(t *testing.T) {
	fakeMachine(t, 1024, nil)
	must(t, "pipe2", sysPipe2, buffer(0), oNonblock)
	r, w := uint64(load32(buffer(0))), uint64(load32(buffer(0)+4))
	for _, fd := range []uint64{r, w} {
		store32(buffer(0), epollIn|epollOut|epollET&0xffff_ffff)
		store64(buffer(0)+4, fd)
		if e := epollCtl(0, 1, fd, buffer(0)); e != 0 {
			t.Fatalf("epoll_ctl: %s", result(e))
		}
	}
	type event struct {
		fd     uint64
		events uint32
	}
	ready := func() []event {
		n := pollReady(0, buffer(0), 10)
		var list []event
		for i := range n {
			p := buffer(0) + i*eventLen
			list = append(list, event{load64(p + 4), load32(p)})
		}
		return list
	}
	check := func(when string, want ...event) {
		t.Helper()
		got := ready()
		if len(got) != len(want) {
			t.Fatalf("%s: got %v, want %v", when, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
	}
	check("new", event{w, epollOut})
	check("again")
	must(t, "write", sysWrite, w, buffer(1), 65536)
	check("written", event{r, epollIn})
	check("written, again")
	must(t, "read", sysRead, r, buffer(1), 100)
	check("not enough read for an atomic write")
	must(t, "read", sysRead, r, buffer(1), 65536)
	check("read", event{w, epollOut})
	must(t, "write", sysWrite, w, buffer(1), 1)
	must(t, "close", sysClose, w)
	check("writer closed", event{r, epollIn | epollHup})
}

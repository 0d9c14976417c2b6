package main

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What poll and select say of random descriptors in random states is what Linux says.

const pollAll = 0xffff

// pollBoth makes poll(2) on the same descriptors of both sides, and compares. Linux may be a little late.
func (w *twin) pollBoth(all []pair, want func(i int) uint16) {
	w.t.Helper()
	var got [2][]uint16
	for range 20 {
		for side, call := range [2]func(uint64, ...uint64) uint64{platformCall, linuxCall} {
			for i, p := range all {
				store32(buffer(side)+uint64(i)*pollfdLen, uint32(p[side]))
				store32(buffer(side)+uint64(i)*pollfdLen+4, uint32(want(i)))
			}
			n := call(sysPoll, buffer(side), uint64(len(all)), 0)
			got[side] = []uint16{uint16(n)}
			for i := range all {
				got[side] = append(got[side], *at[uint16](buffer(side) + uint64(i)*pollfdLen + 6))
			}
		}
		if slices.Equal(got[0], got[1]) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatalf("poll of %d: got %#x, Linux has %#x", all, got[0], got[1])
}

// selectBoth makes select(2), each descriptor being in some of the three sets.
func (w *twin) selectBoth(all []pair, in func(i int) uint8) {
	w.t.Helper()
	const size = 1024 / 8
	var got [2][]uint64
	for range 20 {
		for side, call := range [2]func(uint64, ...uint64) uint64{platformCall, linuxCall} {
			b := dataBuffers[side][:3*size+32]
			clear(b)
			sets := [3]uint64{buffer(side), buffer(side) + size, buffer(side) + 2*size}
			bit := func(k int, fd uint64) *byte { return &b[uint64(k)*size+fd/8] }
			most := uint64(0)
			for i, p := range all {
				for k := range sets {
					if in(i)>>k&1 != 0 {
						*bit(k, p[side]) |= 1 << (p[side] % 8)
					}
				}
				most = max(most, p[side]+1)
			}
			got[side] = []uint64{call(sysSelect, most, sets[0], sets[1], sets[2], buffer(side)+3*size)}
			for _, p := range all {
				for k := range sets {
					got[side] = append(got[side], uint64(*bit(k, p[side])>>(p[side]%8)&1))
				}
			}
		}
		if slices.Equal(got[0], got[1]) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatalf("select of %d: got %d, Linux has %d", all, got[0], got[1])
}

// pollSockets compares what is said of all sockets.
func (w *socketTwin) pollSockets() {
	all := append(append([]pair{*w.listening}, w.clients...), w.servers...)
	masks := make([]uint16, len(all))
	for i := range masks {
		masks[i] = rapid.SampledFrom([]uint16{pollAll, epollIn, epollOut, epollIn | epollOut, epollRDHup, pollRdNorm | pollWrBand, 0}).Draw(w.t, "events")
	}
	w.pollBoth(all, func(i int) uint16 { return masks[i] })
	w.selectBoth(all, func(i int) uint8 { return uint8(masks[i] * 0x9e37 >> 13) })
}

// timeout sets a time-out of a socket, and reads it.
func (w *socketTwin) timeout(p pair) {
	option := rapid.SampledFrom([]uint64{soRcvTimeo & 0xff, soSndTimeo & 0xff}).Draw(w.t, "option")
	size := rapid.SampledFrom([]uint64{16, 16, 20, 15, 0}).Draw(w.t, "size")
	sec := rapid.SampledFrom([]uint64{0, 0, 1, 3000, errno(1)}).Draw(w.t, "seconds")
	usec := rapid.SampledFrom([]uint64{0, 20_000, 500_000, 1_000_000, errno(1)}).Draw(w.t, "microseconds")
	for side := range 2 {
		store64(buffer(side), sec)
		store64(buffer(side)+8, usec)
		store32(lengthAt(side), 16)
	}
	w.same("SO_RCVTIMEO", sysSetsockopt, func(side int) []uint64 { return []uint64{p[side], levelSocket, option, buffer(side), size} })
	w.same("SO_RCVTIMEO", sysGetsockopt, func(side int) []uint64 { return []uint64{p[side], levelSocket, option, buffer(side), lengthAt(side)} })
	w.sameBytes("SO_RCVTIMEO", 16)
}

func TestPollLikeLinux(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fakeMachine(t, 1024, nil)
		w := &twin{t: rt}
		defer w.closeAll()
		for side := range 2 {
			copy(dataBuffers[side][:], "/etc\x00")
		}
		two := func(what string, n uint64, args ...uint64) (a, b pair) {
			w.same(what, n, func(side int) []uint64 { return append(slices.Clone(args), addressAt(side), oNonblock)[:len(args)+2] })
			for side := range 2 {
				a[side], b[side] = uint64(load32(addressAt(side))), uint64(load32(addressAt(side)+4))
			}
			w.open = append(w.open, a, b)
			return a, b
		}
		one := func(what string, n uint64, args ...uint64) pair {
			p := w.both(what, n, func(int) []uint64 { return args })
			w.open = append(w.open, p)
			return p
		}
		two("pipe2", sysPipe2)
		w.same("socketpair", sysSocketpair, func(side int) []uint64 { return []uint64{afUnix, sockStream | oNonblock, 0, addressAt(side)} })
		w.open = append(w.open, pair{uint64(load32(addressAt(0))), uint64(load32(addressAt(1)))},
			pair{uint64(load32(addressAt(0) + 4)), uint64(load32(addressAt(1) + 4))})
		one("eventfd2", sysEventfd2, 0, oNonblock)
		one("socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
		one("socket", sysSocket, afInet, sockStream|oNonblock, 0)
		w.open = append(w.open, w.both("open", sysOpen, func(side int) []uint64 { return []uint64{buffer(side), 0, 0} }))
		all := slices.Clone(w.open)
		for range rapid.IntRange(1, 20).Draw(rt, "calls") {
			p := rapid.SampledFrom(all).Draw(rt, "descriptor")
			switch rapid.IntRange(0, 4).Draw(rt, "call") {
			case 0:
				for side := range 2 {
					store64(buffer(side), 1)
				}
				w.same("write", sysWrite, func(side int) []uint64 { return []uint64{p[side], buffer(side), 8} })
			case 1:
				w.same("read", sysRead, func(side int) []uint64 { return []uint64{p[side], buffer(side), 8} })
			case 2:
				if slices.Contains(w.open, p) && rapid.Bool().Draw(rt, "close") {
					w.same("close", sysClose, func(side int) []uint64 { return []uint64{p[side]} })
					w.open = slices.DeleteFunc(w.open, func(o pair) bool { return o == p })
				}
			case 3:
				w.selectBoth(all, func(i int) uint8 { return uint8(i%7 + 1) })
			}
			w.pollBoth(append(all, pair{errno(1), errno(1)}, pair{9999, 9999}), func(i int) uint16 { return pollAll })
		}
	})
}

// What cannot be asked, and what is left of times.
func TestPollArguments(t *testing.T) {
	fakeMachine(t, 1024, nil)
	for side, call := range [2]func(uint64, ...uint64) uint64{platformCall, linuxCall} {
		b := buffer(side)
		clear(dataBuffers[side][:64])
		null := call(sysOpen, put(side, "/dev/null"), 0, 0)
		clear(dataBuffers[side][:64])
		for _, c := range []struct {
			what string
			want uint64
			n    uint64
			args []uint64
		}{
			{"no descriptors", 0, sysPoll, []uint64{0, 0, 0}},
			{"bad array", errno(eFAULT), sysPoll, []uint64{8, 1, 0}},
			{"too many", errno(eINVAL), sysPoll, []uint64{b, 1 << 31, 0}},
			{"ppoll", 0, sysPpoll, []uint64{0, 0, b, 0, 8}},
			{"ppoll with a mask", 0, sysPpoll, []uint64{0, 0, b, b, 8}},
			{"ppoll with a mask of another size", errno(eINVAL), sysPpoll, []uint64{0, 0, b, b, 4}},
			{"ppoll with a bad mask", errno(eFAULT), sysPpoll, []uint64{0, 0, b, 8, 8}},
			{"ppoll with a bad time", errno(eFAULT), sysPpoll, []uint64{0, 0, 8, 0, 8}},
			{"select", 0, sysSelect, []uint64{0, 0, 0, 0, b}},
			{"select of less than none", errno(eINVAL), sysSelect, []uint64{errno(1), 0, 0, 0, b}},
			{"select of a bad set", errno(eFAULT), sysSelect, []uint64{1, 8, 0, 0, b}},
			{"pselect6", 0, sysPselect6, []uint64{0, 0, 0, 0, b, 0}},
			{"pselect6 with no mask", 0, sysPselect6, []uint64{0, 0, 0, 0, b, b}},
			{"pselect6 with a bad one", errno(eFAULT), sysPselect6, []uint64{0, 0, 0, 0, b, 8}},
		} {
			if got := call(c.n, c.args...); got != c.want {
				t.Errorf("%s on side %d: got %s, want %s", c.what, side, result(got), result(c.want))
			}
		}
		for _, bad := range [][2]uint64{{errno(1), 0}, {0, errno(1)}, {0, nanos}} {
			store64(b, bad[0])
			store64(b+8, bad[1])
			if got := call(sysPpoll, 0, 0, b, 0, 8); got != errno(eINVAL) {
				t.Errorf("ppoll for %d s and %d ns on side %d: got %s", bad[0], bad[1], side, result(got))
			}
		}
		// Something is there: what is left of the time is written. The clock of side 0 may stand still.
		for _, n := range []uint64{sysSelect, sysPselect6} {
			store64(b, 100)
			store64(b+8, 0)
			store64(b+16, 1<<null)
			if got := call(n, null+1, b+16, 0, 0, b, 0); got != 1 || load64(b) != 99 && (side == 1 || load64(b) != 100) || load64(b+16) != 1<<null {
				t.Errorf("call %d on side %d: got %s, %d s are left of 100, set %x", n, side, result(got), load64(b), load64(b+16))
			}
		}
		call(sysClose, null)
		store64(b+16, 1<<null)
		store64(b, 0)
		store64(b+8, 0)
		if got := call(sysSelect, null+1, b+16, 0, 0, b); got != errno(eBADF) {
			t.Errorf("select of a closed descriptor on side %d: got %s", side, result(got))
		}
	}
}

package main

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// captured is a frame as the parent gets it.
type captured struct {
	time   uint64
	length int
	bytes  []byte
}

// takeAll fetches what was captured, and checks each answer.
func takeAll(t *testing.T, c *abi.Control) (all []captured, lost uint64) {
	t.Helper()
	for {
		data, result := request(t, c, abi.ControlFrames)
		if result != 0 || len(data) < 8 || len(data)%8 != 0 {
			t.Fatalf("got %d with %d bytes", result, len(data))
		}
		first := binary.LittleEndian.Uint64(data)
		lost += first &^ abi.ControlMore
		data = data[8:]
		for len(data) > 0 {
			f := captured{time: binary.LittleEndian.Uint64(data), length: int(binary.LittleEndian.Uint32(data[8:]))}
			kept := int(binary.LittleEndian.Uint32(data[12:]))
			f.bytes = bytes.Clone(data[abi.CapturedHead : abi.CapturedHead+kept])
			data = data[abi.CapturedHead+(kept+7)&^7:]
			all = append(all, f)
		}
		if first&abi.ControlMore == 0 {
			return all, lost
		}
	}
}

// startAt begins a capture.
func startAt(t *testing.T, c *abi.Control, snap uint64) {
	t.Helper()
	if _, result := request(t, c, abi.ControlCapture, snap); result != 0 {
		t.Fatalf("starting: got %d", result)
	}
}

// What arrives and what leaves is captured as it is on the wire, with the checksums that the device fills in, until it ends.
func TestCapture(t *testing.T) {
	w := newWire(t, 2048)
	fakeThreads(t)
	oldWall := wallBase
	t.Cleanup(func() { wallBase = oldWall })
	wallBase = 1_700_000_000 * nanos
	c := new(abi.Control)
	if _, result := request(t, c, abi.ControlFrames); result != -eINVAL {
		t.Errorf("frames of no capture: got %d", result)
	}
	fd := udpSocket(t, localPort)
	setAddress(0, afInet, peerHost, 5000)
	talk := func() (frames [][]byte) {
		for _, n := range []int{4, 700, 1472} {
			in := udpFrame(peerIP, 5000, localPort, bytes.Repeat([]byte{byte(n)}, n))
			w.give(in)
			w.skip(time.Millisecond)
			receive(fd, 2000)
			must(t, "sendto", sysSendto, fd, buffer(0), uint64(n), 0, addressAt(0), 16)
			frames = append(frames, in)
			frames = append(frames, w.take()...)
		}
		syn := tcpFrame(peerIP, inet.Segment{From: 5000, To: 9, Seq: 7, Flags: inet.SYN, Window: 1000}, nil)
		w.give(syn) // is refused
		return append(append(frames, syn), w.take()...)
	}
	talk()
	held := pool.nfree
	for _, snap := range []uint64{1, 13, 26, 41, 60, 700, 1 << 40} {
		startAt(t, c, snap)
		want := talk()
		got, lost := takeAll(t, c)
		if len(got) != len(want) || len(want) != 8 || lost != 0 {
			t.Fatalf("%d bytes of each: got %d frames, %d lost, want %d", snap, len(got), lost, len(want))
		}
		last := wallBase
		for i, f := range got {
			if cut := want[i][:min(len(want[i]), int(min(snap, abi.CapturedMost)))]; f.length != len(want[i]) || !bytes.Equal(f.bytes, cut) {
				t.Errorf("%d bytes of each: frame %d of %d bytes\n% x\nwant of %d bytes\n% x", snap, i, f.length, f.bytes, len(want[i]), cut)
			}
			if f.time < last || f.time > wallBase+nanotime() {
				t.Errorf("frame %d at %d, after one at %d", i, f.time, last)
			}
			last = f.time
		}
		startAt(t, c, 0)
		talk()
		if _, result := request(t, c, abi.ControlFrames); result != -eINVAL || pool.nfree != held {
			t.Errorf("after the end: got %d, %d frames are gone", result, held-pool.nfree)
		}
	}
	w.ended()
}

// What finds no room is counted, and the network goes on; there is room again when somebody has fetched.
func TestCaptureFull(t *testing.T) {
	w := newWire(t, 2048)
	fakeThreads(t)
	c := new(abi.Control)
	startAt(t, c, 1<<20)
	in := udpFrame(peerIP, 5000, localPort, make([]byte, 1472))
	frames := uint64(0)
	for range 2 {
		for range 1000 {
			w.give(in)
			frames += 1 + uint64(len(w.take()))
		}
		got, lost := takeAll(t, c)
		if uint64(len(got))+lost != frames || len(got) < 300 || lost == 0 {
			t.Errorf("got %d frames and %d lost, of %d", len(got), lost, frames)
		}
		frames = 0
	}
	startAt(t, c, 0)
	w.ended()
}

// A capture takes no memory that was promised, and is refused where the platform drives no function.
func TestCaptureRefused(t *testing.T) {
	w := newWire(t, 2048)
	fakeThreads(t)
	c := new(abi.Control)
	start := func(want int64) {
		t.Helper()
		if _, result := request(t, c, abi.ControlCapture, 100); result != want {
			t.Errorf("got %d, want %d", result, want)
		}
	}
	reserved := pool.reserved
	pool.reserved = pool.nfree - commitSlack - captureLeast - 1
	start(0)
	if capture.size != captureLeast*pageSize {
		t.Errorf("the buffer has %d bytes", capture.size)
	}
	startAt(t, c, 0)
	pool.reserved = pool.nfree - commitSlack
	start(-eNOMEM)
	pool.reserved = reserved
	nic.memory += pageSize // another driver has set it up
	start(-eBUSY)
	nic.memory -= pageSize
	net.up = false
	start(-eNOENT)
	net.up = true
	w.ended()
}

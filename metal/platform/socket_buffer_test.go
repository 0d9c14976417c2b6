package main

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"pgregory.net/rapid"

	"nom.dev/nom/metal/inet"
)

// A ring that grows at any time keeps its bytes, those beyond a gap too, and gives all frames back.
func TestRingGrows(t *testing.T) {
	fakeMachine(t, 2048, nil)
	free := pool.nfree
	rapid.Check(t, func(rt *rapid.T) {
		var r ring
		var model []byte // from the tail on: what was put, ahead too
		known, next := 0, byte(0)
		for range rapid.IntRange(1, 60).Draw(rt, "operations") {
			n := rapid.SampledFrom([]int{1, 4095, 4096, 9000, 60_000, 200_000}).Draw(rt, "n")
			if rapid.Bool().Draw(rt, "put") {
				n = min(n, inet.MostBuffer-len(model))
				b := make([]byte, n)
				for i := range b {
					b[i] = next + byte(i*7) + byte(i>>8)
				}
				next += 31
				if got := r.putAhead(uint64(len(model)-known), b); got != uint32(n) {
					rt.Fatalf("%d bytes of %d found room", got, n)
				}
				model = append(model, b...)
				if !rapid.Bool().Draw(rt, "gap") {
					r.head += uint64(len(model) - known)
					known = len(model)
				}
				continue
			}
			n = min(n, known)
			got := make([]byte, n)
			r.copyOut(got, 0)
			if !bytes.Equal(got, model[:n]) {
				rt.Fatalf("%d bytes are not those that were put", n)
			}
			if model = model[n:]; len(model) != known-n {
				r.pass(uint64(n))
			} else {
				r.drop(uint64(n))
			}
			known -= n
		}
		r.release()
	})
	if pool.nfree != free {
		t.Errorf("free frames: got %d, want %d", pool.nfree, free)
	}
}

// Connections that send and read fast hold more, as long as all of them together may; idle ones give the memory back.
func TestBuffersGrow(t *testing.T) {
	for _, may := range []bool{true, false} {
		l := newLab(t, 20)
		large := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 2 << 20, Max: 4 << 20}
		l.Stack.SetTransportProtocolOption(6, &large)
		if !may {
			grown = mostGrown()
		}
		before := grown
		fd, e := l.pair(true)
		c := connectionAt(socketAt(descriptors[fd].index).conn)
		const n = 3_000_000
		data := make([]byte, n)
		l.R.Read(data)
		var got []byte
		sent, theirSent := 0, 0
		l.until("everything", func() bool {
			theirSent += e.Push(data[theirSent:])
			for sent < n {
				r := send(fd, data[sent:min(n, sent+60_000)])
				if int64(r) < 0 {
					break
				}
				sent += int(r)
			}
			for {
				b, r := receive(fd, 60_000)
				if int64(r) <= 0 {
					break
				}
				got = append(got, b...)
			}
			e.Pull()
			return sent == n && len(got) == n && e.Got.Len() == n
		})
		if !bytes.Equal(got, data) || !bytes.Equal(e.Got.Bytes(), data) {
			t.Error("other bytes than were sent")
		}
		send, receive := c.Buffers()
		t.Logf("may grow %v: buffers of %d and %d bytes", may, send, receive)
		if grew := send > inet.BufferSize && receive > inet.BufferSize; grew != may {
			t.Errorf("may grow: %v, but has %d and %d bytes", may, send, receive)
		}
		l.during(1_000_000_000)
		if in := &socketAt(descriptors[fd].index).in; in.frames[0]&ringGrown != 0 || c.out.frames[0]&ringGrown != 0 {
			t.Error("an idle connection keeps large buffers")
		}
		e.Close()
		if !may {
			l.finish()
			if grown != before {
				t.Errorf("%d bytes are allowed, want %d", grown, before)
			}
			continue
		}
		l.finish()
		if grown != 0 {
			t.Errorf("%d bytes are allowed to nobody", grown)
		}
	}
}

// SO_SNDBUF and SO_RCVBUF make buffers of that size, in bounds, before a connection is made and while it is there.
func TestBufferOptions(t *testing.T) {
	l := newLab(t, 21)
	listener := tcpListener(t, localPort, 8)
	set := func(fd uint64, name uint64, n uint32) uint32 {
		store32(buffer(1), n)
		must(t, "setsockopt", sysSetsockopt, fd, levelSocket, name, buffer(1), 4)
		store32(buffer(1)+8, 4)
		must(t, "getsockopt", sysGetsockopt, fd, levelSocket, name, buffer(1), buffer(1)+8)
		return load32(buffer(1))
	}
	if got := set(listener, 8, 10_000); got != 16384 {
		t.Errorf("SO_RCVBUF of a listener is %d", got)
	}
	e := l.dialIn(localPort)
	fd := l.accepted(listener)
	c := connectionAt(socketAt(descriptors[fd].index).conn)
	if send, receive := c.Buffers(); send != inet.BufferSize || receive != 16384 {
		t.Errorf("buffers of %d and %d bytes", send, receive)
	}
	total := 0
	for quiet := 0; quiet < 50; quiet++ {
		if n := e.Push(make([]byte, 60_000)); n != 0 {
			total, quiet = total+n, 0
		}
		l.step()
	}
	if used := socketAt(descriptors[fd].index).in.used(); used > 16384 || used < 12000 {
		t.Errorf("%d bytes wait to be read", used)
	}
	for _, tc := range [][2]uint32{{1, 4096}, {200_000, 262144}, {1 << 30, inet.MostBuffer}} {
		if got := set(fd, 7, tc[0]); got != min(tc[1], inet.BufferSize+uint32(mostGrown())) {
			t.Errorf("SO_SNDBUF %d is %d", tc[0], got)
		}
	}
	e.Close()
	l.finish()
}

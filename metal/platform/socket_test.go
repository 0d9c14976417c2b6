package main

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// listener returns a listening socket on [::], which takes IPv4 too, and its port.
func listener(t *testing.T, backlog uint64) (uint64, uint16) {
	t.Helper()
	l := must(t, "socket", sysSocket, afInet6, sockStream|oNonblock, 0)
	setAddress(0, afInet6, make([]byte, 16), 0)
	must(t, "bind", sysBind, l, addressAt(0), 28)
	must(t, "listen", sysListen, l, backlog)
	must(t, "getsockname", sysGetsockname, l, addressAt(0), lengthAt(0))
	return l, uint16(addresses[0][2])<<8 | uint16(addresses[0][3])
}

// dial returns a new socket and what connect(2) says.
func dial(t *testing.T, port uint16) (uint64, uint64) {
	t.Helper()
	c := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, host4, port)
	return c, platformCall(sysConnect, c, addressAt(0), 16)
}

func accept(t *testing.T, l uint64) uint64 {
	t.Helper()
	return must(t, "accept", sysAccept4, l, 0, 0, oNonblock)
}

// fakeSockets is a machine on which the tables of sockets have their frames already.
func fakeSockets(t *testing.T) {
	t.Helper()
	fakeMachine(t, 2048, nil)
	l, port := listener(t, 1)
	c, _ := dial(t, port)
	s := accept(t, l)
	for _, fd := range []uint64{s, c, l} {
		must(t, "close", sysClose, fd)
	}
}

// A stream that does not block against a queue of bytes, written and read in any pieces.
func TestSocketStream(t *testing.T) {
	fakeSockets(t)
	free := pool.nfree
	rapid.Check(t, func(rt *rapid.T) {
		l, port := listener(t, 1)
		c, _ := dial(t, port)
		s := accept(t, l)
		var model []byte
		next := byte(0)
		for range rapid.IntRange(1, 60).Draw(rt, "operations") {
			n := rapid.SampledFrom([]int{1, 100, 4096, 4097, 20000, 65535}).Draw(rt, "n")
			split := uint64(rapid.IntRange(0, n).Draw(rt, "split"))
			vectors := addressOf(&addresses[0][0])
			store64(vectors, buffer(0))
			store64(vectors+8, split)
			store64(vectors+16, buffer(0)+split)
			store64(vectors+24, uint64(n)-split)
			if rapid.Bool().Draw(rt, "write") {
				for i := range n {
					dataBuffers[0][i] = next + byte(i)*5
				}
				next += 77
				want := uint64(min(n, ringCapacity-len(model)))
				if want == 0 {
					want = errno(eAGAIN)
				}
				if got := platformCall(sysWritev, c, vectors, 2); got != want {
					rt.Fatalf("write of %d with %d there: got %s, want %s", n, len(model), result(got), result(want))
				}
				if int64(want) > 0 {
					model = append(model, dataBuffers[0][:want]...)
				}
				continue
			}
			want := uint64(min(n, len(model)))
			if want == 0 {
				want = errno(eAGAIN)
			}
			got := platformCall(sysReadv, s, vectors, 2)
			if got != want || int64(got) > 0 && !bytes.Equal(dataBuffers[0][:got], model[:got]) {
				rt.Fatalf("read of %d with %d there: got %s, want %s and the bytes written", n, len(model), result(got), result(want))
			}
			if int64(got) > 0 {
				model = model[got:]
			}
		}
		for _, fd := range []uint64{s, l, c} {
			must(t, "close", sysClose, fd)
		}
	})
	if pool.nfree != free {
		t.Errorf("free frames: got %d, want %d", pool.nfree, free)
	}
}

// Beyond the backlog a connection waits until somebody accepts; it may give up, and a listener that goes refuses it.
func TestSocketBacklog(t *testing.T) {
	fakeSockets(t)
	free := pool.nfree
	l, port := listener(t, 1)
	var c [6]uint64
	for i := range c {
		want := uint64(0)
		if i > 1 {
			want = errno(eINPROGRESS)
		}
		var got uint64
		if c[i], got = dial(t, port); got != want {
			t.Fatalf("connection %d: got %s, want %s", i, result(got), result(want))
		}
	}
	fails(t, "connect again", eALREADY, sysConnect, c[2], addressAt(0), 16)
	fails(t, "write", eAGAIN, sysWrite, c[2], buffer(0), 1)
	fails(t, "getpeername", eNOTCONN, sysGetpeername, c[2], addressAt(0), lengthAt(0))
	must(t, "close", sysClose, c[3]) // in the middle
	must(t, "close", sysClose, accept(t, l))
	must(t, "write", sysWrite, c[2], buffer(0), 1)
	fails(t, "write", eAGAIN, sysWrite, c[4], buffer(0), 1)
	must(t, "listen", sysListen, l, 2)
	must(t, "write", sysWrite, c[4], buffer(0), 1)
	must(t, "close", sysClose, l)
	fails(t, "read", eCONNRESET, sysRead, c[1], buffer(0), 1)
	fails(t, "read", eCONNRESET, sysRead, c[4], buffer(0), 1)
	store32(lengthAt(0), 4)
	must(t, "SO_ERROR", sysGetsockopt, c[5], levelSocket, soError&0xff, buffer(0), lengthAt(0))
	if got := load32(buffer(0)); got != eCONNREFUSED {
		t.Errorf("the last: got error %d, want ECONNREFUSED", got)
	}
	for _, i := range []int{0, 1, 2, 4, 5} {
		must(t, "close", sysClose, c[i])
	}
	if pool.nfree != free {
		t.Errorf("free frames: got %d, want %d", pool.nfree, free)
	}
	if _, got := dial(t, port); got != errno(eCONNREFUSED) {
		t.Errorf("without a listener: got %s", result(got))
	}
}

// Each event is reported once to an edge-triggered poller, and a full stream becomes writable when enough was read.
func TestSocketEdges(t *testing.T) {
	fakeSockets(t)
	l, port := listener(t, 1)
	c, _ := dial(t, port)
	s := accept(t, l)
	for _, fd := range []uint64{c, s} {
		store32(buffer(0), epollIn|epollOut|epollRDHup|epollET&0xffff_ffff)
		store64(buffer(0)+4, fd)
		if e := epollCtl(0, 1, fd, buffer(0)); e != 0 {
			t.Fatalf("epoll_ctl: %s", result(e))
		}
	}
	check := func(when string, wantC, wantS uint32) {
		t.Helper()
		var got [2]uint32
		for i := range pollReady(0, buffer(0), 10) {
			p := buffer(0) + i*eventLen
			if load64(p+4) == c {
				got[0] = load32(p)
			} else {
				got[1] = load32(p)
			}
		}
		if got != [2]uint32{wantC, wantS} {
			t.Errorf("%s: got %#x, want %#x", when, got, [2]uint32{wantC, wantS})
		}
	}
	check("new", epollOut, epollOut)
	check("again", 0, 0)
	must(t, "write", sysWrite, c, buffer(1), 10)
	check("written", 0, epollIn|epollOut)
	must(t, "write", sysWrite, c, buffer(1), 10)
	check("written again", 0, epollIn|epollOut)
	must(t, "write", sysWrite, c, buffer(1), 65536)
	fails(t, "write", eAGAIN, sysWrite, c, buffer(1), 1)
	check("full", 0, epollIn|epollOut)
	must(t, "read", sysRead, s, buffer(1), 1000)
	check("a little read", 0, 0)
	must(t, "read", sysRead, s, buffer(1), 30000)
	check("enough read", epollOut, 0)
	must(t, "shutdown", sysShutdown, c, 1)
	check("half closed", epollOut, epollIn|epollOut|epollRDHup)
	must(t, "close", sysClose, s) // with unread data
	check("reset", epollIn|epollOut|epollErr|epollHup|epollRDHup, 0)
}

func TestSocketPair(t *testing.T) {
	fakeSockets(t)
	must(t, "socketpair", sysSocketpair, afUnix, sockStream|oNonblock, 0, buffer(0))
	a, b := uint64(load32(buffer(0))), uint64(load32(buffer(0)+4))
	must(t, "write", sysWrite, a, buffer(0), 7)
	again := must(t, "dup", sysDup, a)
	must(t, "close", sysClose, a)
	if n := must(t, "read", sysRead, b, buffer(0), 10); n != 7 {
		t.Errorf("read: got %d, want 7", n)
	}
	fails(t, "read", eAGAIN, sysRead, b, buffer(0), 10)
	must(t, "close", sysClose, again)
	if n := must(t, "read", sysRead, b, buffer(0), 10); n != 0 {
		t.Errorf("read at the end: got %d, want 0", n)
	}
	fails(t, "write", ePIPE, sysSendto, b, buffer(0), 1, msgNoSignal)
	if cpus[0].current.pending != 0 {
		t.Error("a signal in spite of MSG_NOSIGNAL")
	}
	fails(t, "write", ePIPE, sysWrite, b, buffer(0), 1)
	if got := cpus[0].current.pending; got != 1<<(sigPIPE-1) {
		t.Errorf("pending signals: got %#x, want SIGPIPE", got)
	}
	fails(t, "seek", eSPIPE, sysLseek, b, 0, 0)
	must(t, "close", sysClose, b)
}

// Wild pointers are EFAULT in every call.
func TestSocketPointers(t *testing.T) {
	fakeSockets(t)
	l, port := listener(t, 1)
	c, _ := dial(t, port)
	d := must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
	setAddress(0, afInet, host4, 999)
	must(t, "connect", sysConnect, d, addressAt(0), 16)
	vmas = vmaTable{}
	vmaShrinks++
	const bad = 0x1000
	for n, args := range map[uint64][]uint64{
		sysConnect: {d, bad, 16}, sysSendto: {c, bad, 10}, sysSendmsg: {c, bad}, sysRecvmsg: {c, bad},
		sysBind: {d, bad, 16}, sysGetsockname: {c, bad, bad}, sysGetpeername: {c, bad, bad}, sysSocketpair: {afUnix, sockStream, 0, bad},
		sysSetsockopt: {c, levelSocket, 2, bad, 4}, sysGetsockopt: {c, levelSocket, 2, bad, bad}, sysRecvfrom: {c, bad, 10, 0, bad, bad},
		sysWritev: {c, bad, 1}, sysReadv: {c, bad, 1},
	} {
		if got := platformCall(n, args...); got != errno(eFAULT) {
			t.Errorf("call %d: got %s", n, result(got))
		}
	}
	fails(t, "accept", eFAULT, sysAccept, l, bad, bad)
}

// Datagrams keep their borders and their sender's address, and are lost when the receiver is full.
func TestSocketDatagram(t *testing.T) {
	fakeSockets(t)
	r := must(t, "socket", sysSocket, afInet6, sockDatagram|oNonblock, 0)
	setAddress(0, afInet6, make([]byte, 16), 5353)
	must(t, "bind", sysBind, r, addressAt(0), 28)
	s := must(t, "socket", sysSocket, afInet, sockDatagram, 0)
	fails(t, "write without a destination", eDESTADDRREQ, sysWrite, s, buffer(0), 1)
	setAddress(0, afInet, host4, 5353)
	send := func(n uint64) uint64 { return platformCall(sysSendto, s, buffer(0), n, 0, addressAt(0), 16) }
	for _, n := range []uint64{5, 0, 40000, 30000, 65507, 3} {
		if got := send(n); got != n {
			t.Fatalf("send of %d: got %s", n, result(got))
		}
	}
	if got := send(65508); got != errno(eMSGSIZE) {
		t.Errorf("too long: got %s", result(got))
	}
	for _, want := range []uint64{5, 0, 40000, 3} { // 30000 and 65507 found no room
		setAddress(0, 0, nil, 0)
		if got := must(t, "recvfrom", sysRecvfrom, r, buffer(0), 65536, 0, addressAt(0), lengthAt(0)); got != want {
			t.Errorf("receive: got %d bytes, want %d", got, want)
		}
		if b := addresses[0]; b[addressLen] != 28 || b[0] != afInet6 || !bytes.Equal(b[8:24], []byte{10: 255, 11: 255, 12: 127, 15: 1}) || b[2] == 0 {
			t.Errorf("the sender's address: got %x", b)
		}
	}
	fails(t, "recvfrom", eAGAIN, sysRecvfrom, r, buffer(0), 10)
}

func TestHosts(t *testing.T) {
	fakeMachine(t, 256, nil)
	fd := must(t, "open", sysOpen, put(0, "/etc/hosts"), 0, 0)
	n := must(t, "read", sysRead, fd, buffer(0), 1000)
	if got, want := string(dataBuffers[0][:n]), "127.0.0.1 localhost\n::1 localhost\n"; got != want {
		t.Errorf("/etc/hosts: got %q, want %q", got, want)
	}
}

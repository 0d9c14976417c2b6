package main

import (
	"bytes"
	"testing"
	"time"

	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// What is done with frames made by hand.

const localPort = 7

// udpSocket is a socket that is bound to a port.
func udpSocket(t testing.TB, port uint16) uint64 {
	t.Helper()
	fd := must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
	setAddress(0, afInet, anyHost, port)
	must(t, "bind", sysBind, fd, addressAt(0), 16)
	return fd
}

// tcpListener listens at a port.
func tcpListener(t testing.TB, port uint16, backlog uint64) uint64 {
	t.Helper()
	fd := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, anyHost, port)
	must(t, "bind", sysBind, fd, addressAt(0), 16)
	must(t, "listen", sysListen, fd, backlog)
	return fd
}

// connectOut connects a new socket to the peer, and returns it and what connect(2) says.
func connectOut(t testing.TB, port uint16) (uint64, uint64) {
	t.Helper()
	fd := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, peerHost, port)
	return fd, platformCall(sysConnect, fd, addressAt(0), 16)
}

func send(fd uint64, b []byte) uint64 {
	copy(dataBuffers[0][:], b)
	return platformCall(sysSendto, fd, buffer(0), uint64(len(b)), msgNoSignal)
}

// receive reads up to n bytes.
func receive(fd uint64, n int) ([]byte, uint64) {
	r := platformCall(sysRecvfrom, fd, buffer(1), uint64(n))
	if int64(r) < 0 {
		return nil, r
	}
	return bytes.Clone(dataBuffers[1][:r]), r
}

// sockError is SO_ERROR.
func sockError(t testing.TB, fd uint64) uint64 {
	t.Helper()
	store32(buffer(1)+8, 4)
	must(t, "getsockopt", sysGetsockopt, fd, levelSocket, 4, buffer(1), buffer(1)+8)
	return uint64(load32(buffer(1)))
}

// ready is what epoll says of a descriptor.
func readyNow(fd uint64) uint32 { return socketReady(socketAt(descriptors[fd].index)) }

func TestDatagramsOutside(t *testing.T) {
	for _, unsure := range []bool{false, true} {
		w := newWire(t, 2048)
		w.unsure = unsure
		fd := udpSocket(t, localPort)
		w.give(udpFrame(peerIP, 5000, localPort, []byte("question")))
		store32(lengthAt(0), 16)
		r := must(t, "recvfrom", sysRecvfrom, fd, buffer(1), 100, 0, addressAt(0), lengthAt(0))
		if got := string(dataBuffers[1][:r]); got != "question" || addresses[0][2] != 5000>>8 || addresses[0][7] != 2 {
			t.Fatalf("got %q from % x", got, addresses[0][:16])
		}
		copy(dataBuffers[0][:], "answer")
		must(t, "sendto", sysSendto, fd, buffer(0), 6, 0, addressAt(0), 16)
		p := w.only()
		var u inet.UDP
		if !inet.ParseUDP(p.Payload, &u) || string(u.Payload) != "answer" || u.From != localPort || u.To != 5000 || p.To != peerIP || p.mac != peerMAC {
			t.Fatalf("the answer is %+v", p)
		}
		bad := udpFrame(peerIP, 5000, localPort, []byte("damaged"))
		bad[len(bad)-1]++
		w.give(bad)
		if b, r := receive(fd, 100); r != errno(eAGAIN) {
			t.Errorf("a damaged datagram was received: %q, %s", b, result(r))
		}
		w.ended()
	}
}

// A datagram that is longer than a frame leaves in pieces that make it up again.
func TestDatagramInPieces(t *testing.T) {
	w := newWire(t, 2048)
	fd := udpSocket(t, localPort)
	for _, n := range []int{1472, 1473, 1480, 2952, 2953, 9000, 60000} {
		fill(n, byte(n))
		setAddress(0, afInet, peerHost, 5000)
		if r := platformCall(sysSendto, fd, buffer(0), uint64(n), 0, addressAt(0), 16); r != uint64(n) {
			t.Fatalf("%d bytes: %s", n, result(r))
		}
		var r inet.Reassembler
		r.Use(make([]byte, 256<<10))
		var whole []byte
		all := packets(t, w.take())
		for _, p := range all {
			key := inet.FragmentKey{ID: uint32(p.ID), Proto: p.Proto}
			if !p.More && p.Fragment == 0 {
				whole = p.Payload
			} else {
				whole = r.Add(&key, uint32(p.Fragment), p.More, p.Payload, nanotime())
			}
		}
		if len(whole) != inet.UDPLen+n || !bytes.Equal(whole[inet.UDPLen:], dataBuffers[0][:n]) {
			t.Errorf("%d bytes in %d packets are %d bytes, or others, put together", n, len(all), len(whole))
		}
	}
	w.ended()
}

func TestEcho(t *testing.T) {
	w := newWire(t, 2048)
	for _, n := range []int{0, 1, 56, 1472} {
		data := bytes.Repeat([]byte{0xa5}, n)
		w.give(icmpFrame(peerIP, icmpEcho, 0, 7<<16|9, data))
		p := w.only()
		if p.Payload[0] != icmpEchoReply || inet.Be32(p.Payload[4:]) != 7<<16|9 || !bytes.Equal(p.Payload[8:], data) || inet.Checksum(0, p.Payload) != 0 {
			t.Errorf("%d bytes are answered by % x", n, p.Payload)
		}
	}
	for range 2 * icmpsASecond { // at most so many are answered
		w.give(icmpFrame(peerIP, icmpEcho, 0, 0, nil))
	}
	if n := len(w.take()); n > icmpsASecond {
		t.Errorf("%d answers in no time", n)
	}
	w.ended()
}

// Who asks a port that nobody has is told, and who hears it is.
func TestPortUnreachable(t *testing.T) {
	w := newWire(t, 2048)
	question := udpFrame(peerIP, 5000, localPort, []byte("question"))
	w.give(question)
	p := w.only()
	if p.Payload[0] != icmpUnreachable || p.Payload[1] != icmpPort || !bytes.Equal(p.Payload[8:], question[14:14+28]) {
		t.Errorf("a closed port is answered by % x", p.Payload)
	}
	fd := must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
	setAddress(0, afInet, peerHost, 5000)
	must(t, "connect", sysConnect, fd, addressAt(0), 16)
	send(fd, []byte("question"))
	out := w.take()
	other := bytes.Clone(out[0][14:])
	other[19]++ // it was sent to somebody else
	w.give(icmpFrame(peerIP, icmpUnreachable, icmpPort, 0, other[:28]))
	if b, r := receive(fd, 100); r != errno(eAGAIN) {
		t.Errorf("after a forged message: %q, %s", b, result(r))
	}
	w.give(icmpFrame(peerIP, icmpUnreachable, icmpPort, 0, out[0][14:14+28]))
	if _, r := receive(fd, 100); r != errno(eCONNREFUSED) {
		t.Errorf("got %s, want that it was refused", result(r))
	}
	if b, r := receive(fd, 100); r != errno(eAGAIN) {
		t.Errorf("the second time: %q, %s", b, result(r))
	}
	w.ended()
}

// What routers say of an attempt to connect ends it, if they have seen it; of a datagram only what is final is told.
func TestUnreachable(t *testing.T) {
	w := newWire(t, 2048)
	for code, want := range icmpVerdicts {
		if code == icmpNeedsFrag {
			continue
		}
		fd, _ := connectOut(t, 5000)
		syn := w.take()[0][14:]
		forged := bytes.Clone(syn)
		forged[24]++ // its sequence number
		w.give(icmpFrame(peerIP, icmpUnreachable, byte(code), 0, forged[:28]), icmpFrame(peerIP, icmpUnreachable, 16, 0, syn[:28]))
		if e := sockError(t, fd); e != 0 {
			t.Errorf("code %d, forged: %s", code, result(errno(e)))
		}
		w.give(icmpFrame(peerIP, icmpUnreachable, byte(code), 0, syn[:28]))
		if e := sockError(t, fd); e != uint64(want.errno) || e == 0 {
			t.Errorf("code %d: got %s", code, result(errno(e)))
		}
		if r := platformCall(sysConnect, fd, addressAt(0), 16); r != errno(eINPROGRESS) {
			t.Errorf("code %d: connect again: %s", code, result(r))
		}
		must(t, "close", sysClose, fd)

		fd = must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
		must(t, "connect", sysConnect, fd, addressAt(0), 16)
		w.take()
		send(fd, []byte("question"))
		w.give(icmpFrame(peerIP, icmpUnreachable, byte(code), 0, w.take()[0][14:14+28]))
		if e := sockError(t, fd); (e != 0) != want.final || want.final && e != uint64(want.errno) {
			t.Errorf("code %d: a datagram's error is %s", code, result(errno(e)))
		}
		must(t, "close", sysClose, fd)
	}
	fd, _ := connectOut(t, 5000)
	syn := w.only()
	w.give(tcpFrame(peerIP, inet.Segment{From: 5000, To: syn.seg.From, Seq: 1, Ack: syn.seg.Seq + 1, Flags: inet.SYN | inet.ACK, Window: 1000}, nil))
	w.take()
	send(fd, []byte("question"))
	w.give(icmpFrame(peerIP, icmpUnreachable, 1, 0, w.take()[0][14:14+28]))
	if readyNow(fd)&epollErr != 0 {
		t.Error("a connection that stood was ended")
	}
	w.ended()
}

// TestBeforeSockets: who knocks before the program has made a socket, so that there is no table of ports, is refused.
func TestBeforeSockets(t *testing.T) {
	w := newWire(t, 2048)
	portHeads = 0
	w.give(tcpFrame(peerIP, inet.Segment{From: 5000, To: localPort, Seq: 1, Flags: inet.SYN, Window: 0xffff}, nil))
	if p := w.only(); p.seg.Flags != inet.RST|inet.ACK || p.seg.Ack != 2 {
		t.Errorf("a SYN is answered by %+v, want a reset", p.seg)
	}
	w.give(udpFrame(peerIP, 5000, localPort, []byte("question")))
	if p := w.only(); p.Payload[0] != icmpUnreachable {
		t.Errorf("a datagram is answered by % x, want that its port is closed", p.Payload)
	}
}

func TestNeighbours(t *testing.T) {
	w := newWire(t, 2048)
	fd := udpSocket(t, localPort)
	ask := func(host byte) [][]byte {
		setAddress(0, afInet, []byte{10, 0, 0, host}, 5000)
		copy(dataBuffers[0][:], "question")
		must(t, "sendto", sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
		return w.take()
	}
	out := ask(77)
	if len(out) != 1 || inet.Be16(out[0][12:]) != inet.TypeARP || inet.Be32(out[0][14+24:]) != 0x0a00_004d || macOf(out[0]) != 0xffff_ffff_ffff {
		t.Fatalf("got % x, want a request", out)
	}
	if out := ask(77); len(out) != 0 {
		t.Errorf("it is asked again at once: % x", out)
	}
	w.pass(1200 * time.Millisecond)
	if out := w.take(); len(out) != 1 {
		t.Errorf("after a second %d frames left, want another request", len(out))
	}
	w.give(arpFrame(arpReply, 0x0200_0000_004d, 0x0a00_004d, ownIP))
	if p := w.only(); p.mac != 0x0200_0000_004d || p.To != 0x0a00_004d || string(p.Payload[8:]) != "question" {
		t.Errorf("what waited left as %+v", p)
	}
	// Nobody answers for this one: what waits for it is given up, and so is asking.
	ask(78)
	asked := 0
	for range 60 {
		w.pass(time.Second)
		asked += len(w.take())
	}
	if asked == 0 || asked > 10 || holding().waiting != 0 {
		t.Errorf("asked %d times, %d frames wait", asked, holding().waiting)
	}
	// Chatter of others is not noted; that of others' addresses never.
	w.give(arpFrame(arpRequest, 0x0200_0000_0050, 0x0a00_0050, 0x0a00_0051), arpFrame(arpRequest, 0x0200_0000_0051, 0x0b00_0050, ownIP))
	for i := range neighbours {
		if a := uint32(neighbours[i].address.lo); a == 0x0a00_0050 || a == 0x0b00_0050 {
			t.Errorf("%x is known", a)
		}
	}
	w.ended()
}

// A neighbour in use is asked again before it is forgotten.
func TestNeighbourAges(t *testing.T) {
	w := newWire(t, 2048)
	fd := udpSocket(t, localPort)
	for n := range 240 {
		w.pass(time.Second)
		setAddress(0, afInet, peerHost, 5000)
		must(t, "sendto", sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
		data := 0
		for _, f := range w.take() {
			if inet.Be16(f[12:]) == inet.TypeIPv4 {
				data++
				continue
			}
			w.give(arpFrame(arpReply, peerMAC, peerIP, ownIP))
		}
		if data != 1 {
			t.Fatalf("in second %d %d datagrams left", n, data)
		}
	}
	w.ended()
}

// Frames through a router, and to everybody.
func TestRoutes(t *testing.T) {
	w := newWire(t, 2048)
	net.router = ip{0, mapped | peerIP}
	fd := udpSocket(t, localPort)
	for _, c := range []struct {
		host []byte
		mac  uint64
	}{{peerHost, peerMAC}, {[]byte{192, 0, 2, 1}, peerMAC}, {[]byte{10, 0, 0, 255}, 0xffff_ffff_ffff}, {[]byte{255, 255, 255, 255}, 0xffff_ffff_ffff}} {
		setAddress(0, afInet, c.host, 5000)
		must(t, "sendto", sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
		if p := w.only(); p.mac != c.mac || p.To != inet.Be32(c.host) {
			t.Errorf("to %v: %+v", c.host, p)
		}
	}
	w.ended()
}

// What the function says is not believed: frames in pieces, without a length, with errors.
func TestHostileFunction(t *testing.T) {
	w := newWire(t, 2048)
	fd := udpSocket(t, localPort)
	good := udpFrame(peerIP, 5000, localPort, []byte("good"))
	for _, hi := range []uint64{
		igb.RxDone | igb.RxEnd, igb.RxDone | igb.RxEnd | 0xffff<<32, igb.RxDone | igb.RxEnd | (nicBufferSize+1)<<32,
		igb.RxDone | 60<<32, igb.RxDone | igb.RxEnd | 60<<32, // two pieces
		igb.RxDone | igb.RxEnd | igb.RxError | 60<<32, igb.RxDone | igb.RxEnd | 1<<32, igb.RxDone | igb.RxEnd | 33<<32,
	} {
		w.deliverAs(good, hi)
	}
	netPoll()
	if b, r := receive(fd, 100); r != errno(eAGAIN) {
		t.Errorf("got %q, %s", b, result(r))
	}
	w.give(good)
	if b, _ := receive(fd, 100); string(b) != "good" {
		t.Errorf("got %q", b)
	}
	// More than was ever posted is done.
	for done := range uint32(300) {
		store32(direct(nic.memory+nicLayoutDone), done*7)
		setAddress(0, afInet, peerHost, 5000)
		must(t, "sendto", sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
	}
	w.ended()
}

// Whoever sleeps while the ring is full is woken although no frame arrives any more.
func TestSleepWithFullRing(t *testing.T) {
	w := newWire(t, 2048)
	fd := udpSocket(t, localPort)
	for range 3 * pollBatch {
		w.deliver(arpFrame(arpRequest, peerMAC, peerIP, peerIP+7))
	}
	w.deliver(udpFrame(peerIP, 5000, localPort, []byte("the last")))
	netSleep()
	for range 10 {
		w.pass(pollInterval)
	}
	if b, r := receive(fd, 100); string(b) != "the last" {
		t.Errorf("got %q, %s", b, result(r))
	}
	w.ended()
}

// After the function was reset the queue works again.
func TestFunctionReset(t *testing.T) {
	w := newWire(t, 2048)
	fd := udpSocket(t, localPort)
	for r := range uint32(4 << 10) {
		*w.register(4 * r) = 0
	}
	w.pass(2 * time.Second)
	if nic.resets != 1 {
		t.Fatalf("the queue was started %d times", nic.resets)
	}
	w.give(udpFrame(peerIP, 5000, localPort, []byte("question")))
	if b, r := receive(fd, 100); string(b) != "question" {
		t.Errorf("got %q, %s", b, result(r))
	}
	setAddress(0, afInet, peerHost, 5000)
	must(t, "sendto", sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
	w.only()
	w.ended()
}

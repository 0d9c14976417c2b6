package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

var (
	ownHost     = []byte{10, 0, 2, 15}
	foreignHost = []byte{93, 184, 216, 34}
	otherHost   = []byte{8, 8, 8, 8}
)

// gatewayBuffers are for packets, and for options.
var gatewayBuffers [2][1 << 16]byte

func gatewayBuffer(i int) uint64 { return addressOf(&gatewayBuffers[i][0]) }

func setInt(t *testing.T, fd, level, name uint64, v uint32) uint64 {
	t.Helper()
	store32(gatewayBuffer(1), v)
	return platformCall(sysSetsockopt, fd, level, name, gatewayBuffer(1), 4)
}

// transparent returns a socket with IP_TRANSPARENT.
func transparent(t *testing.T, kind, proto uint64) uint64 {
	t.Helper()
	fd := must(t, "socket", sysSocket, afInet, kind|oNonblock, proto)
	if r := setInt(t, fd, levelIP, 19, 1); r != 0 {
		t.Fatalf("IP_TRANSPARENT: %s", result(r))
	}
	return fd
}

// openGateway makes the gateway of streams, with ownHost as the container's address.
func openGateway(t *testing.T) uint64 {
	t.Helper()
	g := transparent(t, sockStream, 0)
	setAddress(0, afInet, []byte{0, 0, 0, 0}, 0)
	must(t, "bind", sysBind, g, addressAt(0), 16)
	must(t, "listen", sysListen, g, 100)
	copy(gatewayBuffers[1][:], ownHost)
	must(t, "addresses", sysSetsockopt, g, levelIP, ipOwnAddresses&0xff, gatewayBuffer(1), 4)
	return g
}

// connectTo returns a new socket and what connect(2) says.
func connectTo(t *testing.T, host []byte, port uint16) (uint64, uint64) {
	t.Helper()
	c := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, host, port)
	return c, platformCall(sysConnect, c, addressAt(0), 16)
}

// hasName checks what getsockname or getpeername of a socket for IPv4 says, unless port is 0. It returns the port.
func hasName(t *testing.T, fd, call uint64, host []byte, port uint16) uint16 {
	t.Helper()
	setAddress(0, afInet, nil, 0)
	must(t, "name", call, fd, addressAt(0), lengthAt(0))
	got := binary.BigEndian.Uint16(addresses[0][2:])
	if !bytes.Equal(addresses[0][4:8], host) || port != 0 && got != port {
		t.Errorf("call %d: got %v:%d, want %v:%d", call, addresses[0][4:8], got, host, port)
	}
	return got
}

func events(fd uint64) uint32 { return socketReady(socketAt(descriptors[fd].index)) }

func pendingError(t *testing.T, fd uint64) uint64 {
	t.Helper()
	store32(lengthAt(0), 4)
	must(t, "SO_ERROR", sysGetsockopt, fd, levelSocket, soError&0xff, buffer(0), lengthAt(0))
	return uint64(load32(buffer(0)))
}

func noSockets(t *testing.T) {
	t.Helper()
	for i := uint64(1); i < uint64(sockets.made); i++ {
		if s := socketAt(i); s.domain != 0 && s.domain <= afInet6 && s.refs != 0 {
			t.Errorf("socket %d is left with %d holds", i, s.refs)
		}
	}
}

// fromOutside connects a transparent socket.
func fromOutside(t *testing.T, from []byte, fromPort uint16, to []byte, port uint16) (uint64, uint64) {
	t.Helper()
	c := transparent(t, sockStream, 0)
	setAddress(0, afInet, from, fromPort)
	must(t, "bind", sysBind, c, addressAt(0), 16)
	setAddress(0, afInet, to, port)
	return c, platformCall(sysConnect, c, addressAt(0), 16)
}

func TestGatewayInbound(t *testing.T) {
	fakeSockets(t)
	l := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, []byte{0, 0, 0, 0}, 8080)
	must(t, "bind", sysBind, l, addressAt(0), 16)
	must(t, "listen", sysListen, l, 10)
	// Two with the same address and port, that of the listener, and one without IP_TRANSPARENT.
	a, r := fromOutside(t, foreignHost, 8080, ownHost, 8080)
	b, r2 := fromOutside(t, foreignHost, 8080, otherHost, 8080)
	if r != 0 || r2 != 0 {
		t.Fatalf("connect: got %s and %s", result(r), result(r2))
	}
	s, s2 := accept(t, l), accept(t, l)
	hasName(t, s, sysGetpeername, foreignHost, 8080)
	hasName(t, s, sysGetsockname, ownHost, 8080)
	hasName(t, s2, sysGetsockname, otherHost, 8080)
	hasName(t, a, sysGetsockname, foreignHost, 8080)
	must(t, "write", sysWrite, a, buffer(0), 5)
	if n := must(t, "read", sysRead, s, buffer(0), 10); n != 5 {
		t.Errorf("read: got %d, want 5", n)
	}
	must(t, "shutdown", sysShutdown, a, 1)
	if n := must(t, "read", sysRead, s, buffer(0), 10); n != 0 {
		t.Errorf("read at the end: got %d", n)
	}
	must(t, "write", sysWrite, s, buffer(0), 7)
	if n := must(t, "read", sysRead, a, buffer(0), 10); n != 7 {
		t.Errorf("read: got %d, want 7", n)
	}
	// A reset is SO_LINGER with 0.
	store64(gatewayBuffer(1), 1)
	must(t, "SO_LINGER", sysSetsockopt, b, levelSocket, soLinger&0xff, gatewayBuffer(1), 8)
	must(t, "close", sysClose, b)
	fails(t, "read", eCONNRESET, sysRead, s2, buffer(0), 10)
	c, r := fromOutside(t, foreignHost, 1, ownHost, 81)
	if r != errno(eCONNREFUSED) {
		t.Errorf("no listener: got %s", result(r))
	}
	d := must(t, "socket", sysSocket, afInet, sockStream, 0)
	setAddress(0, afInet, foreignHost, 1)
	fails(t, "bind", eADDRNOTAVAIL, sysBind, d, addressAt(0), 16)
	for _, fd := range []uint64{a, s, s2, c, d, l} {
		must(t, "close", sysClose, fd)
	}
	noSockets(t)
}

// Listeners of loopback addresses are not reached from outside, nor is loopback by name.
func TestGatewayLoopbackIsInside(t *testing.T) {
	fakeSockets(t)
	l := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, host4, 8080)
	must(t, "bind", sysBind, l, addressAt(0), 16)
	must(t, "listen", sysListen, l, 10)
	if _, r := fromOutside(t, foreignHost, 1, ownHost, 8080); r != errno(eCONNREFUSED) {
		t.Errorf("to a listener on loopback: got %s", result(r))
	}
	for _, to := range [][]byte{host4, {0, 0, 0, 0}, {127, 9, 9, 9}} {
		if _, r := fromOutside(t, foreignHost, 1, to, 8080); r != errno(eINVAL) {
			t.Errorf("to %v: got %s", to, result(r))
		}
	}
	c := transparent(t, sockStream, 0)
	setAddress(0, afInet, foreignHost, 0)
	fails(t, "bind to port 0", eINVAL, sysBind, c, addressAt(0), 16)
	setAddress(0, afInet, foreignHost, 99)
	must(t, "bind", sysBind, c, addressAt(0), 16)
	fails(t, "bind again", eINVAL, sysBind, c, addressAt(0), 16)
	fails(t, "listen", eINVAL, sysListen, c, 1)
	d := transparent(t, sockDatagram, 0)
	fails(t, "bind", eADDRNOTAVAIL, sysBind, d, addressAt(0), 16)
}

// A transparent socket of IPv6 works the same, for both families.
func TestGatewayInbound6(t *testing.T) {
	fakeSockets(t)
	l, port := listener(t, 10)
	for _, from := range [][]byte{{0: 0x20, 1: 1, 15: 9}, {10: 0xff, 11: 0xff, 12: 9, 13: 9, 14: 9, 15: 9}} {
		c := must(t, "socket", sysSocket, afInet6, sockStream|oNonblock, 0)
		if r := setInt(t, c, levelIPv6, 75, 1); r != 0 {
			t.Fatalf("IPV6_TRANSPARENT: %s", result(r))
		}
		setAddress(0, afInet6, from, 4000)
		must(t, "bind", sysBind, c, addressAt(0), 28)
		to := bytes.Clone(from)
		to[15] = 77
		setAddress(0, afInet6, to, port)
		must(t, "connect", sysConnect, c, addressAt(0), 28)
		s := accept(t, l)
		must(t, "getpeername", sysGetpeername, s, addressAt(0), lengthAt(0))
		if !bytes.Equal(addresses[0][8:24], from) {
			t.Errorf("peer: got %x, want %x", addresses[0][8:24], from)
		}
	}
}

func TestGatewayOutbound(t *testing.T) {
	fakeSockets(t)
	if _, r := connectTo(t, foreignHost, 80); r != errno(eNETUNREACH) {
		t.Errorf("without a gateway: got %s", result(r))
	}
	g := openGateway(t)
	c, r := connectTo(t, foreignHost, 80)
	if r != errno(eINPROGRESS) {
		t.Fatalf("connect: got %s", result(r))
	}
	if events(g) != epollIn || events(c) != 0 {
		t.Errorf("events: got %#x of the gateway and %#x", events(g), events(c))
	}
	s := accept(t, g)
	hasName(t, s, sysGetsockname, foreignHost, 80)
	port := hasName(t, s, sysGetpeername, ownHost, 0)
	hasName(t, c, sysGetsockname, ownHost, port)
	fails(t, "getpeername", eNOTCONN, sysGetpeername, c, addressAt(0), lengthAt(0))
	fails(t, "connect", eALREADY, sysConnect, c, addressAt(0), 16)
	fails(t, "write", eAGAIN, sysWrite, c, buffer(0), 1)
	must(t, "listen", sysListen, g, 50) // completes nothing
	if events(c) != 0 {
		t.Errorf("undecided: got events %#x", events(c))
	}
	if r := setInt(t, s, levelSocket, 4, eINVAL); r != errno(eINVAL) {
		t.Errorf("a strange error: got %s", result(r))
	}
	if r := setInt(t, s, levelSocket, 4, 0); r != 0 {
		t.Errorf("SO_ERROR: got %s", result(r))
	}
	if r := setInt(t, s, levelSocket, 4, 0); r != errno(eNOPROTOOPT) {
		t.Errorf("SO_ERROR again: got %s", result(r))
	}
	if events(c) != epollOut || pendingError(t, c) != 0 {
		t.Errorf("established: got events %#x", events(c))
	}
	hasName(t, c, sysGetpeername, foreignHost, 80)
	must(t, "write", sysWrite, c, buffer(0), 3)
	must(t, "shutdown", sysShutdown, c, 1)
	for want := range uint32(2) {
		store32(lengthAt(0), 4)
		must(t, "peer gone", sysGetsockopt, s, levelIP, ipPeerGone&0xff, buffer(0), lengthAt(0))
		if got := load32(buffer(0)); got != want {
			t.Errorf("peer gone: got %d, want %d", got, want)
		}
		if want == 0 {
			must(t, "close", sysClose, c)
		}
	}
	for _, want := range []uint64{3, 0} {
		if n := must(t, "read", sysRead, s, buffer(0), 10); n != want {
			t.Errorf("read: got %d, want %d", n, want)
		}
	}
	must(t, "close", sysClose, s)
	if c, r = connectTo(t, foreignHost, 0); r != errno(eCONNREFUSED) {
		t.Errorf("port 0: got %s", result(r))
	}
	must(t, "close", sysClose, c)
	must(t, "close", sysClose, g)
	if _, r := connectTo(t, foreignHost, 80); r != errno(eNETUNREACH) {
		t.Errorf("after the gateway: got %s", result(r))
	}
}

// What the gateway says, or does, is what connect(2) says.
func TestGatewayRefuses(t *testing.T) {
	fakeSockets(t)
	g := openGateway(t)
	for _, e := range []uint32{eCONNREFUSED, eTIMEDOUT, eHOSTUNREACH, eNETUNREACH} {
		c, _ := connectTo(t, foreignHost, 80)
		s := accept(t, g)
		if r := setInt(t, s, levelSocket, 4, e); r != 0 {
			t.Errorf("SO_ERROR: got %s", result(r))
		}
		if events(c)&(epollErr|epollOut) != epollErr|epollOut {
			t.Errorf("failed: got events %#x", events(c))
		}
		if got := pendingError(t, c); got != uint64(e) {
			t.Errorf("error: got %d, want %d", got, e)
		}
		fails(t, "write", ePIPE, sysSendto, s, buffer(0), 1, msgNoSignal)
		must(t, "close", sysClose, c)
		must(t, "close", sysClose, s)
	}
	c, _ := connectTo(t, foreignHost, 80)
	must(t, "close", sysClose, accept(t, g))
	if got := pendingError(t, c); got != eCONNREFUSED {
		t.Errorf("closed undecided: got %d", got)
	}
	must(t, "close", sysClose, c)
	// The program gives up: before and after accept.
	c, _ = connectTo(t, foreignHost, 80)
	must(t, "close", sysClose, c)
	fails(t, "accept", eAGAIN, sysAccept4, g, 0, 0, oNonblock)
	c, _ = connectTo(t, foreignHost, 80)
	s := accept(t, g)
	must(t, "close", sysClose, c)
	if events(s)&(epollIn|epollHup) != epollIn|epollHup {
		t.Errorf("given up: got events %#x", events(s))
	}
	if r := setInt(t, s, levelSocket, 4, 0); r != errno(eCONNRESET) {
		t.Errorf("SO_ERROR: got %s", result(r))
	}
	must(t, "close", sysClose, s)
	// The gateway ends: one waits in its queue, one is accepted.
	c, _ = connectTo(t, foreignHost, 80)
	s = accept(t, g)
	d, _ := connectTo(t, foreignHost, 81)
	must(t, "close", sysClose, g)
	if got := pendingError(t, d); got != eCONNREFUSED {
		t.Errorf("the gateway ended: got %d", got)
	}
	if r := setInt(t, s, levelSocket, 4, 0); r != 0 || events(c) != epollOut {
		t.Errorf("accepted before: got %s, events %#x", result(r), events(c))
	}
	for _, fd := range []uint64{c, s, d} {
		must(t, "close", sysClose, fd)
	}
	noSockets(t)
}

func TestGatewayOwnAddress(t *testing.T) {
	fakeSockets(t)
	g := openGateway(t)
	l, port := listener(t, 10)
	c, r := connectTo(t, ownHost, port)
	if r != 0 {
		t.Fatalf("connect: got %s", result(r))
	}
	hasName(t, c, sysGetsockname, ownHost, 0)
	must(t, "close", sysClose, accept(t, l))
	b := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, ownHost, 9999)
	must(t, "bind", sysBind, b, addressAt(0), 16)
	must(t, "listen", sysListen, b, 1)
	if _, r := connectTo(t, host4, 9999); r != errno(eCONNREFUSED) {
		t.Errorf("through loopback: got %s", result(r))
	}
	if _, r := fromOutside(t, foreignHost, 5, ownHost, 9999); r != 0 {
		t.Errorf("from outside: got %s", result(r))
	}
	// Bound to loopback, nothing outside can be reached.
	d := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
	setAddress(0, afInet, host4, 0)
	must(t, "bind", sysBind, d, addressAt(0), 16)
	setAddress(0, afInet, foreignHost, 80)
	fails(t, "connect", eINVAL, sysConnect, d, addressAt(0), 16)
	// There is one gateway, and it has no port that others could connect to.
	o := transparent(t, sockStream, 0)
	fails(t, "a second gateway", eADDRINUSE, sysListen, o, 1)
	hasName(t, g, sysGetsockname, []byte{0, 0, 0, 0}, 0)
	for _, n := range []uint64{1, 3, 5, 36, 1 << 40} {
		if got := platformCall(sysSetsockopt, g, levelIP, 200, buffer(0), n); got != errno(eINVAL) && n != 1<<40 {
			t.Errorf("%d bytes of addresses: got %s", n, result(got))
		}
	}
	for _, bad := range [][]byte{{0, 0, 0, 0}, {127, 0, 0, 1}, {224, 0, 0, 1}, {255, 255, 255, 255}} {
		copy(gatewayBuffers[1][:], bad)
		fails(t, "a bad address", eINVAL, sysSetsockopt, g, levelIP, 200, gatewayBuffer(1), 4)
	}
	fails(t, "not transparent", eNOPROTOOPT, sysSetsockopt, l, levelIP, 200, gatewayBuffer(1), 4)
	must(t, "addresses", sysSetsockopt, o, levelIP, 200, gatewayBuffer(1), 0)
	if _, r := connectTo(t, foreignHost, 80); r != errno(eNETUNREACH) {
		t.Errorf("without an address: got %s", result(r))
	}
}

// packet writes a packet to buffer 2 and returns its length.
func packet(from []byte, fromPort uint16, to []byte, port uint16, payload string) uint64 {
	b := gatewayBuffers[0][:]
	clear(b[:packetHead])
	n := packetHead + copy(b[packetHead:], payload)
	b[0], b[8], b[9] = 0x45, 64, protoUDP
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	copy(b[12:], from)
	copy(b[16:], to)
	binary.BigEndian.PutUint16(b[20:], fromPort)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], uint16(n-inetHead))
	return uint64(n)
}

func bindDatagram(t *testing.T, host []byte, port uint16) uint64 {
	t.Helper()
	d := must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
	setAddress(0, afInet, host, port)
	must(t, "bind", sysBind, d, addressAt(0), 16)
	return d
}

func TestGatewayDatagramOut(t *testing.T) {
	fakeSockets(t)
	d := bindDatagram(t, []byte{0, 0, 0, 0}, 5000)
	setAddress(0, afInet, foreignHost, 53)
	fails(t, "without a gateway", eNETUNREACH, sysSendto, d, buffer(0), 4, 0, addressAt(0), 16)
	raw := transparent(t, sockRaw, protoUDP)
	fails(t, "without an address", eNETUNREACH, sysSendto, d, buffer(0), 4, 0, addressAt(0), 16)
	openGateway(t)
	copy(dataBuffers[0][:], "ping")
	setAddress(0, afInet, foreignHost, 53)
	must(t, "sendto", sysSendto, d, buffer(0), 4, 0, addressAt(0), 16)
	must(t, "sendto", sysSendto, d, buffer(0), 0, 0, addressAt(0), 16)
	if events(raw)&epollIn == 0 {
		t.Errorf("events: got %#x", events(raw))
	}
	n := must(t, "read", sysRead, raw, buffer(1), 65536)
	got := bytes.Clone(dataBuffers[1][:n])
	if k := packet(ownHost, 5000, foreignHost, 53, "ping"); k != n || got[6] != 0x40 {
		t.Fatalf("got %d bytes: %x", n, got)
	}
	got[6] = 0
	if want := gatewayBuffers[0][:n]; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if n := must(t, "read", sysRead, raw, buffer(1), 65536); n != packetHead {
		t.Errorf("an empty one: got %d bytes", n)
	}
	fails(t, "read", eAGAIN, sysRead, raw, buffer(1), 65536)
	// A short read loses the rest of one packet only.
	must(t, "connect", sysConnect, d, addressAt(0), 16)
	hasName(t, d, sysGetsockname, ownHost, 5000)
	must(t, "write", sysWrite, d, buffer(0), 4)
	must(t, "write", sysWrite, d, buffer(0), 2)
	for _, want := range []uint64{7, 30} {
		if n := must(t, "read", sysRead, raw, buffer(1), 7+(want-7)*100); n != want {
			t.Errorf("got %d bytes, want %d", n, want)
		}
	}
	// A full queue loses what comes.
	for range 100 {
		if n := must(t, "write", sysWrite, d, buffer(0), 1000); n != 1000 {
			t.Errorf("write: got %d", n)
		}
	}
	for range ringCapacity / (1000 + packetHead) {
		must(t, "read", sysRead, raw, buffer(1), 65536)
	}
	fails(t, "read", eAGAIN, sysRead, raw, buffer(1), 65536)
	must(t, "the longest", sysWrite, d, buffer(0), mostDatagram)
	if n := must(t, "read", sysRead, raw, buffer(1), 65536); n != 65535 {
		t.Errorf("the longest: got %d bytes", n)
	}
	fails(t, "too long", eMSGSIZE, sysWrite, d, buffer(0), mostDatagram+1)
}

func TestGatewayDatagramIn(t *testing.T) {
	fakeSockets(t)
	openGateway(t)
	raw := transparent(t, sockRaw, protoUDP)
	receive := func(d uint64, want string, from []byte, port uint16) {
		t.Helper()
		setAddress(0, 0, nil, 0)
		n := must(t, "recvfrom", sysRecvfrom, d, buffer(1), 65536, 0, addressAt(0), lengthAt(0))
		b := addresses[0][:]
		if string(dataBuffers[1][:n]) != want || !bytes.Equal(b[4:8], from) || binary.BigEndian.Uint16(b[2:]) != port {
			t.Errorf("got %q from %v, want %q from %v:%d", dataBuffers[1][:n], b[2:8], want, from, port)
		}
	}
	d := bindDatagram(t, []byte{0, 0, 0, 0}, 5000)
	n := packet(foreignHost, 53, ownHost, 5000, "pong")
	must(t, "write", sysWrite, raw, gatewayBuffer(0), n)
	receive(d, "pong", foreignHost, 53)
	// The payload in a buffer of its own.
	vectors := addressOf(&addresses[1][0])
	store64(vectors, gatewayBuffer(0))
	store64(vectors+8, packetHead)
	store64(vectors+16, gatewayBuffer(0)+packetHead)
	store64(vectors+24, n-packetHead)
	must(t, "writev", sysWritev, raw, vectors, 2)
	receive(d, "pong", foreignHost, 53)
	// Nobody, loopback, and somebody else's peer.
	bindDatagram(t, host4, 6000)
	c := bindDatagram(t, []byte{0, 0, 0, 0}, 7000)
	setAddress(0, afInet, foreignHost, 53)
	must(t, "connect", sysConnect, c, addressAt(0), 16)
	for port, from := range map[uint16][]byte{4999: foreignHost, 6000: foreignHost, 7000: otherHost} {
		n := packet(from, 53, ownHost, port, "x")
		fails(t, "write", eCONNREFUSED, sysWrite, raw, gatewayBuffer(0), n)
	}
	n = packet(foreignHost, 53, ownHost, 7000, "x")
	must(t, "write", sysWrite, raw, gatewayBuffer(0), n)
	receive(c, "x", foreignHost, 53)
	// A full queue loses what comes.
	n = packet(foreignHost, 53, ownHost, 5000, string(make([]byte, 60000)))
	must(t, "write", sysWrite, raw, gatewayBuffer(0), n)
	must(t, "write", sysWrite, raw, gatewayBuffer(0), n)
	must(t, "read", sysRead, d, buffer(1), 65536)
	fails(t, "read", eAGAIN, sysRead, d, buffer(1), 65536)
}

// Packets that are not what they say are refused, and none goes anywhere.
func TestGatewayHostilePackets(t *testing.T) {
	fakeSockets(t)
	openGateway(t)
	raw := transparent(t, sockRaw, protoUDP)
	d := bindDatagram(t, []byte{0, 0, 0, 0}, 5000)
	for what, change := range map[string]func(b []byte){
		"version":         func(b []byte) { b[0] = 0x65 },
		"options":         func(b []byte) { b[0] = 0x46 },
		"short header":    func(b []byte) { b[0] = 0x44 },
		"total too long":  func(b []byte) { b[3]++ },
		"total too short": func(b []byte) { b[3]-- },
		"more fragments":  func(b []byte) { b[6] = 0x20 },
		"offset":          func(b []byte) { b[7] = 1 },
		"protocol":        func(b []byte) { b[9] = protoTCP },
		"UDP too long":    func(b []byte) { b[25]++ },
		"UDP too short":   func(b []byte) { b[25]-- },
		"UDP length 0":    func(b []byte) { b[25] = 0 },
		"from loopback":   func(b []byte) { copy(b[12:], host4) },
		"from nowhere":    func(b []byte) { clear(b[12:16]) },
		"from itself":     func(b []byte) { copy(b[12:], ownHost) },
		"to loopback":     func(b []byte) { copy(b[16:], host4) },
		"to nowhere":      func(b []byte) { clear(b[16:20]) },
	} {
		n := packet(foreignHost, 53, ownHost, 5000, "pong")
		change(gatewayBuffers[0][:])
		if got := platformCall(sysWrite, raw, gatewayBuffer(0), n); got != errno(eINVAL) {
			t.Errorf("%s: got %s", what, result(got))
		}
	}
	n := packet(foreignHost, 53, ownHost, 5000, "pong")
	for k := range n {
		fails(t, "cut off", eINVAL, sysWrite, raw, gatewayBuffer(0), k)
	}
	fails(t, "too long", eINVAL, sysWrite, raw, gatewayBuffer(0), 65536)
	fails(t, "read", eAGAIN, sysRead, d, buffer(1), 100)
	// Random bytes behind a plausible beginning.
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(0, 80).Draw(rt, "size")
		packet(foreignHost, 53, ownHost, 5000, "")
		for range rapid.IntRange(0, 8).Draw(rt, "changes") {
			gatewayBuffers[0][rapid.IntRange(0, packetHead-1).Draw(rt, "where")] = rapid.Byte().Draw(rt, "byte")
		}
		got := platformCall(sysWrite, raw, gatewayBuffer(0), uint64(size))
		if got != uint64(size) && got != errno(eINVAL) && got != errno(eCONNREFUSED) {
			rt.Fatalf("write: got %s", result(got))
		}
		if int64(got) > 0 {
			if n := platformCall(sysRead, d, buffer(1), 1000); n != got-packetHead {
				rt.Fatalf("read: got %s, want %d", result(n), got-packetHead)
			}
		}
	})
}

func TestGatewayRawSocket(t *testing.T) {
	fakeSockets(t)
	fails(t, "raw TCP", eSOCKTNOSUPPORT, sysSocket, afInet, sockRaw, protoTCP)
	fails(t, "raw IPv6", eSOCKTNOSUPPORT, sysSocket, afInet6, sockRaw, protoUDP)
	raw := transparent(t, sockRaw, protoUDP)
	o := must(t, "socket", sysSocket, afInet, sockRaw|oNonblock, protoUDP)
	if r := setInt(t, o, levelIP, 19, 1); r != errno(eADDRINUSE) {
		t.Errorf("a second one: got %s", result(r))
	}
	n := packet(foreignHost, 53, ownHost, 5000, "pong")
	fails(t, "write", ePERM, sysWrite, o, gatewayBuffer(0), n)
	setAddress(0, afInet, foreignHost, 9)
	fails(t, "bind", eOPNOTSUPP, sysBind, raw, addressAt(0), 16)
	fails(t, "connect", eOPNOTSUPP, sysConnect, raw, addressAt(0), 16)
	fails(t, "listen", eOPNOTSUPP, sysListen, raw, 1)
	fails(t, "accept", eOPNOTSUPP, sysAccept4, raw, 0, 0, 0)
	fails(t, "read", eAGAIN, sysRead, raw, buffer(0), 10)
	vmas = vmaTable{}
	vmaShrinks++
	const bad = 0x1000
	fails(t, "write", eFAULT, sysWrite, raw, bad, 100)
	fails(t, "addresses", eFAULT, sysSetsockopt, raw, levelIP, 200, bad, 4)
	must(t, "close", sysClose, raw)
	must(t, "close", sysClose, o)
	if gateway.datagram != 0 {
		t.Error("the gateway is still there")
	}
}

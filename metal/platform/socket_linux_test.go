package main

import (
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Random calls on sockets give the same answers from the platform and from Linux, on whose loopback interface things arrive
// at once too.

// address holds a struct sockaddr for both sides, and its length behind it.
var addresses [2][64]byte

const addressLen = 48

func addressAt(side int) uint64 { return addressOf(&addresses[side][0]) }
func lengthAt(side int) uint64  { return addressOf(&addresses[side][addressLen]) }

// setAddress writes host:port of the family.
func setAddress(side int, family uint16, host []byte, port uint16) {
	b := addresses[side][:]
	clear(b)
	binary.LittleEndian.PutUint16(b, family)
	binary.BigEndian.PutUint16(b[2:], port)
	if family == afInet {
		copy(b[4:], host)
	} else {
		copy(b[8:], host)
	}
	b[addressLen] = 28
}

var (
	host4 = []byte{127, 0, 0, 1}
	host6 = []byte{15: 1}
)

// sockets that both sides have.
type socketTwin struct {
	twin
	family    uint16
	poller    uint64 // of Linux
	listening *pair
	clients   []pair
	servers   []pair
}

// haveIPv6 tells whether Linux has ::1 here.
func haveIPv6() bool {
	fd := linuxCall(sysSocket, afInet6, sockStream|oCloexec, 0)
	defer linuxCall(sysClose, fd)
	setAddress(1, afInet6, host6, 0)
	return linuxCall(sysBind, fd, addressAt(1), 28) == 0
}

func TestSocketsLikeLinux(t *testing.T) {
	fakeMachine(t, 4096, nil)
	six := haveIPv6()
	poller := linuxCall(sysEpollCreate1, 0)
	defer linuxCall(sysClose, poller)
	rapid.Check(t, func(rt *rapid.T) {
		w := &socketTwin{twin: twin{t: rt}, poller: poller, family: afInet}
		if six && rapid.Bool().Draw(rt, "IPv6") {
			w.family = afInet6
		}
		defer w.closeAll()
		l := w.socket()
		w.bindAny(l)
		w.listening = &l
		w.same("listen", sysListen, func(side int) []uint64 { return []uint64{l[side], 100} })
		for range rapid.IntRange(1, 50).Draw(rt, "calls") {
			w.randomSocketCall()
		}
	})
	if sockets.made != 0 {
		live := 0
		for i := uint64(1); i < uint64(sockets.made); i++ {
			if s := socketAt(i); s.refs != 0 && s.domain != 0 && s.domain <= afInet6 {
				live++
			}
		}
		if live != 0 {
			t.Errorf("%d sockets are left", live)
		}
	}
}

func (w *socketTwin) socket() pair {
	r := w.both("socket", sysSocket, func(int) []uint64 { return []uint64{uint64(w.family), sockStream | oCloexec, 0} })
	if int64(r[0]) < 0 {
		w.t.Fatalf("socket: %s", result(r[0]))
	}
	w.open = append(w.open, r)
	for side := range 2 {
		store32(buffer(side), 1)
	}
	w.same("TCP_NODELAY", sysSetsockopt, func(side int) []uint64 { // or else Linux keeps a small segment until the one before is acknowledged
		return []uint64{r[side], levelTCP, 1, buffer(side), 4}
	})
	return r
}

func (w *socketTwin) host() []byte {
	if w.family == afInet {
		return host4
	}
	return host6
}

func (w *socketTwin) bindAny(p pair) {
	for side := range 2 {
		setAddress(side, w.family, w.host(), 0)
	}
	w.same("bind", sysBind, func(side int) []uint64 { return []uint64{p[side], addressAt(side), 28} })
}

func (w *socketTwin) closeAll() {
	for _, p := range w.open {
		linuxCall(sysClose, p[1])
		platformCall(sysClose, p[0])
	}
}

// port is the local port of a socket.
func (w *socketTwin) port(p pair, side int) uint16 {
	setAddress(side, 0, nil, 0)
	call := [2]func(uint64, ...uint64) uint64{platformCall, linuxCall}[side]
	if r := call(sysGetsockname, p[side], addressAt(side), lengthAt(side)); r != 0 {
		w.t.Fatalf("getsockname: %s", result(r))
	}
	return binary.BigEndian.Uint16(addresses[side][2:])
}

func (w *socketTwin) watch(p pair) {
	for side := range 2 {
		store32(buffer(side), epollIn|epollOut|epollRDHup)
		store64(buffer(side)+4, p[side])
	}
	if r := epollCtl(0, 1, p[0], buffer(0)); r != 0 {
		w.t.Fatalf("epoll_ctl: %s", result(r))
	}
	if r := linuxCall(sysEpollCtl, w.poller, 1, p[1], buffer(1)); r != 0 {
		w.t.Fatalf("epoll_ctl of Linux: %s", result(r))
	}
}

func (w *socketTwin) unblock(p pair) {
	w.same("fcntl", sysFcntl, func(side int) []uint64 { return []uint64{p[side], 4, oNonblock} })
	w.watch(p)
}

// awaitBytes waits until Linux, which may be late, has delivered as many bytes to a socket as the platform.
func (w *socketTwin) awaitBytes(p pair) {
	const fionread = 0x541b
	want := socketAt(descriptors[p[0]].index).in.used()
	for range 300 {
		if linuxCall(sysIoctl, p[1], fionread, buffer(1)) != 0 || uint64(load32(buffer(1))) >= want {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// checkEvents compares what the pollers say about every socket.
func (w *socketTwin) checkEvents() {
	get := func(side int) map[uint64]uint32 {
		n := uint64(0)
		if side == 0 {
			n = pollReady(0, buffer(0), 1000)
		} else if n = linuxCall(sysEpollWait, w.poller, buffer(1), 1000, 0); int64(n) < 0 {
			w.t.Fatalf("epoll_wait of Linux: %s", result(n))
		}
		m := map[uint64]uint32{}
		for i := range n {
			p := buffer(side) + i*eventLen
			m[load64(p+4)] = load32(p)
		}
		return m
	}
	different := func(got, want map[uint64]uint32) *pair {
		for _, p := range append(append([]pair{}, w.clients...), w.servers...) {
			if got[p[0]] != want[p[1]] {
				return &p
			}
		}
		return nil
	}
	got, want := get(0), get(1)
	for range 300 { // Linux may be late: by the time of a delayed acknowledgement, say
		if different(got, want) == nil {
			return
		}
		time.Sleep(time.Millisecond)
		want = get(1)
	}
	p := different(got, want)
	w.t.Fatalf("events of %d: got %#x, Linux has %#x", *p, got[p[0]], want[p[1]])
}

func (w *socketTwin) randomSocketCall() {
	all := append(append([]pair{}, w.clients...), w.servers...)
	kinds := []string{"connect"}
	if len(all) != 0 {
		kinds = []string{"connect", "close", "shutdown", "write", "write", "read", "read", "peer", "error", "name", "linger", "again", "poll", "timeout"}
	}
	kind := rapid.SampledFrom(kinds).Draw(w.t, "call")
	if kind == "connect" {
		w.connect()
		w.checkEvents()
		return
	}
	p := rapid.SampledFrom(all).Draw(w.t, "socket")
	one := func(rest ...uint64) func(int) []uint64 {
		return func(side int) []uint64 { return append([]uint64{p[side]}, rest...) }
	}
	switch kind {
	case "close":
		linuxCall(sysEpollCtl, w.poller, 2, p[1], 0)
		w.same("close", sysClose, one())
		w.forget(p)
	case "shutdown":
		w.same("shutdown", sysShutdown, one(rapid.Uint64Range(0, 3).Draw(w.t, "how")))
	case "write":
		n := rapid.SampledFrom([]int{0, 1, 100, 1400}).Draw(w.t, "n")
		fill(n, byte(n))
		w.same("send", sysSendto, func(side int) []uint64 { return []uint64{p[side], buffer(side), uint64(n), msgNoSignal, 0, 0} })
	case "read":
		w.awaitBytes(p)
		n := rapid.SampledFrom([]int{1, 100, 4000}).Draw(w.t, "n")
		flags := rapid.SampledFrom([]uint64{0, 0, msgPeek}).Draw(w.t, "flags")
		r := w.same("recv", sysRecvfrom, func(side int) []uint64 { return []uint64{p[side], buffer(side), uint64(n), flags, 0, 0} })
		if int64(r) > 0 {
			w.sameBytes("recv", r)
		}
	case "peer":
		for side := range 2 {
			setAddress(side, 0, nil, 0)
		}
		w.same("getpeername", sysGetpeername, func(side int) []uint64 { return []uint64{p[side], addressAt(side), lengthAt(side)} })
		for side := range 2 { // ports differ
			addresses[side][2], addresses[side][3] = 0, 0
		}
		if addresses[0] != addresses[1] {
			w.t.Fatalf("getpeername: got %x, Linux has %x", addresses[0], addresses[1])
		}
	case "error":
		for side := range 2 {
			store32(lengthAt(side), 4)
		}
		w.same("getsockopt", sysGetsockopt, func(side int) []uint64 {
			return []uint64{p[side], levelSocket, soError & 0xff, buffer(side), lengthAt(side)}
		})
		w.sameBytes("SO_ERROR", 4)
	case "name":
		if a, b := w.port(p, 0), w.port(p, 1); (a == 0) != (b == 0) {
			w.t.Fatalf("local port: got %d, Linux has %d", a, b)
		}
	case "linger":
		for side := range 2 {
			store64(buffer(side), 1)
		}
		w.same("SO_LINGER", sysSetsockopt, func(side int) []uint64 {
			return []uint64{p[side], levelSocket, soLinger & 0xff, buffer(side), 8}
		})
	case "poll":
		w.pollSockets()
	case "timeout":
		w.timeout(p)
	case "again":
		for side := range 2 {
			setAddress(side, w.family, w.host(), w.port(*w.listening, side))
		}
		for side := range 2 {
			port := w.port(*w.listening, side)
			setAddress(side, w.family, w.host(), port)
		}
		w.same("connect again", sysConnect, func(side int) []uint64 { return []uint64{p[side], addressAt(side), 28} })
	}
	w.checkEvents()
}

// connect makes a connection from a new client to a new server.
func (w *socketTwin) connect() {
	c := w.socket()
	for side := range 2 {
		port := w.port(*w.listening, side)
		setAddress(side, w.family, w.host(), port)
	}
	w.same("connect", sysConnect, func(side int) []uint64 { return []uint64{c[side], addressAt(side), 28} })
	s := w.both("accept", sysAccept4, func(side int) []uint64 {
		setAddress(side, 0, nil, 0)
		return []uint64{w.listening[side], addressAt(side), lengthAt(side), oCloexec}
	})
	if int64(s[0]) < 0 {
		w.t.Fatalf("accept: %s", result(s[0]))
	}
	w.open = append(w.open, s)
	w.unblock(c)
	w.unblock(s)
	w.clients, w.servers = append(w.clients, c), append(w.servers, s)
}

func (w *socketTwin) forget(p pair) {
	for _, list := range []*[]pair{&w.open, &w.clients, &w.servers} {
		for i, q := range *list {
			if q == p {
				*list = append((*list)[:i:i], (*list)[i+1:]...)
				break
			}
		}
	}
}

// Bind, listen, connect: addresses that both sides take and refuse.
func TestSocketAddresses(t *testing.T) {
	fakeMachine(t, 1024, nil)
	kinds := []uint64{sockStream, sockDatagram}
	hosts := map[string][]byte{
		"loopback": {127, 0, 0, 1}, "127.8.8.8": {127, 8, 8, 8}, "any": {0, 0, 0, 0}, "foreign": {192, 0, 2, 1},
		"::1": {15: 1}, "::": {15: 0}, "foreign6": {0x20, 1, 0xd, 0xb8, 15: 1}, "mapped": {10: 255, 11: 255, 12: 127, 15: 1},
	}
	for _, kind := range kinds {
		for name, host := range hosts {
			family := uint16(afInet6)
			if len(host) == 4 {
				family = afInet
			} else if !haveIPv6() {
				continue
			}
			var got [2][]string
			for side, call := range [2]func(uint64, ...uint64) uint64{platformCall, linuxCall} {
				for _, size := range []uint64{28, 16, 4, 200} {
					fd := call(sysSocket, uint64(family), kind|oCloexec, 0)
					setAddress(side, family, host, 0)
					r := call(sysBind, fd, addressAt(side), size)
					again := call(sysBind, fd, addressAt(side), size)
					listen := call(sysListen, fd, 5)
					setAddress(side, 0, nil, 0)
					named := call(sysGetsockname, fd, addressAt(side), lengthAt(side))
					bound := addresses[side][2] != 0
					addresses[side][2], addresses[side][3] = 0, 0
					got[side] = append(got[side], name, result(size), result(r), result(again), result(listen), result(named), result(uint64(addresses[side][4])),
						result(uint64(addresses[side][23])), map[bool]string{true: "port", false: "no port"}[bound])
					call(sysClose, fd)
				}
			}
			for i := range got[0] {
				if got[0][i] != got[1][i] {
					t.Errorf("kind %d, %s: got %q, Linux has %q", kind, name, got[0], got[1])
					break
				}
			}
		}
	}
	for _, c := range []struct{ domain, kind, proto uint64 }{
		{afInet, sockStream, 0}, {afInet, sockStream, protoTCP}, {afInet, sockStream, protoUDP}, {afInet6, sockDatagram, protoUDP},
		{afInet, sockDatagram, protoTCP}, {99, sockStream, 0}, {afInet, 0x77, 0}, {afInet, sockStream | 0x100, 0},
	} {
		got, want := platformCall(sysSocket, c.domain, c.kind, c.proto), linuxCall(sysSocket, c.domain, c.kind, c.proto)
		if int64(want) >= 0 {
			syscall.Close(int(want))
		}
		if int64(got) < 0 && got != want || int64(got) >= 0 && int64(want) < 0 {
			t.Errorf("socket(%d, %d, %d): got %s, Linux has %s", c.domain, c.kind, c.proto, result(got), result(want))
		}
	}
	fails(t, "socket for MPTCP", ePROTONOSUPPORT, sysSocket, afInet, sockStream, 262)
	fails(t, "listen on a file", eNOTSOCK, sysListen, 1, 1)
	fails(t, "listen on nothing", eBADF, sysListen, 100, 1)
}

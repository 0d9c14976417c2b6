package main

import (
	"strings"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// newDHCPWire is a machine that asks for its address.
func newDHCPWire(t testing.TB) *wire {
	t.Helper()
	w := newFunction(t, 2048)
	copy(bootPage.Name[:], "web")
	bootPage.Console = physical(alignedBytes(t, abi.ConsolePages*pageSize))
	initDHCP(nanotime())
	w.start()
	w.before = holding()
	return w
}

// said is what the platform printed.
func said() string {
	r := at[abi.ConsoleRing](direct(bootPage.Console))
	return string(r.Data[1][:r.Stream[1].Head])
}

// asked is the one message of DHCP that left.
func (w *wire) asked(kind uint8) (m inet.DHCP, p departed) {
	w.t.Helper()
	p = w.only()
	var u inet.UDP
	if !inet.ParseUDP(p.Payload, &u) || u.From != inet.DHCPClientPort || u.To != inet.DHCPServerPort || !inet.ParseDHCP(u.Payload, &m) || m.Type != kind {
		w.t.Fatalf("%+v left, want message %d: %+v", p, kind, m)
	}
	return m, p
}

// says delivers a message of the server, which is the peer.
func (w *wire) says(kind uint8, m inet.DHCP) {
	w.t.Helper()
	m.Reply, m.Type, m.Server = true, kind, peerIP
	if kind != inet.DHCPNak {
		m.Your, m.Mask, m.Router, m.Lease, m.DNS, m.NumDNS = ownIP, 0xffff_ff00, peerIP, 100, [3]uint32{peerIP, 0x0808_0808}, 2
	}
	b := make([]byte, inet.DHCPMost)
	w.give(udpFrame(peerIP, inet.DHCPServerPort, inet.DHCPClientPort, b[:m.Put(b)]))
}

// lease gets an address as far as that somebody else may have it.
func (w *wire) lease() {
	w.t.Helper()
	m, p := w.asked(inet.DHCPDiscover)
	if p.From != 0 || p.To != 0xffff_ffff || p.mac != 0xffff_ffff_ffff || string(m.Name[:m.NameLen]) != "web" || m.MAC != net.mac {
		w.t.Errorf("asked with %+v in %+v", m, p)
	}
	w.says(inet.DHCPOffer, m)
	m, p = w.asked(inet.DHCPRequest)
	if p.From != 0 || p.To != 0xffff_ffff || m.Requested != ownIP || m.Server != peerIP {
		w.t.Errorf("requested with %+v in %+v", m, p)
	}
	w.says(inet.DHCPAck, m)
	f := w.take()
	if len(f) != 1 || inet.Be16(f[0][12:]) != inet.TypeARP || inet.Be32(f[0][14+14:]) != 0 || inet.Be32(f[0][14+24:]) != ownIP {
		w.t.Errorf("% x left, want that it is looked who has the address", f)
	}
}

// wantPlace fails the test unless the container is where it should be, as programs see it.
func wantPlace(t *testing.T, has bool) {
	t.Helper()
	address, servers, eth := "127.0.1.1", "", []string{"127.0.0.1/8"}
	fd := must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
	setAddress(0, afInet, peerHost, 5000)
	want := errno(eNETUNREACH)
	if has {
		address, servers, want = "10.0.0.1", "nameserver 10.0.0.2\nnameserver 8.8.8.8\n", 0
		eth = append(eth, "10.0.0.1/24")
	}
	if r := platformCall(sysConnect, fd, addressAt(0), 16); r != want {
		t.Errorf("connect: got %s, want %s", result(r), result(want))
	}
	must(t, "close", sysClose, fd)
	if got := contents(t, "/etc/hosts"); !strings.HasSuffix(got, "\n"+address+" web\n") {
		t.Errorf("/etc/hosts: got %q", got)
	}
	if got := contents(t, "/etc/resolv.conf"); got != servers {
		t.Errorf("/etc/resolv.conf: got %q", got)
	}
	if got := interfaces(t, netlinkDump(t, rtmGetAddr, afInet)); !equalStrings(got, eth) {
		t.Errorf("addresses: got %v, want %v", got, eth)
	}
	if got := interfaces(t, netlinkDump(t, rtmGetLink, 0)); !equalStrings(got, []string{"lo", "eth0"}) {
		t.Errorf("interfaces: got %v", got)
	}
}

func equalStrings(a, b []string) bool { return strings.Join(a, " ") == strings.Join(b, " ") }

func TestDHCP(t *testing.T) {
	w := newDHCPWire(t)
	first := &thread{id: 2, state: threadBlocked, cpu: cpu(), mask: never}
	if !awaitLease(first) {
		t.Fatal("the program does not wait")
	}
	listener := tcpListener(t, localPort, 8)
	wantPlace(t, false)
	w.give(arpFrame(arpRequest, peerMAC, peerIP, 0), arpFrame(arpRequest, peerMAC, peerIP, ownIP))
	if f := w.take(); len(f) != 0 {
		t.Errorf("without an address % x left", f)
	}
	w.pass(0)
	w.lease()
	wantPlace(t, false)
	if first.state != threadBlocked {
		t.Error("the program runs, and there is no address yet")
	}
	w.pass(200 * time.Millisecond)
	if f := w.take(); len(f) != 1 || inet.Be16(f[0][12:]) != inet.TypeARP || inet.Be32(f[0][14+14:]) != ownIP {
		t.Errorf("% x left, want an announcement", f)
	}
	if first.state != threadRunnable || cpu().queue.take(never) != first {
		t.Error("the program does not run, and there is an address")
	}
	wantPlace(t, true)
	w.meet()
	w.give(tcpFrame(peerIP, inet.Segment{From: 5000, To: localPort, Seq: 1, Flags: inet.SYN, Window: 1000}, nil))
	if p := w.only(); p.seg.Flags != inet.SYN|inet.ACK {
		t.Errorf("who knocks is answered by %+v", p.seg)
	}
	must(t, "close", sysClose, listener)

	// More time is asked for with the server alone, which answers to the address. The program cannot hear it.
	spy := udpSocket(t, inet.DHCPClientPort)
	for n := 0; dhcp.client.Lease.Server == peerIP && n < 49; n++ {
		w.pass(time.Second)
		for _, p := range packets(t, w.take()) {
			if p.Proto != inet.ProtoTCP {
				t.Fatalf("after %d s %+v left", n, p)
			}
		}
	}
	w.pass(1500 * time.Millisecond)
	m, p := w.asked(inet.DHCPRequest)
	if p.From != ownIP || p.To != peerIP || p.mac != peerMAC || m.Client != ownIP || m.Requested != 0 {
		t.Errorf("asked for more time with %+v in %+v", m, p)
	}
	until := dhcp.client.Deadline()
	w.says(inet.DHCPAck, m)
	wantPlace(t, true)
	if dhcp.client.Deadline() <= until || readyNow(spy)&epollIn != 0 {
		t.Error("the lease was not extended")
	}
	must(t, "close", sysClose, spy)

	// Nobody gives more: the address is given up, and what has it says no more.
	fd, r := connectOut(t, 5000)
	if r != errno(eINPROGRESS) {
		t.Fatalf("connect: %s", result(r))
	}
	for range 120 {
		w.pass(time.Second)
		for _, p := range packets(t, w.take()) {
			if net.address.lo == 0 && (p.Proto != inet.ProtoUDP || p.From != 0) {
				t.Fatalf("after the end of the lease %+v left", p)
			}
		}
	}
	wantPlace(t, false)
	if _, r := connectOut(t, 5000); r != errno(eNETUNREACH) {
		t.Errorf("connect: %s", result(r))
	}
	must(t, "close", sysClose, fd)

	// What the program does with the files is respected.
	platformCall(sysUnlink, put(0, "/etc/hosts"))
	for range 70 {
		w.pass(time.Second)
		if f := w.take(); len(f) == 1 && inet.Be16(f[0][12:]) == inet.TypeIPv4 {
			w.undo(f[0])
			break
		}
	}
	w.lease()
	w.pass(200 * time.Millisecond)
	w.take()
	fails(t, "open", eNOENT, sysOpen, put(0, "/etc/hosts"), 0, 0)
	if net.address.lo != mapped|ownIP {
		t.Error("there is no address again")
	}
	const got, lost = "nom: the container has an address by DHCP: 10.0.0.1/24\n", "nom: the lease has ended: the address is given up: 10.0.0.1/24\n"
	if s := said(); s != got+lost+got {
		t.Errorf("it said\n%s", s)
	}
}

// undo puts a frame that left back for who looks next.
func (w *wire) undo(f []byte) { w.again = append(w.again, f) }

// Somebody has the address, or gets it in the same moment.
func TestDHCPConflict(t *testing.T) {
	for _, f := range [][]byte{arpFrame(arpReply, peerMAC, ownIP, 0), arpFrame(arpRequest, peerMAC, 0, ownIP)} {
		w := newDHCPWire(t)
		w.pass(0)
		w.lease()
		w.give(arpFrame(arpReply, net.mac, ownIP, 0)) // our own, reflected
		if f := w.take(); len(f) != 0 {
			t.Fatalf("after a reflected frame % x left", f)
		}
		w.give(f)
		w.asked(inet.DHCPDecline)
		w.pass(time.Second)
		wantPlace(t, false)
		if f := w.take(); len(f) != 0 {
			t.Errorf("an address that others have is used: % x", f)
		}
	}
}

// Without a server, the program starts after a while. A signal starts it at once.
func TestDHCPNobody(t *testing.T) {
	w := newDHCPWire(t)
	first := &thread{id: 2, state: threadBlocked, cpu: cpu(), mask: never}
	awaitLease(first)
	for n := range 12 {
		w.pass(time.Second)
		w.take()
		if (first.state == threadRunnable) != (n >= 9) {
			t.Fatalf("after %d s the program is in state %d", n+1, first.state)
		}
	}
	w = newDHCPWire(t)
	first = &thread{id: 2, state: threadBlocked, cpu: cpu(), mask: never}
	awaitLease(first)
	kill(first, 15)
	if first.state != threadRunnable || cpu().queue.take(never) != first {
		t.Error("a signal did not start the program")
	}
	first.state, first.wait = threadBlocked, waitPoll
	w.pass(0)
	w.lease()
	w.pass(time.Second)
	if first.state != threadBlocked {
		t.Error("a lease woke a thread that waits for something else")
	}
}

// FuzzDHCPInput gives a machine that asks for its address arbitrary messages of servers, and neighbours.
func FuzzDHCPInput(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x03\x04"))
	f.Add([]byte("\x00\x01\x07\x05\x05\x05\x02\x00\x01\x02"))
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newDHCPWire(t)
		w.pass(0)
		fd := udpSocket(t, localPort)
		var m inet.DHCP
		for _, c := range script[:min(len(script), 200)] {
			for _, b := range w.take() {
				if inet.Be16(b[12:]) != inet.TypeIPv4 {
					continue
				}
				var u inet.UDP
				var p inet.IPv4
				if !inet.ParseIPv4(b[14:], false, &p) || p.From != uint32(net.address.lo) && p.From != 0 {
					t.Fatalf("% x left at address %x", b, net.address.lo)
				}
				if inet.ParseUDP(p.Payload, &u) && u.To == inet.DHCPServerPort {
					inet.ParseDHCP(u.Payload, &m)
				}
			}
			a := m
			switch c & 7 {
			case 0:
				w.says(inet.DHCPOffer, a)
			case 1:
				w.says(inet.DHCPAck, a)
			case 2:
				w.pass(time.Duration(c) * 200 * time.Millisecond)
			case 3:
				a.XID ^= uint32(c >> 3)
				w.says(inet.DHCPNak, a)
			case 4:
				w.give(arpFrame(arpReply, peerMAC, ownIP, uint32(c>>3)))
			case 5:
				w.pass(time.Minute)
			case 6:
				b := make([]byte, inet.DHCPMost)
				a.Reply, a.Type = true, c>>3
				b = b[:a.Put(b)]
				b[int(c)%len(b)] ^= c
				w.give(udpFrame(peerIP, inet.DHCPServerPort, inet.DHCPClientPort, b))
			case 7:
				setAddress(0, afInet, peerHost, 5000)
				platformCall(sysSendto, fd, buffer(0), 8, 0, addressAt(0), 16)
			}
			if (net.address.lo != 0) != dhcp.client.Bound() || (gateway.count == 1) != dhcp.client.Bound() {
				t.Fatalf("address %x, %d addresses, %+v", net.address.lo, gateway.count, dhcp.client)
			}
		}
	})
}

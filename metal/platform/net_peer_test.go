package main

import (
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"nom.dev/nom/metal/inet"
	"nom.dev/nom/test/peer"
)

// lab is the container's network function with gVisor's stack at the other end of the wire, in a time of its own.
type lab struct {
	*wire
	*peer.Peer
	at   uint64                         // what the peer's clock was advanced to
	lose func(seq inet.Seq, n int) bool // loses data of the container's, if there is one
}

func newLab(t *testing.T, seed int64) *lab {
	t.Helper()
	return &lab{wire: newWire(t, 4096), Peer: peer.New(t, seed), at: nanotime()}
}

// until lets time pass until something is so.
func (l *lab) until(what string, so func() bool) {
	l.t.Helper()
	for n := 0; !so(); n++ {
		if n > 100_000 {
			l.t.Fatalf("waited for %s without end: %+v, %+v", what, holding(), netCount)
		}
		l.step()
	}
}

// during lets so much time pass.
func (l *lab) during(d time.Duration) {
	for end := nanotime() + uint64(d); nanotime() < end; {
		l.step()
	}
}

// step carries what left, and lets time pass until something is due.
func (l *lab) step() {
	for _, f := range l.take() {
		l.leave(f)
	}
	l.Settle(func(packet []byte) {
		b := make([]byte, inet.EthernetLen, inet.EthernetLen+len(packet))
		putMAC(b, net.mac)
		putMAC(b[6:], peerMAC)
		inet.PutBe16(b[12:], inet.TypeIPv4)
		l.Carry(nanotime(), true, append(b, packet...))
	})
	now := nanotime()
	next := max(l.Next(min(now+20_000_000, max(net.deadline, now))), now)
	l.skip(time.Duration(next - now))
	now = nanotime()
	l.Advance(time.Duration(now - l.at))
	l.at = now
	netTimer(now)
	for f, ok := l.Arrived(now); ok; f, ok = l.Arrived(now) {
		if f.Ours {
			l.deliver(f.B)
		} else {
			l.Inject(f.B)
		}
	}
	netPoll()
}

// leave is a frame of the container's.
func (l *lab) leave(f []byte) {
	if inet.Be16(f[12:]) == inet.TypeARP {
		if target := inet.Be32(f[14+24:]); target == peerIP && inet.Be16(f[14+6:]) == arpRequest {
			l.Carry(nanotime(), true, arpFrame(arpReply, peerMAC, peerIP, ownIP))
		}
		return
	}
	if l.lose != nil && f[inet.EthernetLen+9] == inet.ProtoTCP {
		if data, seq := payload(l.t, f); len(data) != 0 && l.lose(seq, len(data)) {
			return
		}
	}
	if macOf(f) == peerMAC {
		l.Carry(nanotime(), false, f[inet.EthernetLen:])
	}
}

// dialIn has gVisor connect to the container; accepted waits for the connection.
func (l *lab) dialIn(port uint16) *peer.End { return &peer.End{Endpoint: l.Dial(0, port)} }

// accepted is a connection to listener fd.
func (l *lab) accepted(fd uint64) uint64 {
	l.t.Helper()
	r := errno(eAGAIN)
	l.until("a connection", func() bool {
		r = platformCall(sysAccept4, fd, 0, 0, oNonblock)
		return r != errno(eAGAIN)
	})
	if int64(r) < 0 {
		l.t.Fatalf("accept: %s", result(r))
	}
	return r
}

// pair is a connection: the container's end, and gVisor's.
func (l *lab) pair(inwards bool) (uint64, *peer.End) {
	l.t.Helper()
	if inwards {
		fd := tcpListener(l.t, localPort, 8)
		e := l.dialIn(localPort)
		c := l.accepted(fd)
		l.until("their end", func() bool { return tcp.EndpointState(e.State()) == tcp.StateEstablished })
		must(l.t, "close", sysClose, fd)
		return c, e
	}
	listener := l.Listen(5000, 8)
	defer listener.Close()
	fd, r := connectOut(l.t, 5000)
	if r != errno(eINPROGRESS) {
		l.t.Fatalf("connect: %s", result(r))
	}
	e := &peer.End{}
	l.until("the connection", func() bool {
		if ep, _, err := listener.Accept(nil); err == nil {
			e.Endpoint = ep
		}
		return e.Endpoint != nil && readyNow(fd)&epollOut != 0
	})
	if e := sockError(l.t, fd); e != 0 {
		l.t.Fatalf("connect: %s", result(errno(e)))
	}
	return fd, e
}

// finish closes everything, and waits until gVisor has nothing to say any more.
func (l *lab) finish() {
	l.t.Helper()
	l.Loss = 0
	for fd := uint64(3); fd < usedDescriptors; fd++ {
		if descriptors[fd].kind != fdFree {
			must(l.t, "close", sysClose, fd)
		}
	}
	l.during(3 * time.Second)
	l.ended()
}

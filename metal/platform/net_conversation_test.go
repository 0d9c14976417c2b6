package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"nom.dev/nom/test/peer"
)

// Conversations with gVisor's stack.

// Both ways of beginning, and both orders of ending.
func TestConversation(t *testing.T) {
	for _, inwards := range []bool{true, false} {
		for _, weFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("inwards %v, we end first %v", inwards, weFirst), func(t *testing.T) {
				l := newLab(t, 1)
				fd, e := l.pair(inwards)
				e.Push([]byte("question"))
				l.until("the question", func() bool { return readyNow(fd)&epollIn != 0 })
				if b, r := receive(fd, 100); string(b) != "question" {
					t.Fatalf("got %q, %s", b, result(r))
				}
				send(fd, []byte("answer"))
				l.until("the answer", func() bool { e.Pull(); return e.Got.String() == "answer" })
				theyEnd := func() {
					e.Close()
					l.until("their end", func() bool { return readyNow(fd)&epollRDHup != 0 })
					if b, r := receive(fd, 100); r != 0 {
						t.Errorf("got %q, %s, want the end", b, result(r))
					}
				}
				if !weFirst {
					theyEnd()
				}
				must(t, "shutdown", sysShutdown, fd, 1)
				if weFirst {
					l.until("our end", func() bool { e.Pull(); return e.Closed })
					theyEnd()
				}
				must(t, "close", sysClose, fd)
				l.finish()
			})
		}
	}
}

// Much is sent in both directions at once, on a wire that loses, doubles and delays.
func TestBulk(t *testing.T) {
	for _, loss := range []float64{0, 0.03} {
		for _, inwards := range []bool{true, false} {
			t.Run(fmt.Sprintf("loss %v, inwards %v", loss, inwards), func(t *testing.T) {
				l := newLab(t, 2)
				fd, e := l.pair(inwards)
				l.Loss = loss
				n := 600_000
				if loss != 0 {
					n = 200_000
				}
				data := make([]byte, n)
				l.R.Read(data)
				var got []byte
				sent, theirSent := 0, 0
				l.until("everything", func() bool {
					if theirSent < n {
						theirSent += e.Push(data[theirSent:])
						if theirSent == n {
							e.Shutdown(tcpip.ShutdownWrite)
						}
					}
					for sent < n {
						r := send(fd, data[sent:min(n, sent+60_000)])
						if int64(r) < 0 {
							break
						}
						if sent += int(r); sent == n {
							must(t, "shutdown", sysShutdown, fd, 1)
						}
					}
					ended := false
					for {
						b, r := receive(fd, 1+l.R.Intn(60_000))
						if int64(r) <= 0 {
							ended = r == 0
							break
						}
						got = append(got, b...)
					}
					e.Pull()
					return ended && e.Closed && sent == n
				})
				if !bytes.Equal(got, data) || !bytes.Equal(e.Got.Bytes(), data) {
					t.Errorf("%d and %d bytes of %d arrived, or others", len(got), e.Got.Len(), n)
				}
				if loss == 0 && l.long < 5 {
					t.Errorf("the function had %d frames to cut", l.long)
				}
				e.Close()
				l.finish()
			})
		}
	}
}

// Nobody listens there, or here.
func TestRefused(t *testing.T) {
	l := newLab(t, 3)
	fd, r := connectOut(t, 5001)
	if r != errno(eINPROGRESS) {
		t.Fatalf("connect: %s", result(r))
	}
	l.until("the refusal", func() bool { return readyNow(fd)&epollErr != 0 })
	if e := sockError(t, fd); e != eCONNREFUSED {
		t.Errorf("got %s", result(errno(e)))
	}
	setAddress(0, afInet, peerHost, 5002) // the socket may try again
	if r := platformCall(sysConnect, fd, addressAt(0), 16); r != errno(eINPROGRESS) {
		t.Errorf("connect again: %s", result(r))
	}
	e := l.dialIn(9)
	l.until("their refusal", func() bool { return tcp.EndpointState(e.State()) == tcp.StateError })
	l.finish()
}

// A connect to an address that nobody has fails when nobody answers for that; one that is closed meanwhile is forgotten. One to somebody who says
// nothing times out.
func TestConnectToNobody(t *testing.T) {
	l := newLab(t, 4)
	var fds [2]uint64
	for i := range fds {
		fd := must(t, "socket", sysSocket, afInet, sockStream|oNonblock, 0)
		setAddress(0, afInet, []byte{10, 0, 0, 99}, 80)
		if r := platformCall(sysConnect, fd, addressAt(0), 16); r != errno(eINPROGRESS) {
			t.Fatalf("connect: %s", result(r))
		}
		fds[i] = fd
	}
	l.during(time.Second)
	must(t, "close", sysClose, fds[1])
	begin := nanotime()
	l.until("the failure", func() bool { return readyNow(fds[0])&epollErr != 0 })
	if e := sockError(t, fds[0]); e != eHOSTUNREACH || nanotime()-begin > 5_000_000_000 {
		t.Errorf("after %d ms: got %s", (nanotime()-begin)/1e6, result(errno(e)))
	}
	l.Loss = 1
	fd, r := connectOut(t, 5000)
	if r != errno(eINPROGRESS) {
		t.Fatalf("connect: %s", result(r))
	}
	l.until("the time-out", func() bool { return readyNow(fd)&epollErr != 0 })
	if e := sockError(t, fd); e != eTIMEDOUT {
		t.Errorf("got %s", result(errno(e)))
	}
	l.finish()
}

// Who closes with data that nobody read, or lingers for no time, resets; who is reset hears of it.
func TestResets(t *testing.T) {
	for _, inwards := range []bool{true, false} {
		l := newLab(t, 5)
		fd, e := l.pair(inwards)
		e.Push([]byte("nobody reads this"))
		l.until("data", func() bool { return readyNow(fd)&epollIn != 0 })
		must(t, "close", sysClose, fd)
		l.until("a reset there", func() bool { return tcp.EndpointState(e.State()) == tcp.StateError })
		e.Close()

		fd, e = l.pair(inwards)
		store64(buffer(0), 1)
		must(t, "linger", sysSetsockopt, fd, levelSocket, 13, buffer(0), 8)
		must(t, "close", sysClose, fd)
		l.until("a reset there", func() bool { return tcp.EndpointState(e.State()) == tcp.StateError })
		e.Close()

		fd, e = l.pair(inwards)
		e.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
		e.Close()
		l.until("a reset here", func() bool { return readyNow(fd)&epollErr != 0 })
		if _, r := receive(fd, 100); r != errno(eCONNRESET) {
			t.Errorf("got %s", result(r))
		}
		if r := send(fd, []byte("too late")); r != errno(ePIPE) {
			t.Errorf("write: got %s", result(r))
		}
		l.finish()
	}
}

// Who sends no more still receives, and the other way around.
func TestHalfClose(t *testing.T) {
	l := newLab(t, 6)
	fd, e := l.pair(true)
	must(t, "shutdown", sysShutdown, fd, 1)
	l.until("our end", func() bool { e.Pull(); return e.Closed })
	for range 3 {
		e.Push([]byte("later"))
		l.during(30 * time.Second)
		if b, r := receive(fd, 100); string(b) != "later" {
			t.Fatalf("got %q, %s", b, result(r))
		}
	}
	e.Close()
	l.until("their end", func() bool { _, r := receive(fd, 100); return r == 0 })

	fd, e = l.pair(false)
	e.Shutdown(tcpip.ShutdownWrite)
	l.until("their end", func() bool { _, r := receive(fd, 100); return r == 0 })
	send(fd, []byte("later"))
	l.until("what is said after their end", func() bool { e.Pull(); return e.Got.String() == "later" })
	must(t, "shutdown for reading", sysShutdown, fd, 0)
	must(t, "close", sysClose, fd)
	l.until("our end", func() bool { e.Pull(); return e.Closed })
	e.Close()
	l.finish()
}

// A stream that was full can be written again when there is enough room, not before.
func TestRoomToWrite(t *testing.T) {
	l := newLab(t, 7)
	fd, e := l.pair(true)
	poller := must(t, "epoll_create1", sysEpollCreate1, 0)
	store32(buffer(1), epollIn|epollOut|epollET)
	store64(buffer(1)+4, 77)
	if r := epollCtl(poller, 1, fd, buffer(1)); r != 0 {
		t.Fatalf("epoll_ctl: %s", result(r))
	}
	if n := pollReady(poller, buffer(1), 8); n != 1 || load32(buffer(1)) != epollOut {
		t.Fatalf("%d events, %x", n, load32(buffer(1)))
	}
	total := 0
	for quiet := 0; quiet < 50; quiet++ { // until gVisor's buffers are full, too
		if r := send(fd, make([]byte, 60_000)); int64(r) > 0 {
			total += int(r)
			quiet = 0
		}
		l.step()
	}
	for pollReady(poller, buffer(1), 8) != 0 {
	}
	l.until("room", func() bool {
		n := pollReady(poller, buffer(1), 8)
		room := connectionAt(socketAt(descriptors[fd].index).conn).Room()
		if n != 0 && room < enoughRoom {
			t.Errorf("room for %d bytes is reported", room)
		}
		e.Pull()
		return n != 0
	})
	l.until("everything", func() bool { e.Pull(); return e.Got.Len() == total })
	e.Close()
	l.finish()
}

// So many wait to be accepted; who closes the listener resets them.
func TestBacklogOutside(t *testing.T) {
	l := newLab(t, 8)
	fd := tcpListener(t, localPort, 3)
	var all []*peer.End
	for range 8 {
		all = append(all, l.dialIn(localPort))
	}
	l.during(500 * time.Millisecond)
	s := socketAt(descriptors[fd].index)
	if s.queued < 4 || s.queued > 8 {
		t.Errorf("%d wait", s.queued)
	}
	for range 8 { // the others come when there is room
		c := l.accepted(fd)
		must(t, "close", sysClose, c)
	}
	l.dialIn(localPort)
	l.until("another", func() bool { return s.queued != 0 })
	last := l.dialIn(localPort)
	l.take() // what it was answered is lost, so that it is half open
	must(t, "close", sysClose, fd)
	l.during(10 * time.Second)
	if tcp.EndpointState(last.State()) == tcp.StateEstablished {
		t.Error("a connection to nobody stands")
	}
	for _, e := range all {
		e.Close()
	}
	l.finish()
}

func TestDatagramsWithPeer(t *testing.T) {
	l := newLab(t, 9)
	fd := udpSocket(t, localPort)
	ep := l.Endpoint(udp.ProtocolNumber)
	ep.SocketOptions().SetReceiveBufferSize(1<<20, false)
	if err := ep.Bind(tcpip.FullAddress{Port: 5000}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 1472, 1473, 5000, 60_000} {
		fill(n, byte(n))
		setAddress(0, afInet, peerHost, 5000)
		must(t, "sendto", sysSendto, fd, buffer(0), uint64(n), 0, addressAt(0), 16)
		var got bytes.Buffer
		l.until("the datagram", func() bool { _, err := ep.Read(&got, tcpip.ReadOptions{}); return err == nil })
		if !bytes.Equal(got.Bytes(), dataBuffers[0][:n]) {
			t.Errorf("%d bytes arrived as %d, or others", n, got.Len())
		}
		to := tcpip.FullAddress{NIC: 1, Addr: peer.Other, Port: localPort}
		if _, err := ep.Write(bytes.NewReader(got.Bytes()), tcpip.WriteOptions{To: &to}); err != nil {
			t.Fatal(err)
		}
		l.until("the answer", func() bool { return readyNow(fd)&epollIn != 0 })
		if b, r := receive(fd, 65_000); !bytes.Equal(b, dataBuffers[0][:n]) {
			t.Errorf("the answer of %d bytes: %s", n, result(r))
		}
	}
	ep.Close()
	c := must(t, "socket", sysSocket, afInet, sockDatagram|oNonblock, 0)
	setAddress(0, afInet, peerHost, 5000)
	must(t, "connect", sysConnect, c, addressAt(0), 16)
	send(c, []byte("is anybody there?"))
	l.until("that nobody is", func() bool { return readyNow(c)&epollErr != 0 })
	if r := send(c, []byte("still nobody?")); r != errno(eCONNREFUSED) {
		t.Errorf("got %s", result(r))
	}
	l.finish()
}

// The ends of a connection meet again at once: the one that waits makes room for a new one.
func TestTimeWaitReuse(t *testing.T) {
	l := newLab(t, 10)
	fd := tcpListener(t, localPort, 8)
	for range 3 {
		ep := l.Endpoint(tcp.ProtocolNumber)
		ep.SocketOptions().SetReuseAddress(true)
		if err := ep.Bind(tcpip.FullAddress{Port: 6000}); err != nil {
			t.Fatal(err)
		}
		if _, ok := ep.Connect(tcpip.FullAddress{NIC: 1, Addr: peer.Other, Port: localPort}).(*tcpip.ErrConnectStarted); !ok {
			t.Fatal("gVisor does not connect")
		}
		c := l.accepted(fd)
		must(t, "close", sysClose, c) // here is where it waits
		l.during(100 * time.Millisecond)
		ep.Close()
		l.during(100 * time.Millisecond)
		if n := inUse(&connections); n != 1 {
			t.Errorf("%d connections, want one that waits", n)
		}
		l.during(2 * time.Second) // gVisor's timestamps
	}
	l.finish()
}

package inet

import (
	"bytes"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// exchange lets both sides send so much at the same time and then end, in an order that is given: 0 both, 1 we first, 2 they.
func (l *lab) exchange(ours, theirs, order int) {
	l.t.Helper()
	want := [2][]byte{pattern(ours, 1), pattern(theirs, 2)}
	done := [2]int{}
	closed := [2]bool{}
	l.until("exchange", func() bool {
		if l.R.Intn(3) == 0 {
			done[0] += l.write(want[0][done[0]:min(ours, done[0]+1+l.R.Intn(20_000))])
		}
		if l.R.Intn(3) == 0 && done[1] < theirs {
			done[1] += l.theirs.Push(want[1][done[1]:min(theirs, done[1]+1+l.R.Intn(20_000))])
		}
		if l.R.Intn(3) == 0 {
			l.weRead()
			l.theirs.Pull()
		}
		if !closed[0] && done[0] == ours && (order != 2 || l.events&Ended != 0) {
			closed[0] = true
			l.c.Close()
		}
		if !closed[1] && done[1] == theirs && (order != 1 || l.theirs.Closed) {
			closed[1] = true
			l.theyClose()
		}
		return l.theirs.Closed && l.events&Ended != 0 && l.events&Confirmed != 0
	})
	if !bytes.Equal(l.theirs.Got.Bytes(), want[0]) || !bytes.Equal(l.in, want[1]) {
		l.t.Fatalf("gVisor got %d of %d bytes, we %d of %d, or others", l.theirs.Got.Len(), ours, len(l.in), theirs)
	}
	l.until("end of both", func() bool {
		s := tcp.EndpointState(l.theirs.State())
		return l.c.State() == Closed && (s == tcp.StateClose || s == tcp.StateTimeWait || s == tcp.StateError)
	})
	if l.events&(Reset|TimedOut|Refused) != 0 {
		l.t.Errorf("events %d", l.events)
	}
}

// TestPeer: gVisor and this package understand each other, with fewer options too, whatever the wire does.
func TestPeer(t *testing.T) {
	without := func(ts, scale, sack bool) func(*Segment) {
		return func(s *Segment) {
			s.HasTS, s.HasScale, s.SACKOK = s.HasTS && ts, s.HasScale && scale, s.SACKOK && sack
		}
	}
	for i, tc := range []struct {
		name    string
		edit    func(*Segment)
		mss     uint32
		cookies bool
		size    int
	}{
		{name: "all options", size: 600_000},
		{name: "no timestamps", edit: without(false, true, true), size: 400_000},
		{name: "no selective acknowledgements", edit: without(true, true, false), size: 400_000},
		{name: "no window scale", edit: without(true, false, true), size: 400_000},
		{name: "no options", edit: without(false, false, false), size: 400_000},
		{name: "tiny segments", edit: func(s *Segment) { s.MSS = 100 }, size: 30_000},
		{name: "tiny segments here", mss: 216, size: 60_000},
		{name: "cookies", cookies: true, size: 200_000},
	} {
		for loss := range 3 {
			for order := range 3 {
				seed := int64(i*9 + loss*3 + order)
				t.Run(tc.name, func(t *testing.T) {
					l := newLab(t, seed)
					l.edit, l.cookies = tc.edit, tc.cookies
					if tc.mss != 0 {
						l.mss = tc.mss
					}
					if !tc.cookies {
						l.Loss = float64(loss) * 0.02
					}
					if tc.cookies || order == 1 {
						l.accept()
					} else {
						l.connect()
					}
					l.Loss = float64(loss) * 0.02
					l.exchange(tc.size, tc.size/2, order)
				})
			}
		}
	}
}

// A peer that does not read is waited for, and goes on when it reads: in both directions.
func TestPeerShutWindow(t *testing.T) {
	l := newLab(t, 1)
	small := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 8192, Max: 8192}
	l.Stack.SetTransportProtocolOption(tcp.ProtocolNumber, &small)
	l.accept()
	want := [2][]byte{pattern(100_000, 1), pattern(200_000, 2)}
	done := [2]int{}
	fill := func() {
		done[0] += l.write(want[0][done[0]:])
		if done[1] < len(want[1]) {
			done[1] += l.theirs.Push(want[1][done[1]:])
		}
	}
	for range 60 {
		fill()
		l.pass(20 * time.Second)
	}
	if l.c.State() != Established || l.c.sndWnd > 1000 || l.c.window() > 1460 {
		t.Fatalf("state %d, windows %d and %d", l.c.State(), l.c.sndWnd, l.c.window())
	}
	begin := l.now
	l.until("rest", func() bool {
		fill()
		l.theirs.Pull()
		l.weRead()
		return l.theirs.Got.Len() == len(want[0]) && len(l.in) == len(want[1])
	})
	if !bytes.Equal(l.theirs.Got.Bytes(), want[0]) || !bytes.Equal(l.in, want[1]) {
		t.Error("other bytes than were sent")
	}
	if took := l.now - begin; took > 300*second {
		t.Errorf("it took %d s to go on", took/second)
	}
}

// The wire is cut for a while, and then for ever.
func TestPeerCut(t *testing.T) {
	l := newLab(t, 2)
	l.connect()
	l.Cut = true
	l.write(pattern(50_000, 1))
	l.pass(10 * time.Second)
	if l.c.State() != Established || l.c.retries < 4 {
		t.Fatalf("state %d after %d time-outs", l.c.State(), l.c.retries)
	}
	l.Cut = false
	l.until("data", func() bool { l.theirs.Pull(); return l.theirs.Got.Len() == 50_000 })
	l.Cut = true
	l.write(pattern(10, 1))
	l.until("end", func() bool { return l.events&TimedOut != 0 })
	if l.c.State() != Closed {
		t.Errorf("state %d", l.c.State())
	}
}

// Idle connections stay, from either side, and end when the other is not there any more.
func TestPeerKeepAlive(t *testing.T) {
	l := newLab(t, 3)
	l.accept()
	idle, interval := tcpip.KeepaliveIdleOption(10*time.Second), tcpip.KeepaliveIntervalOption(5*time.Second)
	l.theirs.SetSockOpt(&idle)
	l.theirs.SetSockOpt(&interval)
	l.theirs.SetSockOptInt(tcpip.KeepaliveCountOption, 3)
	l.theirs.SocketOptions().SetKeepAlive(true)
	l.pass(60 * time.Second)
	if sent := l.sent; sent < 5 || sent > 20 {
		t.Errorf("%d segments in a minute: are gVisor's keep-alives answered?", sent)
	}
	l.theirs.SocketOptions().SetKeepAlive(false)
	l.c.SetKeepAlive(10*second, 5*second, 3, l.now)
	l.pass(60 * time.Second)
	if tcp.EndpointState(l.theirs.State()) != tcp.StateEstablished || l.c.State() != Established {
		t.Fatalf("states %d, %d", l.c.State(), l.theirs.State())
	}
	l.Cut = true
	begin := l.now
	l.until("end", func() bool { return l.events&TimedOut != 0 })
	if took := l.now - begin; took > 30*second {
		t.Errorf("noticed after %d s", took/second)
	}
}

// Who does not want a connection says so.
func TestPeerRefuses(t *testing.T) {
	l := newLab(t, 4)
	l.theirs.Endpoint = l.Endpoint(tcp.ProtocolNumber)
	l.c.Connect(labISS, 1460)
	l.until("refusal", func() bool { return l.events&Refused != 0 })
	if l.c.State() != Closed {
		t.Errorf("state %d", l.c.State())
	}
	l = newLab(t, 5)
	l.refuse = true
	l.theirs.Endpoint = l.Dial(theirPort, ourPort)
	l.until("refusal", func() bool { return tcp.EndpointState(l.theirs.State()) == tcp.StateError })
	if _, ok := l.theirs.LastError().(*tcpip.ErrConnectionRefused); !ok {
		t.Error("gVisor was not refused")
	}
}

// Either side breaks the connection, also while data are on the way or are being sent again.
func TestPeerResets(t *testing.T) {
	for i := range 6 {
		l := newLab(t, 6)
		l.connect()
		l.write(pattern(40_000, 1))
		l.theirs.Push(pattern(40_000, 2))
		l.pass(time.Duration(i) * time.Millisecond)
		if i%2 == 0 {
			l.theirs.Abort()
			l.until("reset", func() bool { return l.events&Reset != 0 })
		} else {
			if i == 5 { // between a time-out and what comes of it
				l.Cut = true
				l.pass(500 * time.Millisecond)
				l.Cut = false
			}
			l.flush()
			var s Segment
			if !l.c.Abort(&s) {
				t.Fatal("nothing is to be said")
			}
			l.put(&s, nil)
			l.until("reset", func() bool { l.theirs.Pull(); return l.theirs.Fail != nil })
			if _, ok := l.theirs.Fail.(*tcpip.ErrConnectionReset); !ok {
				t.Errorf("gVisor says %v", l.theirs.Fail)
			}
		}
		if l.c.State() != Closed {
			t.Errorf("state %d", l.c.State())
		}
	}
}

// A program that ends leaves nothing behind, whatever gVisor's does.
func TestPeerOrphan(t *testing.T) {
	for _, talk := range []bool{false, true} {
		l := newLab(t, 7)
		l.accept()
		l.write(pattern(30_000, 1))
		l.c.Close()
		l.c.Orphan(l.now)
		l.until("data", func() bool { l.theirs.Pull(); return l.theirs.Closed })
		if talk {
			l.theirs.Push([]byte("nobody hears"))
			l.until("reset", func() bool { return tcp.EndpointState(l.theirs.State()) == tcp.StateClose })
		}
		l.until("end", func() bool { return l.c.State() == Closed })
		if l.theirs.Got.Len() != 30_000 {
			t.Errorf("gVisor got %d bytes", l.theirs.Got.Len())
		}
	}
}

// Both ask at the same time.
func TestPeerSimultaneousOpen(t *testing.T) {
	l := newLab(t, 8)
	l.c.Connect(labISS, 1460)
	l.flush() // before gVisor's arrives
	l.accept()
	l.exchange(30_000, 30_000, 0)
}

package gateway

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A relay on Linux, where both halves are connections of the loopback interface:
//
//	program <-> gateway's socket, relay, outside <-> remote
type bench struct {
	program, remote *net.TCPConn
	r               *relay
	done            chan struct{}
}

func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l := listen(t)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), acceptFrom(t, l)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func acceptFrom(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// socketPair returns a connection of which one end is what the gateway has.
func socketPair(t *testing.T) (*socket, *net.TCPConn) {
	t.Helper()
	l := listen(t)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Connect(fd, sockaddr(l.Addr().(*net.TCPAddr).AddrPort()))
	if err = errors.Join(err, syscall.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	s, err := newSocket(fd)
	if err != nil {
		t.Fatal(err)
	}
	return s, acceptFrom(t, l)
}

func start(t *testing.T) *bench {
	t.Helper()
	s, program := socketPair(t)
	outside, remote := tcpPair(t)
	b := &bench{program: program, remote: remote, r: newRelay(s, outside, time.Minute), done: make(chan struct{})}
	go func() { b.r.run(); close(b.done) }()
	return b
}

func (b *bench) wait(t *testing.T) {
	t.Helper()
	select {
	case <-b.done:
	case <-time.After(2 * time.Minute):
		t.Fatal("the relay does not end")
	}
}

// Bytes in both directions at once, in pieces of all sizes, and an end of each direction on its own.
func TestRelayBulk(t *testing.T) {
	b := start(t)
	var work sync.WaitGroup
	send := func(c *net.TCPConn, seed uint64) [32]byte {
		h := sha256.New()
		random := rand.New(rand.NewPCG(seed, 1))
		piece := make([]byte, 100_000)
		for total := 0; total < 8<<20; {
			n := 1 + random.IntN(len(piece))
			if random.IntN(3) == 0 {
				n = 1 + random.IntN(1500)
			}
			for i := range piece[:n] {
				piece[i] = byte(random.Uint32())
			}
			h.Write(piece[:n])
			if _, err := c.Write(piece[:n]); err != nil {
				t.Error(err)
			}
			total += n
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
		return [32]byte(h.Sum(nil))
	}
	receive := func(c *net.TCPConn) [32]byte {
		h := sha256.New()
		if _, err := io.Copy(h, c); err != nil {
			t.Error(err)
		}
		return [32]byte(h.Sum(nil))
	}
	var sent, got [2][32]byte
	work.Go(func() { sent[0] = send(b.program, 1) })
	work.Go(func() { sent[1] = send(b.remote, 2) })
	work.Go(func() { got[0] = receive(b.remote) })
	work.Go(func() { got[1] = receive(b.program) })
	work.Wait()
	b.wait(t)
	if sent != got {
		t.Error("what was received is not what was sent")
	}
}

// When one direction has ended, the other goes on.
func TestRelayHalfClose(t *testing.T) {
	for _, first := range []string{"program", "remote"} {
		t.Run(first, func(t *testing.T) {
			b := start(t)
			x, y := b.program, b.remote
			if first == "remote" {
				x, y = y, x
			}
			if _, err := x.Write([]byte("question")); err != nil {
				t.Fatal(err)
			}
			x.CloseWrite()
			if got, err := io.ReadAll(y); string(got) != "question" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			for range 3 { // each arrives before the next is sent
				y.Write([]byte("answer"))
				got := make([]byte, 6)
				if _, err := io.ReadFull(x, got); err != nil || string(got) != "answer" {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			y.CloseWrite()
			if got, err := io.ReadAll(x); len(got) != 0 || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			b.wait(t)
		})
	}
}

func TestRelayReset(t *testing.T) {
	for _, first := range []string{"program", "remote"} {
		t.Run(first, func(t *testing.T) {
			b := start(t)
			x, y := b.program, b.remote
			if first == "remote" {
				x, y = y, x
			}
			x.Write([]byte("x"))
			if _, err := io.ReadFull(y, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			x.SetLinger(0)
			x.Close()
			if _, err := y.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want ECONNRESET", err)
			}
			b.wait(t)
		})
	}
}

// A closed end whose other half still sends is reset, and the gateway's end resets both.
func TestRelayAbort(t *testing.T) {
	b := start(t)
	b.remote.Close()
	junk := make([]byte, 10_000)
	for {
		if _, err := b.program.Write(junk); err != nil {
			break
		}
	}
	b.wait(t)

	b = start(t)
	b.r.abort()
	b.wait(t)
	for _, c := range []*net.TCPConn{b.program, b.remote} {
		if _, err := c.Read(junk); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want ECONNRESET", err)
		}
	}
}

// A transport whose connections cannot be half closed.
func TestRelayPipe(t *testing.T) {
	s, program := socketPair(t)
	outside, remote := net.Pipe()
	done := make(chan struct{})
	go func() { newRelay(s, outside, time.Minute).run(); close(done) }()
	want := bytes.Repeat([]byte("0123456789"), 20_000)
	go func() {
		program.Write(want)
		program.CloseWrite()
	}()
	got, err := io.ReadAll(remote)
	if !bytes.Equal(got, want) || err != nil {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	<-done
}

// An idle relay wakes up for each byte, whatever came before.
func TestRelayPingPong(t *testing.T) {
	b := start(t)
	x, y := net.Conn(b.program), net.Conn(b.remote)
	for _, n := range []int{1, 1023, 1024, 1025, 32767, 32768, 32769, 1, 70000, 1} {
		for range 2 {
			want := make([]byte, n)
			for i := range want {
				want[i] = byte(i * n)
			}
			go x.Write(want)
			got := make([]byte, n)
			if _, err := io.ReadFull(y, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			x, y = y, x
		}
	}
	b.r.abort()
	b.wait(t)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"nom.dev/nom/lib/net/gateway"
)

// client makes requests from outside, all over one connection.
func client(port uint16) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return come(from(port), to(8080)) },
	}}
}

func ask(c *http.Client, url string, n int) (string, error) {
	r, err := c.Post(url, "text/plain", bytes.NewReader(make([]byte, n)))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func inbound() error {
	c := client(8080) // the same port as the server's
	defer c.CloseIdleConnections()
	for _, n := range []int{0, 1, 1000, 300_000} {
		got, err := ask(c, "http://10.0.2.15:8080/", n)
		if err != nil {
			return err
		}
		if err := want("answer", got, fmt.Sprintf("93.184.216.34:8080 10.0.2.15:8080 %d", n)); err != nil {
			return err
		}
	}
	return nil
}

func refused() error {
	l, err := net.Listen("tcp", "127.0.0.1:8081")
	if err != nil {
		return err
	}
	defer l.Close()
	for _, port := range []uint16{9, 8081} {
		if _, err := come(from(5000), to(port)); err != gateway.ErrRefused {
			return fmt.Errorf("port %d: got %w", port, err)
		}
	}
	_, err = come(from(5000), netip.MustParseAddrPort("127.0.0.1:8081"))
	return want("loopback", err, gateway.ErrAddress)
}

// busy opens as many connections as there may be, and one more.
func busy() error {
	l, err := net.Listen("tcp", ":8082")
	if err != nil {
		return err
	}
	defer l.Close()
	var all []*net.TCPConn
	for range 1000 {
		c, err := come(from(5000), to(8082))
		if err != nil {
			if err != gateway.ErrBusy || len(all) < 90 {
				return fmt.Errorf("after %d: %w", len(all), err)
			}
			break
		}
		all = append(all, c)
	}
	for _, c := range all {
		c.SetLinger(0)
		c.Close()
	}
	for end := time.Now().Add(patience); ; runtime.Gosched() { // when they have ended there is room again
		c, err := come(from(5000), to(8082))
		if err == nil {
			return c.Close()
		}
		if err != gateway.ErrBusy || time.Now().After(end) {
			return err
		}
	}
}

func outbound() error {
	served := make(chan dial, 1)
	go func() {
		d := <-outside.dials
		served <- d
		http.Serve(&single{conn: d.conn}, http.HandlerFunc(tell))
	}()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	got, err := ask(c, "http://93.184.216.34/", 200_000)
	if err != nil {
		return err
	}
	d := <-served
	if err := want("length", got[len(got)-7:], " 200000"); err != nil {
		return err
	}
	return errors.Join(want("remote", d.remote, from(80)), want("local", d.local.Addr(), own))
}

// single is a listener that accepts one connection.
type single struct {
	conn net.Conn
	once bool
}

func (s *single) Accept() (net.Conn, error) {
	if s.once {
		return nil, net.ErrClosed
	}
	s.once = true
	return s.conn, nil
}
func (s *single) Close() error   { return nil }
func (s *single) Addr() net.Addr { return s.conn.LocalAddr() }

func failures() error {
	for port, e := range broken {
		_, err := net.Dial("tcp", from(port).String())
		if err := wantErrno(fmt.Sprint("port ", port), err, e); err != nil {
			return err
		}
	}
	_, err := net.Dial("tcp", "224.0.0.1:80")
	return wantErrno("multicast", err, syscall.ENETUNREACH)
}

// givenUp ends a connection that the outside does not answer.
func givenUp() error {
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := new(net.Dialer).DialContext(ctx, "tcp", from(silent).String())
		failed <- err
	}()
	d := <-outside.dials
	cancel()
	if err := <-failed; err == nil {
		return errors.New("it connected")
	}
	<-d.ctx.Done()
	return nil
}

func resets() error {
	for _, inside := range []bool{true, false} {
		x, y, err := connected(80)
		if err != nil {
			return err
		}
		if !inside {
			x, y = y, x
		}
		go func() { x.Write([]byte("x")) }()
		if _, err := y.Read(make([]byte, 1)); err != nil {
			return err
		}
		x.SetLinger(0)
		x.Close()
		_, err = y.Read(make([]byte, 1))
		if err := wantErrno(fmt.Sprint("inside: ", inside), err, syscall.ECONNRESET); err != nil {
			return err
		}
	}
	return nil
}

// orphan closes the program's end: the outside sees the end of the data, and may not keep its own end open for ever. When the
// program only says that it sends no more, it may.
func orphan() error {
	x, y, err := connected(80)
	if err != nil {
		return err
	}
	x.CloseWrite()
	if _, err := y.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("half closed: got %w", err)
	}
	time.Sleep(100 * time.Millisecond) // longer than an orphan may live
	y.Write([]byte("x"))
	if _, err := x.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("half closed: %w", err)
	}
	x.Close()
	return waitGone(y)
}

// stuck sends to somebody who takes nothing, gives up, and closes.
func stuck() error {
	x, y, err := connected(80)
	if err != nil {
		return err
	}
	defer y.Close()
	for err == nil {
		x.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = x.Write(make([]byte, 10_000))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	x.Close()
	return waitGone(y)
}

// waitGone waits until nobody holds the other end of c.
func waitGone(c *net.TCPConn) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if peerGone(c) {
			return nil
		}
	}
	return errors.New("it stays")
}

// peerGone asks the platform whether anybody holds the other end of c.
func peerGone(c *net.TCPConn) bool {
	const ipPeerGone = 201
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	v := 0
	_ = raw.Control(func(fd uintptr) { v, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, ipPeerGone) })
	return v != 0
}

func many() error {
	var work sync.WaitGroup
	failed := make(chan error, 200)
	go func() {
		for range 100 {
			d := <-outside.dials
			go func() {
				io.Copy(d.conn, d.conn)
				d.conn.CloseWrite()
			}()
		}
	}()
	for i := range 100 {
		work.Go(func() {
			c, err := net.Dial("tcp", from(uint16(1000+i)).String())
			if err != nil {
				failed <- err
				return
			}
			defer c.Close()
			text := fmt.Sprint("connection ", i)
			fmt.Fprint(c, text)
			c.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(c)
			if string(got) != text {
				failed <- fmt.Errorf("got %q, %w", got, err)
			}
		})
	}
	work.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// bulk says how fast bytes go through.
func bulk() error {
	const size = 32 << 20
	for _, direction := range []string{"out", "in"} {
		x, y, err := connected(80)
		if err != nil {
			return err
		}
		if direction == "in" {
			x, y = y, x
		}
		start := time.Now()
		go func() {
			piece := make([]byte, 64<<10)
			for range size / len(piece) {
				x.Write(piece)
			}
			x.CloseWrite()
		}()
		n, err := discard(y)
		if err != nil || n != size {
			return fmt.Errorf("%d bytes: %w", n, err)
		}
		fmt.Printf("%s: %.0f MB/s\n", direction, float64(size)/1e6/time.Since(start).Seconds())
		x.Close()
		y.Close()
	}
	return nil
}

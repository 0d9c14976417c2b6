// Package main talks to itself over the loopback interface in the ways that Go programs do. What it prints is the same on Linux.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"syscall"
	"time"
)

func main() {
	for _, f := range []struct {
		name string
		run  func() error
	}{
		{"http", plainHTTP}, {"tls", tlsHTTP}, {"many", many}, {"half close", halfClose}, {"deadlines", deadlines}, {"errors", failures},
		{"bulk", bulk}, {"refused", refused}, {"localhost", localhost}, {"udp", udp}, {"files", files}, {"pair", pair},
	} {
		if err := f.run(); err != nil {
			fmt.Println(f.name+":", err)
			os.Exit(1)
		}
		fmt.Println(f.name + ": ok")
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(b))
}

func ask(c *http.Client, url string, body []byte) (string, error) {
	resp, err := c.Post(url, "text/plain", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.Status + " " + string(b), err
}

func plainHTTP() error {
	s := httptest.NewServer(http.HandlerFunc(echo))
	defer s.Close()
	for _, n := range []int{0, 1, 1000, 300_000} {
		got, err := ask(s.Client(), s.URL+"/x", make([]byte, n))
		if err != nil {
			return err
		}
		fmt.Println(got)
	}
	return nil
}

func tlsHTTP() error {
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	s.Client().Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS13
	got, err := ask(s.Client(), s.URL+"/secret", make([]byte, 100_000))
	fmt.Println(got)
	return err
}

// server runs handle for each connection, and returns where.
func server(network, address string, handle func(net.Conn)) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l, nil
}

func many() error {
	l, err := server("tcp", ":0", func(c net.Conn) { io.Copy(c, c) })
	if err != nil {
		return err
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var wg sync.WaitGroup
	errs := make(chan error, 300)
	for i := range 300 {
		wg.Go(func() {
			host := []string{"127.0.0.1", "::1", "127.1.2.3"}[i%3]
			c, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			for range 10 {
				want := bytes.Repeat([]byte{byte(i)}, 10+i)
				got := make([]byte, len(want))
				c.Write(want)
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
					errs <- fmt.Errorf("connection %d: %v, %d bytes", i, err, len(got))
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func halfClose() error {
	l, err := server("tcp4", "127.0.0.1:0", func(c net.Conn) {
		b, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d", len(b))
	})
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.Write(make([]byte, 200_000))
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	fmt.Println(string(b))
	if _, e := c.Write([]byte("x")); !errors.Is(e, syscall.EPIPE) {
		return fmt.Errorf("write after CloseWrite: %v", e)
	}
	return err
}

func deadlines() error {
	l, err := server("tcp6", "[::1]:0", func(c net.Conn) { time.Sleep(time.Second) })
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("read: %v", err)
	}
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	for err == nil {
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("write: %v", err)
	}
	l.(*net.TCPListener).SetDeadline(time.Now().Add(-1))
	return nil
}

// failures shows what the other end's bad manners look like.
func failures() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	dial := func() (net.Conn, net.Conn) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		s, err := l.Accept()
		if err != nil {
			panic(err)
		}
		return c, s
	}
	c, s := dial()
	s.Write([]byte("unread"))
	time.Sleep(10 * time.Millisecond)
	c.Close()
	_, err = s.Read(make([]byte, 1))
	fmt.Println("peer closed with unread data:", errors.Is(err, syscall.ECONNRESET))
	c, s = dial()
	s.(*net.TCPConn).SetLinger(0)
	s.Close()
	_, err = c.Read(make([]byte, 1))
	fmt.Println("peer closed at once:", errors.Is(err, syscall.ECONNRESET))
	c, s = dial()
	s.Close()
	_, err = c.Read(make([]byte, 1))
	fmt.Println("peer closed:", err)
	c.Write([]byte("x"))
	time.Sleep(10 * time.Millisecond)
	_, err = c.Write([]byte("x"))
	fmt.Println("and written:", errors.Is(err, syscall.EPIPE))
	_, err = net.Listen("tcp", l.Addr().String())
	fmt.Println("second listener:", errors.Is(err, syscall.EADDRINUSE))
	_, err = net.Listen("tcp", "192.0.2.1:0")
	fmt.Println("foreign address:", errors.Is(err, syscall.EADDRNOTAVAIL))
	done := make(chan error)
	c, _ = dial()
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	time.Sleep(10 * time.Millisecond)
	c.Close()
	fmt.Println("closed while reading:", errors.Is(<-done, net.ErrClosed))
	return nil
}

func bulk() error {
	const size = 16 << 20
	l, err := server("tcp", "127.0.0.1:0", func(c net.Conn) {
		b := make([]byte, 100_000)
		for i := range b {
			b[i] = byte(i % 251)
		}
		for n := 0; n < size; n += len(b) {
			v := net.Buffers{b[:10], b[10:70_000], b[70_000:]}
			if _, err := v.WriteTo(c); err != nil {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	all, sum := 0, uint64(0)
	b := make([]byte, 33_333)
	for {
		n, err := c.Read(b)
		for _, v := range b[:n] {
			sum = sum*31 + uint64(v)
		}
		all += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	fmt.Println(all, sum)
	return nil
}

func refused() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	l.Close()
	_, err = net.Dial("tcp", address)
	fmt.Println("connection refused:", errors.Is(err, syscall.ECONNREFUSED))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var d net.Dialer
	_, err = d.DialContext(ctx, "tcp", address)
	fmt.Println("with a deadline:", errors.Is(err, syscall.ECONNREFUSED))
	return nil
}

func localhost() error {
	l, err := server("tcp", "localhost:0", func(c net.Conn) { c.Write([]byte("hello")) })
	if err != nil {
		return err
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := net.Dial("tcp", "localhost:"+port)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	fmt.Println(string(b))
	return err
}

func udp() error {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		s, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		c, err := net.Dial("udp", s.LocalAddr().String())
		if err != nil {
			return err
		}
		for _, n := range []int{0, 1, 1400, 60_000} {
			c.Write(make([]byte, n))
			b := make([]byte, 1<<16)
			k, from, err := s.ReadFrom(b)
			if err != nil {
				return err
			}
			s.WriteTo(b[:k], from)
			k, err = c.Read(b)
			fmt.Println(k, err, from.String() == c.LocalAddr().String())
		}
		s.Close()
		c.Write([]byte("x"))
		c.SetReadDeadline(time.Now().Add(time.Second))
		_, err = c.Read(make([]byte, 1))
		fmt.Println("nobody there:", errors.Is(err, syscall.ECONNREFUSED))
		c.Close()
	}
	return nil
}

// files uses a connection by way of a duplicated descriptor.
func files() error {
	l, err := server("tcp", "127.0.0.1:0", func(c net.Conn) { io.Copy(c, c) })
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	c.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	d, err := net.FileConn(f)
	if err != nil {
		return err
	}
	f.Close()
	defer d.Close()
	d.Write([]byte("again"))
	b := make([]byte, 5)
	_, err = io.ReadFull(d, b)
	fmt.Println(string(b), info.Mode().Type())
	return err
}

func pair() error {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		syscall.Write(p[0], []byte("ping"))
		syscall.Close(p[0])
	}()
	b := make([]byte, 10)
	n, err := syscall.Read(p[1], b)
	if err != nil {
		return err
	}
	fmt.Println(string(b[:n]))
	n, err = syscall.Read(p[1], b)
	fmt.Println(n, err)
	return syscall.Close(p[1])
}

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// TestNetstack: connections from this computer go through QEMU's network to a container's own network function and gVisor's TCP
// there: four at a time, each with a megabyte there and back.
func TestNetstack(t *testing.T) {
	g := run("test/programs/tcpecho")
	g.NIC = true
	port := freeTCPPort(t)
	s := serve(t, hardware{cpus: 2, memory: gib}, fmt.Sprintf("user,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:7", port), nil, g)
	err := stream(s.ctx, port, 1) // until somebody is there
	start := time.Now()
	const parallel, size = 4, 1 << 20
	errs := make([]error, parallel)
	if err == nil {
		var wait sync.WaitGroup
		for i := range errs {
			wait.Go(func() { errs[i] = stream(s.ctx, port, size) })
		}
		wait.Wait()
		t.Logf("%d times %d bytes there and back in %v", parallel, size, time.Since(start))
	}
	s.answered(errors.Join(append(errs, err)...))
}

// stream sends n bytes through the echo and compares what comes back. A connection that does not come about, because nobody
// listens yet, is tried again.
func stream(ctx context.Context, port, n int) error {
	for {
		err := streamOnce(ctx, port, n)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, errNotThere) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// errNotThere says that the connection ended before the first byte: QEMU accepts connections before the container does.
var errNotThere = errors.New("nobody listens")

func streamOnce(ctx context.Context, port, n int) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return errors.Join(errNotThere, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer func() {
		stop()
		_ = c.Close()
	}()
	if n == 1 {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	want := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(want)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	err = errors.Join(err, <-sent)
	switch {
	case len(got) == 0:
		return errors.Join(errNotThere, err)
	case err != nil:
		return fmt.Errorf("after %d of %d bytes: %w", len(got), n, err)
	case !bytes.Equal(got, want):
		return fmt.Errorf("got %d bytes that differ from the %d sent", len(got), n)
	}
	return nil
}

func freeTCPPort(t *testing.T) int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

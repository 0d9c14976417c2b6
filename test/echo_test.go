package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestEcho: datagrams from this computer go through QEMU's network to a container's own network function, behind the IOMMU, and
// come back; nothing that the function does is blocked. Once with interrupts and once polling.
func TestEcho(t *testing.T) {
	for _, args := range [][]string{nil, {"-poll"}} {
		t.Run(strings.Join(append([]string{"echo"}, args...), " "), func(t *testing.T) { echo(t, args) })
	}
}

func echo(t *testing.T, args []string) {
	g := run("apps/echo", args...)
	g.NIC = true
	port := freePort(t)
	s := serve(t, hardware{cpus: 2, memory: gib}, fmt.Sprintf("user,hostfwd=udp:127.0.0.1:%d-10.0.2.15:7", port), nil, g)
	s.answered(ask(s.ctx, port, 50))
}

// ask sends datagrams, each until its answer comes, until n were answered.
func ask(ctx context.Context, port, n int) error {
	c, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer c.Close()
	buffer := make([]byte, 2048)
	for i := range n {
		want := bytes.Repeat([]byte{byte(i)}, 1+i*29) // from a byte to a whole frame
		for answered := false; !answered; {
			if ctx.Err() != nil {
				return fmt.Errorf("no answer to datagram %d: %w", i, ctx.Err())
			}
			if _, err := c.Write(want); err != nil {
				time.Sleep(100 * time.Millisecond) // nobody listens yet
				continue
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			m, err := c.Read(buffer)
			answered = err == nil && bytes.Equal(buffer[:m], want)
		}
	}
	return nil
}

func freePort(t *testing.T) int {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"testing"
	"time"

	"nom.dev/nom/abi/manifest"
)

// TestCountedBulk counts the instructions of a whole machine for a mebibyte that an unchanged program sends to this computer over TCP,
// and for one that it receives; through gVisor's stack for one that it sends.
func TestCountedBulk(t *testing.T) {
	t.Run("platform", func(t *testing.T) {
		countedBulk(t, "", map[byte]promise{'g': spec.bulkSend, 'p': spec.bulkReceive})
	})
	t.Run("gvisor", func(t *testing.T) {
		countedBulk(t, manifest.StackGVisor, map[byte]promise{'g': spec.bulkSendGVisor})
	})
}

func countedBulk(t *testing.T, stack string, bounds map[byte]promise) {
	hw := hardware{cpus: 2, memory: gib, icount: true}
	yes := true
	g := run("test/programs/bulk").place("10.0.2.15/24")
	g.Dedicated, g.Network.Stack = &yes, stack
	port := freeTCPPort(t)
	s := serve(t, hw, fmt.Sprintf("user,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:9", port), counting, g)
	c := s.bulk(port)
	for what, bound := range bounds {
		if err := c.transfer(what, 5<<20+77, true); err != nil {
			t.Fatalf("%c: %v\n%s", what, err, s.said())
		}
		const mebibytes = 16
		s.least(bound, "per MiB", mebibytes, func(n int) error {
			begin := time.Now()
			err := c.transfer(what, uint64(n)<<20, false)
			t.Logf("%c: %.1f MiB/s", what, float64(n)/time.Since(begin).Seconds())
			return err
		})
	}
}

// bulkClient is a connection to test/programs/bulk.
type bulkClient struct {
	net.Conn
	block []byte
}

// bulk connects to it, as soon as it is there.
func (s *serving) bulk(port int) *bulkClient {
	s.t.Helper()
	c, err := dialBulk(s.ctx, port)
	if err != nil {
		s.t.Fatalf("connecting: %v\n%s", err, s.said())
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// dialBulk connects to it at a port of this computer, as soon as it is there.
func dialBulk(ctx context.Context, port int) (*bulkClient, error) {
	b := make([]byte, 128<<10)
	for i := range b {
		b[i] = byte(i*7 + i>>8*3)
	}
	for {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c := &bulkClient{conn, b}
			if err = c.transfer('g', 1, true); err == nil {
				context.AfterFunc(ctx, func() { conn.Close() })
				return c, nil
			}
			conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// transfer gets or puts n bytes; with check they are compared with what was sent.
func (c *bulkClient) transfer(what byte, n uint64, check bool) error {
	if what == 'p' && check {
		what = 'c'
	}
	if _, err := c.Write(binary.BigEndian.AppendUint64([]byte{what}, n)); err != nil {
		return err
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	sum, want := uint32(0), uint32(0)
	for left := n; left != 0 && check; {
		k := min(left, uint64(len(c.block)))
		want = crc32.Update(want, table, c.block[:k])
		left -= k
	}
	if what == 'g' {
		b := make([]byte, len(c.block))
		for n != 0 {
			k, err := c.Read(b[:min(n, uint64(len(b)))])
			if err != nil {
				return err
			}
			if check {
				sum = crc32.Update(sum, table, b[:k])
			}
			n -= uint64(k)
		}
	} else {
		for left := n; left != 0; {
			k, err := c.Write(c.block[:min(left, uint64(len(c.block)))])
			if err != nil {
				return err
			}
			left -= uint64(k)
		}
		if err := binary.Read(c, binary.BigEndian, &sum); err != nil {
			return err
		}
	}
	if sum != want {
		return fmt.Errorf("got checksum %x, want %x", sum, want)
	}
	return nil
}

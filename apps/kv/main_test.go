package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestProtocol speaks to the server as a client does.
func TestProtocol(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback network:", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveOn(ctx, l, 100) }()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for _, x := range []struct{ ask, want string }{
		{"PING\r\n", "+PONG\r\n"},
		{"*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n"},
		{"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$-1\r\n"},
		{"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nv\r\nal\r\n", "+OK\r\n"},
		{"*2\r\n$3\r\nget\r\n$1\r\na\r\n", "$5\r\nv\r\nal\r\n"},
		{"SET b " + strings.Repeat("x", 93) + "\r\n", "+OK\r\n"}, // 100 bytes are held now
		{"SET c y\r\n", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"},
		{"SET b y\r\nSET c y\r\nGET c\r\n", "+OK\r\n+OK\r\n$1\r\ny\r\n"},
		{"DBSIZE\r\n", ":3\r\n"},
		{"DEL a b nothing\r\nDBSIZE\r\n", ":2\r\n:1\r\n"},
		{"SET a\r\n", "-ERR wrong number of arguments for 'set' command\r\n"},
		{"*1\r\n$4\r\nno\r\n\r\n", "-ERR unknown command 'no..'\r\n"},
		{"QUIT\r\n", "+OK\r\n"},
	} {
		if _, err := c.Write([]byte(x.ask)); err != nil {
			t.Fatalf("%q: %v", x.ask, err)
		}
		b := make([]byte, len(x.want))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != x.want {
			t.Fatalf("%q: got %q, error %v, want %q", x.ask, b, err, x.want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error("the end:", err)
	}
}

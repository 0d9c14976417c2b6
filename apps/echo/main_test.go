package main

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestSocket runs the program as it is on Linux.
func TestSocket(t *testing.T) {
	probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Skip("no loopback network:", err)
	}
	listen := probe.LocalAddr().String()
	_ = probe.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, options{listen: listen}) }()

	c, err := net.Dial("udp4", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 100)
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := c.Write([]byte("who is there?"))
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			var n int
			if n, err = c.Read(answer); err == nil {
				if got := string(answer[:n]); got != "who is there?" {
					t.Errorf("got %q back", got)
				}
				break
			}
		}
		// Until the program listens, the kernel says that nobody does.
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []options{{listen: "nowhere"}, {listen: "127.0.0.1:99999"}} {
		if err := run(context.Background(), o); err == nil {
			t.Errorf("%+v: got no error", o)
		}
	}
}

// TestConnections echoes on a connection, on Linux.
func TestConnections(t *testing.T) {
	ours, theirs := net.Pipe()
	go echo(theirs)
	defer ours.Close()
	if _, err := ours.Write([]byte("who is there?")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := ours.Read(b)
	if err != nil || string(b[:n]) != "who is there?" {
		t.Errorf("got %q, error %v", b[:n], err)
	}
}

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"time"

	"nom.dev/nom/lib/net/gateway"
)

func datagramsOut() error {
	c, err := net.Dial("udp", from(53).String())
	if err != nil {
		return err
	}
	defer c.Close()
	local := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := want("local", local.Addr(), own); err != nil {
		return err
	}
	for _, text := range []string{"question", "", strings.Repeat("x", 60_000)} {
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		if err := want("datagram", <-outside.datagrams, datagram{local, from(53), text}); err != nil {
			return err
		}
	}
	// Only the peer may answer.
	if err := want("a stranger", gate.DeliverUDP(from(54), local, []byte("wrong")), gateway.ErrRefused); err != nil {
		return err
	}
	if err := gate.DeliverUDP(from(53), local, []byte("answer")); err != nil {
		return err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return errors.Join(err, want("answer", string(b[:n]), "answer"))
}

func datagramsIn() error {
	c, err := net.ListenPacket("udp", ":5353") // of both families
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 1<<16)
	for _, n := range []int{0, 1, 1400, 3000, 50_000} {
		if err := gate.DeliverUDP(from(7777), to(5353), make([]byte, n)); err != nil {
			return err
		}
		got, src, err := c.ReadFrom(b)
		if err := errors.Join(err, want("length", got, n), want("source", fmt.Sprint(src), from(7777).String())); err != nil {
			return err
		}
		if _, err := c.WriteTo([]byte("answer"), src); err != nil {
			return err
		}
		if err := want("answer", <-outside.datagrams, datagram{to(5353), from(7777), "answer"}); err != nil {
			return err
		}
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:5454")
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.WriteTo(nil, net.UDPAddrFromAddrPort(from(1)))
	return errors.Join(wantErrno("from loopback to the outside", err, syscall.EINVAL),
		want("to a socket of loopback", gate.DeliverUDP(from(1), to(5454), nil), gateway.ErrRefused),
		want("to nobody", gate.DeliverUDP(from(1), to(5455), nil), gateway.ErrRefused),
		want("to loopback", gate.DeliverUDP(from(1), netip.MustParseAddrPort("127.0.0.1:5454"), nil), gateway.ErrAddress))
}

// allocations counts what datagrams from outside cost, those that nobody wants too.
func allocations() error {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 5353})
	if err != nil {
		return err
	}
	defer c.Close()
	const n = 2000
	payload, b := make([]byte, 1000), make([]byte, 2000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range n {
		if err := gate.DeliverUDP(from(7777), to(5353), payload); err != nil {
			return err
		}
		if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
			return err
		}
		if err := gate.DeliverUDP(from(7777), to(5354), payload); err != gateway.ErrRefused {
			return err
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	fmt.Printf("datagrams in: %v each\n", took/n)
	if allocated := after.Mallocs - before.Mallocs; allocated > n/4 {
		return fmt.Errorf("%d allocations for %d datagrams", allocated, n)
	}
	return nil
}

package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	own := netip.MustParseAddr("10.0.2.15")
	for _, c := range []Config{
		{},
		{Addresses: []netip.Addr{own}},
		{Transport: nowhere{}},
		{Transport: nowhere{}, Addresses: make([]netip.Addr, 9)},
		{Transport: nowhere{}, Addresses: []netip.Addr{own, netip.MustParseAddr("::1")}},
		{Transport: nowhere{}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		{Transport: nowhere{}, Addresses: []netip.Addr{netip.MustParseAddr("224.0.0.1")}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

type nowhere struct{ Transport }

func TestMayCome(t *testing.T) {
	g := &Gateway{config: Config{Addresses: []netip.Addr{netip.MustParseAddr("10.0.2.15")}}}
	for _, c := range []struct {
		src, dst string
		want     bool
	}{
		{"1.2.3.4:5", "10.0.2.15:80", true},
		{"1.2.3.4:0", "10.0.2.15:80", false},
		{"1.2.3.4:5", "10.0.2.16:80", false},
		{"1.2.3.4:5", "127.0.0.1:80", false},
		{"1.2.3.4:5", "255.255.255.255:80", false},
		{"127.0.0.1:5", "10.0.2.15:80", false},
		{"10.0.2.15:5", "10.0.2.15:80", false},
		{"0.0.0.0:5", "10.0.2.15:80", false},
		{"0.1.2.3:5", "10.0.2.15:80", false},
		{"224.0.0.1:5", "10.0.2.15:80", false},
		{"255.255.255.255:5", "10.0.2.15:80", false},
		{"[2001::1]:5", "10.0.2.15:80", false},
		{"1.2.3.4:5", "[::1]:80", false},
	} {
		src, dst := netip.MustParseAddrPort(c.src), netip.MustParseAddrPort(c.dst)
		if got := g.mayCome(src, dst); got != c.want {
			t.Errorf("%v to %v: got %v", src, dst, got)
		}
		if c.want {
			continue
		}
		if err := g.DeliverUDP(src, dst, nil); err != ErrAddress {
			t.Errorf("DeliverUDP: got %v", err)
		}
		if err := g.AcceptTCP(src, dst, nil); err != ErrAddress {
			t.Errorf("AcceptTCP: got %v", err)
		}
	}
}

func TestErrno(t *testing.T) {
	for err, want := range map[error]syscall.Errno{
		syscall.ECONNREFUSED:                       syscall.ECONNREFUSED,
		fmt.Errorf("x: %w", syscall.ENETUNREACH):   syscall.ENETUNREACH,
		os.NewSyscallError("x", syscall.ETIMEDOUT): syscall.ETIMEDOUT,
		syscall.EBADF:                              syscall.EHOSTUNREACH,
		context.DeadlineExceeded:                   syscall.ETIMEDOUT,
		os.ErrDeadlineExceeded:                     syscall.ETIMEDOUT,
		errors.New("no idea"):                      syscall.EHOSTUNREACH,
	} {
		if got := toErrno(err); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}

func TestPackets(t *testing.T) {
	src, dst := netip.MustParseAddrPort("1.2.3.4:5000"), netip.MustParseAddrPort("10.0.2.15:53")
	b := make([]byte, mostPacket)
	for _, n := range []int{0, 1, 1472, mostPacket - packetHead} {
		payload := bytes.Repeat([]byte{7}, n)
		k := compose(b, src, dst, payload)
		gotSrc, gotDst, got, ok := parse(b[:k])
		if k != n+packetHead || gotSrc != src || gotDst != dst || !bytes.Equal(got, payload) || !ok {
			t.Errorf("%d bytes: got %d, %v to %v, %v", n, len(got), gotSrc, gotDst, ok)
		}
	}
	compose(b, src, dst, nil)
	if _, _, _, ok := parse(b[:packetHead-1]); ok {
		t.Error("a packet that is too short was taken")
	}
	b[9] = syscall.IPPROTO_TCP
	if _, _, _, ok := parse(b[:packetHead]); ok {
		t.Error("a packet of TCP was taken")
	}
}

func TestDeliverAllocatesNothing(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := &Gateway{config: Config{Addresses: []netip.Addr{netip.MustParseAddr("10.0.2.15")}}}
	g.udp.fd, g.udp.file = int(f.Fd()), f
	src, dst := netip.MustParseAddrPort("1.2.3.4:5000"), netip.MustParseAddrPort("10.0.2.15:53")
	payload := make([]byte, 1400)
	if n := testing.AllocsPerRun(1000, func() { err = g.DeliverUDP(src, dst, payload) }); n >= 1 || err != nil {
		t.Errorf("%v allocations a datagram, error %v", n, err)
	}
	g.udp.close()
	if err := g.DeliverUDP(src, dst, payload); err != ErrClosed {
		t.Errorf("after the end: got %v", err)
	}
}

// Package main is an ordinary program with an HTTP server, beside which a gateway (lib/net/gateway) connects its sockets with a
// network that the program makes up itself. It runs in a container only.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"nom.dev/nom/lib/net/gateway"
)

var (
	own      = netip.MustParseAddr("10.0.2.15")
	stranger = netip.MustParseAddr("93.184.216.34")
)

// patience is how long anything may take.
const patience = 2 * time.Minute

var (
	outside = &network{dials: make(chan dial, 100), datagrams: make(chan datagram, 100)}
	gate    *gateway.Gateway
)

func main() {
	fail(before())
	var err error
	gate, err = gateway.New(gateway.Config{
		Addresses: []netip.Addr{own}, Transport: outside, MaxInbound: 100, OrphanTimeout: 50 * time.Millisecond,
	})
	fail(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- gate.Serve(ctx) }()
	l, err := net.Listen("tcp", ":8080")
	fail(err)
	go func() { fail(http.Serve(l, http.HandlerFunc(tell))) }()
	for _, f := range []struct {
		name string
		run  func() error
	}{
		{"own address", ownAddress}, {"interfaces", interfaces}, {"inbound", inbound}, {"refused", refused}, {"busy", busy}, {"outbound", outbound},
		{"errors", failures}, {"given up", givenUp}, {"resets", resets}, {"orphan", orphan}, {"stuck", stuck}, {"many", many}, {"bulk", bulk},
		{"datagrams out", datagramsOut}, {"datagrams in", datagramsIn}, {"allocations", allocations},
	} {
		if err := f.run(); err != nil {
			fail(fmt.Errorf("%s: %w", f.name, err))
		}
		fmt.Println(f.name + ": ok")
	}
	fail(after(cancel, ended))
	fmt.Println("end: ok")
}

func fail(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// tell answers with what the server knows of the connection, and the request's length.
func tell(w http.ResponseWriter, r *http.Request) {
	n, _ := discard(r.Body)
	fmt.Fprintf(w, "%v %v %d", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey), n)
}

// want makes an error of what is not as it must be.
func want(what string, got, must any) error {
	if got == must {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, must)
}

// wantErrno checks an error's number.
func wantErrno(what string, err error, e syscall.Errno) error {
	if errors.Is(err, e) {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, err, e)
}

// before there is a gateway, nothing outside can be reached.
func before() error {
	_, tcp := net.Dial("tcp", "93.184.216.34:80")
	_, udp := net.Dial("udp", "93.184.216.34:80")
	return errors.Join(wantErrno("TCP", tcp, syscall.ENETUNREACH), wantErrno("UDP", udp, syscall.ENETUNREACH))
}

// after the gateway's end it is as before, and connections are reset.
func after(cancel func(), ended chan error) error {
	c, d, err := connected(80)
	if err != nil {
		return err
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("ended with %w", err)
	}
	_, err = c.Read(make([]byte, 1))
	_, err2 := d.Read(make([]byte, 1))
	return errors.Join(wantErrno("the program's end", err, syscall.ECONNRESET), wantErrno("the remote end", err2, syscall.ECONNRESET),
		before(), want("DeliverUDP", gate.DeliverUDP(from(1), to(1), nil), gateway.ErrClosed))
}

func ownAddress() error {
	c, err := net.Dial("tcp", "10.0.2.15:8080")
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(want("local", c.LocalAddr().(*net.TCPAddr).IP.String(), own.String()),
		want("remote", c.RemoteAddr().String(), "10.0.2.15:8080"))
}

func interfaces() error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	said := ""
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			return err
		}
		said += fmt.Sprintln(i.Name, i.Flags, addresses)
	}
	return want("interfaces", said, "lo up|loopback|running [127.0.0.1/8 ::1/128]\neth0 up|broadcast|running [10.0.2.15/32]\n")
}

// Tcpecho sends back what comes in on connections to TCP port 7 of the container's own network function, through package netstack.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"nom.dev/nom/lib/net/netstack"
	"nom.dev/nom/lib/nic"
)

// vector is the interrupt that the queue raises.
const vector = 0x50

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "tcpecho:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	f, err := nic.Open(0, nic.Config{})
	if err != nil {
		return err
	}
	defer f.Stop()
	if err := f.Arm(0, 0, vector); err != nil {
		return err
	}
	s, err := netstack.New(f.Queue(0), netstack.Config{
		MAC:     f.MAC,
		Address: netip.MustParsePrefix("10.0.2.15/24"),
		Gateway: netip.MustParseAddr("10.0.2.2"),
		Offload: true,
	})
	if err != nil {
		return err
	}
	s.HandleTCP(echo)
	return s.Serve(ctx)
}

// echo is one connection.
func echo(r *netstack.Request) {
	if r.Local.Port() != 7 {
		return
	}
	c, err := r.Accept()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tcpecho:", err)
		return
	}
	defer c.Close()
	n, err := io.Copy(c, c)
	fmt.Printf("%v: %d bytes, error %v\n", r.Remote, n, err)
}

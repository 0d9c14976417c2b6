// Uplink connects the sockets of the program beside it with the container's network function. It is the companion that the
// root container starts beside a program which is in a network: an executable of its own, with its own Go runtime, in the same
// virtual machine. The program is not changed and not linked with anything: it makes system calls on sockets, the
// platform keeps the sockets (package metal/platform), lib/net/gateway moves their bytes, and lib/net/netstack speaks TCP/IP on
// the function's queues. No request and no answer enters the nonkernel.
//
// It must never take more than a small part of the container's memory, and must never go on without the network: when it
// ends, the container does.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/net/gateway"
	"nom.dev/nom/lib/net/netstack"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/metal"
)

const (
	// vector is the interrupt that the function's queue raises.
	vector = 0x50
	// memoryLimit is soft: beyond it the collector works harder. The environment's limit is the program's.
	memoryLimit = 32 << 20
)

// setting lets the queue sleep as soon as it is empty: polling on would keep the core from the program, which has to answer.
var setting = nic.Setting{Batch: nic.Latency.Batch, Spin: 1}

func main() {
	debug.SetMemoryLimit(memoryLimit)
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "uplink:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	function, err := nic.Open(0, nic.Config{Setting: setting})
	if err != nil {
		return err
	}
	defer function.Stop()
	place, err := readPlace(function.MAC)
	if err != nil {
		return err
	}
	stack, err := netstack.New(function.Queue(0), place)
	if err != nil {
		return err
	}
	gate, err := gateway.New(gateway.Config{Addresses: []netip.Addr{place.Address.Addr()}, Transport: stack})
	if err != nil {
		return err
	}
	stack.HandleUDP(gate.DeliverUDP)
	stack.HandleTCP(func(r *netstack.Request) {
		if gate.AcceptTCP(r.Remote, r.Local, r.Accept) != nil {
			r.Reject()
		}
	})
	if err := function.Arm(0, 0, vector); err != nil {
		return err
	}
	if err := metal.StartProgram(); err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- gate.Serve(ctx) }()
	go func() { failed <- stack.Serve(ctx) }()
	if err := <-failed; err != nil {
		return err
	}
	return errors.New("the network function was given up")
}

// readPlace reads the container's place in the network from the environment.
func readPlace(mac [6]byte) (netstack.Config, error) {
	c := netstack.Config{MAC: mac, Offload: true}
	var err error
	if c.Address, err = netip.ParsePrefix(os.Getenv(abi.AddressEnv)); err != nil {
		return c, fmt.Errorf("%s: %w", abi.AddressEnv, err)
	}
	if g := os.Getenv(abi.GatewayEnv); g != "" {
		if c.Gateway, err = netip.ParseAddr(g); err != nil {
			return c, fmt.Errorf("%s: %w", abi.GatewayEnv, err)
		}
	}
	return c, nil
}

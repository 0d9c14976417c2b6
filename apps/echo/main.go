// Echo sends every UDP datagram back to who sent it. In a container that has a network function it does so on the native interface:
// the answer is built in the buffer that the card wrote the question to, and nothing stands between. Elsewhere, or with -socket,
// it uses net.ListenUDP, so that the two can be compared with one program.
//
//	nom run --stack own -p 7000:7/udp ./apps/echo
//	go run ./apps/echo -listen 127.0.0.1:7000
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/net/inplace"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/metal"
)

// options are the command line.
type options struct {
	listen   string
	address  string
	gateway  string
	socket   bool
	tcp      bool
	poll     bool
	busy     bool
	function int
	measure  uint64
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", ":7", "`address:port` to listen on; the native interface uses only the port")
	flag.StringVar(&o.address, "address", cmp.Or(os.Getenv(abi.AddressEnv), "10.0.2.15/24"), "own IPv4 `address/prefix` on the native interface")
	flag.StringVar(&o.gateway, "gateway", os.Getenv(abi.GatewayEnv), "`address` of the gateway on the native interface")
	flag.BoolVar(&o.socket, "socket", false, "use net.ListenUDP even where there is a network function")
	flag.BoolVar(&o.tcp, "tcp", false, "answer on connections of TCP, through net")
	flag.BoolVar(&o.poll, "poll", false, "never sleep: no interrupts")
	flag.BoolVar(&o.busy, "throughput", false, "larger batches and fewer interrupts, for more requests and later answers")
	flag.IntVar(&o.function, "function", 0, "`number` of the network function")
	flag.Uint64Var(&o.measure, "measure", 0, "say what this `number` of answers cost, after the first few, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.tcp {
		return connections(ctx, o.listen)
	}
	address, err := net.ResolveUDPAddr("udp4", o.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if !o.socket {
		err := native(ctx, o, uint16(address.Port))
		if !errors.Is(err, metal.ErrNotRunning) && !errors.Is(err, nic.ErrNoDevice) {
			return err
		}
	}
	return socket(ctx, address, o.measure)
}

// native answers on the network function itself.
func native(ctx context.Context, o options, port uint16) error {
	c := nic.Config{Setting: nic.Latency}
	if o.busy {
		c.Setting = nic.Throughput
	}
	f, err := nic.Open(o.function, c)
	if err != nil {
		return err
	}
	defer f.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &meter{count: o.measure, stop: cancel}
	s, err := station(f, o, port, m)
	if err != nil {
		return err
	}
	if !o.poll {
		if err := f.Arm(0, 0, vector); err != nil {
			return err
		}
	}
	fmt.Printf("echo: port %d of %s on the native interface\n", port, o.address)
	q := f.Queue(0)
	if o.measure == 0 {
		err = s.Serve(ctx, q)
	} else {
		err = m.serve(ctx, s, q)
	}
	fmt.Printf("echo: stack %+v\necho: queue %+v\n", s.Counters, q.Counters)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// vector is the interrupt that the queue raises.
const vector = 0x50

// station makes the stack.
func station(f *nic.Function, o options, port uint16, m *meter) (*inplace.Stack, error) {
	c := inplace.Config{MAC: f.MAC, Offload: true}
	var err error
	if c.Address, err = netip.ParsePrefix(o.address); err != nil {
		return nil, fmt.Errorf("-address: %w", err)
	}
	if o.gateway != "" {
		if c.Gateway, err = netip.ParseAddr(o.gateway); err != nil {
			return nil, fmt.Errorf("-gateway: %w", err)
		}
	}
	s, err := inplace.New(c)
	if err != nil {
		return nil, err
	}
	return s, s.Listen(port, func(_ inplace.Endpoint, payload []byte) int {
		m.answer()
		return len(payload)
	})
}

// socket answers through net.
func socket(ctx context.Context, address *net.UDPAddr, measure uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &meter{count: measure, stop: cancel}
	c, err := net.ListenUDP("udp4", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	fmt.Printf("echo: %v on a socket\n", c.LocalAddr())
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		// What cannot be sent now is lost, as datagrams may be; the next one may go.
		if _, err := c.WriteToUDPAddrPort(buffer[:n], from); err != nil {
			fmt.Fprintln(os.Stderr, "echo:", err)
			continue
		}
		m.answer()
	}
}

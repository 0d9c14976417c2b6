package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/metal"
)

// leastToken is how long the token of the management API must be.
const leastToken = 32

// mostConnections is how many connections to the management API there are at a time.
const mostConnections = 64

// manage serves the management API as long as the machine runs. Root's sockets reach the network through its own function.
func manage(config *manifest.Management, cores []uint32, mem memory, l *machineLauncher, r *reporter, tscHz uint64) error {
	place, err := ownPlace()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", fmt.Sprint(":", config.Port))
	if err != nil {
		return fmt.Errorf("the management API: %w", err)
	}
	m := newManager(l, r, physical, cores, mem, place, tscHz)
	server := &http.Server{
		Handler:           newServer(m, config.Token),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    2 * api.MaxSpec,
	}
	go m.watchMisuse()
	r.send(api.Event{Event: api.EventServing})
	return server.Serve(limitConnections(listener, mostConnections))
}

// ownPlace is where root is in the network.
func ownPlace() (n manifest.Network, err error) {
	if n.Address, err = netip.ParsePrefix(os.Getenv(abi.AddressEnv)); err != nil {
		return n, fmt.Errorf("the root container is in no network: %s: %w", abi.AddressEnv, err)
	}
	if n.Gateway, err = netip.ParseAddr(os.Getenv(abi.GatewayEnv)); err != nil {
		return n, fmt.Errorf("the root container's network: %s: %w", abi.GatewayEnv, err)
	}
	if dns := os.Getenv(abi.DNSEnv); dns != "" {
		if n.DNS, err = netip.ParseAddr(dns); err != nil {
			return n, fmt.Errorf("the root container's network: %s: %w", abi.DNSEnv, err)
		}
	}
	return n, nil
}

// physical is memory whose pages can be lent.
func physical(size int) (*block, error) {
	p, err := metal.Pages(int(blockPages(size)))
	if err != nil {
		return nil, err
	}
	return &block{bytes: p.Bytes()[:size], release: p.Release}, nil
}

// limitedListener accepts no more than so many connections at a time.
type limitedListener struct {
	net.Listener
	free chan struct{}
}

func limitConnections(l net.Listener, n int) net.Listener {
	return &limitedListener{l, make(chan struct{}, n)}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, free: l.free}, nil
}

type limitedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.free })
	return err
}

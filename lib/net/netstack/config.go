package netstack

import (
	"fmt"
	"net/netip"

	"nom.dev/nom/lib/net/inplace"
)

// Defaults of Config.
const (
	defaultMTU      = 1500
	defaultInFlight = 1024
)

// etherLen is an Ethernet header.
const etherLen = 14

// Config is a stack's place in the network.
type Config struct {
	MAC      [6]byte
	Address  netip.Prefix // own IPv4 address, and the length of the network's prefix
	Gateway  netip.Addr   // the zero Addr: there is none
	MTU      int          // longest IPv4 packet; 0 = 1500
	Offload  bool         // the device inserts checksums, and says which it has checked: package nic's does
	InFlight int          // connections that others may be establishing at a time; 0 = 1024
}

// check fills in what was left out, and refuses what could not work with buffers of a length. inplace.New checks addresses.
func (c *Config) check(buffer int) error {
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.InFlight == 0 {
		c.InFlight = defaultInFlight
	}
	switch {
	case c.MTU+etherLen > buffer:
		return fmt.Errorf("netstack: packets of %d bytes do not fit buffers of %d: see nic.Config.MaxFrame", c.MTU, buffer)
	case c.InFlight < 1 || c.InFlight > 1<<16:
		return fmt.Errorf("netstack: %d connections being established at a time: want 1 to %d", c.InFlight, 1<<16)
	}
	return nil
}

// inplace is the configuration of the other stack.
func (c *Config) inplace(s *Stack) inplace.Config {
	return inplace.Config{MAC: c.MAC, Address: c.Address, Gateway: c.Gateway, MaxSize: c.MTU, Offload: c.Offload, Next: (*input)(s)}
}

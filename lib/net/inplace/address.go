package inplace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"nom.dev/nom/lib/nic"
)

// Endpoint is an IPv4 address and a port. It fits a register, and can be compared.
type Endpoint struct {
	addr uint32 // as it lies in memory
	Port uint16
}

// EndpointOf converts an address and port, which must be IPv4.
func EndpointOf(a netip.AddrPort) (Endpoint, error) {
	if !a.Addr().Unmap().Is4() {
		return Endpoint{}, fmt.Errorf("inplace: %v is not an IPv4 address and port", a)
	}
	return Endpoint{rawAddr(a.Addr()), a.Port()}, nil
}

// AddrPort converts it back.
func (e Endpoint) AddrPort() netip.AddrPort { return netip.AddrPortFrom(e.Addr(), e.Port) }

// Addr is the address alone.
func (e Endpoint) Addr() netip.Addr {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], e.addr)
	return netip.AddrFrom4(b)
}

func (e Endpoint) String() string { return e.AddrPort().String() }

// rawAddr is an IPv4 address as it lies in memory.
func rawAddr(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.LittleEndian.Uint32(b[:])
}

// rawMAC is an Ethernet address as it lies in memory.
func rawMAC(m [6]byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(m[:4])) | uint64(binary.LittleEndian.Uint16(m[4:]))<<32
}

// Addresses with a meaning, as they lie in memory.
const (
	broadcastMAC = 1<<48 - 1
	mask48       = 1<<48 - 1
	groupBit     = 1 // of the first byte: not one station's address
)

// sourceOK says whether an address may be that of a sender, RFC 1122 section 3.2.1.3: not 0.x, 127.x, multicast, reserved or
// broadcast, nor the broadcast address of the own network, nor the own address.
func (s *Stack) sourceOK(addr uint32) bool {
	first := uint8(addr)
	return (first-1 < 126 || first-128 < 96) && addr != s.addr && addr != s.broadcast
}

// onLink says whether an address belongs to the own network.
func (s *Stack) onLink(addr uint32) bool { return (addr^s.addr)&s.mask == 0 }

// Config is a stack's place in the network.
type Config struct {
	MAC     [6]byte
	Address netip.Prefix // own address, and the length of the network's prefix
	Gateway netip.Addr   // the zero Addr: there is none
	MaxSize int          // longest IPv4 packet that is sent; 0 = 1500
	Offload bool         // the device inserts checksums, and says which it has checked
	Next    nic.Stack    // gets what this stack does not speak or nobody listens to, and answers to ARP; nil drops it
}

// check refuses what could not work.
func (c *Config) check() error {
	if c.MaxSize == 0 {
		c.MaxSize = 1500
	}
	switch a := c.Address.Addr(); {
	case !a.Is4() || !c.Address.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
		return fmt.Errorf("inplace: address %v: want an IPv4 address with the length of its prefix, such as 10.0.2.15/24", c.Address)
	case c.MAC[0]&groupBit != 0 || c.MAC == [6]byte{}:
		return fmt.Errorf("inplace: %x is not one station's Ethernet address", c.MAC)
	case c.Gateway.IsValid() && (!c.Gateway.Is4() || !c.Address.Contains(c.Gateway) || c.Gateway == a):
		return fmt.Errorf("inplace: gateway %v is not another address of %v", c.Gateway, c.Address.Masked())
	case c.MaxSize < 576 || c.MaxSize > 65535:
		return fmt.Errorf("inplace: packets of %d bytes: want 576 to 65535", c.MaxSize)
	}
	return nil
}

// Errors of Output.
var (
	// ErrAsking says that the frame has become a question for the neighbour's address: send it, and try again later.
	ErrAsking = errors.New("inplace: the neighbour's address is being asked for")
	// ErrUnreachable says that there is no way to the address.
	ErrUnreachable = errors.New("inplace: no gateway, or not one station's address")
	// ErrTooLong says that the datagram does not fit a packet or the buffer.
	ErrTooLong = errors.New("inplace: the datagram does not fit a packet")
)

package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nom.dev/nom/abi/manifest"
)

// The network that QEMU's user mode gives a machine: addresses of its own, a gateway that is also this computer, and a
// name server. Containers get addresses from the first on.
var (
	userNetwork = netip.MustParsePrefix("10.0.2.0/24")
	userGateway = netip.MustParseAddr("10.0.2.2")
	userDNS     = netip.MustParseAddr("10.0.2.3")
	userFirst   = netip.MustParseAddr("10.0.2.15")
)

// published is a port of this computer that leads to one of a container: what -p says.
type published struct {
	container  string // "" = the only one
	host       netip.AddrPort
	protocol   string // "tcp" or "udp"
	port       uint16
	whole      string // as it was given
	everywhere bool   // on all addresses of this computer
}

// parsePublished reads [CONTAINER=][ADDRESS:]PORT:PORT[/tcp|/udp].
func parsePublished(s string) (published, error) {
	p := published{protocol: "tcp", whole: s}
	rest, protocol, given := strings.Cut(s, "/")
	if given {
		p.protocol = protocol
	}
	if name, after, named := strings.Cut(rest, "="); named {
		p.container, rest = name, after
	}
	at := strings.LastIndexByte(rest, ':')
	if at < 0 || p.protocol != "tcp" && p.protocol != "udp" {
		return p, p.wrong()
	}
	host, port := rest[:at], rest[at+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return p, p.wrong()
	}
	p.port = uint16(n)
	if !strings.Contains(host, ":") {
		host, p.everywhere = "0.0.0.0:"+host, true
	}
	p.host, err = netip.ParseAddrPort(host)
	if err != nil || !p.host.Addr().Is4() || p.host.Port() == 0 {
		return p, p.wrong()
	}
	return p, nil
}

func (p *published) wrong() error {
	return fmt.Errorf("-p %s: give [CONTAINER=][ADDRESS:]PORT:PORT[/udp], with an IPv4 address of this computer and ports from 1 to 65535, such as -p 8080:80", p.whole)
}

// network gives every container an address, or has it ask for one, and returns the QEMU backend that forwards the published ports to them.
func (c *containerFlags) network(containers []*container) (netdev string, err error) {
	switch {
	case c.dhcp && c.stack != "":
		return "", fmt.Errorf("--dhcp: the stack %s does not ask for addresses: leave --stack away, or --dhcp", c.stack)
	case c.dhcp && len(c.publish) != 0 && len(containers) > 1:
		return "", fmt.Errorf("-p with --dhcp: with %d containers nobody knows who gets which address: leave --dhcp away", len(containers))
	case c.dhcp && len(c.publish) == 0:
		for _, k := range containers {
			k.NIC, k.Network = true, &manifest.Network{DHCP: true}
		}
		return cmp.Or(c.nic, "user"), nil
	case len(c.publish) == 0 && !c.net:
		return c.nic, nil
	case c.nic != "":
		return "", fmt.Errorf("-p and --network need QEMU's user network: leave --nic away, or forward ports in its backend (and --dhcp asks for addresses there)")
	}
	address := userFirst
	for _, k := range containers {
		if !userNetwork.Contains(address) || address == userNetwork.Addr() {
			return "", fmt.Errorf("%d containers in a network of %v: there are not so many addresses", len(containers), userNetwork)
		}
		k.NIC = true
		k.Network = &manifest.Network{Address: netip.PrefixFrom(address, userNetwork.Bits()), Gateway: userGateway, DNS: userDNS, Stack: c.stack}
		address = address.Next()
	}
	netdev = "user"
	taken := map[string]bool{}
	for _, text := range c.publish {
		forward, err := forwarding(text, containers)
		if err != nil {
			return "", err
		}
		from, _, _ := strings.Cut(forward, "-")
		if taken[from] {
			return "", fmt.Errorf("-p %s: that port of this computer is published already", text)
		}
		taken[from] = true
		netdev += ",hostfwd=" + forward
	}
	if c.dhcp { // the only container, so it gets the first address
		containers[0].Network = &manifest.Network{DHCP: true}
	}
	return netdev, nil
}

// forwarding is QEMU's rule for a published port.
func forwarding(text string, containers []*container) (string, error) {
	p, err := parsePublished(text)
	if err != nil {
		return "", err
	}
	k := containers[0]
	switch {
	case p.container != "":
		i := slices.IndexFunc(containers, func(k *container) bool { return k.Name == p.container })
		if i < 0 {
			return "", fmt.Errorf("-p %s: no container is called %s", text, p.container)
		}
		k = containers[i]
	case len(containers) > 1:
		return "", fmt.Errorf("-p %s: say which container: -p %s=%s", text, k.Name, text)
	}
	host := p.host.Addr().String()
	if p.everywhere {
		host = ""
	}
	return fmt.Sprintf("%s:%s:%d-%v:%d", p.protocol, host, p.host.Port(), k.Network.Address.Addr(), p.port), nil
}

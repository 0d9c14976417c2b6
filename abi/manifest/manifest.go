// Package manifest says what a machine image starts: the contents of manifest.json in its bundle. The image tool
// writes it and the root container reads it.
//
// Fields that a reader does not know are errors: an image of a later version must not be half understood. The package
// must never decide what to do about a container, only say what was asked for.
package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"nom.dev/nom/abi"
)

// Version is the version of the format.
const Version = 1

// Manage is the name of the option for a machine whose root container serves the management API; its value is a Management.
const Manage = "manage"

// Management is how the root container serves the management API.
type Management struct {
	Token string `json:"token"` // who has it may do everything
	Port  uint16 `json:"port"`  // of TCP, on the root container's address
}

// Manifest is what the root container starts.
type Manifest struct {
	Version    int                        `json:"version"`
	Containers []Container                `json:"containers"`
	Options    map[string]json.RawMessage `json:"options,omitempty"` // by name, for the root container
}

// Container is one program to run.
type Container struct {
	Name      string   `json:"name"`
	Program   string   `json:"program"`         // entry of the bundle: "program/NAME"
	Files     string   `json:"files,omitempty"` // entry of the bundle: "files/NAME", or none
	Args      []string `json:"args"`            // argv, with the program's name
	Env       []string `json:"env,omitempty"`   // "KEY=VALUE"
	Dir       string   `json:"dir,omitempty"`   // working directory; "" = "/"
	Memory    uint64   `json:"memory"`          // bytes; 0 = the root container decides
	VCPUs     int      `json:"vcpus"`           // 0 = the root container decides
	Dedicated *bool    `json:"dedicated"`       // whole cores; null = the root container decides
	Restart   string   `json:"restart,omitempty"`
	NIC       bool     `json:"nic,omitempty"` // a network function of its own

	Rate    *Rate    `json:"rate,omitempty"`    // of that function, in each direction; null = no limit
	Network *Network `json:"network,omitempty"` // its sockets reach a network through that function; null = the program drives it
}

// Rate is the most that may go in a second; 0 = no limit.
type Rate struct {
	Bits   uint64 `json:"bits,omitempty"`
	Frames uint64 `json:"frames,omitempty"`
}

func (c *Container) checkRate() error {
	switch r := c.Rate; {
	case r == nil:
		return nil
	case !c.NIC:
		return fmt.Errorf("a rate, and no network function")
	case max(r.Bits, r.Frames) > abi.MaxRate:
		return fmt.Errorf("a rate of %d bits and %d frames a second: at most %d are possible", r.Bits, r.Frames, uint64(abi.MaxRate))
	}
	return nil
}

// Network is where a container is in an IPv4 network.
type Network struct {
	DHCP    bool         `json:"dhcp,omitempty"`   // a server of the network says where, and the rest is empty
	Address netip.Prefix `json:"address,omitzero"` // with the length of the network's prefix
	Gateway netip.Addr   `json:"gateway,omitzero"`
	DNS     netip.Addr   `json:"dns,omitzero"`    // a name server
	Stack   string       `json:"stack,omitempty"` // StackGVisor, StackOwn, or "": the platform's
}

// Stacks beside the platform's.
const (
	StackGVisor = "gvisor"     // sockets reach the network through the companion program uplink, with gVisor's TCP/IP
	StackOwn    = abi.StackOwn // the program drives the network function itself, with package lib/nic; its sockets reach the container only
)

// CheckStack reports a Stack that there is not.
func CheckStack(stack string) error {
	switch stack {
	case "", StackGVisor, StackOwn:
		return nil
	}
	return fmt.Errorf("the network stack %q is not known: leave it away for the platform's, or use %q or %q", stack, StackGVisor, StackOwn)
}

// Parse reads and checks a manifest.
func Parse(b []byte) (*Manifest, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("reading the manifest: something follows its end")
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, nil
}

// Check checks that all fields have values that mean something.
func (m *Manifest) Check() error {
	if m.Version != Version {
		return fmt.Errorf("manifest: version %d, and this is version %d of the format: build the image and the system together", m.Version, Version)
	}
	have := map[string]bool{}
	for i := range m.Containers {
		c := &m.Containers[i]
		if err := c.check(); err != nil {
			return fmt.Errorf("manifest: container %d (%q): %w", i, c.Name, err)
		}
		if have[c.Name] {
			return fmt.Errorf("manifest: two containers are called %q: give one another name", c.Name)
		}
		have[c.Name] = true
	}
	return nil
}

func (c *Container) check() error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(c.Program, "program/"):
		return fmt.Errorf("program %q does not start with program/", c.Program)
	case c.Files != "" && !strings.HasPrefix(c.Files, "files/"):
		return fmt.Errorf("files %q do not start with files/", c.Files)
	case len(c.Args) == 0:
		return fmt.Errorf("no arguments: the first must be the program's name")
	case c.Dir != "" && (!path.IsAbs(c.Dir) || path.Clean(c.Dir) != c.Dir):
		return fmt.Errorf("working directory %q is not an absolute path without . and .. in it", c.Dir)
	case c.VCPUs < 0 || c.VCPUs > abi.MaxVCPUs:
		return fmt.Errorf("%d vCPUs, and 1 to %d are possible", c.VCPUs, abi.MaxVCPUs)
	}
	for _, s := range append(append([]string{}, c.Args...), c.Env...) {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("argument or environment string %q has a NUL byte in it", s)
		}
	}
	for _, kv := range c.Env {
		if strings.IndexByte(kv, '=') < 1 {
			return fmt.Errorf("environment string %q is not KEY=VALUE", kv)
		}
	}
	if err := c.checkNetwork(); err != nil {
		return err
	}
	if err := c.checkRate(); err != nil {
		return err
	}
	_, err := ParseRestart(c.Restart)
	return err
}

func (c *Container) checkNetwork() error {
	n := c.Network
	switch {
	case n == nil:
		return nil
	case CheckStack(n.Stack) != nil:
		return CheckStack(n.Stack)
	case !c.NIC:
		return fmt.Errorf("it is in a network and has no network function")
	case n.DHCP && n.Stack != "":
		return fmt.Errorf("the network stack %q does not ask for an address by DHCP: leave the stack away, or give an address", n.Stack)
	case n.DHCP && (n.Address.IsValid() || n.Gateway.IsValid() || n.DNS.IsValid()):
		return fmt.Errorf("an address, gateway or name server, and DHCP, which gives them: leave one away")
	case n.DHCP:
		return nil
	case !n.Address.IsValid() || !n.Address.Addr().Is4() || n.Address.Bits() == 0 || n.Address.Bits() > 30:
		return fmt.Errorf("the network address %v is not an IPv4 address with a prefix of 1 to 30 bits", n.Address)
	case n.Gateway.IsValid() && (!n.Address.Contains(n.Gateway) || n.Gateway == n.Address.Addr()):
		return fmt.Errorf("the gateway %v is not another address in the network of %v", n.Gateway, n.Address)
	case n.DNS.IsValid() && !n.DNS.Is4():
		return fmt.Errorf("the name server %v is not an IPv4 address", n.DNS)
	}
	return nil
}

// CheckName checks the name of a container: 1 to 63 letters, digits, dots, hyphens and underscores, the first a letter or
// digit.
func CheckName(name string) error {
	if name == "" || len(name) >= abi.NameLen {
		return fmt.Errorf("the name %q has %d bytes, and 1 to %d are possible", name, len(name), abi.NameLen-1)
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || strings.IndexByte(".-_", c) < 0) {
			return fmt.Errorf("the name %q may have letters, digits and after the first . - and _ only", name)
		}
	}
	return nil
}

// Restart is a policy for a container that has ended.
type Restart struct {
	Always    bool
	OnFailure bool
	Max       int // of OnFailure: how many times; 0 = without end
}

// ParseRestart reads "no" (or nothing), "always", "on-failure" or "on-failure:N".
func ParseRestart(s string) (Restart, error) {
	switch s {
	case "", "no":
		return Restart{}, nil
	case "always":
		return Restart{Always: true}, nil
	case "on-failure":
		return Restart{OnFailure: true}, nil
	}
	if text, ok := strings.CutPrefix(s, "on-failure:"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return Restart{OnFailure: true, Max: n}, nil
		}
	}
	return Restart{}, fmt.Errorf("restart policy %q is none of no, always, on-failure and on-failure:N", s)
}

package container

import (
	"math/bits"

	"nom.dev/nom/abi"
)

const numPorts = 1 << 16

// portMap is a set of I/O ports.
type portMap [numPorts / 64]uint64

func newPortMap(ranges []PortRange) (m *portMap, total int) {
	m = new(portMap)
	if ranges == nil {
		ranges = []PortRange{{0, numPorts}}
	}
	for _, r := range ranges {
		for p := r.First; p < r.First+r.Count && p < numPorts; p++ {
			m[p/64] |= 1 << (p % 64)
		}
	}
	for _, w := range m {
		total += bits.OnesCount64(w)
	}
	return m, total
}

// HasPort says whether c may use an I/O port. The caller is Machine.Ports or Machine.NewVCPU, with the lock held.
func (c *Container) HasPort(port uint16) bool {
	return c.ports != nil && c.ports[port/64]>>(port%64)&1 != 0
}

// callGrantPorts is grantports(id, first, count).
func (k *Kernel) callGrantPorts(c *Container, id, first, count uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	if first >= numPorts || count == 0 || count > numPorts-first {
		return abi.EINVAL
	}
	for p := first; p < first+count; p++ {
		if !c.HasPort(uint16(p)) {
			return abi.EPERM
		}
	}
	if child.ports == nil {
		child.ports = new(portMap)
	}
	for p := first; p < first+count; p++ {
		c.ports[p/64] &^= 1 << (p % 64)
		child.ports[p/64] |= 1 << (p % 64)
	}
	k.m.Ports(c)
	k.m.Ports(child)
	return 0
}

// returnPorts gives the ports of c back to its parent.
func (k *Kernel) returnPorts(c *Container) {
	if c.ports == nil {
		return
	}
	if p := c.Parent; p != nil {
		for i, w := range c.ports {
			p.ports[i] |= w // the parent had them, so it has a map
		}
		k.m.Ports(p)
	}
	c.ports = nil
}

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"nom.dev/nom/machine"
)

// String is how a published port is written down: "0.0.0.0:8080->80/tcp".
func (p *published) String() string { return fmt.Sprintf("%v->%d/%s", p.host, p.port, p.protocol) }

// parseForward reads what published.String wrote. It comes back from the machine, so it is not to be believed.
func parseForward(s string) (published, error) {
	host, rest, _ := strings.Cut(s, "->")
	port, protocol, _ := strings.Cut(rest, "/")
	p, err := parsePublished(host + ":" + port + "/" + protocol)
	if err == nil && p.String() != s {
		err = fmt.Errorf("the machine says that the port %q is published", s)
	}
	return p, err
}

// publish makes QEMU lead ports of this computer to those of a container, all or none.
func (m machineDir) publish(address string, ports []published) error {
	if len(ports) == 0 {
		return nil
	}
	to, err := netip.ParseAddr(address)
	if err != nil || !userNetwork.Contains(to) {
		return fmt.Errorf("the machine says that the container has the address %q", address)
	}
	for i, p := range ports {
		said, err := machine.Monitor(machine.MonitorSocket(m.dir), fmt.Sprintf("hostfwd_add net0 %s:%v-%v:%d", p.protocol, p.host, to, p.port))
		if said = strings.TrimSpace(said); err == nil && said != "" {
			err = fmt.Errorf("-p %s: the port of this computer cannot be used, perhaps somebody else has it: QEMU says: %s", p.whole, said)
		}
		if err != nil {
			var done []string
			for _, q := range ports[:i] {
				done = append(done, q.String())
			}
			return errors.Join(err, m.unpublish(done))
		}
	}
	return nil
}

// unpublish takes ports back. One that leads nowhere already is no error.
func (m machineDir) unpublish(forwards []string) error {
	var errs error
	for _, s := range forwards {
		p, err := parseForward(s)
		if err == nil {
			_, err = machine.Monitor(machine.MonitorSocket(m.dir), fmt.Sprintf("hostfwd_remove net0 %s:%v", p.protocol, p.host))
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

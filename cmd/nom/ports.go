package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"nom.dev/nom/api"
	"nom.dev/nom/machine"
)

// forwarded is a port of this computer that leads to a container of a machine: an entry of the machine's list of them, which says what
// QEMU was told. Two containers of one name, one after the other, have different addresses.
type forwarded struct {
	Port      string `json:"port"` // see published.String
	Container string `json:"container"`
	Address   string `json:"address"`
}

func (f *forwarded) isOf(k *api.Container) bool {
	return f.Container == k.Name && f.Address == k.Address
}

// withPorts lets change work on the list of a machine's ports, alone, and keeps what it returns.
func (m machineDir) withPorts(change func(list []forwarded) ([]forwarded, error)) error {
	lock, err := m.lock(portsLock)
	if err != nil {
		return err
	}
	defer lock.Close()
	before, err := m.ports()
	if err != nil {
		return err
	}
	after, err := change(slices.Clone(before))
	if slices.Equal(before, after) {
		return err
	}
	if e := writeJSON(m.path(portsFile), after); e != nil {
		e = fmt.Errorf("the list of published ports of machine %s: %w", m.name, e)
		for _, f := range after { // what is not written down would never be freed
			if !slices.Contains(before, f) {
				e = errors.Join(e, m.unforward(f))
			}
		}
		return errors.Join(err, e)
	}
	m.tell(api.EventFree, before, after)
	m.tell(api.EventPublish, after, before)
	return err
}

func (m machineDir) ports() (list []forwarded, err error) {
	if err = readJSON(m.path(portsFile), &list); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// tell tells the machine of ports in list that are not in other. It is for people who follow its events only.
func (m machineDir) tell(what string, list, other []forwarded) {
	s, err := m.running()
	if s == nil || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, f := range list {
		if !slices.Contains(other, f) {
			_ = s.client().Note(ctx, api.Event{Event: what, Container: f.Container, Port: f.Port})
		}
	}
}

// publish makes QEMU lead ports of this computer to those of a container, all or none.
func (m machineDir) publish(k api.Container, ports []published) error {
	if len(ports) == 0 {
		return nil
	}
	to, err := netip.ParseAddr(k.Address)
	if err != nil || !userNetwork.Contains(to) {
		return fmt.Errorf("the machine says that the container has the address %q", k.Address)
	}
	err = m.withPorts(func(list []forwarded) ([]forwarded, error) {
		before := len(list)
		for _, p := range ports {
			f := forwarded{Port: p.String(), Container: k.Name, Address: k.Address}
			if slices.Contains(list, f) {
				continue
			}
			if err := m.forward(&p, to); err != nil {
				for _, f := range list[before:] {
					err = errors.Join(err, m.unforward(f))
				}
				return list[:before], err
			}
			list = append(list, f)
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	// It may have ended before its ports were in the list; then nobody frees them.
	s, err := m.running()
	if err != nil || s == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return m.freePorts(ctx, s.client())
}

// forward makes QEMU lead a port to an address in the machine.
func (m machineDir) forward(p *published, to netip.Addr) error {
	said, err := machine.Monitor(machine.MonitorSocket(m.dir), fmt.Sprintf("hostfwd_add net0 %s:%v-%v:%d", p.protocol, p.host, to, p.port))
	if said = strings.TrimSpace(said); err != nil || said == "" {
		return err
	}
	if who := p.holder(); who != "" {
		return fmt.Errorf("-p %s: that port of this computer leads to %s already: stop that, or choose another port", p.whole, who)
	}
	return fmt.Errorf("-p %s: the port of this computer cannot be used, perhaps somebody else has it: QEMU says: %s", p.whole, said)
}

// unforward takes a port back. One that leads nowhere already is no error.
func (m machineDir) unforward(f forwarded) error {
	p, err := parseForward(f.Port)
	if err != nil {
		return err
	}
	_, err = machine.Monitor(machine.MonitorSocket(m.dir), fmt.Sprintf("hostfwd_remove net0 %s:%v", p.protocol, p.host))
	return err
}

// free takes the ports back of which gone says so.
func (m machineDir) free(gone func(*forwarded) bool) error {
	return m.withPorts(func(list []forwarded) (kept []forwarded, errs error) {
		for _, f := range list {
			if !gone(&f) {
				kept = append(kept, f)
			} else if err := m.unforward(f); err != nil {
				kept, errs = append(kept, f), errors.Join(errs, err)
			}
		}
		return kept, errs
	})
}

// unpublish takes back the ports of a container.
func (m machineDir) unpublish(k api.Container) error {
	return m.free(func(f *forwarded) bool { return f.isOf(&k) })
}

// freePorts takes back the ports of all containers that have ended. The machine is asked with the list locked: who publishes does so
// after the start, so what is in the list then and belongs to nobody who runs is over.
func (m machineDir) freePorts(ctx context.Context, c *api.Client) error {
	var failed error
	var running []api.Container
	asked := false
	err := m.free(func(f *forwarded) bool {
		if !asked {
			asked = true
			running, failed = c.Containers(ctx)
			running = slices.DeleteFunc(running, func(k api.Container) bool { return k.State == api.StateExited })
		}
		return failed == nil && !slices.ContainsFunc(running, func(k api.Container) bool { return f.isOf(&k) })
	})
	return errors.Join(failed, err)
}

// keepPorts frees the ports of containers when they end, as long as the machine runs.
func (m machineDir) keepPorts(ctx context.Context, c *api.Client) {
	for since := uint64(0); ctx.Err() == nil; {
		err := c.Events(ctx, since, true, func(ev api.Event) error {
			since = ev.Seq
			switch ev.Event {
			case api.EventExit, api.EventStop, api.EventRemove, api.EventDropped:
				if err := m.freePorts(ctx, c); err != nil {
					fmt.Fprintf(os.Stderr, "nom: freeing ports: %v\n", err)
				}
			}
			return nil
		})
		if ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "nom: following the machine's events: %v\n", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// holder says which container of which machine has the port of this computer, "" when none has.
func (p *published) holder() string {
	dir, err := home()
	if err != nil {
		return ""
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		m, err := openMachine(e.Name())
		if err != nil {
			continue
		}
		if s, err := m.running(); s == nil || err != nil {
			continue // its list may be there still
		}
		list, _ := m.ports()
		for _, f := range list {
			if q, err := parseForward(f.Port); err == nil && p.overlaps(&q) {
				return fmt.Sprintf("container %s of machine %s", f.Container, m.name)
			}
		}
	}
	return ""
}

// overlaps says that p and q cannot both be listened on.
func (p *published) overlaps(q *published) bool {
	a, b := p.host.Addr(), q.host.Addr()
	return p.protocol == q.protocol && p.host.Port() == q.host.Port() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

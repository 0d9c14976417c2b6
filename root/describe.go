package main

import (
	"slices"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
)

// describe says what the machine has.
func (m *manager) describe() api.Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return api.Machine{Version: api.Version, CPUs: m.cpus, Memory: int64(m.memory.spare) * abi.PageSize,
		MemoryFree: int64(m.memory.spare-min(m.memory.spare, m.used)) * abi.PageSize, Containers: len(m.workloads)}
}

// describeContainer says what is known of a container.
func (m *manager) describeContainer(w *workload) api.Container {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.describeLocked(w)
}

func (m *manager) describeLocked(w *workload) api.Container {
	c := api.Container{Name: w.spec.Name, State: w.state, Args: w.spec.Args, Digest: w.digest, Ports: slices.Clone(w.ports), VCPUs: w.vcpus,
		Env: w.spec.Env, Restart: w.spec.Restart, Memory: int64(m.grant(w)) * abi.PageSize,
		Started: w.started, Ended: w.ended, Restarts: w.restarts, Code: w.end.Code, Reason: w.end.Reason, Error: w.end.Error, Stats: w.end.Stats}
	if n := w.spec.Network; n != nil {
		c.Address = n.Address.Addr().String()
	}
	if r := w.spec.Rate; r != nil {
		c.Rate = &api.Rate{Bits: r.Bits, Frames: r.Frames}
	}
	if w.process != nil {
		if st, err := w.process.Status(); err == nil {
			c.Stats = stats(st, m.tscHz)
		}
		w.look(w.process)
	}
	c.Traffic = w.seen
	return c
}

// look notes what the network function of w did in this run. It is not known any more when the container is forgotten: then what
// was seen last counts. The manager is locked.
func (w *workload) look(p process) {
	if did, err := p.DeviceStatus(); err == nil && len(did) > 0 {
		w.seen = traffic(did[0], p.Dropped())
		w.blockedLast = did[0].BlockedLast
		if w.stack != "" { // the platform's has no part in it
			w.seen.Dropped = nil
		}
	}
}

// traffic is what a network function did, and what the platform dropped.
func traffic(d abi.DeviceStatus, dropped [abi.NumDrops]uint64) *api.Traffic {
	t := &api.Traffic{SentFrames: d.SentFrames, SentBytes: d.SentBytes, ReceivedFrames: d.ReceivedFrames, ReceivedBytes: d.ReceivedBytes,
		SendPauses: d.SendPauses, ReceivePauses: d.ReceivePauses, Blocked: d.Blocked, SwitchedOff: d.SwitchedOff, Dropped: map[string]uint64{}}
	for i, n := range dropped {
		t.Dropped[api.DropNames[i]] = n
	}
	return t
}

// doneOf is closed when the run of w that goes on, or was last, has ended.
func (m *manager) doneOf(w *workload) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return w.done
}

// endOf is the event for the end of the last run of w.
func (m *manager) endOf(w *workload) api.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	ev := w.end
	ev.Event, ev.Container = api.EventExit, w.spec.Name
	return ev
}

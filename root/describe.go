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
		if did, err := w.process.DeviceStatus(); err == nil && len(did) > 0 {
			c.Traffic = traffic(did[0])
		}
	}
	return c
}

// traffic is what a network function did.
func traffic(d abi.DeviceStatus) *api.Traffic {
	return &api.Traffic{SentFrames: d.SentFrames, SentBytes: d.SentBytes, ReceivedFrames: d.ReceivedFrames, ReceivedBytes: d.ReceivedBytes,
		SendPauses: d.SendPauses, ReceivePauses: d.ReceivePauses}
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

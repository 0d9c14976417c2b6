package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// starter starts uploaded programs; tests have their own.
type starter interface {
	start(spec *manifest.Container, program, files []byte, pages uint64, cores []container.Slots, output func(int, []byte)) (process, error)
}

// process is a running container that can be ended from outside.
type process interface {
	running
	controlled
	Kill() error
	Status() (abi.Status, error)
	DeviceStatus() ([]abi.DeviceStatus, error)
	Dropped() [abi.NumDrops]uint64
}

// block is memory for a program: whole pages, so that they can be lent.
type block struct {
	bytes   []byte
	release func() error
}

// blockPages is how many pages a block of size bytes takes.
func blockPages(size int) uint64 { return (uint64(size) + abi.PageSize - 1) / abi.PageSize }

// manager runs the containers of a machine in the background. Each keeps its program, its output and its address until
// it is removed; cores and memory only while it runs.
type manager struct {
	starter starter
	report  *reporter
	alloc   func(size int) (*block, error)
	memory  memory
	seats   []seat
	cpus    int
	tscHz   uint64
	place   manifest.Network // root's own

	events eventRing

	mu        sync.Mutex
	exits     map[string]uint64 // of all runs that are over, by reason
	workloads []*workload       // in the order of their start
	names     map[string]bool
	taken     []bool // seats
	used      uint64 // pages that are given away, or hold programs
	address   netip.Addr
}

// workload is one container that the manager knows.
type workload struct {
	spec    manifest.Container
	ports   []string
	digest  string
	stack   string
	program *block
	log     *logRing

	// Guarded by manager.mu.
	state       string
	retry       backoff
	timer       *time.Timer // in StateRestarting
	stopping    bool        // somebody has asked for its end: the policy does not count
	process     process
	cpu         float64      // seconds of its runs that are over
	blocked     told         // of what the IOMMU blocked
	off         told         // of its function's being switched off
	past        api.Traffic  // of its runs that are over
	blockedLast uint64       // of abi.DeviceStatus, when it was seen
	seen        *api.Traffic // of this run, or the last; nil = it has no network function
	seat        int
	need        uint64
	vcpus       int
	restarts    int
	started     time.Time
	ended       time.Time
	done        chan struct{} // closed at the end of this run
	capture     func()        // ends the capture that goes on, nil when none does
	end         api.Event     // what is known of the last run
}

// failure is an error with a status of HTTP.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failed(status int, format string, args ...any) error {
	return &failure{status, fmt.Errorf(format, args...)}
}

// mostSeats is how many containers run at a time: as many as one core has slots for.
const mostSeats = 12

func newManager(s starter, r *reporter, alloc func(int) (*block, error), cores []uint32, mem memory, place manifest.Network, tscHz uint64) *manager {
	m := &manager{starter: s, report: r, alloc: alloc, memory: mem, cpus: len(cores), tscHz: tscHz, place: place, names: map[string]bool{},
		exits: map[string]uint64{}}
	m.seats = layoutSeats(cores, make([]request, mostSeats))
	m.taken = make([]bool, len(m.seats))
	m.address = place.Address.Addr()
	return m
}

// reserveName takes a name before its program is uploaded; releaseName gives it back.
func (m *manager) reserveName(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] {
		return failed(http.StatusConflict, "there is a container called %s already: choose another name, or remove it", name)
	}
	if len(m.names) >= api.MaxWorkloads {
		return failed(http.StatusInsufficientStorage, "the machine knows %d containers, and that is the most: remove some that have ended", len(m.names))
	}
	m.names[name] = true
	return nil
}

func (m *manager) releaseName(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.names, name)
}

// take takes a block of memory for a program out of what can be given away.
func (m *manager) take(size int) (*block, error) {
	pages := blockPages(size)
	m.mu.Lock()
	if free := m.memory.spare - min(m.memory.spare, m.used); pages > free {
		m.mu.Unlock()
		return nil, failed(http.StatusInsufficientStorage, "the program takes %d MiB and the machine has %d MiB free", pages/mib+1, free/mib)
	}
	m.used += pages
	m.mu.Unlock()
	b, err := m.alloc(size)
	if err != nil {
		m.giveBack(pages)
		return nil, failed(http.StatusInsufficientStorage, "memory for the program: %w", err)
	}
	return b, nil
}

func (m *manager) giveBack(pages uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= pages
}

// drop gives a block back.
func (m *manager) drop(b *block) {
	if b == nil {
		return
	}
	if err := b.release(); err != nil {
		m.report.say("memory of a program is lost: %v", err)
		return
	}
	m.giveBack(blockPages(len(b.bytes)))
}

// add starts a program that was uploaded, under a name that was reserved. Name and memory are its own from then on, whether
// it succeeds or not.
func (m *manager) add(spec *api.Spec, program *block, digest string) (*workload, error) {
	w := &workload{ports: spec.Ports, digest: digest, stack: spec.Stack, program: program, log: &logRing{}, seat: -1, state: api.StateExited, done: make(chan struct{}),
		spec: manifest.Container{Name: spec.Name, Program: "program/" + spec.Name, Args: spec.Args, Env: spec.Env, Memory: spec.Memory, VCPUs: spec.VCPUs, Restart: spec.Restart,
			Rate: rateOf(spec)}}
	if spec.Network {
		if err := m.connect(w); err != nil {
			m.drop(program)
			m.releaseName(spec.Name)
			return nil, err
		}
	}
	m.mu.Lock()
	m.workloads = append(m.workloads, w)
	err := m.admit(w)
	m.mu.Unlock()
	if err == nil {
		err = m.launch(w)
	}
	if err != nil {
		m.forget(w)
		return nil, err
	}
	return w, nil
}

// connect gives w a place in the network.
func (m *manager) connect(w *workload) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	address, err := m.freeAddress()
	if err != nil {
		return err
	}
	w.spec.NIC = true
	w.spec.Network = &manifest.Network{Address: netip.PrefixFrom(address, m.place.Address.Bits()), Gateway: m.place.Gateway, DNS: m.place.DNS, Stack: w.stack}
	return nil
}

// freeAddress is an address that no container has. They are used in turn, so that what the network remembers of an address is
// forgotten before somebody else has it.
func (m *manager) freeAddress() (netip.Addr, error) {
	network := m.place.Address
	for range 1 << (32 - network.Bits()) {
		m.address = m.address.Next()
		if last := m.address.As4()[3]; !network.Contains(m.address) || last == 255 {
			m.address = m.place.Address.Addr()
			continue
		}
		if m.address != m.place.Gateway && !slices.ContainsFunc(m.workloads, func(w *workload) bool {
			return w.spec.Network != nil && w.spec.Network.Address.Addr() == m.address
		}) {
			return m.address, nil
		}
	}
	return netip.Addr{}, failed(http.StatusInsufficientStorage, "no address is free in %v", network)
}

// admit takes a seat and memory for w, which does not run. The manager is locked.
func (m *manager) admit(w *workload) error {
	seat := slices.Index(m.taken, false)
	if seat < 0 {
		return failed(http.StatusInsufficientStorage, "%d containers run, and that is the most on this machine: stop one", len(m.seats))
	}
	cores, err := m.seats[seat].vcpus(w.spec.VCPUs, nil)
	if err != nil {
		return &failure{http.StatusBadRequest, err}
	}
	pages := m.grant(w)
	n := need(pages, len(cores))
	if free := m.memory.spare - min(m.memory.spare, m.used); n > free {
		return failed(http.StatusInsufficientStorage, "it needs %d MiB of memory and the machine has %d MiB free: stop a container, ask for less, or start a machine with more",
			(n+mib-1)/mib, free/mib)
	}
	m.taken[seat], w.seat, w.need, w.vcpus = true, seat, n, len(cores)
	m.used += n
	w.state, w.started, w.ended, w.end = api.StateStarting, time.Now(), time.Time{}, api.Event{}
	w.done = make(chan struct{})
	policy, _ := manifest.ParseRestart(w.spec.Restart) // checked with the request
	w.retry, w.stopping = backoff{policy: policy}, false
	return nil
}

// grant is how many pages w gets: what it asks for, or a quarter of the machine but at most leastCap.
func (m *manager) grant(w *workload) uint64 {
	if w.spec.Memory != 0 {
		return (w.spec.Memory + abi.PageSize - 1) / abi.PageSize
	}
	return min(leastCap, m.memory.spare/4) &^ (2*mib - 1)
}

// launch starts w, which was admitted, without the manager's lock: it takes a while.
func (m *manager) launch(w *workload) error {
	cores, err := m.seats[w.seat].vcpus(w.spec.VCPUs, nil)
	var p process
	if err == nil {
		streams := [...]string{container.Stdout: api.StreamStdout, container.Stderr: api.StreamStderr}
		p, err = m.starter.start(&w.spec, w.program.bytes, nil, m.grant(w), cores, func(stream int, data []byte) { w.log.write(streams[stream], data) })
	}
	if err != nil {
		m.over(w, api.Event{Event: api.EventExit, Container: w.spec.Name, Code: api.CodeStartFailed, Reason: api.ReasonStartFailed, Error: err.Error()})
		return &failure{http.StatusUnprocessableEntity, err}
	}
	m.mu.Lock()
	w.process, w.state, w.seen, w.blocked, w.off = p, api.StateRunning, nil, told{}, told{}
	m.events.add(api.Event{Event: api.EventStart, Container: w.spec.Name})
	if w.stopping { // since it was starting
		_ = p.Kill()
	}
	m.mu.Unlock()
	go m.watch(w, p)
	return nil
}

// watch waits for the end of a run of w, and has it started again if its policy says so.
func (m *manager) watch(w *workload, p process) {
	st, err := p.Wait()
	m.mu.Lock()
	w.look(p)
	m.tellMisuse(w, time.Time{})
	m.mu.Unlock()
	if err != nil {
		st = abi.Status{End: abi.EndKilled}
	}
	ev := exitEvent(w.spec.Name, st, m.tscHz, w.restarts)
	if err := errors.Join(err, p.Close()); err != nil {
		m.report.say("%s: %v", w.spec.Name, err)
	}
	m.over(w, ev)
}

// over notes the end of a run. Cores and memory are given back, unless another run follows: that one must not fail for want of
// them.
func (m *manager) over(w *workload, ev api.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.process, w.ended, w.end = nil, time.Now(), ev
	m.account(w, ev.Stats)
	if w.seen != nil && ev.Reason != api.ReasonStartFailed {
		w.past.Add(w.seen)
	}
	m.events.add(ev)
	if ev.Reason == api.ReasonStartFailed || w.stopping {
		m.finish(w)
		return
	}
	wait, again := w.retry.again(ev.Code, time.Duration(ev.Stats.RunSeconds*float64(time.Second)))
	if !again {
		m.finish(w)
		return
	}
	w.state = api.StateRestarting
	w.restarts++
	m.events.add(api.Event{Event: api.EventRestart, Container: w.spec.Name, Attempt: w.retry.times})
	w.timer = time.AfterFunc(wait, func() { m.retry(w) })
}

// account adds what a run used to what all runs did.
func (m *manager) account(w *workload, st *api.Stats) {
	if st == nil {
		return
	}
	w.cpu += st.CPUSeconds
	for reason, n := range st.Exits {
		m.exits[reason] += n
	}
}

// finish gives back what only a running container has. The manager is locked.
func (m *manager) finish(w *workload) {
	m.taken[w.seat], w.seat = false, -1
	m.used -= w.need
	w.state = api.StateExited
	close(w.done)
}

// retry starts w again because its policy says so.
func (m *manager) retry(w *workload) {
	m.mu.Lock()
	if w.state != api.StateRestarting {
		m.mu.Unlock()
		return
	}
	w.state, w.started, w.ended, w.end = api.StateStarting, time.Now(), time.Time{}, api.Event{}
	m.mu.Unlock()
	if err := m.launch(w); err != nil {
		m.report.say("%s could not be started again: %v", w.spec.Name, err)
	}
}

// find finds a container by its name.
func (m *manager) find(name string) (*workload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workloads {
		if w.spec.Name == name {
			return w, nil
		}
	}
	return nil, failed(http.StatusNotFound, "no container is called %s", name)
}

// kill ends w if it runs, and returns what is closed when it has ended.
func (m *manager) kill(w *workload) (<-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noteStop(w)
	switch w.state {
	case api.StateRestarting:
		w.timer.Stop()
		m.finish(w)
	case api.StateRunning:
		if err := w.process.Kill(); err != nil && !errors.Is(err, abi.EBUSY) && !errors.Is(err, abi.ENOENT) {
			return nil, err
		}
	}
	return w.done, nil
}

// noteStop notes that somebody asks for the end of w: it is not to be started again. The manager is locked.
func (m *manager) noteStop(w *workload) {
	if w.state != api.StateExited && !w.stopping {
		w.stopping = true
		m.events.add(api.Event{Event: api.EventStop, Container: w.spec.Name})
	}
}

// again starts w again, which has ended.
func (m *manager) again(w *workload) error {
	m.mu.Lock()
	if w.state != api.StateExited || !slices.Contains(m.workloads, w) {
		m.mu.Unlock()
		return failed(http.StatusConflict, "%s is %s: somebody else was faster", w.spec.Name, w.state)
	}
	err := m.admit(w)
	if err == nil {
		w.restarts++
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.launch(w)
}

// remove forgets w, which must have ended.
func (m *manager) remove(w *workload) error {
	m.mu.Lock()
	state := w.state
	known := slices.Contains(m.workloads, w)
	m.mu.Unlock()
	if !known {
		return failed(http.StatusNotFound, "no container is called %s", w.spec.Name)
	}
	if state != api.StateExited {
		return failed(http.StatusConflict, "%s is %s: stop it first, or remove it by force", w.spec.Name, state)
	}
	if m.forget(w) {
		m.events.add(api.Event{Event: api.EventRemove, Container: w.spec.Name})
	}
	return nil
}

// forget takes w, which has ended, off the books, once.
func (m *manager) forget(w *workload) bool {
	m.mu.Lock()
	i := slices.Index(m.workloads, w)
	if i < 0 || w.state != api.StateExited {
		m.mu.Unlock()
		return false
	}
	m.workloads = slices.Delete(m.workloads, i, i+1)
	m.mu.Unlock()
	m.drop(w.program)
	m.releaseName(w.spec.Name)
	return true
}

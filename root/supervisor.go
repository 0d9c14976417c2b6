package main

import (
	"fmt"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// launcher starts programs; tests have their own.
type launcher interface {
	// launch starts the program and returns something to wait for.
	launch(spec *manifest.Container, pages uint64, cores []container.Slots, output func(stream int, data []byte)) (running, error)
}

// running is a container that was started. Wait returns when it has ended and all its output was passed on.
type running interface {
	Wait() (abi.Status, error)
	Close() error
}

// job is one program of the manifest and what became of it.
type job struct {
	spec    *manifest.Container
	retry   backoff
	code    int
	seat    int
	pages   uint64
	cores   []container.Slots
	process running
}

// supervisor runs the programs of a manifest. All of it happens in the goroutine that calls run, but for waiting.
type supervisor struct {
	launcher launcher
	report   *reporter
	tscHz    uint64
	memory   memory
	seats    []seat
	most     int // how many programs may run at a time

	jobs    []*job
	waiting []*job
	taken   []bool // seats
	active  int    // jobs that have a seat
	used    uint64 // pages that active jobs need
	ended   chan end
}

// end is what a job's waiter says: the container ended, or it is time to start the next one.
type end struct {
	job    *job
	status abi.Status
	err    error
	again  bool
}

// newSupervisor prepares to run the containers of m on cores. parallel is how many may run at a time, 0 = all.
func newSupervisor(m *manifest.Manifest, parallel int, cores []uint32, mem memory, l launcher, r *reporter, tscHz uint64) *supervisor {
	n := len(m.Containers)
	if parallel > 0 {
		n = min(n, parallel)
	}
	s := &supervisor{launcher: l, report: r, tscHz: tscHz, memory: mem, most: n, ended: make(chan end)}
	requests := make([]request, n)
	for i := range m.Containers {
		c := &m.Containers[i]
		policy, _ := manifest.ParseRestart(c.Restart) // checked with the manifest
		j := &job{spec: c, retry: backoff{policy: policy}, seat: -1}
		s.jobs = append(s.jobs, j)
		if n == len(m.Containers) {
			requests[i] = request{c.VCPUs, c.Dedicated != nil && !*c.Dedicated}
		}
	}
	s.waiting = append(s.waiting, s.jobs...)
	if n > 0 {
		s.seats = layoutSeats(cores, requests)
	}
	s.taken = make([]bool, len(s.seats))
	return s
}

// run runs everything to its end and returns the exit code of the first program, in the order of the manifest, that failed.
func (s *supervisor) run() int {
	for s.admit(); s.active > 0; s.admit() {
		e := <-s.ended
		if e.again {
			s.start(e.job)
			continue
		}
		s.finish(e)
	}
	for _, j := range s.jobs {
		if j.code != 0 {
			return j.code
		}
	}
	return 0
}

// admit starts waiting programs in order, as long as there is a seat and memory for the next one.
func (s *supervisor) admit() {
	for len(s.waiting) > 0 {
		j := s.waiting[0]
		seat := s.freeSeat(j)
		if seat < 0 {
			return
		}
		if err := s.prepare(j, seat); err != nil {
			s.waiting = s.waiting[1:]
			s.startFailed(j, err)
			continue
		}
		if s.active > 0 && s.used+need(j.pages, len(j.cores)) > s.memory.spare {
			return // when the others have ended there is enough: prepare checked
		}
		s.waiting = s.waiting[1:]
		s.taken[seat], j.seat = true, seat
		s.active++
		s.used += need(j.pages, len(j.cores))
		s.start(j)
	}
}

// freeSeat is a seat for j, its own if each program has one, or -1.
func (s *supervisor) freeSeat(j *job) int {
	if s.active >= s.most {
		return -1
	}
	for i, taken := range s.taken {
		if !taken && (len(s.seats) < len(s.jobs) || s.jobs[i] == j) {
			return i
		}
	}
	return -1
}

// prepare works out what j gets.
func (s *supervisor) prepare(j *job, seat int) error {
	var err error
	if j.cores, err = s.seats[seat].vcpus(j.spec.VCPUs, j.spec.Dedicated); err != nil {
		return err
	}
	j.pages = (j.spec.Memory + abi.PageSize - 1) / abi.PageSize
	if j.pages == 0 {
		j.pages = s.memory.defaultShare(len(s.seats), len(j.cores))
	}
	return s.memory.check(max(j.pages, 1), len(j.cores))
}

// start starts the program of a job that has a seat.
func (s *supervisor) start(j *job) {
	name := j.spec.Name
	c, err := s.launcher.launch(j.spec, j.pages, j.cores, func(stream int, data []byte) { s.report.output(name, stream, data) })
	if err != nil {
		s.startFailed(j, err)
		s.leave(j)
		return
	}
	j.process = c
	s.report.send(api.Event{Event: api.EventStart, Container: name})
	go func() {
		st, err := c.Wait()
		s.ended <- end{job: j, status: st, err: err}
	}()
}

// startFailed reports a program that could not be started. It is not tried again: nothing would be different.
func (s *supervisor) startFailed(j *job, err error) {
	j.code = api.CodeStartFailed
	s.report.flush(j.spec.Name)
	s.report.say("%s could not be started: %v", j.spec.Name, err)
	s.report.send(api.Event{Event: api.EventExit, Container: j.spec.Name, Code: j.code, Reason: api.ReasonStartFailed, Error: err.Error()})
}

// finish reports the end of a container and decides what comes after it.
func (s *supervisor) finish(e end) {
	j, name := e.job, e.job.spec.Name
	s.report.flush(name)
	if err := j.process.Close(); err != nil {
		s.report.say("%v", err)
	}
	if e.err != nil { // the nonkernel does not know it any more: it cannot have done well
		e.status = abi.Status{End: abi.EndKilled}
		s.report.say("%s is lost: %v", name, e.err)
	}
	ev := exitEvent(name, e.status, s.tscHz, j.retry.times)
	j.code = ev.Code
	if ev.Reason != api.ReasonExit {
		s.report.say("%s ended: %s", name, words(ev))
	}
	s.report.send(ev)
	ran := time.Duration(ev.Stats.RunSeconds * float64(time.Second))
	wait, again := j.retry.again(j.code, ran)
	if !again {
		s.leave(j)
		return
	}
	s.report.say("%s ended with code %d and starts again in %v", name, j.code, wait)
	s.report.send(api.Event{Event: api.EventRestart, Container: name, Attempt: j.retry.times})
	time.AfterFunc(wait, func() { s.ended <- end{job: j, again: true} })
}

// leave frees the seat of a job that is over.
func (s *supervisor) leave(j *job) {
	s.taken[j.seat] = false
	s.active--
	s.used -= need(j.pages, len(j.cores))
}

// words says why a container ended.
func words(ev api.Event) string {
	if ev.Error == "" {
		return ev.Reason
	}
	return fmt.Sprintf("%s (%s)", ev.Reason, ev.Error)
}

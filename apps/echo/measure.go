package main

import (
	"context"
	"fmt"
	"runtime"

	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/lib/net/inplace"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/metal"
)

// warmUp is how many answers go before those that are measured: neighbours are known then, and memory was touched.
const warmUp = 200

// meter says what answers cost once the program is warm. Without a count it does nothing.
type meter struct {
	count    uint64 // of answers to measure; 0 is none
	answered uint64
	stop     func() // called when they were measured

	worked bool   // the last poll found something
	at     uint64 // time stamp counter when it began
	busy   uint64 // ticks from the begin of a poll that found something to that of the next poll
	polls  uint64 // that found something

	before reading
	own    reading // what reading costs itself
}

// reading is what is compared.
type reading struct {
	exits   [16]uint64 // by reason, see api.ExitNames
	mallocs uint64
}

func read() (r reading) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.mallocs = m.Mallocs
	if s, err := container.OwnStatus(); err == nil { // on Linux there is none
		r.exits = s.Exits
	}
	return r
}

// less is the difference between two readings, of which none is below 0.
func (r reading) less(other reading) reading {
	for i := range r.exits {
		r.exits[i] -= min(other.exits[i], r.exits[i])
	}
	r.mallocs -= min(other.mallocs, r.mallocs)
	return r
}

// answer counts one.
func (m *meter) answer() {
	m.answered++
	if m.count == 0 {
		return
	}
	switch m.answered {
	case warmUp:
		m.busy, m.polls, m.worked = 0, 0, false
		first := read()
		m.before = read()
		m.own = m.before.less(first)
	case warmUp + m.count:
		m.report()
		m.stop()
	}
}

// serve is inplace.Stack.Serve, measured.
func (m *meter) serve(ctx context.Context, s *inplace.Stack, q *nic.Queue) error {
	poll := s.Poller(q)
	return q.Run(ctx, func() int { return m.poll(poll) })
}

// poll counts the time of a poll, and what its caller does until the next.
func (m *meter) poll(poll func() int) int {
	now := metal.TSC()
	if m.worked {
		m.busy += now - m.at
		m.polls++
	}
	m.at, m.worked = now, true
	n := poll()
	m.worked = m.worked && n > 0
	return n
}

// report prints what the answers cost since the reading before.
func (m *meter) report() {
	all := read().less(m.before).less(m.own)
	fmt.Printf("echo: answers %d\n", m.count)
	for i, name := range api.ExitNames {
		fmt.Printf("echo: exits by %s %d\n", name, all.exits[i])
	}
	fmt.Printf("echo: allocations %d\n", all.mallocs)
	fmt.Printf("echo: busy polls %d\necho: ticks of busy polls %d\n", m.polls, m.busy)
}

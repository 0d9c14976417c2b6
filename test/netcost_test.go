package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"testing"
	"time"

	"nom.dev/nom/api"
)

// The tests in this file hold the native network path to what it may cost. Questions come from this computer.

// measuredEcho is a container that answers on a core of its own.
func measuredEcho(args ...string) *guest {
	yes := true
	g := run("apps/echo", args...)
	g.NIC, g.Dedicated = true, &yes
	return g
}

// native is QEMU's user network with a port that leads to the program.
func native(port int) string { return fmt.Sprintf("user,hostfwd=udp:127.0.0.1:%d-10.0.2.15:7", port) }

// measure has an echo program measure n answers, and returns what it said.
func measure(t *testing.T, hw hardware, outstanding, n int, args ...string) map[string]uint64 {
	t.Helper()
	port := freePort(t)
	s := serve(t, hw, native(port), nil, measuredEcho(append(args, "-measure", fmt.Sprint(n))...))
	lost, err := datagrams(s.ctx, port, outstanding, math.MaxInt)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("asking: %v\n%s", err, s.said())
	}
	s.done()
	said := counts(t, s.want("echo", api.ReasonExit, 0).stdout+"done")
	if said["echo: answers"] != uint64(n) {
		t.Fatalf("echo measured %d answers, want %d", said["echo: answers"], n)
	}
	t.Logf("%d datagrams lost", lost)
	return said
}

// TestEchoExits: answering on the native interface, with interrupts and polling, needs nothing from the nonkernel, and no memory.
func TestEchoExits(t *testing.T) {
	const answers = 4000
	for _, args := range [][]string{nil, {"-poll"}} {
		t.Run(fmt.Sprint("echo", args), func(t *testing.T) {
			said := measure(t, hardware{cpus: 2, memory: gib}, 8, answers, args...)
			for _, reason := range api.ExitNames {
				spec.echoExits.hold(t, fmt.Sprintf("by %s, %d answers", reason, answers), said["echo: exits by "+reason])
			}
			spec.echoAllocations.hold(t, fmt.Sprintf("%d answers", answers), said["echo: allocations"])
		})
	}
}

// TestCountedEcho counts the instructions of a datagram that is answered natively.
func TestCountedEcho(t *testing.T) {
	hw := hardware{cpus: 2, memory: gib, icount: true}
	for _, outstanding := range []int{1, 32} {
		t.Run(fmt.Sprintf("polling, %d outstanding", outstanding), func(t *testing.T) {
			const answers = 4000
			said := measure(t, hw, outstanding, answers, "-poll")
			t.Logf("%d polls found something", said["echo: busy polls"])
			bound := spec.echoPolling
			if outstanding == 1 {
				bound = spec.echoPollingOne
			}
			bound.hold(t, fmt.Sprint(outstanding, " outstanding"), said["echo: ticks of busy polls"]/answers)
		})
		t.Run(fmt.Sprintf("interrupts, %d outstanding", outstanding), func(t *testing.T) {
			wholeEcho(t, hw, outstanding)
		})
	}
}

// wholeEcho counts what a machine does while an echo program answers: interrupts, the Go scheduler, what the nonkernel and the root
// container do by themselves (300 000 instructions a second), all.
func wholeEcho(t *testing.T, hw hardware, outstanding int) {
	port := freePort(t)
	s := serve(t, hw, native(port), counting, measuredEcho())
	bound := spec.echoWhole
	if outstanding == 1 {
		bound = spec.echoWholeOne
	}
	s.least(bound, fmt.Sprint(outstanding, " outstanding"), 5000, func(answers int) error {
		_, err := datagrams(s.ctx, port, outstanding, answers)
		return err
	})
}

// counting makes processors that count instructions sleep.
var counting = []string{"-icount", "sleep=on"}

// least counts the instructions of the whole machine for an answer, after as many that nobody counts. How many requests an
// interrupt finds is up to this computer: the best of a few rounds counts.
func (s *serving) least(bound promise, whose string, answers int, ask func(answers int) error) {
	s.t.Helper()
	round := func() {
		if err := ask(answers); err != nil {
			s.t.Fatalf("asking: %v\n%s", err, s.said())
		}
	}
	round()
	least := uint64(math.MaxUint64)
	for n := 0; n < 10 && least > bound.bound; n++ {
		before := s.instructions()
		round()
		least = min(least, (s.instructions()-before)/uint64(answers))
	}
	bound.hold(s.t, whose, least)
}

// TestCountedSockets counts the instructions of a whole machine for a request that an unchanged program answers.
func TestCountedSockets(t *testing.T) {
	hw := hardware{cpus: 2, memory: gib, icount: true}
	for _, c := range []struct {
		name        string
		bound       promise
		outstanding int
		guest       *guest
		proto       string
		port        int
		answers     int
		ask         asker
	}{
		{"UDP, 32 outstanding", spec.socketUDP, 32, run("apps/echo", "-socket"), "udp", 7, 5000, askDatagrams},
		{"UDP, 1 outstanding", spec.socketUDPOne, 1, run("apps/echo", "-socket"), "udp", 7, 3000, askDatagrams},
		{"TCP, 32 connections", spec.socketTCP, 32, run("apps/echo", "-tcp"), "tcp", 7, 5000, askStreams},
		{"TCP, 1 connection", spec.socketTCPOne, 1, run("apps/echo", "-tcp"), "tcp", 7, 3000, askStreams},
		{"HTTP, 32 connections", spec.socketHTTP, 32, run("apps/web"), "tcp", 8080, 2000, askPages},
		{"HTTP, 1 connection", spec.socketHTTPOne, 1, run("apps/web"), "tcp", 8080, 1000, askPages},
	} {
		t.Run(c.name, func(t *testing.T) {
			yes := true
			c.guest.place("10.0.2.15/24").Dedicated = &yes
			port := freePort(t)
			if c.proto == "tcp" {
				port = freeTCPPort(t)
			}
			s := serve(t, hw, fmt.Sprintf("user,hostfwd=%s:127.0.0.1:%d-10.0.2.15:%d", c.proto, port, c.port), counting, c.guest)
			s.least(c.bound, c.name, c.answers, c.ask(s, port, c.outstanding))
		})
	}
}

// asker makes a function that asks so many questions.
type asker func(s *serving, port, outstanding int) func(answers int) error

func askDatagrams(s *serving, port, outstanding int) func(int) error {
	return func(answers int) error {
		_, err := datagrams(s.ctx, port, outstanding, answers)
		return err
	}
}

// askStreams sends small messages to a TCP echo, each when the one before was answered, on several connections.
func askStreams(s *serving, port, connections int) func(int) error {
	all := make(chan net.Conn, connections)
	for range connections {
		c := s.dial(port)
		s.t.Cleanup(func() { c.Close() })
		all <- c
	}
	return func(answers int) error {
		return together(connections, func() error {
			c := <-all
			defer func() { all <- c }()
			return exchange(c, answers/connections)
		})
	}
}

func exchange(c net.Conn, times int) error {
	question, answer := make([]byte, 64), make([]byte, 64)
	for range times {
		if _, err := c.Write(question); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			return err
		}
	}
	return nil
}

// dial connects to an echo that may not listen yet: QEMU takes the connection in any case, and ends it when nobody does.
func (s *serving) dial(port int) net.Conn {
	s.t.Helper()
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			if err = exchange(c, 1); err == nil {
				_ = c.SetDeadline(time.Time{})
				return c
			}
			c.Close()
		}
		select {
		case <-s.ctx.Done():
			s.t.Fatalf("connecting: %v\n%s", err, s.said())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// askPages fetches a page again and again on several connections. They are made one after the other: what QEMU's user network listens
// with has a backlog of one.
func askPages(s *serving, port, connections int) func(int) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	all := make(chan *http.Client, connections)
	for range connections {
		client := &http.Client{Transport: &http.Transport{}}
		if err := awaitPage(s.ctx, client, url); err != nil {
			s.t.Fatalf("the first page: %v\n%s", err, s.said())
		}
		all <- client
	}
	return func(answers int) error {
		return together(connections, func() error {
			client := <-all
			defer func() { all <- client }()
			for range answers / connections {
				if err := getPage(s.ctx, client, url); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// together runs a function several times at once, and returns one of the errors.
func together(n int, f func() error) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- f() }()
	}
	var err error
	for range n {
		err = errors.Join(err, <-errs)
	}
	return err
}

package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

var (
	closed = []int{1, 32, 128}        // requests on the way
	shares = []float64{0.5, 0.9}      // rates of open loops, as shares of what Linux answered with baseOutstanding on the way
	order  = []string{"linux", "nom"} // the first says how fast both are asked
)

const (
	baseOutstanding = 32
	warm            = 500             // requests before those that are measured
	patience        = 3 * time.Minute // how long one boot and its measurements may take
)

// workloads are those that were asked for.
func (b *bench) workloads() (list []workload) {
	for _, w := range workloads {
		if strings.Contains(w.name, b.only) {
			list = append(list, w)
		}
	}
	return list
}

// measureAll measures in rounds, nom and Linux in turns, then counts.
func (b *bench) measureAll(ctx context.Context) error {
	for round := range b.rounds + 1 {
		count := round == b.rounds
		if count && b.count == 0 {
			return nil
		}
		for _, w := range b.workloads() {
			for _, system := range order {
				if system == "linux" && (b.linux == nil || w.linux == nil) || count && w.spins {
					continue
				}
				progress(round, b.rounds, w.name, system)
				if err := b.measureAgain(ctx, system, w, count); err != nil {
					return fmt.Errorf("%s, %s: %w", w.name, system, err)
				}
			}
		}
	}
	return b.countExits(ctx)
}

// measureAgain measures, on a second machine if the first one fails, and says so: a quarter of an hour must not be lost because an emulated
// machine stopped (CAVEATS.md).
func (b *bench) measureAgain(ctx context.Context, system string, w workload, count bool) error {
	err := b.measure(ctx, system, w, count)
	if err == nil || ctx.Err() != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s, %s: failed, and is measured once more: %v\n", w.name, system, err)
	return b.measure(ctx, system, w, count)
}

// measure boots a machine and measures.
func (b *bench) measure(ctx context.Context, system string, w workload, count bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	port, err := freePort()
	if err != nil {
		return err
	}
	boot := b.bootNom
	if system == "linux" {
		boot = b.bootLinux
	}
	g, err := boot(ctx, w, port, count)
	if err != nil {
		return err
	}
	err = b.ask(ctx, g, system, w, loopback(port), count)
	said := g.stop()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

func (b *bench) ask(ctx context.Context, g *guest, system string, w workload, address string, count bool) error {
	if err := w.await(ctx, address); err != nil {
		return err
	}
	if first := time.Since(g.started).Seconds(); !count {
		b.first(system, w.name, first)
	}
	for _, outstanding := range closed {
		if err := b.closedLoop(ctx, g, b.row(system, w.name, outstanding, 0), w, address, count); err != nil {
			return err
		}
	}
	if count {
		return nil
	}
	for _, share := range shares {
		rate := math.Ceil(b.base[w.basis()] * share)
		l, err := w.open(ctx, address, schedule{rate, b.time})
		if err != nil {
			return err
		}
		if r := b.row(system, w.name, 0, rate); r.Requests == 0 || l.better(r.load) {
			r.load = l
		}
	}
	return nil
}

// closedLoop measures a rate, or counts on a machine on which QEMU counts.
func (b *bench) closedLoop(ctx context.Context, g *guest, r *row, w workload, address string, count bool) error {
	s, err := w.dial(ctx, address, r.Outstanding)
	if err != nil {
		return err
	}
	defer s.close()
	var l load
	if count {
		c, err := g.counted(func() (err error) {
			l, err = s.load(ctx, until{requests: b.count})
			return err
		})
		if err != nil {
			return err
		}
		n := float64(l.Requests)
		raised, taken := float64(c.raised)/n, float64(c.taken)/n
		r.Instructions, r.Raised, r.Taken = c.instructions/uint64(l.Requests), &raised, &taken
		return nil
	}
	if l, err = s.load(ctx, until{time: b.time}); err != nil {
		return err
	}
	if l.Rate > r.Rate {
		r.load = l
	}
	if r.Outstanding == baseOutstanding && b.base[w.basis()] == 0 {
		b.base[w.basis()] = l.Rate
	}
	return nil
}

// first notes how long after power-on the first request was answered.
func (b *bench) first(system, workload string, seconds float64) {
	if r := b.row(system, workload, closed[0], 0); r.FirstReply == 0 || seconds < r.FirstReply {
		r.FirstReply = seconds
	}
}

// basis is the workload whose rate on Linux says how fast open loops ask.
func (w workload) basis() string {
	if w.like != "" {
		return w.like
	}
	return w.name
}

// better says that more was answered, or the same in less time.
func (l load) better(than load) bool {
	if l.Lost != than.Lost {
		return l.Lost < than.Lost
	}
	return l.P99 < than.P99
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort finds a port of this computer that is free for TCP and UDP.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

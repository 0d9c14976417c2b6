package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// How often a container leaves its virtual machine, which nobody but nom can tell. Programs that use sockets run on a machine in the
// background, where nom stats tells it at any time. Those that drive the network function themselves have to count themselves.

// exitCPUs is so many processors that each container of a machine in the background has one of its own: it runs twelve.
const exitCPUs = "13"

// machineName is what the machine in the background is called. It is the only one in a folder of its own.
const machineName = "bench"

// countExits measures exits of all workloads.
func (b *bench) countExits(ctx context.Context) error {
	defer b.background(context.WithoutCancel(ctx), "machine", "stop", machineName)
	if _, err := b.background(ctx, "machine", "create", "--cpus", exitCPUs, machineName); err != nil {
		return err
	}
	for _, w := range b.workloads() {
		of := b.exitsOf
		if w.native {
			of = b.exitsOfNative
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := of(ctx, w)
		cancel()
		if err != nil {
			return fmt.Errorf("%s, exits: %w", w.name, err)
		}
	}
	return nil
}

// background calls nom for a machine in the background.
func (b *bench) background(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.nom, args...)
	cmd.Env = append(os.Environ(), "NOM_HOME="+filepath.Join(b.dir, "home"))
	out, err := cmd.Output()
	if failed, ok := err.(*exec.ExitError); ok {
		return nil, fmt.Errorf("nom %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return out, err
}

func (b *bench) exitsOf(ctx context.Context, w workload) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	args := []string{"run", "-d", "--machine", machineName, "--name", "server", "-p", w.publish(port), filepath.Join(b.dir, w.nom[0]), "--"}
	if _, err := b.background(ctx, append(args, w.nom[1:]...)...); err != nil {
		return err
	}
	defer b.background(context.WithoutCancel(ctx), "rm", "-f", "--machine", machineName, "server")
	address := loopback(port)
	if err := w.await(ctx, address); err != nil {
		return err
	}
	for _, outstanding := range closed {
		r := b.row("nom", w.name, outstanding, 0)
		if r.Exits, err = b.exitsWith(ctx, w, address, outstanding); err != nil {
			return err
		}
	}
	return nil
}

// exitsWith are the exits for a request, by reason, with so many requests on the way.
func (b *bench) exitsWith(ctx context.Context, w workload, address string, outstanding int) (map[string]float64, error) {
	s, err := w.dial(ctx, address, outstanding)
	if err != nil {
		return nil, err
	}
	defer s.close()
	before, err := b.exitsNow(ctx)
	if err != nil {
		return nil, err
	}
	l, err := s.load(ctx, until{requests: b.count})
	if err != nil {
		return nil, err
	}
	after, err := b.exitsNow(ctx)
	if err != nil {
		return nil, err
	}
	for reason := range after {
		after[reason] -= before[reason]
	}
	return each(after, l.Requests), nil
}

// exitsNow is how often the server's container has left its virtual machine, by reason.
func (b *bench) exitsNow(ctx context.Context) (map[string]uint64, error) {
	text, err := b.background(ctx, "stats", "--machine", machineName, "--format", "json", "server")
	if err != nil {
		return nil, err
	}
	var line struct{ Exits map[string]uint64 }
	if err := json.Unmarshal(text, &line); err != nil || len(line.Exits) == 0 {
		return nil, fmt.Errorf("nom stats says %q, error %v", text, err)
	}
	return line.Exits, nil
}

// exitsOfNative has the program measure itself, on a machine that ends when it has.
func (b *bench) exitsOfNative(ctx context.Context, w workload) error {
	for _, outstanding := range closed {
		port, err := freePort()
		if err != nil {
			return err
		}
		measuring := w
		measuring.nom = append(append([]string{}, w.nom...), "-measure", strconv.Itoa(b.count))
		g, err := b.bootNom(ctx, measuring, port, false)
		if err != nil {
			return err
		}
		asking, cancel := context.WithCancel(ctx)
		go func() {
			<-g.ended
			cancel()
		}()
		err = w.await(asking, loopback(port))
		for err == nil { // until nobody answers any more
			_, err = datagrams(asking, loopback(port), outstanding, until{time: time.Minute})
		}
		said := g.stop()
		exits := exitsSaid(said)
		if exits == nil {
			return fmt.Errorf("the program did not measure: %w\n%s", err, said)
		}
		b.row("nom", w.name, outstanding, 0).Exits = each(exits, b.count)
	}
	return nil
}

var exitLine = regexp.MustCompile(`^echo\| echo: exits by (\w+) (\d+)$`)

// exitsSaid are the exits that a program said it had, by reason; nil if it said nothing of any.
func exitsSaid(said string) (exits map[string]uint64) {
	for lines := bufio.NewScanner(strings.NewReader(said)); lines.Scan(); {
		found := exitLine.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		n, err := strconv.ParseUint(found[2], 10, 64)
		if err != nil {
			return nil
		}
		if exits == nil {
			exits = map[string]uint64{}
		}
		exits[found[1]] = n
	}
	return exits
}

// each is what one request had a share of, without those reasons that had none.
func each(exits map[string]uint64, requests int) map[string]float64 {
	shares := map[string]float64{}
	for reason, n := range exits {
		if n != 0 {
			shares[reason] = float64(n) / float64(requests)
		}
	}
	return shares
}

// Bench measures what requests from the network cost: on nom, and on Linux as a guest on the same emulated machine. It boots one
// after the other, in turns, sends UDP datagrams, TCP segments and HTTP requests from this computer, prints a table and writes
// everything to a file.
//
// Rates are those of an emulated machine on a computer that may have other work: the best of the rounds counts. Instructions are
// counted on a machine of their own, by QEMU, of all processors together; those that halt execute none.
//
// It must never leave a machine behind, and must never say that it compared when it did not.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// workload is a server and what its clients do.
type workload struct {
	name    string
	network string
	port    int      // of the server
	nom     []string // the program and its arguments
	native  bool     // it drives the network function itself
	spins   bool     // it never sleeps, so that instructions of the whole machine say nothing
	linux   []string // the same on Linux; nil: as the one before
	once    exchange
}

var workloads = []workload{
	{name: "UDP echo, net.ListenUDP", network: "udp", port: 7, nom: []string{"echo", "-socket"}, linux: []string{"echo", "-socket"}},
	{name: "UDP echo, native", network: "udp", port: 7, nom: []string{"echo"}, native: true},
	{name: "UDP echo, native, polling", network: "udp", port: 7, nom: []string{"echo", "-poll"}, native: true, spins: true},
	{name: "TCP echo, package net", network: "tcp", port: 7, nom: []string{"echo", "-tcp"}, linux: []string{"echo", "-tcp"}, once: echoOnce},
	{name: "HTTP hello, net/http", network: "tcp", port: 8080, nom: []string{"web"}, linux: []string{"web"}, once: getOnce},
}

func (w workload) forward(port int) string {
	return fmt.Sprintf("hostfwd=%s:127.0.0.1:%d-10.0.2.15:%d", w.network, port, w.port)
}

// row is one result.
type row struct {
	System      string `json:"system"`
	Workload    string `json:"workload"`
	Outstanding int    `json:"outstanding"`
	load
	Instructions uint64  `json:"instructions_per_request,omitempty"`
	FirstReply   float64 `json:"seconds_to_first_reply"`
}

type bench struct {
	nom, dir, only string
	rounds, count  int
	time           time.Duration
	linux          *linuxFiles // nil: nom alone
	rows           []*row
}

func main() {
	b := &bench{}
	withLinux, out := true, ""
	flag.StringVar(&b.nom, "nom", "bin/nom", "the nom `command`")
	flag.StringVar(&out, "out", "bench/results.json", "`file` for the results")
	flag.StringVar(&b.only, "only", "", "only workloads whose name has this `text` in it")
	flag.IntVar(&b.rounds, "rounds", 2, "boots of each workload, of which the best counts")
	flag.IntVar(&b.count, "count", 3000, "requests of which instructions are counted; 0: do not")
	flag.DurationVar(&b.time, "time", 3*time.Second, "how long each rate is measured")
	flag.BoolVar(&withLinux, "linux", true, "compare with Linux; its kernel comes by apt-get, once (106 MB)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, withLinux, out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, withLinux bool, out string) error {
	var err error
	if b.dir, err = os.MkdirTemp("", "nom-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for _, program := range []string{"echo", "web"} {
		if err := goBuild(ctx, b.dir, program); err != nil {
			return err
		}
	}
	if withLinux {
		if b.linux, err = makeLinux(ctx, b.dir); err != nil {
			fmt.Fprintln(os.Stderr, "bench: nom alone, without Linux to compare with:", err)
		}
	}
	if err := b.measureAll(ctx); err != nil {
		return err
	}
	b.print()
	text, err := json.MarshalIndent(b.rows, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

// goBuild builds one of the programs that run on the machines.
func goBuild(ctx context.Context, dir, name string) error {
	folder := "./apps/" + name
	if name == "init" {
		folder = "./bench/init"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, name), folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", folder, err, text)
	}
	return nil
}

// measureAll measures in rounds, nom and Linux in turns.
func (b *bench) measureAll(ctx context.Context) error {
	for round := range b.rounds + 1 {
		count := round == b.rounds
		if count && b.count == 0 {
			return nil
		}
		for _, w := range workloads {
			if !strings.Contains(w.name, b.only) {
				continue
			}
			for _, system := range []string{"nom", "linux"} {
				if system == "linux" && (b.linux == nil || w.linux == nil) || count && w.spins {
					continue
				}
				if err := b.measure(ctx, system, w, count); err != nil {
					return fmt.Errorf("%s, %s: %w", w.name, system, err)
				}
			}
		}
	}
	return nil
}

// patience is how long one boot and its measurements may take.
const patience = 3 * time.Minute

// measure boots a machine, and measures with 1 and 32 requests on the way.
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
	err = b.ask(ctx, g, system, w, port, count)
	said := g.stop()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

func (b *bench) ask(ctx context.Context, g *guest, system string, w workload, port int, count bool) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := w.await(ctx, address); err != nil {
		return err
	}
	first := time.Since(g.started).Seconds()
	for _, outstanding := range []int{1, 32} {
		r := b.row(system, w.name, outstanding)
		if _, err := w.load(ctx, address, outstanding, until{requests: 500}); err != nil { // warm
			return err
		}
		if count {
			before, err := g.instructions()
			if err != nil {
				return err
			}
			l, err := w.load(ctx, address, outstanding, until{requests: b.count})
			if err != nil {
				return err
			}
			after, err := g.instructions()
			if err != nil {
				return err
			}
			r.Instructions = (after - before) / uint64(l.Requests)
			continue
		}
		l, err := w.load(ctx, address, outstanding, until{time: b.time})
		if err != nil {
			return err
		}
		if l.Rate > r.Rate {
			r.load = l
		}
		if r.FirstReply == 0 || first < r.FirstReply {
			r.FirstReply = first
		}
	}
	return nil
}

func (b *bench) row(system, workload string, outstanding int) *row {
	for _, r := range b.rows {
		if r.System == system && r.Workload == workload && r.Outstanding == outstanding {
			return r
		}
	}
	r := &row{System: system, Workload: workload, Outstanding: outstanding}
	b.rows = append(b.rows, r)
	return r
}

func (b *bench) print() {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "workload\toutstanding\tsystem\trequests/s\tp50 us\tp99 us\tlost\tinstructions\tfirst reply s")
	for _, r := range b.rows {
		instructions := "-"
		if r.Instructions != 0 {
			instructions = fmt.Sprint(r.Instructions)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%.0f\t%.0f\t%.0f\t%d\t%s\t%.1f\n", r.Workload, r.Outstanding, r.System, r.Rate, r.P50, r.P99, r.Lost,
			instructions, r.FirstReply)
	}
	_ = t.Flush()
}

// freePort finds a port of this computer that is free for TCP and UDP.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

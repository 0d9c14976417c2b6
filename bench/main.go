// Bench measures what requests from the network cost: on nom, and on Linux as a guest on the same emulated machine. It boots one
// after the other, in turns, sends UDP datagrams, TCP segments, requests of HTTP and of Redis from this computer, prints a table and
// writes everything to a file.
//
// A closed loop keeps so many requests on the way; an open loop sends them at a fixed rate, the same for both systems. Rates and times
// are those of an emulated machine on a computer that may have other work: the best of the rounds counts. Instructions and interrupts
// are counted on a machine of their own, by QEMU, of all processors together; those that halt execute none. Exits are counted by the
// nonkernel.
//
// It must never leave a machine behind, and must never say that it compared when it did not.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// workload is a server and what its clients do.
type workload struct {
	name    string
	network string
	port    int      // of the server
	nom     []string // the program and its arguments
	native  bool     // it drives the network function itself
	like    string   // the workload that says at which rates an open loop asks; "": this one
	spins   bool     // it never sleeps, so that instructions of the whole machine say nothing
	linux   []string // the same on Linux; nil: as the one before
	once    exchange
}

// sockets is the workload that the native ones are compared with.
const sockets = "UDP echo, net.ListenUDP"

var workloads = []workload{
	{name: sockets, network: "udp", port: 7, nom: []string{"echo", "-socket"}, linux: []string{"echo", "-socket"}},
	{name: "UDP echo, native", network: "udp", port: 7, nom: []string{"echo"}, native: true, like: sockets},
	{name: "UDP echo, native, polling", network: "udp", port: 7, nom: []string{"echo", "-poll"}, native: true, spins: true, like: sockets},
	{name: "TCP echo, package net", network: "tcp", port: 7, nom: []string{"echo", "-tcp"}, linux: []string{"echo", "-tcp"}, once: echoOnce},
	{name: "HTTP hello, net/http", network: "tcp", port: 8080, nom: []string{"web"}, linux: []string{"web"}, once: getOnce},
	{name: "Redis SET and GET, redcon", network: "tcp", port: 6379, nom: []string{"kv"}, linux: []string{"kv"}, once: redisOnce},
}

// programs are what runs on the machines.
var programs = []string{"echo", "web", "kv"}

func (w workload) forward(port int) string {
	return fmt.Sprintf("hostfwd=%s:127.0.0.1:%d-10.0.2.15:%d", w.network, port, w.port)
}

func (w workload) publish(port int) string {
	return fmt.Sprintf("127.0.0.1:%d:%d/%s", port, w.port, w.network)
}

type bench struct {
	nom, dir, only string
	rounds, count  int
	time           time.Duration
	vf             bool
	linux          *linuxFiles        // nil: nom alone
	base           map[string]float64 // of which the rates of open loops are shares, by workload
	results
}

func main() {
	b := &bench{base: map[string]float64{}}
	withLinux, quick, out, old := true, false, "", ""
	flag.StringVar(&b.nom, "nom", "bin/nom", "the nom `command`")
	flag.StringVar(&out, "out", "bench/results.json", "`file` for the results")
	flag.StringVar(&b.only, "only", "", "only workloads whose name has this `text` in it")
	flag.IntVar(&b.rounds, "rounds", 2, "boots of each workload, of which the best counts")
	flag.IntVar(&b.count, "count", 2000, "requests of which instructions, interrupts and exits are counted; 0: do not")
	flag.DurationVar(&b.time, "time", 5*time.Second, "how long each rate is measured")
	flag.BoolVar(&withLinux, "linux", true, "compare with Linux; its kernel comes by apt-get, once (106 MB)")
	flag.BoolVar(&b.vf, "vf", false, "give Linux a virtual function of the card, as nom's programs have, instead of the card itself")
	flag.BoolVar(&quick, "quick", false, "a first look: -rounds 1 -time 1s -count 1000")
	flag.StringVar(&old, "show", "", "print the table of the results in this `file`, and measure nothing")
	flag.Parse()
	if quick {
		for name, value := range map[string]string{"rounds": "1", "time": "1s", "count": "1000"} {
			if !given(name) {
				_ = flag.Set(name, value)
			}
		}
	}
	if old != "" {
		if err := show(old); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, withLinux, out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// given says whether a flag was set on the command line.
func given(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func (b *bench) run(ctx context.Context, withLinux bool, out string) error {
	var err error
	if b.dir, err = os.MkdirTemp("", "nom-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for _, program := range programs {
		if err := goBuild(ctx, b.dir, program); err != nil {
			return err
		}
	}
	if withLinux {
		if b.linux, err = makeLinux(ctx, b.dir, b.vf); err != nil {
			fmt.Fprintln(os.Stderr, "bench: nom alone, without Linux to compare with:", err)
		}
	}
	b.begin(ctx)
	if err := b.measureAll(ctx); err != nil {
		return err
	}
	b.end()
	b.print(os.Stdout)
	return b.write(out)
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

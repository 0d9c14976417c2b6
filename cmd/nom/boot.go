package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nom.dev/nom/machine"
)

const bootHelp = `
Each program is built if it is a Go package, and runs in a container of its own. What it prints is shown with its name
in front. All programs get the ARGS. The machine ends when all programs have, or at ^C; the exit code is that of the
first program, in the order of the command line, that failed. With --format json the last line describes every
container: exit code, exits by reason, processor time, memory, time to main.

  nom boot ./apps/hello ./apps/primes
  nom boot --cpus 4 --memory 8Gi --format json ./server -- -listen :8080
`

func boot(a *app, args []string) error {
	fs := a.flagSet("boot", bootHelp)
	var mf machineFlags
	var cf containerFlags
	f, stats := formatTable, false
	mf.add(fs, 1, 1<<30, 0, "stop the machine after this time; 0 means never")
	cf.add(fs)
	fs.Var(&f, "format", "how to print what happens; json is one object a line")
	fs.BoolVar(&stats, "stats", false, "print what each container used, at the end")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	names, progArgs := splitArgs(fs)
	if len(names) == 0 {
		return fmt.Errorf("no program to boot: see \"nom boot --help\"")
	}
	programs, err := resolve(a.ctx, names, cf.tags)
	if err != nil {
		return err
	}
	containers, err := cf.containers(programs, progArgs)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "nom-")
	if err != nil {
		return fmt.Errorf("directory for the machine's image: %w", err)
	}
	defer os.RemoveAll(tmp)
	p := &packer{tmp: tmp, tags: cf.tags}
	if err := p.build(a.ctx, containers); err != nil {
		return err
	}
	config, closeConsole, err := mf.config()
	if err != nil {
		return err
	}
	defer closeConsole()
	config.Image = filepath.Join(tmp, "machine.elf")
	if config.Netdev, err = cf.network(containers); err != nil {
		return err
	}
	if err := p.bootable(config.Image, containers, 0); err != nil {
		return err
	}
	var all []string
	for _, c := range containers {
		all = append(all, c.Name)
	}
	r := newReport(a, f, machineResult{Accel: config.Accel, Icount: config.Icount}, all)
	return a.runMachine(config, mf.timeout, r, p, stats)
}

// errTimeout is why a machine was stopped that took longer than --timeout.
var errTimeout = errors.New("the machine was stopped by --timeout")

// runMachine runs a machine to its end, prints the result and returns the error with nom's exit code.
func (a *app) runMachine(config machine.Config, timeout time.Duration, r *report, p *packer, stats bool) error {
	ctx, cancel := withTimeout(a.ctx, timeout)
	defer cancel()
	symbols := sync.OnceValue(p.symbols)
	r.annotate = func(container, line string) string { return symbols().annotateLine(container, line) }
	_, err := machine.Run(ctx, config, r.handle)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		code := codeFailed
		var sig signalError
		if errors.As(err, &sig) {
			code = 128 + int(sig.sig)
		}
		r.finish(code, err, stats)
		a.explain(err, p)
		return err
	}
	code := r.code()
	r.finish(code, nil, stats)
	if code != 0 {
		return withCode(code, nil)
	}
	return nil
}

// withTimeout is context.WithTimeoutCause, without an end when d is 0.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%w after %v", errTimeout, d))
}

// check returns an error when a machine said that it was done but not what became of a container.
func (r *report) check() error {
	for _, c := range r.results {
		if c.Reason == reasonLost {
			return fmt.Errorf("the machine switched itself off and did not say what became of %s", c.Name)
		}
	}
	return nil
}

// explain prints what the machine had on its console when it failed, with the functions that the addresses belong to.
func (a *app) explain(err error, p *packer) {
	var f *machine.Failure
	var sig signalError
	if !errors.As(err, &f) || errors.As(err, &sig) {
		return
	}
	if len(f.Console) > 0 {
		text := p.symbols().annotate(string(f.Console))
		fmt.Fprintf(a.stderr, "--- the end of the machine's console\n%s", text)
		if text[len(text)-1] != '\n' {
			fmt.Fprintln(a.stderr)
		}
		fmt.Fprintln(a.stderr, "---")
	} else {
		fmt.Fprintln(a.stderr, "(the machine printed nothing on its console)")
	}
	if len(f.Stderr) > 0 && f.Exit.Message == "" {
		fmt.Fprintf(a.stderr, "--- QEMU itself said\n%s\n---\n", f.Stderr)
	}
}

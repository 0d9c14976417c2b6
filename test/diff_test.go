package test

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/api"
)

// TestSameOnLinux runs the same executables on Linux and in containers. What they print on standard output and their
// exit codes must be the same; what depends on the computer they print on standard error.
func TestSameOnLinux(t *testing.T) {
	elastic := run("apps/elastic", "300000")
	cases := []*guest{
		run("apps/hello", "one", "two words", ""),
		run("apps/primes", "1234567"),
		run("apps/primes", "nonsense").named("primes-nonsense"),
		run("apps/crash"),
		run("apps/crash", "recover").named("crash-recover"),
		elastic,
		run("apps/elastic", "x").named("elastic-x"),
		run("apps/soak", "2s"),
		run("apps/soak", "never").named("soak-never"),
		run("test/programs/show", "exit", "200"),
		run("test/programs/wild"),
	}
	for _, deed := range []string{"panic", "goexit", "deadlock", "overflow", "concurrent", "divide", "write", "sigterm",
		"environment", "pipe", "clock", "files", "system", "profile", "datagrams", "waits"} {
		cases = append(cases, run("test/programs/run", deed).named(deed))
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		cases = append(cases, run("test/programs/loopback"))
	}
	for _, g := range cases {
		g.Env = []string{"HOME=/", "TZ=UTC", "GOMEMLIMIT=off"} // which root would set otherwise
		g.VCPUs = 1
		g.Memory = 64 * mib
	}
	elastic.Memory = 256 * mib // elastic makes a container in its own
	o := boot(t, hardware{cpus: 2, memory: 2 * gib, parallel: 6}, cases...)
	for _, g := range cases {
		e := o.containers[g.Name]
		if e == nil {
			t.Errorf("%s was never started", g.Name)
			continue
		}
		stdout, stderr, code := onLinux(t, g)
		ev := e.last()
		if ev.Reason != api.ReasonExit || ev.Code != code {
			t.Errorf("%s: ended by %s with code %d, on Linux with code %d\nstderr: %.1000s\non Linux: %.1000s", g.Name, ev.Reason, ev.Code, code, e.stderr, stderr)
		}
		if got, want := same(e.stdout), same(stdout); got != want {
			at := differ(got, want)
			t.Errorf("%s: from byte %d on it printed\n%.300s\non Linux\n%.300s", g.Name, at, got[at:], want[at:])
		}
		if got, want := firstLine(e.stderr), firstLine(stderr); code != 0 && got != want {
			t.Errorf("%s: said %q, on Linux %q", g.Name, got, want)
		}
	}
}

// onLinux runs a guest's program here.
func onLinux(t *testing.T, g *guest) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, g.folder))
	cmd.Args, cmd.Env, cmd.Dir = g.Args, g.Env, "/"
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// different is what may differ: where hello runs, and how much soak could do in its time.
var different = regexp.MustCompile(`hello from [^:]*:|[0-9]+ CPUs|ok [0-9]+ operations|name "[^"]*"`)

func same(text string) string { return different.ReplaceAllString(text, "...") }

// differ is where the first line begins in which two texts differ.
func differ(a, b string) int {
	at := 0
	for line := range strings.Lines(a) {
		if !strings.HasPrefix(b[at:], line) {
			break
		}
		at += len(line)
	}
	return at
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// TestX87 holds numbers in x87 registers while threads take turns. On one processor: with more, x87 state that is in use
// can end QEMU's machine (docs/hardware.md).
func TestX87(t *testing.T) {
	o := boot(t, hardware{cpus: 1, memory: gib}, run("test/programs/x87"))
	e := o.want("x87", api.ReasonExit, 0)
	o.check(e.stdout == "each thread found what it held\n", "x87 printed %q", e.stdout)
}

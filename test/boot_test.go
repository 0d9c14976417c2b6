package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nom.dev/nom/api"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// TestPrograms boots one machine with programs that end in all ways, and looks at everything that comes out of it.
func TestPrograms(t *testing.T) {
	crashing := run("apps/crash").named("crashing")
	crashing.Restart = "on-failure:2"
	surviving := run("apps/crash", "recover").named("surviving")
	surviving.Restart = "on-failure"
	show := run("test/programs/show", "one", "", "two words", "ünïcode")
	show.Env = []string{"EMPTY=", "K=V", "K2=with = and ü", "GOMEMLIMIT=off"}
	seven := run("test/programs/show", "exit", "7").named("seven")
	always := run("test/programs/show", "exit", "0").named("once")
	always.Restart = "on-failure"
	o := boot(t, hardware{cpus: 2, memory: gib},
		run("apps/hello", "an argument"), run("apps/primes", "1000000"), run("apps/crash"), crashing, surviving, show, seven, always)

	o.check(o.code == 2, "the machine's code is %d, want that of the first program that failed: 2", o.code)
	o.check(o.machine.CPUs == 2, "the machine says that it has %d CPUs, want 2", o.machine.CPUs)
	o.check(o.machine.Memory > gib*3/4 && o.machine.Memory <= gib, "the machine says that it has %d MiB for containers", o.machine.Memory/mib)
	o.check(o.machine.TSCHz > 100e6, "the machine says that its clock ticks at %d Hz", o.machine.TSCHz)

	hello := o.want("hello", api.ReasonExit, 0)
	o.check(strings.HasPrefix(hello.stdout, "hello from hello: go1."), "hello printed %q", hello.stdout)
	o.check(strings.HasSuffix(hello.stdout, "\nargument 1: an argument\n"), "hello printed %q", hello.stdout)
	o.check(strings.Contains(o.console.String(), "hello| argument 1: an argument\r\n"), "the console lacks what hello printed")

	primes := o.want("primes", api.ReasonExit, 0)
	o.check(primes.stdout == "78498 primes below 1000000\n", "primes printed %q", primes.stdout)

	o.checkCrash("crash", 1)
	o.checkCrash("crashing", 3)
	if got := o.containers["crashing"].attempts; !slices.Equal(got, []int{1, 2}) {
		t.Errorf("crashing: attempts %v, want 1 and 2", got)
	}
	e := o.want("surviving", api.ReasonExit, 0)
	o.check(e.starts == 1 && strings.Contains(e.stdout, "recovered: runtime error: invalid memory address or nil pointer dereference\n"),
		"surviving: %d starts, printed %q", e.starts, e.stdout)

	e = o.want("show", api.ReasonExit, 0)
	want := fmt.Sprintf("args %q\nenv %q\nname \"show\"\nno line end", show.Args, show.Env)
	o.check(e.stdout == want, "show printed\n%s\nwant\n%s", e.stdout, want)
	o.check(e.stderr == "this is standard error\n", "show printed %q on standard error", e.stderr)
	o.want("seven", api.ReasonExit, 7)
	once := o.want("once", api.ReasonExit, 0)
	o.check(once.starts == 1, "once: %d starts", once.starts)
	for name, e := range o.containers {
		if name != "" {
			o.checkStats(name, e.last())
		}
	}
}

// checkCrash checks a program that dereferences nil: Go's own message, its trace and its exit code, each time.
func (o *outcome) checkCrash(name string, starts int) {
	o.t.Helper()
	e := o.want(name, api.ReasonExit, 2)
	o.check(e.starts == starts && len(e.exits) == starts, "%s: %d starts and %d ends, want %d", name, e.starts, len(e.exits), starts)
	o.check(e.stdout == strings.Repeat("last of one: 42\n", starts), "%s printed %q", name, e.stdout)
	for _, want := range []string{
		"panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x",
		"\ngoroutine 1 [running]:\n", "main.last(...)\n\tnom.dev/nom/apps/crash/main.go:", "main.main()\n",
	} {
		o.check(strings.Count(e.stderr, want) == starts, "%s: its standard error has %q %d times, want %d: %q", name, want, strings.Count(e.stderr, want), starts, e.stderr)
	}
}

// checkStats checks what was counted of a container that ran to its end.
func (o *outcome) checkStats(name string, ev api.Event) {
	o.t.Helper()
	s := ev.Stats
	ok := s != nil && s.MainTSC > 0 && s.RunSeconds > 0 && s.MainSeconds <= s.RunSeconds && s.CPUSeconds > 0 &&
		s.MemoryPeakBytes > 0 && s.MemoryPeakBytes <= s.MemoryGrantedBytes && s.Exits["hypercall"] > 0 && s.Exits["page_fault"] > 0
	o.check(ok, "%s: the statistics cannot be right: %s", name, describe(ev))
}

// TestMachines boots machines from small to large.
func TestMachines(t *testing.T) {
	for _, m := range []struct {
		memory int64
		cpus   int
	}{{512 * mib, 1}, {gib, 2}, {2 * gib, 4}, {8 * gib, 8}} {
		t.Run(fmt.Sprintf("%dMiB-%dcpus", m.memory/mib, m.cpus), func(t *testing.T) {
			o := boot(t, hardware{cpus: m.cpus, memory: m.memory}, run("apps/hello"), run("apps/primes", "3000000"), run("apps/crash"))
			o.check(o.machine.CPUs == m.cpus, "it says that it has %d CPUs, want %d", o.machine.CPUs, m.cpus)
			least := m.memory - m.memory/8 - 128*mib
			o.check(o.machine.Memory >= least && o.machine.Memory <= m.memory, "it says that it has %d MiB for containers, want %d or more",
				o.machine.Memory/mib, least/mib)
			o.want("hello", api.ReasonExit, 0)
			primes := o.want("primes", api.ReasonExit, 0)
			o.check(primes.stdout == "216816 primes below 3000000\n", "primes printed %q", primes.stdout)
			workers := max(1, (m.cpus-1)/3) // what primes gets of the cores that three programs share
			o.check(strings.HasPrefix(primes.stderr, fmt.Sprintf("%d workers", workers)), "primes said %q, want %d workers", primes.stderr, workers)
			o.checkCrash("crash", 1)
		})
	}
}

// TestDedicatedCore holds the nonkernel to its promise that a program on a core of its own is left alone: one that runs
// many times as long has no more exits.
func TestDedicatedCore(t *testing.T) {
	yes := true
	short, long := run("apps/primes", "3000000").named("short").on(1), run("apps/primes", "150000000").named("long").on(1)
	short.Dedicated, long.Dedicated = &yes, &yes
	o := boot(t, hardware{cpus: 3, memory: gib}, short, long)
	s, l := o.want("short", api.ReasonExit, 0).last().Stats, o.want("long", api.ReasonExit, 0).last().Stats
	more := l.RunSeconds - s.RunSeconds
	o.check(more > 1, "the long run took only %.1f s more than the short one", more)
	t.Logf("short: %.2f s, %v\nlong: %.2f s, %v", s.RunSeconds, s.Exits, l.RunSeconds, l.Exits)
	for _, reason := range api.ExitNames {
		grown := max(l.Exits[reason], s.Exits[reason]) - s.Exits[reason]
		spec.exitsDedicated.hold(t, fmt.Sprintf("by %s, in %.1f s more", reason, more), grown)
	}
}

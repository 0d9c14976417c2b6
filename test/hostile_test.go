package test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nom.dev/nom/api"
)

// fuzzedCalls is how many hypercalls with random arguments an attack makes in a test. For "make soak" it makes as many as
// it does by itself: a million.
const fuzzedCalls = "100000"

// TestHostileChildren runs all attacks of apps/hostile in containers inside a container, whose program judges them.
// Beside it, on the same cores, a program works that must not notice.
func TestHostileChildren(t *testing.T) {
	hostile, healthy := run("apps/hostile", "all").on(1), run("apps/soak", "2m").named("healthy").on(2)
	hostile.Memory = 512 * mib
	if os.Getenv(soakEnv) == "" {
		hostile.Env = []string{"HOSTILE_CALLS=" + fuzzedCalls}
	}
	o := boot(t, hardware{cpus: 2, memory: 2 * gib, patience: defaultPatience * 3 / 2}, hostile, healthy)
	e := o.want("hostile", api.ReasonExit, 0)
	o.check(strings.HasSuffix(e.stdout, "all attacks ended as they must\n"), "the judge printed %q", e.stdout)
	checkHealthy(o)
	o.together("hostile", "healthy")
	t.Logf("the attacks took %.0f s\n%s", e.last().Stats.RunSeconds, e.stdout)
}

// checkHealthy checks that the program beside the attacks has noticed nothing.
func checkHealthy(o *outcome) {
	o.t.Helper()
	e := o.want("healthy", api.ReasonExit, 0)
	o.check(strings.HasPrefix(e.stdout, "ok ") && strings.Count(e.stdout, "\n") == 1, "healthy printed %q", e.stdout)
	o.t.Logf("healthy: %.0f s, %s", e.last().Stats.RunSeconds, e.stdout)
}

// attack is a line of the list that apps/hostile prints.
type attack struct {
	name string
	ends []string // how it may end
}

var attackLine = regexp.MustCompile(`^(\S+) .* ends: (.*)$`)

// attacks asks apps/hostile what it can do to the root container by itself: without what it must be killed for, and
// without what takes long and is the same for every parent.
func attacks(t *testing.T) []attack {
	t.Helper()
	out, err := exec.Command(program(t, "apps/hostile"), "list").Output()
	if err != nil {
		t.Fatalf("hostile list: %v", err)
	}
	var list []attack
	for line := range strings.Lines(string(out)) {
		m := attackLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("hostile list prints %q", line)
		}
		slow := slices.Contains([]string{"msrs", "ports", "calls"}, m[1])
		if !slow && !strings.Contains(m[2], "(after ") {
			list = append(list, attack{m[1], strings.Split(m[2], " or ")})
		}
	}
	if len(list) < 20 {
		t.Fatalf("hostile list: only %d attacks can be run alone: %s", len(list), out)
	}
	return list
}

// TestHostilePrograms runs attacks as programs of the machine, so that what they do hits the root container. Two run
// at a time, beside a healthy program.
func TestHostilePrograms(t *testing.T) {
	system(t)
	list := attacks(t)
	guests := []*guest{run("apps/soak", "20s").named("healthy")}
	for _, a := range list {
		g := run("apps/hostile", a.name).named(a.name).on(1)
		g.Memory = 64 * mib
		guests = append(guests, g)
	}
	o := boot(t, hardware{cpus: 2, memory: gib, parallel: 3}, guests...)
	checkHealthy(o)
	for _, a := range list {
		e := o.containers[a.name]
		if e == nil {
			t.Errorf("%s was never started", a.name)
			continue
		}
		ev := e.last()
		how := ev.Reason
		if how == api.ReasonExit {
			how = fmt.Sprintf("%s %d", how, ev.Code)
		}
		if !slices.Contains(a.ends, how) {
			t.Errorf("%s ended by %s (%s), want %s\nstdout: %s\nstderr: %.1000s", a.name, how, ev.Error, a.ends, e.stdout, e.stderr)
		}
	}
	if t.Failed() {
		t.Log(o.said())
	}
}

package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/api"
)

// soakEnv is how long each machine works, for "make soak".
const soakEnv = "NOM_SOAK"

// soakTime is how long each machine works.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv(soakEnv)
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q: give a duration such as 10m", soakEnv, text)
	}
	return d
}

// TestSoak lets machines do all kinds of work for a while: containers alone and beside each other, on cores of their own
// and on shared ones, with as many vCPUs as cores and with more.
func TestSoak(t *testing.T) {
	length := soakTime(t)
	soak := func(vcpus int) *guest {
		return run("apps/soak", length.String()).named(fmt.Sprintf("soak%d", vcpus)).on(vcpus)
	}
	// While the others work, the root container passes on what this one prints.
	chatter := func() *guest { return run("test/programs/chatter", length.String()).on(1) }
	for _, c := range []struct {
		name   string
		cpus   int
		guests []*guest
	}{
		{"1cpu-1vcpu", 1, []*guest{soak(1)}},
		{"2cpus-2vcpus", 2, []*guest{soak(2)}},
		{"4cpus-4vcpus", 4, []*guest{soak(4)}},
		{"3containers", 4, []*guest{soak(1), soak(2), soak(3), chatter()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := boot(t, hardware{cpus: c.cpus, memory: 2 * gib, patience: defaultPatience + 3*length}, c.guests...)
			var names []string
			for _, g := range c.guests {
				names = append(names, g.Name)
				e := o.want(g.Name, api.ReasonExit, 0)
				o.check(strings.HasPrefix(e.stdout, "ok ") && strings.Count(e.stdout, "\n") == 1, "%s printed %q", g.Name, e.stdout)
				stats := e.last().Stats
				o.check(stats.RunSeconds >= length.Seconds(), "%s ran for %.1f s, want %v", g.Name, stats.RunSeconds, length)
				if g.Name == "chatter" {
					want := fmt.Sprintf("ok %d bytes\n", len(e.stderr))
					o.check(e.stdout == want, "chatter printed %q, want %q", e.stdout, want)
				}
				t.Logf("%s: %s", g.Name, strings.TrimSpace(e.stdout))
			}
			o.together(names...)
		})
	}
}

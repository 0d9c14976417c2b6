package test

import (
	"strings"
	"testing"

	"nom.dev/nom/api"
)

// A program whose garbage would outgrow its memory lives, because Go is told how much there is. Without that it dies.
func TestGarbage(t *testing.T) {
	var guests []*guest
	for _, c := range []struct {
		name, keep string
		memory     uint64
		env        []string
	}{
		{"small", "10", 32 * mib, []string{"GOGC=off"}},
		{"growing", "26", 64 * mib, []string{"GOGC=400"}},
		{"off", "26", 64 * mib, []string{"GOGC=400", "GOMEMLIMIT=off"}},
	} {
		g := run("test/programs/garbage", c.keep, "300").named(c.name).on(1)
		g.Memory, g.Env = c.memory, c.env
		guests = append(guests, g)
	}
	o := boot(t, hardware{cpus: 2, memory: gib}, guests...)
	for name, want := range map[string]string{"small": "kept 10 MiB\n", "growing": "kept 26 MiB\n"} {
		e := o.want(name, api.ReasonExit, 0)
		o.check(e.stdout == want, "%s printed %q, want %q", name, e.stdout, want)
	}
	off := o.want("off", api.ReasonExit, 2)
	o.check(strings.Contains(off.stderr, "out of memory"), "without a limit it said %.300q", off.stderr)
}

// A program ends in the same way whether it touches memory that cannot be had or a system call does so for it. The
// platform holds locks then, the console's in one case, and must not wait for itself.
func TestExhausted(t *testing.T) {
	var guests []*guest
	for _, call := range []string{"read", "write"} {
		g := run("test/programs/exhaust", call).named(call).on(2)
		g.Memory = 24 * mib
		guests = append(guests, g)
	}
	o := boot(t, hardware{cpus: 2, memory: gib}, guests...)
	for _, call := range []string{"read", "write"} {
		e := o.want(call, api.ReasonExit, 2)
		o.check(strings.Contains(e.stderr, "out of memory"), "%s: said %.300q", call, e.stderr)
	}
}

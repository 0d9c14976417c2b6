package container

import (
	"slices"
	"testing"

	"nom.dev/nom/abi"
)

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20 / abi.PageSize
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"none given", Config{Pages: 64 * mib, Env: []string{"A=B"}}, []string{"A=B", "GOMEMLIMIT=56623104"}},
		{"no environment", Config{Pages: 14 * mib}, []string{"GOMEMLIMIT=9437184"}},
		{"given", Config{Pages: 64 * mib, Env: []string{"GOMEMLIMIT=1GiB", "A=B"}}, []string{"GOMEMLIMIT=1GiB", "A=B"}},
		{"off", Config{Pages: 64 * mib, Env: []string{"GOMEMLIMIT=off"}}, []string{"GOMEMLIMIT=off"}},
		{"empty", Config{Pages: 64 * mib, Env: []string{"GOMEMLIMIT="}}, []string{"GOMEMLIMIT="}},
		{"another name", Config{Pages: 24 * mib, Env: []string{"GOMEMLIMITS=1"}}, []string{"GOMEMLIMITS=1", "GOMEMLIMIT=18874368"}},
		{"tiny", Config{Pages: 7 * mib}, nil},
		{"to grow", Config{Pages: 64 * mib, Most: 128 * mib}, nil},
	} {
		if got := c.cfg.environment(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// The caller's environment is not written to.
func TestMemoryLimitCopies(t *testing.T) {
	env := append(make([]string, 0, 8), "A=B")
	cfg := Config{Pages: 1 << 14, Env: env}
	cfg.environment()
	if got := env[:2][1]; got != "" {
		t.Errorf("got %q behind the caller's environment", got)
	}
}

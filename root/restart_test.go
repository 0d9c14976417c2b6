package main

import (
	"testing"
	"time"

	"nom.dev/nom/abi/manifest"
)

func TestBackoff(t *testing.T) {
	type end struct {
		code int
		ran  time.Duration
		wait time.Duration // -1 = no restart
	}
	for _, c := range []struct {
		policy string
		ends   []end
	}{
		{"no", []end{{1, 0, -1}}},
		{"on-failure", []end{{1, 0, 100 * time.Millisecond}, {2, 0, 200 * time.Millisecond}, {0, 0, -1}}},
		{"on-failure:1", []end{{1, 0, 100 * time.Millisecond}, {1, 0, -1}}},
		{"always", []end{{0, 0, 100 * time.Millisecond}, {0, 0, 200 * time.Millisecond}, {1, time.Minute, 100 * time.Millisecond}}},
	} {
		policy, err := manifest.ParseRestart(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		b := backoff{policy: policy}
		for i, e := range c.ends {
			wait, ok := b.again(e.code, e.ran)
			if ok != (e.wait >= 0) || ok && wait != e.wait {
				t.Errorf("%s, end %d: got wait %v, %t; want %v", c.policy, i, wait, ok, e.wait)
			}
		}
	}
	b := backoff{policy: manifest.Restart{Always: true}}
	for range 20 {
		if wait, _ := b.again(0, 0); wait > longestWait {
			t.Fatalf("got a wait of %v, want at most %v", wait, longestWait)
		}
	}
}

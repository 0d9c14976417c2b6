package test

import (
	"strings"
	"testing"
)

// TestGateway: an unchanged HTTP server and client speak with a network outside through lib/net/gateway, on one virtual CPU and
// on two.
func TestGateway(t *testing.T) {
	for _, vcpus := range []int{1, 2} {
		name := []string{"", "one", "two"}[vcpus]
		t.Run(name, func(t *testing.T) {
			g := run("test/programs/gateway").on(vcpus)
			o := boot(t, hardware{cpus: vcpus + 1, memory: 1 << 30}, g)
			e := o.containers["gateway"]
			if e == nil || !strings.HasSuffix(e.stdout, "end: ok\n") || e.last().Code != 0 {
				t.Fatalf("the program did not reach its end\n%s", o.said())
			}
			t.Log(e.stdout)
		})
	}
}

package test

import (
	"strings"
	"testing"

	"nom.dev/nom/api"
)

// TestFollow takes slots, vCPUs and memory from an unchanged Go program and gives them again: its GOMAXPROCS follows.
func TestFollow(t *testing.T) {
	yes := true
	follow := run("test/programs/follow").on(3)
	follow.Memory, follow.Dedicated = 256*mib, &yes
	o := boot(t, hardware{cpus: 4, memory: 2 * gib}, follow)
	e := o.want("follow", api.ReasonExit, 0)
	o.check(strings.Count(e.stdout, "GOMAXPROCS=") == 4, "follow printed\n%s", e.stdout)
	t.Logf("the market saw\n%s", e.stdout)
}

package test

import (
	"net/netip"
	"testing"

	"nom.dev/nom/api"
)

// TestNames: an unchanged program looks names up at the name server of its network, which is another container, and its own.
func TestNames(t *testing.T) {
	server := run("test/programs/names", "serve").named("server").place("10.0.2.17/24")
	client := run("test/programs/names", "ask").named("client").place("10.0.2.18/24")
	client.Network.DNS = netip.MustParseAddr("10.0.2.17")
	o := boot(t, hardware{cpus: 2, memory: gib, netdev: "user"}, server, client)
	e := o.want("client", api.ReasonExit, 0)
	want := "client [10.0.2.18]\nsomewhere.test. [192.0.2.1]\nlast.test. [192.0.2.1]\n"
	o.check(e.stdout == want, "the client printed\n%s\nwant\n%s%s", e.stdout, want, e.stderr)
	o.want("server", api.ReasonExit, 0)
}

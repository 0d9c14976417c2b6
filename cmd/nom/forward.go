package main

import (
	"fmt"
	"strings"
)

// String is how a published port is written down: "0.0.0.0:8080->80/tcp".
func (p *published) String() string { return fmt.Sprintf("%v->%d/%s", p.host, p.port, p.protocol) }

// parseForward reads what published.String wrote. It comes back from the machine, so it is not to be believed.
func parseForward(s string) (published, error) {
	host, rest, _ := strings.Cut(s, "->")
	port, protocol, _ := strings.Cut(rest, "/")
	p, err := parsePublished(host + ":" + port + "/" + protocol)
	if err == nil && p.String() != s {
		err = fmt.Errorf("the machine says that the port %q is published", s)
	}
	return p, err
}

package main

import (
	"strings"
	"testing"

	"nom.dev/nom/abi/manifest"
)

func TestPublish(t *testing.T) {
	for _, c := range []struct {
		names, publish string
		want           string // the QEMU backend, or what the error says
	}{
		{"web", "8080:80", "user,hostfwd=tcp::8080-10.0.2.15:80"},
		{"web", "127.0.0.1:8080:80/tcp 53:53/udp", "user,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80,hostfwd=udp::53-10.0.2.15:53"},
		{"web db", "web=1:2 db=3:4", "user,hostfwd=tcp::1-10.0.2.15:2,hostfwd=tcp::3-10.0.2.16:4"},
		{"web db", "1:2", "say which container"},
		{"web", "db=1:2", "no container is called db"},
		{"web", "1:2 1:3", "published already"},
		{"web", "80", "give [CONTAINER=]"},
		{"web", "0:80", "give [CONTAINER=]"},
		{"web", "80:65536", "give [CONTAINER=]"},
		{"web", "80:80/sctp", "give [CONTAINER=]"},
		{"web", "localhost:80:80", "give [CONTAINER=]"},
		{"web", "[::1]:80:80", "give [CONTAINER=]"},
		{"web", "1:80,hostfwd=tcp::2-1.2.3.4:5", "give [CONTAINER=]"},
	} {
		flags := containerFlags{publish: strings.Fields(c.publish)}
		var containers []*container
		for _, name := range strings.Fields(c.names) {
			containers = append(containers, &container{Container: manifest.Container{Name: name}})
		}
		got, err := flags.network(containers)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("-p %s with %s: got %q, want %q", c.publish, c.names, got, c.want)
		}
	}
}

func TestDHCP(t *testing.T) {
	for _, c := range []struct {
		flags containerFlags
		n     int
		want  string // the QEMU backend, or what the error says
	}{
		{containerFlags{dhcp: true}, 2, "user"},
		{containerFlags{dhcp: true, net: true}, 2, "user"},
		{containerFlags{dhcp: true, nic: "tap,ifname=tap0"}, 2, "tap,ifname=tap0"},
		{containerFlags{dhcp: true, publish: []string{"8080:80"}}, 1, "user,hostfwd=tcp::8080-10.0.2.15:80"},
		{containerFlags{dhcp: true, publish: []string{"8080:80"}}, 2, "who gets which address"},
		{containerFlags{dhcp: true, publish: []string{"8080:80"}, nic: "user"}, 1, "leave --nic away"},
		{containerFlags{dhcp: true, stack: "gvisor"}, 1, "leave --stack away"},
	} {
		var containers []*container
		for range c.n {
			containers = append(containers, &container{})
		}
		got, err := c.flags.network(containers)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.flags, got, c.want)
		}
		for _, k := range containers {
			if err == nil && (!k.NIC || *k.Network != manifest.Network{DHCP: true}) {
				t.Errorf("%+v: the container's network is %+v", c.flags, k.Network)
			}
		}
	}
}

// Without -p and --network, --nic alone says what network card there is, and programs drive it themselves.
func TestNICAlone(t *testing.T) {
	containers := []*container{{}}
	flags := containerFlags{nic: "user"}
	if got, err := flags.network(containers); err != nil || got != "user" || containers[0].Network != nil {
		t.Errorf("got %q, %v and network %v, want user and none", got, err, containers[0].Network)
	}
	flags.publish = []string{"1:2"}
	if _, err := flags.network(containers); err == nil || !strings.Contains(err.Error(), "--nic") {
		t.Errorf("-p with --nic: got error %v, want one about --nic", err)
	}
}

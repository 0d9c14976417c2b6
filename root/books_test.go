package main

import (
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

func TestLost(t *testing.T) {
	own := container.Grant{Slots: [abi.MaxVCPUs]uint32{abi.AllSlots, abi.AllSlots}}
	less := container.Grant{Slots: [abi.MaxVCPUs]uint32{abi.AllSlots, 0xff}}
	start := balance(abi.Status{Pages: 1000, Given: 10}, own, 7)
	for _, c := range []struct {
		name string
		st   abi.Status
		own  container.Grant
		left int
		want api.Lost
	}{
		{"nothing", abi.Status{Pages: 1000, Given: 10, Attached: 500}, own, 7, api.Lost{}},
		{"pages still given", abi.Status{Pages: 1000, Given: 17}, own, 7, api.Lost{Pages: 7}},
		{"a smaller grant", abi.Status{Pages: 990, Given: 10}, own, 7, api.Lost{Pages: 10}},
		{"slots and a child", abi.Status{Pages: 1000, Given: 10, Children: 1}, less, 7, api.Lost{Slots: 8, Containers: 1}},
		{"a device", abi.Status{Pages: 1000, Given: 10}, own, 6, api.Lost{Devices: 1}},
	} {
		if got := start.lost(balance(c.st, c.own, c.left)); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

package main

import (
	"strings"
	"testing"

	"nom.dev/nom/abi"
)

// TestFunctions: the function that rested longest comes first, and who gets none learns who has them.
func TestFunctions(t *testing.T) {
	var f functions
	own := []abi.DeviceGrant{{Kind: abi.DeviceIGBVF, Index: 0}, {Kind: 99, Index: 1}, {Kind: abi.DeviceIGBVF, Index: 2}, {Kind: abi.DeviceIGBVF, Index: 3}}
	order := func() (list []uint32) {
		for _, d := range f.free(own) {
			list = append(list, d.Index)
		}
		return list
	}
	if err := f.none(nil); !strings.Contains(err.Error(), "the machine has no network functions") {
		t.Error(err)
	}
	for _, c := range []struct {
		give uint32
		next [3]uint32
	}{{0, [3]uint32{2, 3, 0}}, {2, [3]uint32{3, 0, 2}}, {3, [3]uint32{0, 2, 3}}, {2, [3]uint32{0, 3, 2}}} {
		f.gave(c.give, string(rune('a'+c.give)))
		if got := order(); [3]uint32(got) != c.next {
			t.Errorf("after function %d was given: %v, want %v", c.give, got, c.next)
		}
	}
	if err := f.none(nil); err.Error() != "no network function is free: the machine's 3 are held by a, c, d" {
		t.Error(err)
	}
	own = []abi.DeviceGrant{{Kind: 99, Index: 1}, {Kind: abi.DeviceIGBVF, Index: 4, BAR: abi.Range{Addr: 1 << 30, Size: 1 << 14}}}
	if err := f.none(own); err.Error() != "no network function is free: the machine's 4 are held by a, c, d, the machine's management API" {
		t.Error(err)
	}
}

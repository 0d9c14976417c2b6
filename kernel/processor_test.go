package main

import (
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/cpu"
)

// fakeHost is a processor of which only the bits that count are set.
type fakeHost struct{ svm, npt, vmx uint32 }

func (fakeHost) Phys(_, n uint64) []byte   { return make([]byte, n) }
func (fakeHost) Pages(int) (uint64, error) { return abi.PageSize, nil }
func (h fakeHost) CPUID(leaf, _ uint32) (a, b, c, d uint32) {
	switch leaf {
	case cpu.LeafVendor:
		a = 0x16
	case cpu.LeafFeatures:
		c = h.vmx << 5
	case cpu.LeafExtended:
		a = cpu.LeafSVM
	case 0x8000_0001:
		c = h.svm << 2
	case cpu.LeafSVM:
		d = h.npt
	}
	return a, b, c, d
}

// TestProcessor: who has what is needed gets a backend, others one line that says what is missing.
func TestProcessor(t *testing.T) {
	for _, c := range []struct {
		host fakeHost
		want string // "" = a backend
	}{
		{fakeHost{svm: 1, npt: 1}, ""}, {fakeHost{svm: 1, npt: 1, vmx: 1}, ""}, {fakeHost{svm: 1}, "without nested paging"},
		{fakeHost{vmx: 1}, "has VMX"}, {fakeHost{npt: 1}, "no virtualization"}, {fakeHost{}, "no virtualization"},
	} {
		b, err := processor(c.host)
		switch {
		case (err == nil) != (b != nil), (err == nil) != (c.want == ""):
			t.Errorf("%+v: got %v, %v", c.host, b, err)
		case err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%+v: got %q, want something with %q", c.host, err, c.want)
		}
	}
}

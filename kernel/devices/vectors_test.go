package devices

import (
	"testing"

	hwpci "nom.dev/nom/hw/pci"
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/kernel/iommu"
	"nom.dev/nom/kernel/pci"
)

// fakeCores is the cores and the IOMMU of a machine: where each vCPU is, and what was raised there.
type fakeCores struct {
	iommu.Unit // of which only Route is called
	place      map[*container.VCPU]int
	direct     bool
	raised     []uint8
	routed     int
}

func (c *fakeCores) Place(v *container.VCPU) (int, bool) { return c.place[v], c.direct }

func (c *fakeCores) Forward(int, uint8, *container.VCPU, uint8) error { return nil }

func (c *fakeCores) Interrupt(_ *container.VCPU, vector uint8) { c.raised = append(c.raised, vector) }

func (c *fakeCores) Route(iommu.RID, int, uint8, uint32) (hwpci.Message, error) {
	c.routed++
	return hwpci.Message{}, nil
}

// TestRetime: whoever's interrupts are moved to another core, or become its own or the nonkernel's there, gets one more, because one may
// have been lost on the way. Others get none.
func TestRetime(t *testing.T) {
	v := new(container.VCPU)
	cores := &fakeCores{place: map[*container.VCPU]int{v: 1}}
	f := &function{pci: new(pci.Function)}
	s := &Set{m: cores, unit: cores, functions: []*function{f}, vectors: make([]vectors, 3), apic: make([]uint32, 3)}
	const vector = 0x50
	f.entry[0] = entry{v: v, guest: vector}
	s.place(f, 0)
	for _, step := range []struct {
		what   string
		core   int
		direct bool
		raised int // beyond those before
	}{
		{"nothing changes", 1, false, 0},
		{"the core becomes its own", 1, true, 1},
		{"nothing changes", 1, true, 0},
		{"the core is shared again", 1, false, 1},
		{"another core", 2, false, 1},
		{"no core", -1, false, 1},
		{"still none", -1, false, 0},
		{"a core again: what came waits in the function", 1, true, 0},
	} {
		cores.place[v], cores.direct, cores.raised = step.core, step.direct, nil
		s.retime(step.core)
		if len(cores.raised) != step.raised || step.raised != 0 && cores.raised[0] != vector {
			t.Errorf("%s: got %#x raised, want %d", step.what, cores.raised, step.raised)
		}
		if e := f.entry[0]; e.placed != (step.core >= 0) || e.placed && (e.core != step.core || e.direct != step.direct) {
			t.Errorf("%s: got %+v", step.what, e)
		}
	}
	if cores.routed != 5 {
		t.Errorf("routed %d times, want 5", cores.routed)
	}
}

package core

import (
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/metal"
)

// Hooks are told what devices must follow; each is called with the kernel's lock held.
type Hooks struct {
	// Retime: the timetable of core has changed, so vCPUs may run elsewhere, or by themselves.
	Retime func(core int)
	// Shootdown returns when no device of c can use an older translation.
	Shootdown func(c *container.Container)
}

// SetHooks is called once, before Run.
func (m *Machine) SetHooks(h Hooks) { m.hooks = h }

// Place says on which core v runs, -1 for none, and whether that is its own.
func (m *Machine) Place(v *container.VCPU) (core int, direct bool) {
	core = v.Core()
	return core, core > 0 && m.kernel.Timetable().Dedicated(core) == v
}

// Forward makes interrupts that core gets for the nonkernel under vector go to v, as guest; v nil takes that away.
func (m *Machine) Forward(core int, vector uint8, v *container.VCPU, guest uint8) error {
	if v == nil {
		return metal.Route(core, vector, nil, 0)
	}
	return metal.Route(core, vector, v.Backend.(*vcpu).world.Platform(), guest)
}

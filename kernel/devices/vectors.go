package devices

import (
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/container"
)

// Where interrupts of functions arrive. On a core that a vCPU has for itself the function raises the guest's own vector, which goes
// straight into the guest; on a shared core it raises a vector of the nonkernel's, which is forwarded.

// machine is what is needed of a core.Machine.
type machine interface {
	Place(v *container.VCPU) (core int, direct bool)
	Forward(core int, vector uint8, v *container.VCPU, guest uint8) error
	Interrupt(v *container.VCPU, vector uint8)
}

// entry is one MSI-X vector of a function.
type entry struct {
	v      *container.VCPU // whose it is; nil = never routed
	guest  uint8           // the vector that the guest sees
	core   int             // where it goes now; valid when placed
	host   uint8           // and under which vector
	direct bool
	placed bool
	masked bool
}

// vectors says which vectors of a core are taken.
type vectors struct{ users [256]int }

// take finds a vector: the wanted one on a core of the guest's own, else a free one.
func (v *vectors) take(wanted uint8, direct bool) (uint8, bool) {
	if direct {
		v.users[wanted]++
		return wanted, true
	}
	for n := abi.LastDeviceVector; n >= abi.FirstDeviceVector; n-- {
		if v.users[n] == 0 {
			v.users[n]++
			return uint8(n), true
		}
	}
	return 0, false
}

// Route sends an entry of d to a vCPU, and opens it.
func (s *Set) Route(d *container.Device, index int, v *container.VCPU, vector uint8) {
	f := d.Backend.(*function)
	s.unplace(f, index)
	f.entry[index] = entry{v: v, guest: vector}
	s.place(f, index)
}

// Mask closes or opens an entry.
func (s *Set) Mask(d *container.Device, index int, masked bool) bool {
	f := d.Backend.(*function)
	e := &f.entry[index]
	if e.v == nil {
		return false
	}
	if e.masked == masked {
		return true
	}
	e.masked = masked
	if masked {
		s.check(f, f.pci.MaskVector(index))
		return true
	}
	s.unplace(f, index)
	s.place(f, index)
	return true
}

// place makes an entry arrive where its vCPU is.
func (s *Set) place(f *function, index int) {
	e := &f.entry[index]
	if e.v == nil || e.masked {
		return
	}
	at, direct := s.m.Place(e.v)
	if at < 0 {
		s.check(f, f.pci.MaskVector(index)) // it waits in the function until the vCPU has a core
		return
	}
	host, ok := s.vectors[at].take(e.guest, direct)
	if !ok {
		s.check(f, fmt.Errorf("core %d has no free vector", at))
		return
	}
	e.core, e.host, e.direct, e.placed = at, host, direct, true
	s.check(f, s.m.Forward(at, host, e.v, e.guest))
	message, err := s.unit.Route(f.pci.RID, index, host, s.apic[at])
	if err != nil {
		s.check(f, err)
		return
	}
	s.check(f, f.pci.SetVector(index, message))
}

// unplace closes an entry and takes its vector back.
func (s *Set) unplace(f *function, index int) {
	e := &f.entry[index]
	if !e.placed {
		return
	}
	s.check(f, f.pci.MaskVector(index))
	users := &s.vectors[e.core].users[e.host]
	if *users--; *users == 0 {
		s.check(f, s.m.Forward(e.core, e.host, nil, 0))
	}
	e.placed = false
}

// retime moves the entries whose vCPUs moved. What arrives on the way waits in the function's table. What was on its way already may be
// lost: a core that gets it when the nonkernel no longer knows whose it was, and a guest that still has its core for itself, until it is
// kicked, and gets it under the vector that was meant for the nonkernel. So each guest gets its vector once more: it looks for nothing then,
// where it might have waited for ever.
func (s *Set) retime(int) {
	for _, f := range s.functions {
		for i := range f.entry {
			e := &f.entry[i]
			if e.v == nil {
				continue
			}
			if at, direct := s.m.Place(e.v); e.placed && at == e.core && direct == e.direct {
				continue
			}
			moved := e.placed
			s.unplace(f, i)
			s.place(f, i)
			if moved {
				s.m.Interrupt(e.v, e.guest)
			}
		}
	}
}

// check reports what should not happen with a function; its container goes without the interrupt.
func (s *Set) check(f *function, err error) {
	if err != nil {
		fmt.Printf("nom: interrupts of %v: %v\n", f.pci, err)
	}
}

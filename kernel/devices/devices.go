// Package devices is the nonkernel's hand on real devices: it finds the machine's IOMMU and network card at boot, and does for
// package container what a function needs that changes hands.
//
// It is made of packages that know the hardware (kernel/pci, kernel/iommu) and adds only who has what. It drives no data: a
// function's queues belong to its container. It must never let a function reach memory before the IOMMU holds it, nor hand one
// on that has not been reset.
package devices

import (
	"errors"
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/acpi"
	"nom.dev/nom/hw/igb"
	hwpci "nom.dev/nom/hw/pci"
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/kernel/core"
	igbpf "nom.dev/nom/kernel/igb"
	"nom.dev/nom/kernel/iommu"
	"nom.dev/nom/kernel/npt"
	"nom.dev/nom/kernel/pci"
	"nom.dev/nom/metal"
)

// Set is all devices that containers can hold. Its methods are called with the kernel's lock held.
type Set struct {
	m         machine
	unit      iommu.Unit
	card      *igbpf.PF
	functions []*function
	domains   map[*container.Container]*domain
	vectors   []vectors // by core
	apic      []uint32  // by core
	bug       func(error)
	journal   journal       // guarded by itself
	limited   chan struct{} // a function has got a limit
}

// domain is what the functions of one container reach.
type domain struct {
	*iommu.Domain
	set   *Set
	owner *container.Container
	users int
}

// Map makes memory reachable, at once: a present entry that was absent needs a flush on some units only, and Flush knows.
func (d *domain) Map(gpa, pa, size uint64, write bool) error {
	if err := d.Domain.Map(gpa, pa, size, write); err != nil {
		return err
	}
	return d.Flush()
}

// Close frees at most limit pages of tables of a domain that no function uses any more.
func (d *domain) Close(limit int) (done bool) {
	done, err := d.Domain.Close(limit)
	if err != nil {
		d.set.bug(fmt.Errorf("closing the domain of %q: %w", d.owner.Name, err))
		return true // its pages are lost: the unit may still look into them
	}
	if done {
		delete(d.set.domains, d.owner)
	}
	return done
}

// DMAPages is container.Config's.
func DMAPages(memory uint64) uint64 { return iommu.DomainPages(memory) }

// ErrNone says that the machine has nothing to give away.
var ErrNone = errors.New("no devices for containers")

// where devices below 4 GiB may be put: above the configuration space, below the I/O APIC.
var hole = hwpci.Window{Base: 0xc000_0000, Limit: 0xfdff_ffff}

// Open takes the IOMMU and the network card over. ErrNone, wrapped, is for a machine that has not both.
func Open(m *core.Machine, boot *abi.BootPage, bug func(error)) (*Set, []*container.Device, error) {
	units, problem := acpi.Find(memory, boot.RSDP, acpi.SigDMAR)
	spaces, problem2 := acpi.Find(memory, boot.RSDP, acpi.SigMCFG)
	space, ok := spaces.ConfigSpace(0)
	base, ok2 := unitBase(units)
	if problem != 0 || problem2 != 0 || !ok || !ok2 {
		return nil, nil, fmt.Errorf("the machine has no IOMMU: %w", ErrNone)
	}
	buses, err := pci.Scan(pci.Options{
		Config: pci.ECAM{Memory: registers{}, Space: space}, Memory: registers{}, Clock: clock{}, First: space.First, Last: space.Last, Free: hole,
	})
	if err != nil {
		return nil, nil, err
	}
	cards := buses.Find(igb.Vendor, igb.Device)
	if len(cards) == 0 {
		return nil, nil, fmt.Errorf("the machine has no network card with virtual functions: %w", ErrNone)
	}
	unit, err := iommu.OpenVTD(iommu.VTDOptions{Base: base, Memory: registers{}, Clock: clock{}, Pages: pages{m: m}})
	if err != nil {
		return nil, nil, err
	}
	s := &Set{m: m, unit: unit, domains: make(map[*container.Container]*domain), bug: bug, limited: make(chan struct{}, 1)}
	for i := range int(boot.NumCPUs) {
		id, err := metal.Stat(apicID, uint64(i))
		if err != nil {
			return nil, nil, err
		}
		s.apic = append(s.apic, uint32(id))
		s.vectors = append(s.vectors, vectors{})
	}
	vfs, err := s.openCard(cards[0])
	if err != nil {
		return nil, nil, err
	}
	var list []*container.Device
	for i, vf := range vfs {
		filter := s.card.Filter(i)
		f := &function{pci: vf, number: i}
		f.device = &container.Device{
			ID: uint32(i), Kind: abi.DeviceIGBVF, BAR: vf.BARs[0].Base, BARSize: vf.BARs[0].Size,
			Vectors: uint32(min(vf.Vectors(), igb.VFVectors)), MaxFrame: uint32(filter.MaxFrame), MAC: filter.MAC, Backend: f,
		}
		s.functions = append(s.functions, f)
		list = append(list, f.device)
	}
	m.SetHooks(core.Hooks{Retime: s.retime, Shootdown: s.shootdown})
	return s, list, nil
}

// openCard resets the card and makes its virtual functions, all closed.
func (s *Set) openCard(f *pci.Function) ([]*pci.Function, error) {
	if err := f.Start(true); err != nil {
		return nil, err
	}
	var err error
	if s.card, err = igbpf.Open(igbpf.Options{BAR: f.BARs[0].Base, Memory: registers{}, Clock: clock{}, Loopback: true}); err != nil {
		return nil, err
	}
	vfs, err := f.EnableVFs(min(igbpf.MaxFunctions, f.TotalVFs()))
	if err != nil {
		return nil, err
	}
	return vfs, s.card.Setup(len(vfs))
}

// unitBase is where the registers of the IOMMU are that covers the card: the one that covers all devices, or the only one.
func unitBase(t acpi.Table) (base uint64, ok bool) {
	dmar, ok := t.DMAR()
	if !ok {
		return 0, false
	}
	units := 0
	for r, at, ok := dmar.Next(0); ok; r, at, ok = dmar.Next(at) {
		if r.Type != acpi.DMARUnit {
			continue
		}
		if r.All {
			return r.Base, true
		}
		base = r.Base
		units++
	}
	return base, units == 1
}

// function is one virtual function.
type function struct {
	device *container.Device
	pci    *pci.Function
	number int
	busy   chan struct{} // closed when a reset that goes on is over; nil = it can be given away
	failed error         // a reset that did not work: nobody gets it any more
	entry  [igb.VFVectors]entry
}

// ready says whether f can be given away.
func (f *function) ready() error {
	if f.busy != nil {
		select {
		case <-f.busy:
			f.busy = nil
		default:
			return errors.New("it is being reset")
		}
	}
	return f.failed
}

// Attach lets d reach the memory of its holder.
func (s *Set) Attach(d *container.Device, source npt.Source) (container.DMA, error) {
	f := d.Backend.(*function)
	if err := f.ready(); err != nil {
		return nil, err
	}
	c := d.Holder()
	dom := s.domains[c]
	if dom == nil {
		n, err := s.unit.NewDomain(c.Name, c.Tables.Memory(), charged{source})
		if err != nil {
			return nil, err
		}
		dom = &domain{Domain: n, set: s, owner: c}
		s.domains[c] = dom
	}
	if err := s.open(d, f, dom); err != nil {
		for dom.users == 0 && !dom.Close(1) { // nothing is mapped yet
		}
		return nil, err
	}
	return dom, nil
}

// open lets a function work in a domain.
func (s *Set) open(d *container.Device, f *function, dom *domain) error {
	if err := s.unit.Attach(f.pci.RID, dom.Domain); err != nil {
		return err
	}
	dom.users++
	s.journal.restart(f.number)
	err := f.pci.Start(true)
	if err == nil {
		f.pci.EnableVectors(true)
		err = s.card.Open(f.number)
	}
	if err != nil {
		s.Detach(d)
	}
	return err
}

// Detach stops d for good before it returns; the reset goes on, and until it is over nobody gets the function.
func (s *Set) Detach(d *container.Device) {
	f := d.Backend.(*function)
	for i := range f.entry {
		s.unplace(f, i)
		f.entry[i] = entry{}
	}
	f.pci.Stop()
	closed := s.card.Close(f.number)
	s.blocked() // while it is known whose it was
	if err := errors.Join(closed, s.unit.Detach(f.pci.RID), s.unit.Unroute(f.pci.RID)); err != nil {
		f.failed = err
		s.bug(fmt.Errorf("taking %v from %q: %w", f.pci, d.Holder().Name, err))
	}
	if dom := s.domains[d.Holder()]; dom != nil {
		dom.users--
	}
	done := make(chan struct{})
	f.busy = done
	go func() {
		if err := errors.Join(f.pci.Reset(), s.card.Clean(f.number)); err != nil {
			f.failed = err
			fmt.Printf("nom: %v is out of use: %v\n", f.pci, err)
		}
		close(done)
	}()
}

// shootdown returns when no function of c reaches what was unmapped.
func (s *Set) shootdown(c *container.Container) {
	if dom := s.domains[c]; dom != nil {
		if err := dom.Flush(); err != nil {
			s.bug(err)
		}
	}
}

package pci

import (
	"fmt"
	"slices"

	"nom.dev/nom/hw/pci"
)

// windows are the two windows of a bridge.
func (f *Function) windows() (memory, prefetch pci.Window) {
	return pci.DecodeMemory(f.read(pci.RegMemory)),
		pci.DecodePrefetch(f.read(pci.RegPrefetch), f.read(pci.RegPrefetchBase), f.read(pci.RegPrefetchLimit))
}

// used lists all addresses that are taken, in order.
func (m *Machine) used() []pci.Window {
	var list []pci.Window
	for _, f := range m.Functions {
		for _, b := range f.BARs {
			if b.Size != 0 && b.Base != 0 && !b.IO {
				list = append(list, pci.Window{Base: b.Base, Limit: b.Base + b.Size - 1})
			}
		}
		if !f.bridge {
			continue
		}
		memory, prefetch := f.windows()
		for _, w := range []pci.Window{memory, prefetch} {
			if w.Open() {
				list = append(list, w)
			}
		}
	}
	slices.SortFunc(list, func(a, b pci.Window) int {
		if a.Base < b.Base {
			return -1
		}
		return 1
	})
	return list
}

// hole finds size free bytes at a multiple of align, a power of two.
func (m *Machine) hole(size, align uint64) (uint64, error) {
	free := m.options.Free
	at := (free.Base + align - 1) &^ (align - 1)
	for _, w := range m.used() {
		if w.Limit < w.Base { // a device says that it goes beyond the last address
			w.Limit = ^uint64(0)
		}
		if w.Limit < at {
			continue
		}
		if at+size-1 < w.Base {
			break
		}
		if w.Limit >= free.Limit {
			at = free.Limit + 1
			break
		}
		at = (w.Limit + align) &^ (align - 1)
	}
	if size > 1<<32 || at+size-1 > free.Limit {
		return 0, fmt.Errorf("pci: no %#x free bytes for devices in %#x to %#x: use fewer functions", size, free.Base, free.Limit)
	}
	return at, nil
}

// claim is addresses that something wants: units times size bytes, at a multiple of size. set is told where.
type claim struct {
	size, units uint64
	set         func(base uint64)
}

// place finds room for all claims of a function, and for its registers that have no place yet, and tells them. Behind a bridge the
// bridge's prefetchable window is moved there, with everything that was in it.
func (f *Function) place(claims []claim) error {
	if f.Parent == nil {
		return f.machine.settle(append(claims, f.inside(pci.Closed)...), 1, nil)
	}
	port := f.Parent
	if port.Parent != nil {
		return fmt.Errorf("pci: place %v, which is behind the switch %v: put it into a root port: %w", f, port, ErrUnsupported)
	}
	_, old := port.windows()
	for _, other := range f.machine.Functions {
		if other.Parent == port && other.bridge {
			return fmt.Errorf("pci: place %v beside the bridge %v: put it into a root port of its own: %w", f, other, ErrUnsupported)
		}
		if other.Parent == port {
			claims = append(claims, other.inside(old)...)
		}
	}
	return f.machine.settle(claims, pci.WindowGranularity, port)
}

// inside are the claims of a function's registers that lie in a window, or nowhere yet.
func (f *Function) inside(w pci.Window) []claim {
	var claims []claim
	for i, b := range f.BARs {
		unplaced := b.Base == 0
		if b.Size == 0 || b.IO || !unplaced && (b.Base < w.Base || b.Base > w.Limit) {
			continue
		}
		claims = append(claims, claim{b.Size, 1, func(base uint64) { f.setBAR(i, base) }})
	}
	return claims
}

// settle places claims, the largest first, so that few bytes are lost between them. With a port they become its prefetchable window.
func (m *Machine) settle(claims []claim, granularity uint64, port *Function) error {
	slices.SortStableFunc(claims, func(a, b claim) int {
		if a.size > b.size {
			return -1
		}
		if a.size < b.size {
			return 1
		}
		return 0
	})
	total, align := uint64(0), granularity
	offsets := make([]uint64, len(claims))
	for i, c := range claims {
		if c.size&(c.size-1) != 0 || c.size > 1<<32 {
			return fmt.Errorf("pci: place a register of %#x bytes below 4 GiB: %w", c.size, ErrUnsupported)
		}
		offsets[i] = (total + c.size - 1) &^ (c.size - 1)
		total = offsets[i] + c.size*c.units
		align = max(align, c.size)
	}
	if total == 0 {
		return nil
	}
	total = (total + granularity - 1) &^ (granularity - 1)
	base, err := m.hole(total, align)
	if err != nil {
		return err
	}
	if port != nil {
		port.movePrefetch(pci.Window{Base: base, Limit: base + total - 1})
	}
	for i, c := range claims {
		c.set(base + offsets[i])
	}
	return nil
}

// movePrefetch moves a bridge's prefetchable window below 4 GiB and lets it pass memory both ways.
func (f *Function) movePrefetch(w pci.Window) {
	f.write(pci.RegPrefetch, pci.EncodeMemory(pci.Closed))
	f.write(pci.RegPrefetchBase, 0)
	f.write(pci.RegPrefetchLimit, 0)
	f.write(pci.RegPrefetch, pci.EncodeMemory(w))
	f.enable(pci.CommandMemory | pci.CommandMaster)
}

// setBAR writes a base address register, while the function does not decode.
func (f *Function) setBAR(i int, base uint64) {
	f.BARs[i].Base = base
	command := f.read(pci.RegCommand) & pci.CommandMask
	f.write(pci.RegCommand, command&^pci.CommandMemory)
	defer f.write(pci.RegCommand, command)
	at := pci.RegBAR0 + 4*uint32(i)
	f.write(at, uint32(base))
	if f.BARs[i].Wide {
		f.write(at+4, uint32(base>>32))
	}
}

// enable sets bits of the command register.
func (f *Function) enable(bits uint32) {
	f.write(pci.RegCommand, f.read(pci.RegCommand)&pci.CommandMask|bits)
}

// Start lets a physical function decode its registers, which get places if they have none, and with master access memory. Behind
// bridges the bridges pass it on.
func (f *Function) Start(master bool) error {
	if f.Physical == nil && len(f.inside(pci.Closed)) > 0 {
		if err := f.place(nil); err != nil {
			return err
		}
	}
	bits := uint32(pci.CommandMemory)
	if master {
		bits |= pci.CommandMaster
	}
	for b := f.Parent; b != nil; b = b.Parent {
		b.enable(bits)
	}
	f.enable(bits)
	return nil
}

// Stop takes a function's access to memory away; it still decodes its registers.
func (f *Function) Stop() {
	f.write(pci.RegCommand, f.read(pci.RegCommand)&pci.CommandMask&^pci.CommandMaster)
}

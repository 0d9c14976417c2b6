package pci

import (
	"fmt"
	"time"

	"nom.dev/nom/hw/pci"
)

// Limits of a reset.
const (
	drainTime  = 100 * time.Millisecond // for transactions under way; after that the reset has to end them
	returnTime = time.Second            // until the function answers again
	pollTime   = time.Millisecond
)

// Reset resets a function and nothing around it (FLR), so that it forgets what its last holder did and accesses no memory. Its
// registers decode again afterwards; its MSI-X table is empty and switched off. It takes pci.FLRMillis or a little more. After an
// error the function must not be given to anybody.
func (f *Function) Reset() error {
	if f.express == 0 || f.read(f.express+pci.ExpressDevCap)&pci.DevCapFLR == 0 {
		return fmt.Errorf("pci: reset %v: it has no function-level reset: %w", f, ErrUnsupported)
	}
	clock := f.machine.options.Clock
	f.write(pci.RegCommand, 0)
	f.wait(drainTime, func() bool { return f.read(f.express+pci.ExpressDevCtl)&pci.DevStaPending == 0 })
	at := f.express + pci.ExpressDevCtl
	f.write(at, f.read(at)&pci.DevCtlMask|pci.DevCtlFLR)
	clock.Sleep(pci.FLRMillis * time.Millisecond)
	answers := func() bool {
		header := f.read(f.express)
		return header != pci.Absent && header&0xff == pci.CapExpress
	}
	if !f.wait(returnTime, answers) {
		return fmt.Errorf("pci: reset %v: it has not come back after %v", f, returnTime)
	}
	if f.Physical == nil {
		for i, b := range f.BARs {
			if b.Size != 0 {
				f.setBAR(i, b.Base)
			}
		}
	}
	f.enable(pci.CommandMemory)
	return nil
}

// wait polls until done or the time is over.
func (f *Function) wait(limit time.Duration, done func() bool) bool {
	clock := f.machine.options.Clock
	for end := clock.Now() + limit; !done(); clock.Sleep(pollTime) {
		if clock.Now() >= end {
			return false
		}
	}
	return true
}

// Vectors is how many MSI-X vectors a function has.
func (f *Function) Vectors() int {
	if f.msix == 0 {
		return 0
	}
	return int(pci.MSIXVectors(f.read(f.msix + pci.MSIXControl)))
}

// entry is where the entry of a vector is.
func (f *Function) entry(vector int) (uint64, error) {
	if vector < 0 || vector >= f.Vectors() {
		return 0, fmt.Errorf("pci: vector %d of %v: it has %d", vector, f, f.Vectors())
	}
	bar, offset := pci.MSIXPlace(f.read(f.msix + pci.MSIXTable))
	at := uint64(offset) + uint64(vector)*pci.EntrySize
	if bar > 5 || f.BARs[bar].IO || at+pci.EntrySize > f.BARs[bar].Size {
		return 0, fmt.Errorf("pci: vector %d of %v: its table is said to be at BAR%d+%#x, where it cannot be", vector, f, bar, at)
	}
	return f.BARs[bar].Base + at, nil
}

// SetVector lets a vector send a message.
func (f *Function) SetVector(vector int, m pci.Message) error {
	at, err := f.entry(vector)
	if err != nil {
		return err
	}
	mem := f.machine.options.Memory
	mem.Write32(at+pci.EntryControl, pci.EntryMasked)
	mem.Write32(at+pci.EntryAddress, uint32(m.Address))
	mem.Write32(at+pci.EntryUpper, uint32(m.Address>>32))
	mem.Write32(at+pci.EntryData, m.Data)
	mem.Write32(at+pci.EntryControl, 0)
	return nil
}

// MaskVector lets a vector send nothing; what it would send is kept back.
func (f *Function) MaskVector(vector int) error {
	at, err := f.entry(vector)
	if err != nil {
		return err
	}
	f.machine.options.Memory.Write32(at+pci.EntryControl, pci.EntryMasked)
	return nil
}

// EnableVectors switches MSI-X on or off.
func (f *Function) EnableVectors(on bool) {
	if f.msix == 0 {
		return
	}
	v := f.read(f.msix+pci.MSIXControl) &^ (pci.MSIXEnable | pci.MSIXMask)
	if on {
		v |= pci.MSIXEnable
	}
	f.write(f.msix+pci.MSIXControl, v)
}

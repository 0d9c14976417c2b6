// Package pci finds the functions of a machine and prepares those that containers will hold: it gives base address registers their
// places, switches virtual functions (SR-IOV) on, resets functions and writes their MSI-X tables.
//
// It follows the PCI Express Base Specification 5.0 (package hw/pci) and was tried on QEMU's q35 with functions in root ports. It
// decides nothing: who gets a function, and what its interrupts mean, is told to it. Configuration space and registers are reached
// only through the accessors that the owner injects. It must never believe a device: what one says of itself is bounded here.
//
// The package has no lock: the caller holds one. Calls that wait for hardware say how long.
package pci

import (
	"errors"
	"fmt"
	"time"

	"nom.dev/nom/hw/acpi"
	"nom.dev/nom/hw/pci"
)

// RID is a requester id: bus, device and function.
type RID = pci.RID

// Config reaches the configuration space of all functions. Offsets are multiples of 4 below pci.ConfigSize; what is not there reads
// as ones.
type Config interface {
	Read32(rid RID, offset uint32) uint32
	Write32(rid RID, offset uint32, v uint32)
}

// Memory reaches the registers of devices, by physical address.
type Memory interface {
	Read32(pa uint64) uint32
	Write32(pa uint64, v uint32)
}

// Clock is the machine's.
type Clock interface {
	Now() time.Duration
	Sleep(d time.Duration)
}

// ECAM is the configuration space that the firmware's MCFG says is mapped.
type ECAM struct {
	Memory Memory
	Space  acpi.ConfigSpace
}

// Read32 reads a register.
func (e ECAM) Read32(rid RID, offset uint32) uint32 {
	at, ok := e.Space.Function(rid.Bus(), rid.Device(), rid.Function())
	if !ok {
		return pci.Absent
	}
	return e.Memory.Read32(at + uint64(offset))
}

// Write32 writes a register.
func (e ECAM) Write32(rid RID, offset uint32, v uint32) {
	if at, ok := e.Space.Function(rid.Bus(), rid.Device(), rid.Function()); ok {
		e.Memory.Write32(at+uint64(offset), v)
	}
}

// Machine is what there is on the buses of a machine.
type Machine struct {
	Functions []*Function // in order of discovery; virtual functions are not among them
	options   Options
}

// Options say how to reach the machine and what may be used of it.
type Options struct {
	Config Config
	Memory Memory
	Clock  Clock
	First  uint8      // the root bus
	Last   uint8      // the last bus whose configuration space is mapped
	Free   pci.Window // addresses for devices, below 4 GiB; what devices have of it already is left alone
}

// Function is a physical or a virtual function. Its fields do not change, but for BARs when something is placed.
type Function struct {
	RID      RID
	Vendor   uint16
	Device   uint16
	Class    uint32
	BARs     [6]pci.BAR // by register; the upper half of a wide one is empty
	Parent   *Function  // the bridge that it is behind; nil on the root bus
	Physical *Function  // of a virtual function, whose it is; else nil
	Number   int        // of a virtual function: which one

	machine     *Machine
	bridge      bool
	secondary   uint8
	subordinate uint8
	express     uint32 // offset of the PCI Express capability, 0 = none
	msix        uint32 // offset of the MSI-X capability, 0 = none
}

// ErrUnsupported is returned for what a device or its place in the machine cannot do.
var ErrUnsupported = errors.New("not supported")

// String is the function's place and ids, for messages.
func (f *Function) String() string { return fmt.Sprintf("%v [%04x:%04x]", f.RID, f.Vendor, f.Device) }

func (f *Function) read(offset uint32) uint32     { return f.machine.options.Config.Read32(f.RID, offset) }
func (f *Function) write(offset uint32, v uint32) { f.machine.options.Config.Write32(f.RID, offset, v) }

// Scan visits all functions that can be reached from the root bus. Bridges there that have no bus numbers get some.
func Scan(o Options) (*Machine, error) {
	if o.Free.Limit > 0xffff_ffff || !o.Free.Open() {
		return nil, fmt.Errorf("pci: free addresses %#x to %#x: they must be below 4 GiB", o.Free.Base, o.Free.Limit)
	}
	m := &Machine{options: o}
	s := scan{m: m, last: o.First}
	s.bus(o.First, nil)
	for _, b := range s.unnumbered {
		s.number(b)
	}
	return m, nil
}

// scan is the state of a visit. last is the highest bus number that a bridge has.
type scan struct {
	m          *Machine
	seen       [256]bool
	last       uint8
	unnumbered []*Function
}

func (s *scan) bus(bus uint8, parent *Function) {
	if s.seen[bus] {
		return
	}
	s.seen[bus] = true
	for device := range uint8(32) {
		for function := range uint8(8) {
			rid := pci.NewRID(bus, device, function)
			header, there := s.function(rid, parent)
			if _, many := pci.Header(header); function == 0 && (!there || !many) {
				break
			}
		}
	}
}

// function looks at one place.
func (s *scan) function(rid RID, parent *Function) (header uint32, there bool) {
	f := &Function{RID: rid, Parent: parent, machine: s.m}
	id := f.read(pci.RegID)
	if id&0xffff == 0xffff || id == 0 {
		return 0, false
	}
	header = f.read(pci.RegHeader)
	kind, _ := pci.Header(header)
	f.Vendor, f.Device, f.Class, f.bridge = uint16(id), uint16(id>>16), pci.Class(f.read(pci.RegClass)), kind == pci.HeaderBridge
	f.findCapabilities()
	f.sizeBARs(pci.NumBARs(kind))
	s.m.Functions = append(s.m.Functions, f)
	if f.bridge {
		s.bridge(f)
	}
	return header, true
}

// bridge visits what is behind a bridge. Numbers that do not lie behind the bridge's own bus, or that were seen, are not followed.
func (s *scan) bridge(f *Function) {
	_, secondary, subordinate := pci.Buses(f.read(pci.RegBuses))
	if secondary == 0 && f.Parent == nil {
		s.unnumbered = append(s.unnumbered, f)
		return
	}
	if secondary <= f.RID.Bus() || subordinate < secondary || subordinate > s.m.options.Last || f.Parent != nil && subordinate > f.Parent.subordinate {
		return
	}
	f.secondary, f.subordinate = secondary, subordinate
	s.last = max(s.last, subordinate)
	s.bus(secondary, f)
}

// number gives a bridge on the root bus the next bus and visits it.
func (s *scan) number(f *Function) {
	if s.last >= s.m.options.Last {
		return
	}
	s.last++
	f.secondary, f.subordinate = s.last, s.last
	f.write(pci.RegBuses, pci.EncodeBuses(f.read(pci.RegBuses), f.RID.Bus(), s.last, s.last))
	s.bus(s.last, f)
}

// Find lists the functions with an id.
func (m *Machine) Find(vendor, device uint16) []*Function {
	var found []*Function
	for _, f := range m.Functions {
		if f.Vendor == vendor && f.Device == device {
			found = append(found, f)
		}
	}
	return found
}

// FindClass lists the functions of a class.
func (m *Machine) FindClass(class uint32) []*Function {
	var found []*Function
	for _, f := range m.Functions {
		if f.Class == class {
			found = append(found, f)
		}
	}
	return found
}

func (f *Function) findCapabilities() {
	f.express, _ = pci.Find(f.read, pci.CapExpress, pci.ExpressSize)
	f.msix, _ = pci.Find(f.read, pci.CapMSIX, pci.MSIXSize)
}

// sizeBARs reads n base address registers and finds out their sizes, for which the function does not decode for a moment.
func (f *Function) sizeBARs(n uint32) {
	if f.Class == pci.ClassHostBridge {
		return
	}
	command := f.read(pci.RegCommand) & pci.CommandMask
	f.write(pci.RegCommand, command&^(pci.CommandMemory|pci.CommandIO))
	f.probe(pci.RegBAR0, n, &f.BARs)
	f.write(pci.RegCommand, command)
}

// probe decodes n base address registers at an offset; they are as before afterwards.
func (f *Function) probe(at, n uint32, bars *[6]pci.BAR) {
	for i := uint32(0); i < n; i++ {
		low, lowMask := f.ones(at + 4*i)
		var high, highMask uint32
		wide := low&(pci.BARIO|pci.BARTypeMask) == pci.BARType64
		if wide && i+1 < n {
			high, highMask = f.ones(at + 4*i + 4)
		}
		bars[i] = pci.DecodeBAR(low, high, lowMask, highMask)
		if wide {
			i++
		}
	}
}

// ones reads a register and what it reads as after ones were written to it.
func (f *Function) ones(at uint32) (was, mask uint32) {
	was = f.read(at)
	f.write(at, 0xffff_ffff)
	mask = f.read(at)
	f.write(at, was)
	return was, mask
}

// Package svm is the nonkernel's backend for AMD's SVM: it builds the control block and permission maps of a vCPU, and
// turns exits into the terms of package backend.
//
// It follows the AMD64 Architecture Programmer's Manual vol. 2 chapter 15 (package hw/svm). It decides nothing: which
// memory, ports and cores a container has is told to it. It must never trust what a guest left in registers.
package svm

import (
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/cpu"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/hw/x2apic"
	"nom.dev/nom/kernel/backend"
	"nom.dev/nom/metal/call"
)

// Pages of host memory that the backend takes.
const (
	vcpuPages = 2                                // the VMCB, the FPU area
	portPages = svm.IOPMSize / abi.PageSize      // an I/O permission map
	mapPages  = 2 * svm.MSRPMSize / abi.PageSize // both MSR permission maps, once for the machine
	fpuMXCSR  = 24                               // offset in an XSAVE area
)

// machine is the backend.
type machine struct {
	host    backend.Host
	maps    maps
	noPorts uint64 // an I/O permission map without ports
}

// New prepares the backend on a machine that has SVM with nested paging.
func New(h backend.Host) (backend.Backend, error) {
	pa, err := h.Pages(mapPages + portPages)
	if err != nil {
		return nil, fmt.Errorf("memory for permission maps: %w", err)
	}
	b := &machine{host: h, maps: newMaps(h, pa), noPorts: pa + mapPages*abi.PageSize}
	b.FillPorts(b.noPorts, nil)
	return b, nil
}

// Overhead counts as backend.Backend says.
func (b *machine) Overhead() (vcpu, ports uint64) { return vcpuPages, portPages }

// maps are the MSR permission maps that all containers share, by their physical addresses.
type maps struct{ shared, direct uint64 }

// newMaps fills mapPages pages at pa. Everything is intercepted but what VMLOAD and VMSAVE switch; on a dedicated core also the
// registers of the local APIC that can do no harm to others, and only what is emulated on a shared one: a core may be either at
// any time.
func newMaps(h backend.Host, pa uint64) maps {
	m := maps{shared: pa, direct: pa + svm.MSRPMSize}
	for i, base := range []uint64{m.shared, m.direct} {
		pm := (*[svm.MSRPMSize]byte)(h.Phys(base, svm.MSRPMSize))
		svm.InterceptAll(pm[:])
		for _, msr := range switched {
			svm.AllowMSR(pm, msr, true, true)
		}
		svm.AllowMSR(pm, msrTSC, true, false)
		if i == 0 {
			continue
		}
		svm.AllowMSR(pm, x2apic.TPR, true, true)
		svm.AllowMSR(pm, x2apic.InitialCount, false, true)
		svm.AllowMSR(pm, x2apic.EOI, false, true)
	}
	return m
}

// World is a backend.World.
type World struct {
	Call *call.World // what the platform runs

	interruptible bool // the guest's IF, and
	virq          bool // whether an injected interrupt waits for it, at the last exit
	vmcb          *svm.VMCB
	fpu           []byte
	maps          maps
	cpuid         CPUID
	gp            *[14]uint64
}

// intercepts that hold on every core; INTR and HLT come with a shared one.
const (
	always3 = svm.Intercept3NMI | svm.Intercept3SMI | svm.Intercept3INIT | svm.Intercept3CR0Sel | svm.Intercept3RDPMC | svm.Intercept3CPUID |
		svm.Intercept3RSM | svm.Intercept3INVD | svm.Intercept3INVLPGA | svm.Intercept3IOIO | svm.Intercept3MSR |
		svm.Intercept3TaskSwitch | svm.Intercept3FERRFreeze | svm.Intercept3Shutdown
	whenShared3 = svm.Intercept3INTR | svm.Intercept3HLT
	always4     = svm.Intercept4VMRUN | svm.Intercept4VMMCALL | svm.Intercept4VMLOAD | svm.Intercept4VMSAVE |
		svm.Intercept4STGI | svm.Intercept4CLGI | svm.Intercept4SKINIT | svm.Intercept4RDTSCP | svm.Intercept4ICEBP | svm.Intercept4WBINVD |
		svm.Intercept4MONITOR | svm.Intercept4MWAIT | svm.Intercept4XSETBV | svm.Intercept4RDPRU
	always5 = svm.Intercept5MCOMMIT

	// CR8 is not there: x2APIC's TPR is. On a dedicated core it would be the processor's own, on others QEMU ends when a guest writes it.
	cr8 = 1<<8 | 1<<(16+8)

	// #DB and #AC can keep a CPU in microcode for ever; #MC is the machine's.
	exceptions = 1<<vectorDB | 1<<vectorAC | 1<<vectorMC
)

// NewWorld builds a vCPU.
func (b *machine) NewWorld(pa, tables uint64, index int) backend.World {
	w := &World{maps: b.maps, cpuid: b.host.CPUID, Call: new(call.World)}
	w.vmcb = vmcbAt(b.host.Phys(pa, abi.PageSize))
	w.fpu = b.host.Phys(pa+abi.PageSize, abi.PageSize)
	w.gp = &w.Call.GPRs
	w.Call.VMCB = pa
	w.Call.FPU = addressOf(w.fpu)
	w.Call.APICID = uint64(index)
	w.Call.LVTT = x2apic.LVTMasked
	c := &w.vmcb.Control
	c.InterceptCR = cr8
	c.InterceptDR = 0xffff_ffff &^ (1<<6 | 1<<7 | 1<<22 | 1<<23) // DR6 and DR7 are switched, DR0-3 are not
	c.InterceptException = exceptions
	c.Intercept4 = always4
	c.Intercept5 = always5
	c.IOPMBase = b.noPorts
	c.ASID = 1
	c.NestedControl = svm.NestedPaging
	c.NestedCR3 = tables
	return w
}

// Start puts the vCPU into 64-bit mode at s, with flat segments and interrupts off.
func (w *World) Start(s abi.VCPUState) {
	code := svm.Segment{Selector: 0x08, Attrib: svm.Attrib(0x00af_9b00_0000_ffff), Limit: 0xffff_ffff}
	data := svm.Segment{Selector: 0x10, Attrib: svm.Attrib(0x00cf_9300_0000_ffff), Limit: 0xffff_ffff}
	v := &w.vmcb.Save
	v.CS, v.SS, v.DS, v.ES, v.FS, v.GS = code, data, data, data, data, data
	v.TR = svm.Segment{Attrib: 0x8b, Limit: 0xffff}
	v.LDTR = svm.Segment{Attrib: 0x82, Limit: 0xffff}
	v.GDTR.Limit, v.IDTR.Limit = 0, 0
	v.EFER = efer | cpu.EFERNXE
	v.CR0 = 0x8001_0033 // PG WP NE ET MP PE
	v.CR3 = s.CR3
	v.CR4 = 0x20 // PAE
	v.RFLAGS = 2
	v.RIP, v.RSP = s.RIP, s.RSP
	v.DR6, v.DR7 = 0xffff_0ff0, 0x400
	v.GPAT = 0x0007_0406_0007_0406
	*w.gp = [14]uint64{3: s.RSI, 4: s.RDI}
	clear(w.fpu)
	w.fpu[0], w.fpu[1] = 0x7f, 0x03 // FCW
	w.fpu[fpuMXCSR], w.fpu[fpuMXCSR+1] = 0x80, 0x1f
}

// Prepare sets what differs between entries: whether the core is dedicated, and whether translations must be flushed.
func (w *World) Prepare(direct, flush bool) {
	c := &w.vmcb.Control
	if flush {
		c.TLBControl = svm.TLBFlushAll // until VMRUN has done it: who is kicked before that does not enter
	}
	if direct {
		w.Call.Direct = 1
		c.Intercept3 = always3
		c.MSRPMBase = w.maps.direct
		return
	}
	w.Call.Direct = 0
	c.Intercept3 = always3 | whenShared3
	c.MSRPMBase = w.maps.shared
	c.IntControl |= svm.IntMasking
}

// FillPorts makes an I/O permission map: ports for which has says no are intercepted.
func (b *machine) FillPorts(pa uint64, has func(port uint16) bool) {
	pm := (*[svm.IOPMSize]byte)(b.host.Phys(pa, svm.IOPMSize))
	for i := range pm {
		intercepted := byte(0xff)
		for bit := 0; bit < 8 && has != nil && i < numPorts/8; bit++ {
			if has(uint16(i*8 + bit)) {
				intercepted &^= 1 << bit
			}
		}
		pm[i] = intercepted
	}
}

const numPorts = 1 << 16

// SetPorts makes pa the I/O permission map.
func (w *World) SetPorts(pa uint64) { w.vmcb.Control.IOPMBase = pa }

// Platform is what the platform runs.
func (w *World) Platform() *call.World { return w.Call }

// Waiting says that a halted guest would take an interrupt now.
func (w *World) Waiting(now uint64) bool {
	if !w.interruptible {
		return false
	}
	return w.virq || w.Call.TimerTSC != 0 && w.Call.TimerTSC <= now || pending(w.Call)
}

// Alarm is when the timer wakes a halted guest, whose IF was set at the last exit; 0 = never.
func (w *World) Alarm() uint64 {
	if !w.interruptible {
		return 0
	}
	return w.Call.TimerTSC
}

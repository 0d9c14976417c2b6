package pci

import (
	"fmt"
	"time"

	"nom.dev/nom/hw/pci"
)

// MaxVFs is how many virtual functions a physical function may have here.
const MaxVFs = 256

// sriov finds the SR-IOV capability.
func (f *Function) sriov() (offset uint32, total int) {
	s, ok := pci.FindExtended(f.read, pci.ExtSRIOV, pci.SRIOVSize)
	if !ok || f.Physical != nil {
		return 0, 0
	}
	_, n := pci.VFs(f.read(s + pci.SRIOVInitial))
	return s, min(int(n), MaxVFs)
}

// TotalVFs is how many virtual functions f can have; 0 when it has no SR-IOV.
func (f *Function) TotalVFs() int {
	_, n := f.sriov()
	return n
}

// EnableVFs switches n virtual functions on, and nothing else: they decode their registers, which are below 4 GiB, but do not access
// memory. The physical function must have been reset and started before, and set up for them afterwards: this resets all of them. It
// takes pci.VFMillis; more than a second when there were some already.
func (f *Function) EnableVFs(n int) ([]*Function, error) {
	s, total := f.sriov()
	if n < 1 || n > total {
		return nil, fmt.Errorf("pci: enable %d virtual functions of %v: it can have %d: %w", n, f, total, ErrUnsupported)
	}
	if f.read(s+pci.SRIOVPages)&pci.SRIOVPage4K == 0 {
		return nil, fmt.Errorf("pci: enable virtual functions of %v: it cannot place them in pages of 4 KiB: %w", f, ErrUnsupported)
	}
	f.disableVFs(s)
	control := f.forwardARI()
	f.write(s+pci.SRIOVControl, control)
	f.write(s+pci.SRIOVPageSize, pci.SRIOVPage4K)
	f.write(s+pci.SRIOVNum, uint32(n))
	vfs, err := f.listVFs(s, n)
	if err != nil {
		return nil, err
	}
	if err := f.placeVFs(s, vfs); err != nil {
		return nil, err
	}
	f.write(s+pci.SRIOVControl, control|pci.SRIOVEnable|pci.SRIOVMemory)
	f.machine.options.Clock.Sleep(pci.VFMillis * time.Millisecond)
	if f.read(s+pci.SRIOVControl)&pci.SRIOVEnable == 0 {
		return nil, fmt.Errorf("pci: enable %d virtual functions of %v: it refuses: %w", n, f, ErrUnsupported)
	}
	for _, v := range vfs {
		v.findCapabilities()
		if v.express == 0 || v.read(v.express+pci.ExpressDevCap)&pci.DevCapFLR == 0 {
			f.write(s+pci.SRIOVControl, 0)
			return nil, fmt.Errorf("pci: virtual function %d of %v is not there, or cannot be reset: %w", v.Number, f, ErrUnsupported)
		}
		// The specification wires this bit to 0 and lets SRIOVMemory decide; QEMU has it the other way round.
		v.enable(pci.CommandMemory)
	}
	return vfs, nil
}

// disableVFs switches virtual functions off that somebody left on.
func (f *Function) disableVFs(s uint32) {
	const settle = time.Second // 9.3.3.3.1
	control := f.read(s + pci.SRIOVControl)
	f.write(s+pci.SRIOVControl, 0)
	if control&pci.SRIOVEnable != 0 {
		f.machine.options.Clock.Sleep(settle)
	}
}

// forwardARI lets the port above pass on requests to functions above 7, where it can, and says so to f.
func (f *Function) forwardARI() (control uint32) {
	port := f.Parent
	if port == nil || port.express == 0 || port.read(port.express+pci.ExpressDevCap2)&pci.DevCap2ARI == 0 {
		return 0
	}
	at := port.express + pci.ExpressDevCtl2
	port.write(at, port.read(at)|pci.DevCtl2ARI)
	return pci.SRIOVARI
}

// listVFs computes where the virtual functions will be.
func (f *Function) listVFs(s uint32, n int) ([]*Function, error) {
	place, device := f.read(s+pci.SRIOVPlace), pci.VFDevice(f.read(s+pci.SRIOVDevice))
	last := f.RID.Bus()
	if f.Parent != nil {
		last = f.Parent.subordinate
	}
	vfs := make([]*Function, n)
	for i := range vfs {
		rid, ok := pci.VF(f.RID, place, uint16(i))
		if !ok || rid.Bus() > last || f.machine.taken(rid) {
			return nil, fmt.Errorf("pci: virtual function %d of %v would be %v, where it cannot be: %w", i, f, rid, ErrUnsupported)
		}
		vfs[i] = &Function{RID: rid, Vendor: f.Vendor, Device: device, Class: f.Class, Parent: f.Parent, Physical: f, Number: i, machine: f.machine}
	}
	return vfs, nil
}

// taken says that there is a physical function.
func (m *Machine) taken(rid RID) bool {
	for _, f := range m.Functions {
		if f.RID == rid {
			return true
		}
	}
	return false
}

// placeVFs finds places for the registers of the virtual functions, one after the other for each register.
func (f *Function) placeVFs(s uint32, vfs []*Function) error {
	var bars [6]pci.BAR
	f.probe(s+pci.SRIOVBAR0, pci.SRIOVBARs, &bars)
	var claims []claim
	for i, b := range bars {
		if b.Size == 0 {
			continue
		}
		claims = append(claims, claim{max(b.Size, 4096), uint64(len(vfs)), func(base uint64) {
			at := s + pci.SRIOVBAR0 + 4*uint32(i)
			f.write(at, uint32(base))
			if b.Wide {
				f.write(at+4, uint32(base>>32))
			}
			for n, v := range vfs {
				v.BARs[i] = b
				v.BARs[i].Base = base + uint64(n)*max(b.Size, 4096)
			}
		}})
	}
	if len(claims) == 0 {
		return fmt.Errorf("pci: virtual functions of %v have no registers: %w", f, ErrUnsupported)
	}
	return f.place(claims)
}

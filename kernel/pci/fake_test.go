package pci

import (
	"encoding/binary"
	"testing"
	"time"

	"nom.dev/nom/hw/pci"
)

// fake is a machine with functions, of which it models what this package needs: registers that can be written only in part, bridges
// that pass on only their window, virtual functions as QEMU has them, and resets that take their time.
type fake struct {
	t     testing.TB
	now   time.Duration
	funcs map[RID]*device
	mmio  map[uint64]uint32
}

// device is one function of it.
type device struct {
	space    [pci.ConfigSize]byte
	writable [pci.ConfigSize]byte
	port     *device // above it
	pf       *device // of a virtual function
	number   uint32
	back     time.Duration // when it answers again
	resets   int
	deaf     bool // does not come back from a reset
	busy     time.Duration
	sriov    uint32
	express  uint32
}

func (d *device) get(at uint32) uint32      { return binary.LittleEndian.Uint32(d.space[at:]) }
func (d *device) put(at, v uint32)          { binary.LittleEndian.PutUint32(d.space[at:], v) }
func (d *device) rw(at, v, mask uint32)     { d.put(at, v); d.mask(at, mask) }
func (d *device) mask(at, mask uint32)      { binary.LittleEndian.PutUint32(d.writable[at:], mask) }
func (f *fake) Now() time.Duration          { f.now += time.Microsecond; return f.now }
func (f *fake) Sleep(d time.Duration)       { f.now += d }
func (f *fake) Read32(pa uint64) uint32     { f.decode(pa); return f.mmio[pa] }
func (f *fake) Write32(pa uint64, v uint32) { f.decode(pa); f.mmio[pa] = v }

// config is the fake's configuration space; its memory has methods of the same names.
type config struct{ *fake }

func (c config) Read32(rid RID, at uint32) uint32 {
	d := c.there(rid)
	if d == nil || c.now < d.back {
		return pci.Absent
	}
	v := d.get(at)
	if d.express != 0 && at == d.express+pci.ExpressDevCtl && c.now < d.busy {
		v |= pci.DevStaPending
	}
	return v
}

func (c config) Write32(rid RID, at uint32, v uint32) {
	if at%4 != 0 || at >= pci.ConfigSize {
		c.t.Fatalf("write to %v at %#x", rid, at)
	}
	d := c.there(rid)
	if d == nil || c.now < d.back {
		return
	}
	mask := binary.LittleEndian.Uint32(d.writable[at:])
	was := d.get(at)
	d.put(at, was&^mask|v&mask)
	if d.express != 0 && at == d.express+pci.ExpressDevCtl && v&pci.DevCtlFLR != 0 {
		c.reset(d)
	}
	if d.sriov != 0 && at == d.sriov+pci.SRIOVControl && v&^was&pci.SRIOVEnable != 0 {
		for _, vf := range c.funcs {
			if vf.pf == d {
				vf.put(pci.RegCommand, pci.StatusCapability)
				vf.back = c.now + pci.VFMillis*time.Millisecond
			}
		}
	}
}

// there is the function that answers: virtual ones only when they are on.
func (c config) there(rid RID) *device {
	d := c.funcs[rid]
	if d == nil || d.pf != nil && (d.pf.get(d.pf.sriov+pci.SRIOVControl)&pci.SRIOVEnable == 0 || d.number >= d.pf.get(d.pf.sriov+pci.SRIOVNum)&0xffff) {
		return nil
	}
	return d
}

func (c config) reset(d *device) {
	d.resets++
	if d.get(pci.RegCommand)&pci.CommandMaster != 0 {
		c.t.Error("a function that still accesses memory is reset")
	}
	d.put(pci.RegCommand, pci.StatusCapability)
	if d.pf == nil {
		d.put(pci.RegBAR0, 0)
		d.put(pci.RegBAR0+12, 0xc)
	}
	d.put(0x70, d.get(0x70)&0xffff_ffff&^uint32(pci.MSIXEnable))
	d.back = c.now + 30*time.Millisecond
	if d.deaf {
		d.back = 1 << 62
	}
}

// decode fails the test when no function takes an access to memory.
func (f *fake) decode(pa uint64) {
	f.t.Helper()
	for rid, d := range f.funcs {
		if d.get(pci.RegCommand)&pci.CommandMemory == 0 || d.port != nil && d.port.get(pci.RegCommand)&pci.CommandMemory == 0 {
			continue
		}
		for _, r := range d.decoded() {
			if pa >= r.Base && pa <= r.Limit && d.passed(pa) {
				_ = rid
				return
			}
		}
	}
	f.t.Fatalf("nobody answers at %#x", pa)
}

// decoded are the addresses that a function takes; those of a virtual one lose their upper half, as in QEMU.
func (d *device) decoded() []pci.Window {
	if d.pf != nil {
		s := d.pf.sriov
		size := uint64(16 << 10)
		var w []pci.Window
		for _, bar := range []uint32{0, 3} {
			base := uint64(d.pf.get(s+pci.SRIOVBAR0+4*bar)&^15) + size*uint64(d.number)
			w = append(w, pci.Window{Base: base, Limit: base + size - 1})
		}
		return w
	}
	bar0, bar3 := uint64(d.get(pci.RegBAR0)&^15), uint64(d.get(pci.RegBAR0+12)&^15)
	return []pci.Window{{Base: bar0, Limit: bar0 + 128<<10 - 1}, {Base: bar3, Limit: bar3 + 16<<10 - 1}}
}

// passed says that the port above passes an address on.
func (d *device) passed(pa uint64) bool {
	if d.port == nil {
		return true
	}
	memory := pci.DecodeMemory(d.port.get(pci.RegMemory))
	prefetch := pci.DecodePrefetch(d.port.get(pci.RegPrefetch), d.port.get(pci.RegPrefetchBase), d.port.get(pci.RegPrefetchLimit))
	return pa >= memory.Base && pa <= memory.Limit || pa >= prefetch.Base && pa <= prefetch.Limit
}

func (f *fake) add(rid RID, id, class uint32) *device {
	d := &device{}
	d.put(pci.RegID, id)
	d.put(pci.RegClass, class<<8)
	d.rw(pci.RegCommand, pci.StatusCapability, 0x507)
	f.funcs[rid] = d
	return d
}

// addPort adds a root port whose firmware left it the windows that SeaBIOS does.
func (f *fake) addPort(rid RID, bus uint8) *device {
	d := f.add(rid, 0x000c_1b36, pci.ClassBridge)
	d.put(pci.RegHeader, 0x0001_0000)
	d.rw(pci.RegBuses, pci.EncodeBuses(0, rid.Bus(), bus, bus), 0x00ff_ffff)
	d.rw(pci.RegMemory, 0xfe70_fe60, 0xfff0_fff0)
	d.rw(pci.RegPrefetch, 0xfeb1_fea1, 0xfff0_fff0)
	d.mask(pci.RegPrefetchBase, 0xffff_ffff)
	d.mask(pci.RegPrefetchLimit, 0xffff_ffff)
	d.put(pci.RegCapabilities, 0x54)
	d.express = 0x54
	d.put(0x54, pci.ExpressRootPort<<20|2<<16|pci.CapExpress)
	d.put(0x54+pci.ExpressDevCap2, pci.DevCap2ARI)
	d.mask(0x54+pci.ExpressDevCtl2, pci.DevCtl2ARI)
	return d
}

// addIgb adds QEMU's igb with its virtual functions.
func (f *fake) addIgb(rid RID, port *device) *device {
	d := f.add(rid, 0x10c9_8086, pci.ClassEthernet)
	d.port = port
	d.rw(pci.RegBAR0, 0xfe60_0000, ^uint32(128<<10-1))
	d.rw(pci.RegBAR0+8, 0xc001, ^uint32(31))
	d.rw(pci.RegBAR0+12, 0xfea0_000c, ^uint32(16<<10-1))
	d.mask(pci.RegBAR0+16, 0xffff_ffff)
	d.endpoint()
	d.put(0x100, 0x1601_000e)
	d.put(0x160, 0x0001_0010)
	d.sriov = 0x160
	d.mask(0x160+pci.SRIOVControl, 0x19)
	d.put(0x160+pci.SRIOVInitial, 0x0008_0008)
	d.mask(0x160+pci.SRIOVNum, 0xffff)
	d.put(0x160+pci.SRIOVPlace, 0x0002_0080)
	d.put(0x160+pci.SRIOVDevice, 0x10ca_0000)
	d.put(0x160+pci.SRIOVPages, 0x553)
	d.rw(0x160+pci.SRIOVPageSize, 1, 0xffff_ffff)
	for _, bar := range []uint32{0, 3} {
		d.rw(0x160+pci.SRIOVBAR0+4*bar, 0xc, ^uint32(16<<10-1))
		d.mask(0x160+pci.SRIOVBAR0+4*bar+4, 0xffff_ffff)
	}
	for n := range uint32(8) {
		vf := f.add(rid+0x80+2*RID(n), 0xffff_ffff, pci.ClassEthernet)
		vf.pf, vf.port, vf.number = d, port, n
		vf.endpoint()
	}
	return d
}

// noVFBARs takes the registers of virtual functions away.
func (d *device) noVFBARs() {
	for bar := range uint32(6) {
		d.rw(d.sriov+pci.SRIOVBAR0+4*bar, 0, 0)
	}
}

// endpoint adds the capabilities that physical and virtual functions share.
func (d *device) endpoint() {
	d.put(pci.RegCapabilities, 0x70)
	d.rw(0x70, 0x0002_a011, pci.MSIXEnable|pci.MSIXMask)
	d.put(0x74, 3)
	d.put(0x78, 0x2003)
	d.express = 0xa0
	d.put(0xa0, 0x0002_0010)
	d.put(0xa4, pci.DevCapFLR|0x8dc1)
	d.mask(0xa8, 0x7fff)
}

// newFake is q35 with an igb in a root port.
func newFake(t testing.TB) (*fake, Options) {
	f := &fake{t: t, funcs: map[RID]*device{}, mmio: map[uint64]uint32{}}
	f.add(0, 0x29c0_8086, pci.ClassHostBridge)
	f.addIgb(0x100, f.addPort(pci.NewRID(0, 1, 0), 1))
	lpc := f.add(pci.NewRID(0, 31, 0), 0x2918_8086, 0x060100)
	lpc.put(pci.RegHeader, 0x0080_0000)
	sata := f.add(pci.NewRID(0, 31, 2), 0x2922_8086, 0x010601)
	sata.rw(pci.RegBAR0+20, 0xd000_0000, ^uint32(4095))
	return f, Options{Config: config{f}, Memory: f, Clock: f, Last: 255, Free: pci.Window{Base: 0xc000_0000, Limit: 0xfebf_ffff}}
}

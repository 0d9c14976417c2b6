package container

import (
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// fakeDevices records what is asked of the hardware.
type fakeDevices struct {
	attached map[*Device]*Container
	pages    map[uint64]uint64
	routes   int
}

func (f *fakeDevices) Attach(d *Device) (DMA, error) {
	f.attached[d] = d.Holder()
	return fakeDMA(f.pages), nil
}

// fakeDMA is what devices reach: the frame of each page.
type fakeDMA map[uint64]uint64

func (f fakeDMA) Map(gpa, pa, size uint64, write bool) error {
	for off := uint64(0); off < size; off += page {
		if _, ok := f[gpa+off]; ok || !write {
			return abi.EBUSY
		}
		f[gpa+off] = pa + off
	}
	return nil
}

func (f fakeDMA) Unmap(gpa, size uint64) error {
	for off := uint64(0); off < size; off += page {
		delete(f, gpa+off)
	}
	return nil
}

// same says whether devices reach exactly the pages that c owns.
func (f fakeDMA) same(c *Container) bool {
	n := 0
	ok := true
	c.Tables.Visit(func(gpa uint64, e npt.Entry, size uint64) {
		if !e.Present() || e&(npt.Reserved|npt.Lent|npt.Device) != 0 {
			return
		}
		for off := uint64(0); off < size; off += page {
			n++
			ok = ok && f[gpa+off] == e.Addr()+off
		}
	})
	return ok && n == len(f)
}
func (f *fakeDevices) Detach(d *Device)                      { delete(f.attached, d) }
func (f *fakeDevices) Route(*Device, int, *VCPU, uint8)      { f.routes++ }
func (f *fakeDevices) Mask(*Device, int, bool) (routed bool) { return f.routes > 0 }

var _ Devices = (*fakeDevices)(nil)

// TestDevices: a device goes down the tree, is seen there alone, and comes back when its holder dies.
func TestDevices(t *testing.T) {
	m := boot(t)
	hw := &fakeDevices{attached: make(map[*Device]*Container), pages: make(map[uint64]uint64)}
	d := &Device{ID: 3, Kind: abi.DeviceIGBVF, BAR: 0xd000_0000, BARSize: 4 * page, Vectors: 3}
	m.k.AddDevices(hw, []*Device{d})
	v := m.root.VCPUs[0]
	const memory = 32 << 20
	a := m.create(t, m.root, "a", 1, 100, memory)
	id, gpa := uint64(a.ID), uint64(memory-4*page)

	m.fails(t, abi.ENOENT, v, abi.CallDescribeDevice, 1, scratch)
	m.must(t, v, abi.CallDescribeDevice, 0, scratch)
	m.fails(t, abi.ENOENT, v, abi.CallGrantDevice, id, 4, gpa)
	m.fails(t, abi.ENOENT, v, abi.CallGrantDevice, 99, 3, gpa)
	for _, bad := range []uint64{0, page, gpa + 1, gpa + page, memory, ^uint64(0), ^uint64(0) &^ (page - 1)} {
		m.fails(t, abi.EINVAL, v, abi.CallGrantDevice, id, 3, bad)
	}
	m.fails(t, abi.EINVAL, v, abi.CallRoute, 3, 0, 0, abi.FirstDeviceVector) // root does not drive it
	m.must(t, v, abi.CallGrantDevice, id, 3, gpa)
	m.check(t)
	if hw.attached[d] != a {
		t.Error("the device does not reach its holder's memory")
	}
	if !fakeDMA(hw.pages).same(a) {
		t.Error("the device does not reach its holder's pages, or others")
	}
	m.fails(t, abi.ENOENT, v, abi.CallGrantDevice, id, 3, gpa) // it is root's no more
	m.fails(t, abi.EINVAL, v, abi.CallGrantPages, id, memory/page)
	m.start(t, a)

	own := a.VCPUs[0]
	m.fails(t, abi.EBUSY, own, abi.CallMaskDevice, 3, 0, 0)
	for _, bad := range [][4]uint64{{3, 3, 0, 0x50}, {3, 0, 1, 0x50}, {3, 0, 0, 0x30}, {3, 0, 0, 0xf0}, {3, ^uint64(0), 0, 0x50}} {
		m.fails(t, abi.EINVAL, own, abi.CallRoute, bad[:]...)
	}
	m.fails(t, abi.ENOENT, own, abi.CallRoute, 4, 0, 0, 0x50)
	m.must(t, own, abi.CallRoute, 3, 0, 0, 0x50)
	m.must(t, own, abi.CallMaskDevice, 3, 0, 1)

	for p := uint64(16); p < 40; p++ {
		m.k.PageFault(own, p*page, faultWrite)
	}
	if m.must(t, own, abi.CallReturnPages, 17*page, 3); !fakeDMA(hw.pages).same(a) {
		t.Error("the device does not follow what its holder touches and returns")
	}

	m.must(t, v, abi.CallKill, id)
	m.drain()
	m.check(t)
	if len(hw.attached) != 0 || d.holder != m.root {
		t.Error("the device did not come back")
	}
	b := m.create(t, m.root, "b", 1, 100, memory)
	m.must(t, v, abi.CallGrantDevice, uint64(b.ID), 3, gpa)
}

// TestGiveRoot: root drives a device of its own, at the end of its address space, and can give it to nobody.
func TestGiveRoot(t *testing.T) {
	m := bootRoom(t, 2<<20)
	hw := &fakeDevices{attached: make(map[*Device]*Container), pages: make(map[uint64]uint64)}
	d := &Device{ID: 3, Kind: abi.DeviceIGBVF, BAR: 0xd000_0000, BARSize: 4 * page, Vectors: 3}
	other := &Device{ID: 4, Kind: abi.DeviceIGBVF, BAR: 0xd001_0000, BARSize: 4 * page, Vectors: 3}
	m.k.AddDevices(hw, []*Device{d, other})
	before := m.root.memory
	if _, err := m.k.GiveRoot(d); err == nil {
		t.Error("root got a device when it was running")
	}
	m.root.state.Store(abi.StateCreated)
	g, err := m.k.GiveRoot(d)
	if err != nil {
		t.Fatal(err)
	}
	if g.Index != 3 || g.BAR.Addr != before*page-2<<20 || g.BAR.Size != d.BARSize || m.root.memory*page != g.BAR.Addr {
		t.Errorf("got %+v", g)
	}
	if _, err := m.k.GiveRoot(d); err == nil {
		t.Error("root got a device twice")
	}
	m.root.state.Store(abi.StateRunning)
	m.check(t)
	if hw.attached[d] != m.root || !fakeDMA(hw.pages).same(m.root) {
		t.Error("the device does not reach root's pages, or others")
	}
	v := m.root.VCPUs[0]
	m.must(t, v, abi.CallRoute, 3, 0, 0, 0x50)
	const memory = 32 << 20
	a := m.create(t, m.root, "a", 1, 100, memory)
	m.fails(t, abi.EBUSY, v, abi.CallGrantDevice, uint64(a.ID), 3, memory-4*page)
	m.must(t, v, abi.CallGrantDevice, uint64(a.ID), 4, memory-4*page)
	m.check(t)
}

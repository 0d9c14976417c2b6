package container

import (
	"encoding/binary"
	"errors"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// fakeDevices records what is asked of the hardware.
type fakeDevices struct {
	attached map[*Device]*Container
	memory   map[*Container]*fakeDMA
	routes   int
	refuse   bool
	limits   map[*Device]abi.DeviceLimit
}

func newFakeDevices() *fakeDevices {
	return &fakeDevices{attached: make(map[*Device]*Container), memory: make(map[*Container]*fakeDMA), limits: make(map[*Device]abi.DeviceLimit)}
}

var errNotReady = errors.New("the test refuses devices")

func (f *fakeDevices) Attach(d *Device, source npt.Source) (DMA, error) {
	if f.refuse {
		return nil, errNotReady
	}
	c := d.Holder()
	dma := f.memory[c]
	if dma == nil {
		dma = &fakeDMA{of: f, c: c, source: source, pages: make(map[uint64]uint64), tables: make(map[uint64]uint64)}
		f.memory[c] = dma
	}
	f.attached[d] = c
	return dma, nil
}

func (f *fakeDevices) Limit(d *Device, l abi.DeviceLimit) error {
	f.limits[d] = l
	return nil
}

func (f *fakeDevices) Status(d *Device) abi.DeviceStatus {
	return abi.DeviceStatus{
		Index: d.ID, Limit: f.limits[d], SentFrames: 1, SentBytes: 2, ReceivedFrames: 3, ReceivedBytes: 4, SendPauses: 5, ReceivePauses: 6,
		Resets: 7, Blocked: 8, BlockedLast: 9, SwitchedOff: 10,
	}
}

func (f *fakeDevices) Detach(d *Device) {
	delete(f.attached, d)
	delete(f.limits, d)
}
func (f *fakeDevices) Route(*Device, int, *VCPU, uint8)      { f.routes++ }
func (f *fakeDevices) Mask(*Device, int, bool) (routed bool) { return f.routes > 0 }

var _ Devices = (*fakeDevices)(nil)

// fakeDMA is what devices of c reach: the frame of each page. It takes a page of tables for each 2 MiB.
type fakeDMA struct {
	of     *fakeDevices
	c      *Container
	source npt.Source
	pages  map[uint64]uint64
	tables map[uint64]uint64
}

func (f *fakeDMA) Map(gpa, pa, size uint64, write bool) error {
	for off := uint64(0); off < size; off += page {
		if _, ok := f.pages[gpa+off]; ok || !write {
			return abi.EBUSY
		}
		if at := (gpa + off) / npt.Size2M; f.tables[at] == 0 {
			table, ok := f.source.Alloc()
			if !ok {
				return abi.ENOMEM
			}
			f.tables[at] = table
		}
		f.pages[gpa+off] = pa + off
	}
	return nil
}

func (f *fakeDMA) Unmap(gpa, size uint64) error {
	for off := uint64(0); off < size; off += page {
		delete(f.pages, gpa+off)
	}
	return nil
}

func (f *fakeDMA) Close(limit int) (done bool) {
	for _, c := range f.of.attached {
		if c == f.c {
			panic("tables of devices that are attached were closed")
		}
	}
	for at, pa := range f.tables {
		if limit--; limit < 0 {
			return false
		}
		f.source.Free(pa)
		delete(f.tables, at)
	}
	delete(f.of.memory, f.c)
	return true
}

// same says whether devices reach exactly the pages that c owns.
func (f *fakeDMA) same(c *Container) bool {
	n := 0
	ok := true
	c.Tables.Visit(func(gpa uint64, e npt.Entry, size uint64) {
		if !e.Present() || e&(npt.Reserved|npt.Lent|npt.Device) != 0 {
			return
		}
		for off := uint64(0); off < size; off += page {
			n++
			ok = ok && f.pages[gpa+off] == e.Addr()+off
		}
	})
	return ok && n == len(f.pages)
}

// TestDevices: a device goes down the tree, is seen there alone, and comes back when its holder dies.
func TestDevices(t *testing.T) {
	m := boot(t)
	hw := newFakeDevices()
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
	if !hw.memory[a].same(a) {
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
	if m.must(t, own, abi.CallReturnPages, 17*page, 3); !hw.memory[a].same(a) {
		t.Error("the device does not follow what its holder touches and returns")
	}

	m.must(t, v, abi.CallKill, id)
	m.drain()
	m.check(t)
	if len(hw.attached) != 0 || len(hw.memory) != 0 || d.holder != m.root {
		t.Error("the device did not come back")
	}
	b := m.create(t, m.root, "b", 1, 100, memory)
	m.must(t, v, abi.CallGrantDevice, uint64(b.ID), 3, gpa)
}

// TestGiveRoot: root drives a device of its own, at the end of its address space, and can give it to nobody.
func TestGiveRoot(t *testing.T) {
	m := bootRoom(t, 2<<20)
	hw := newFakeDevices()
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
	if hw.attached[d] != m.root || !hw.memory[m.root].same(m.root) {
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

// TestDeviceTables: the parent pays for the tables by which devices of its child reach memory, once for all of them; who cannot pay
// gets no device, and what was paid comes back.
func TestDeviceTables(t *testing.T) {
	m := boot(t)
	hw := newFakeDevices()
	var list []*Device
	for i := range uint32(2) {
		list = append(list, &Device{ID: i, Kind: abi.DeviceIGBVF, BAR: 0xd000_0000 + uint64(i)*4*page, BARSize: 4 * page, Vectors: 3})
	}
	m.k.AddDevices(hw, list)
	v := m.root.VCPUs[0]
	const memory = 32 << 20
	a := m.create(t, m.root, "a", 1, 100, memory)
	id, given, overhead := uint64(a.ID), m.root.given, a.overhead
	want := npt.Pages(memory)
	hw.refuse = true
	m.fails(t, abi.EBUSY, v, abi.CallGrantDevice, id, 0, memory-4*page)
	hw.refuse = false
	if m.root.given != given || a.overhead != overhead {
		t.Errorf("a device that was not given cost %d pages", m.root.given-given)
	}
	for i := range uint64(2) {
		m.must(t, v, abi.CallGrantDevice, id, i, memory-4*(i+1)*page)
		if m.root.given != given+want || a.overhead != overhead+want || m.status(t, m.root, id).Overhead != a.overhead {
			t.Errorf("after %d devices the parent pays %d pages, want %d", i+1, m.root.given-given, want)
		}
	}
	m.start(t, a)
	m.byteAt(t, a, 20*page, true)
	if a.dmaUsed == 0 {
		t.Error("the tables take no page")
	}
	m.must(t, v, abi.CallKill, id)
	m.drain()
	m.check(t)

	b := m.create(t, m.root, "b", 1, 100, memory)
	poor := m.create(t, m.root, "poor", 1, m.root.available()-200, 2*ramSize)
	m.must(t, v, abi.CallGrantPages, uint64(poor.ID), m.root.available()-want+1)
	m.fails(t, abi.ENOMEM, v, abi.CallGrantDevice, uint64(b.ID), 0, memory-4*page)
	m.must(t, v, abi.CallKill, uint64(poor.ID))
	m.drain()
	m.must(t, v, abi.CallGrantDevice, uint64(b.ID), 0, memory-4*page)
}

// TestLimitDevice: the parent limits a device of its child, nobody else; both see what it did.
func TestLimitDevice(t *testing.T) {
	m := boot(t)
	hw := newFakeDevices()
	d := &Device{ID: 3, Kind: abi.DeviceIGBVF, BAR: 0xd000_0000, BARSize: 4 * page, Vectors: 3}
	m.k.AddDevices(hw, []*Device{d})
	v := m.root.VCPUs[0]
	const memory = 32 << 20
	a := m.create(t, m.root, "a", 1, 100, memory)
	id := uint64(a.ID)
	m.must(t, v, abi.CallDeviceStatus, 0, 3, scratch) // of one that nobody uses
	m.fails(t, abi.ENOENT, v, abi.CallLimitDevice, 0, 3, 1)
	m.fails(t, abi.ENOENT, v, abi.CallLimitDevice, id, 3, 1)
	m.must(t, v, abi.CallGrantDevice, id, 3, memory-4*page)
	m.must(t, v, abi.CallLimitDevice, id, 3, 1, 2, 3, abi.MaxRate)
	want := abi.DeviceLimit{SendBits: 1, SendFrames: 2, ReceiveBits: 3, ReceiveFrames: abi.MaxRate}
	if hw.limits[d] != want {
		t.Errorf("limit %+v", hw.limits[d])
	}
	for i := range 4 {
		bad := [6]uint64{id, 3}
		bad[2+i] = abi.MaxRate + 1
		m.fails(t, abi.EINVAL, v, abi.CallLimitDevice, bad[:]...)
		bad[2+i] = ^uint64(0)
		m.fails(t, abi.EINVAL, v, abi.CallLimitDevice, bad[:]...)
	}
	m.start(t, a)
	own := a.VCPUs[0]
	for _, who := range []uint64{0, 1, id} {
		m.fails(t, abi.ENOENT, own, abi.CallLimitDevice, who, 3, 0)
	}
	m.byteAt(t, a, scratch, true)
	m.must(t, own, abi.CallDeviceStatus, 0, 3, scratch)
	m.must(t, v, abi.CallDeviceStatus, id, 3, scratch)
	for _, c := range []*Container{a, m.root} {
		raw := make([]byte, deviceStatusSize)
		for i := range raw {
			raw[i] = m.byteAt(t, c, scratch+uint64(i), false)[0]
		}
		var st abi.DeviceStatus
		if _, err := binary.Decode(raw, binary.LittleEndian, &st); err != nil || st != hw.Status(d) || st.Limit != want {
			t.Errorf("%s sees %+v, %v", c.Name, st, err)
		}
	}
	for _, bad := range []uint64{0, abi.EventPageAddr, abi.PricePageAddr, memory - 4*page, ^uint64(0)} {
		m.fails(t, abi.EFAULT, own, abi.CallDeviceStatus, 0, 3, bad)
	}
	m.fails(t, abi.ENOENT, v, abi.CallDeviceStatus, 0, 3, scratch)
	m.must(t, v, abi.CallKill, id)
	m.fails(t, abi.EBUSY, v, abi.CallLimitDevice, id, 3, 0)
	m.drain()
	if len(hw.limits) != 0 {
		t.Error("the limit outlives its device's holder")
	}
	m.must(t, v, abi.CallDeviceStatus, id, 3, scratch) // of one that has ended
	if sent := m.byteAt(t, m.root, scratch+40, false)[0]; sent != 1 {
		t.Errorf("one that has ended sent %d frames, want 1", sent)
	}
	m.must(t, v, abi.CallReap, id)
	m.fails(t, abi.ENOENT, v, abi.CallDeviceStatus, id, 3, scratch)
}

package container

import (
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// Device is a function of a device that containers can hold. ID to MAC do not change.
type Device struct {
	ID       uint32
	Kind     uint32 // abi.DeviceIGBVF
	BAR      uint64 // host-physical address of its registers
	BARSize  uint64 // whole pages
	Vectors  uint32
	MaxFrame uint32
	MAC      [6]byte
	Backend  any // for Devices

	holder *Container // guarded by Kernel.mu
	gpa    uint64     // where the holder sees the registers; 0 = it cannot
}

// Holder is who has d. It is for Devices, with the kernel's lock held.
func (d *Device) Holder() *Container { return d.holder }

// Devices is the hardware side of devices; all methods are called with the kernel's lock held.
type Devices interface {
	// Attach lets d reach what its new holder's DMA maps, and nothing else. The DMA's tables are made of pages from source; devices
	// of one holder share them. On an error all pages are back unless other devices of the holder use them.
	Attach(d *Device, source npt.Source) (DMA, error)
	// Detach stops d: it has reached memory for the last time, its interrupts are closed, its state is that of a reset.
	Detach(d *Device)
	// Route sends an interrupt entry of d to a vCPU of its holder.
	Route(d *Device, entry int, v *VCPU, vector uint8)
	// Mask closes or opens an entry; false when it was never routed.
	Mask(d *Device, entry int, masked bool) bool
	// Limit holds d to a limit until it is detached.
	Limit(d *Device, l abi.DeviceLimit) error
	// Status is what d did since it was attached.
	Status(d *Device) abi.DeviceStatus
}

// DMA is the memory that the devices of one container reach, at its guest-physical addresses: the pages it owns, none that it
// borrows. What is unmapped is out of reach when Machine.Shootdown of the container has returned.
type DMA interface {
	Map(gpa, pa, size uint64, write bool) error
	Unmap(gpa, size uint64) error
	// Close frees at most limit pages of tables, when all devices were detached, and says whether that was all.
	Close(limit int) (done bool)
}

// AddDevices gives devices to root, which must exist.
func (k *Kernel) AddDevices(hardware Devices, devices []*Device) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hardware = hardware
	for _, d := range devices {
		d.holder = k.root
		k.devices = append(k.devices, d)
	}
}

// device finds a device of c by its id.
func (k *Kernel) device(c *Container, id uint64) (*Device, abi.Errno) {
	for _, d := range k.devices {
		if uint64(d.ID) == id && d.holder == c {
			return d, 0
		}
	}
	return nil, abi.ENOENT
}

// callGrantDevice is grantdevice(id, device, address).
func (k *Kernel) callGrantDevice(c *Container, id, device, gpa uint64) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	d, err := k.device(c, device)
	if err != 0 {
		return err
	}
	if d.gpa != 0 { // in use by the caller itself
		return abi.EBUSY
	}
	if child.State() != abi.StateCreated {
		return abi.EBUSY
	}
	if err := k.chargeDMA(child); err != 0 {
		return err
	}
	err = k.moveDevice(child, d, gpa)
	if child.dma == nil {
		k.dischargeDMA(child)
	}
	return err
}

// dmaPages is Config.DMAPages for memory bytes.
func (k *Kernel) dmaPages(memory uint64) uint64 {
	if k.cfg.DMAPages == nil {
		return 0
	}
	return k.cfg.DMAPages(memory)
}

// chargeDMA makes the parent of c pay for the tables by which devices of c reach its memory, once.
func (k *Kernel) chargeDMA(c *Container) abi.Errno {
	n := k.dmaPages(c.Tables.Memory())
	if c.dma != nil || n == 0 {
		return 0
	}
	p := c.Parent
	if p.reclaim.due {
		return abi.EAGAIN // its pages are being taken: it may not give them away first
	}
	if p.available() < n {
		return abi.ENOMEM
	}
	c.overhead += n
	c.dmaPages = n
	p.given += n
	return 0
}

// dischargeDMA undoes chargeDMA for a container that got no device in the end.
func (k *Kernel) dischargeDMA(c *Container) {
	c.overhead -= c.dmaPages
	c.Parent.given -= c.dmaPages
	c.dmaPages = 0
}

// dmaSource takes the pages of the tables by which devices reach c's memory from its overhead.
func (k *Kernel) dmaSource(c *Container) npt.Source {
	return npt.Source{
		Table: k.m.Table,
		Alloc: func() (pa uint64, ok bool) {
			if c.dmaUsed >= c.dmaPages {
				k.bug("the devices of container %d need more than %d pages of tables", c.ID, c.dmaPages)
				return 0, false
			}
			if pa, ok = k.overheadPage(c); ok {
				c.dmaUsed++
			}
			return pa, ok
		},
		Free: func(pa uint64) {
			c.dmaUsed--
			k.freeOverhead(c, pa, 1)
		},
	}
}

// GiveRoot lets the root container, which has not started, drive one of the devices that it holds, and says where its registers
// are: at the end of the address space, for which RootSpec.Room made place. Nobody else gets the device any more.
func (k *Kernel) GiveRoot(d *Device) (abi.DeviceGrant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	root := k.root
	size := (d.BARSize + npt.Size2M - 1) &^ (npt.Size2M - 1)
	if d.holder != root || d.gpa != 0 || root.State() != abi.StateCreated || root.memory*abi.PageSize < size {
		return abi.DeviceGrant{}, fmt.Errorf("container: device %d cannot be given to root: %w", d.ID, abi.EBUSY)
	}
	if err := k.moveDevice(root, d, root.memory*abi.PageSize-size); err != 0 {
		return abi.DeviceGrant{}, fmt.Errorf("container: giving device %d to root: %w", d.ID, err)
	}
	return abi.DeviceGrant{Kind: d.Kind, Index: d.ID, BAR: abi.Range{Addr: d.gpa, Size: d.BARSize}, Vectors: d.Vectors,
		MaxFrame: d.MaxFrame, MAC: d.MAC}, nil
}

// moveDevice shows the registers of d to c, which has not started, and lets d reach the memory of c.
func (k *Kernel) moveDevice(c *Container, d *Device, gpa uint64) abi.Errno {
	pages := d.BARSize / abi.PageSize
	if gpa%abi.PageSize != 0 || gpa/abi.PageSize < c.limit || gpa/abi.PageSize > c.memory || pages > c.memory-gpa/abi.PageSize {
		return abi.EINVAL
	}
	if !c.Tables.Empty(gpa, d.BARSize) {
		return abi.EBUSY
	}
	for off := uint64(0); off < d.BARSize; off += abi.PageSize {
		if err := c.Tables.Map(gpa+off, d.BAR+off, npt.Size4K, npt.W|npt.Device); err != nil {
			k.unmapDevice(c, gpa, off)
			return abi.ENOMEM
		}
	}
	before := d.holder
	d.holder, d.gpa = c, gpa
	if err := k.attachDevice(c, d); err != nil {
		k.unmapDevice(c, gpa, d.BARSize)
		d.holder, d.gpa = before, 0
		return abi.EBUSY
	}
	c.memory = gpa / abi.PageSize // memory never grows over it
	return 0
}

// attachDevice makes d reach the memory that c has now; attach and makeHole keep that up.
func (k *Kernel) attachDevice(c *Container, d *Device) (err error) {
	dma, err := k.hardware.Attach(d, k.dmaSource(c))
	if err != nil || c.dma != nil {
		return err
	}
	c.Tables.Visit(func(gpa uint64, e npt.Entry, size uint64) {
		if err == nil && e.Present() && e&(npt.Reserved|npt.Lent|npt.Device) == 0 {
			err = dma.Map(gpa, e.Addr(), size, true)
		}
	})
	if err != nil {
		k.hardware.Detach(d)
		for !dma.Close(stepPages) {
		}
		return err
	}
	c.dma = dma
	return nil
}

func (k *Kernel) unmapDevice(c *Container, gpa, size uint64) {
	for off := uint64(0); off < size; off += abi.PageSize {
		c.Tables.Unmap(gpa + off)
	}
}

// returnDevices stops the devices of c, which is ending and runs no more, and gives them to its parent.
func (k *Kernel) returnDevices(c *Container) {
	for _, d := range k.devices {
		if d.holder != c {
			continue
		}
		if d.gpa != 0 {
			c.did = append(c.did, k.hardware.Status(d))
			k.hardware.Detach(d)
		}
		d.holder, d.gpa = c.Parent, 0
	}
}

// callRoute is route(device, entry, vcpu, vector).
func (k *Kernel) callRoute(c *Container, device, entry, vcpu, vector uint64) abi.Errno {
	d, err := k.device(c, device)
	if err != 0 {
		return err
	}
	if d.gpa == 0 || entry >= uint64(d.Vectors) || vcpu >= uint64(len(c.VCPUs)) ||
		vector < abi.FirstDeviceVector || vector > abi.LastDeviceVector {
		return abi.EINVAL
	}
	k.hardware.Route(d, int(entry), c.VCPUs[vcpu], uint8(vector))
	return 0
}

// callMaskDevice is maskdevice(device, entry, masked).
func (k *Kernel) callMaskDevice(c *Container, device, entry, masked uint64) abi.Errno {
	d, err := k.device(c, device)
	if err != 0 {
		return err
	}
	if d.gpa == 0 || entry >= uint64(d.Vectors) || masked > 1 {
		return abi.EINVAL
	}
	if !k.hardware.Mask(d, int(entry), masked == 1) {
		return abi.EBUSY
	}
	return 0
}

// callDescribeDevice is describedevice(n, buf).
func (k *Kernel) callDescribeDevice(c *Container, n, gpa uint64) abi.Errno {
	for _, d := range k.devices {
		if d.holder != c {
			continue
		}
		if n == 0 {
			return k.copyOut(c, gpa, d.encode())
		}
		n--
	}
	return abi.ENOENT
}

// checkDevices: every device belongs to a container that lives, and its registers are mapped there alone.
func (k *Kernel) checkDevices() error {
	for _, d := range k.devices {
		if d.holder == nil || d.gpa == 0 {
			continue
		}
		if e, _ := d.holder.Tables.Lookup(d.gpa); d.holder.phase == 0 && (e.Addr() != d.BAR || e&npt.Device == 0) {
			return fmt.Errorf("device %d of %q is not mapped at %#x: entry %#x", d.ID, d.holder.Name, d.gpa, e)
		}
	}
	return nil
}

package container

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout"
	"nom.dev/nom/metal"
)

// deviceAlign keeps registers out of the large pages by which the platform maps memory.
const deviceAlign = 2 << 20

// OwnDevices lists the devices that this container holds and can give to its children.
func OwnDevices() ([]abi.DeviceGrant, error) {
	var list []abi.DeviceGrant
	err := withScratch(func(s scratch) error {
		for n := uint64(0); ; n++ {
			_, err := metal.Hypercall(abi.CallDescribeDevice, n, s.addr, 0, 0, 0, 0)
			if errors.Is(err, abi.ENOENT) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("describing device %d: %w", n, err)
			}
			list = append(list, decodeDevice(s.bytes))
		}
	})
	return list, err
}

// decodeDevice reads a DeviceGrant as the nonkernel wrote it.
func decodeDevice(b []byte) (d abi.DeviceGrant) {
	le := binary.LittleEndian
	d.Kind, d.Index = le.Uint32(b), le.Uint32(b[4:])
	d.BAR = abi.Range{Addr: le.Uint64(b[8:]), Size: le.Uint64(b[16:])}
	d.Vectors, d.MaxFrame = le.Uint32(b[24:]), le.Uint32(b[28:])
	copy(d.MAC[:], b[32:])
	return d
}

// placeDevices finds room for the registers of cfg's devices above top and says where the address space ends then.
func (cfg *Config) placeDevices(p *layout.Plan, top uint64) (uint64, error) {
	if len(cfg.Devices) == 0 {
		return top, nil
	}
	if len(cfg.Devices) > abi.MaxDevices {
		return 0, fmt.Errorf("%d devices: a container can hold %d", len(cfg.Devices), abi.MaxDevices)
	}
	top = (top + deviceAlign - 1) &^ (deviceAlign - 1)
	for i, d := range cfg.Devices {
		d.BAR.Addr = top
		p.Boot.Devices[i] = d
		top += pageUp(d.BAR.Size)
	}
	p.Boot.NumDevices = uint32(len(cfg.Devices))
	return (top + deviceAlign - 1) &^ (deviceAlign - 1), nil
}

// ErrDeviceBusy says that a device cannot be given away now: the one who had it before has just ended, and it is being reset.
var ErrDeviceBusy = errors.New("the device is not ready")

// grantDevices gives the container its devices, with a limit; it has not started.
func (c *Container) grantDevices(plan *layout.Plan, limit abi.DeviceLimit) error {
	for _, d := range plan.Boot.Devices[:plan.Boot.NumDevices] {
		what := fmt.Sprintf("giving it device %d", d.Index)
		if _, err := c.call(what, abi.CallGrantDevice, uint64(d.Index), d.BAR.Addr, 0, 0); errors.Is(err, abi.EBUSY) {
			return fmt.Errorf("%w: %w", err, ErrDeviceBusy)
		} else if errors.Is(err, abi.ENOMEM) {
			return fmt.Errorf("%w: the tables by which it reaches the container's memory take a page for 2 MiB of that", err)
		} else if err != nil {
			return err
		}
		c.devices = append(c.devices, d.Index)
		if limit == (abi.DeviceLimit{}) {
			continue
		}
		if err := c.LimitDevice(d.Index, limit); err != nil {
			return err
		}
	}
	return nil
}

// LimitDevice limits a device of the container, from now on: what exceeds the limit waits, or is lost when it arrives.
func (c *Container) LimitDevice(device uint32, l abi.DeviceLimit) error {
	_, err := metal.Hypercall(abi.CallLimitDevice, uint64(c.id), uint64(device), l.SendBits, l.SendFrames, l.ReceiveBits, l.ReceiveFrames)
	if err != nil {
		return fmt.Errorf("container %s: limiting device %d to %+v: %w", c.spec.Name, device, l, err)
	}
	return nil
}

// DeviceStatus is what the devices with which the container was launched did. When it has ended they are not its own any more, and the
// error is abi.ENOENT.
func (c *Container) DeviceStatus() ([]abi.DeviceStatus, error) {
	list := make([]abi.DeviceStatus, len(c.devices))
	err := withScratch(func(s scratch) error {
		for i, d := range c.devices {
			if _, err := c.call(fmt.Sprintf("status of device %d", d), abi.CallDeviceStatus, uint64(d), s.addr, 0, 0); err != nil {
				return err
			}
			decode(s.bytes, &list[i])
		}
		return nil
	})
	return list, err
}

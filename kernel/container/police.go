package container

import "nom.dev/nom/abi"

// What devices may do, and what they did: the parent of their holder sets the limit.

// callLimitDevice is limitdevice(id, device, bits sent, frames sent, bits received, frames received).
func (k *Kernel) callLimitDevice(c *Container, id, device uint64, l abi.DeviceLimit) abi.Errno {
	child, err := c.liveChild(id)
	if err != 0 {
		return err
	}
	d, err := k.device(child, device)
	if err != 0 {
		return err
	}
	if max(l.SendBits, l.SendFrames, l.ReceiveBits, l.ReceiveFrames) > abi.MaxRate || d.gpa == 0 {
		return abi.EINVAL
	}
	if err := k.hardware.Limit(d, l); err != nil {
		k.bug("limit of device %d: %v", d.ID, err)
		return abi.EINVAL
	}
	return 0
}

// callDeviceStatus is devicestatus(id, device, buf).
func (k *Kernel) callDeviceStatus(c *Container, id, device, gpa uint64) abi.Errno {
	holder := c
	if id != 0 {
		var err abi.Errno
		if holder, err = c.child(id); err != 0 {
			return err
		}
	}
	d, err := k.device(holder, device)
	if err != 0 {
		return err
	}
	st := abi.DeviceStatus{Index: d.ID}
	if d.gpa != 0 {
		st = k.hardware.Status(d)
	}
	var raw [deviceStatusSize]byte
	encodeDeviceStatus(&raw, &st)
	return k.copyOut(c, gpa, raw[:])
}

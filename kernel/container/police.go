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
	holder, err := c, abi.Errno(0)
	if id != 0 {
		if holder, err = c.child(id); err != 0 {
			return err
		}
	}
	st, err := k.deviceStatus(holder, device)
	if err != 0 {
		return err
	}
	var raw [deviceStatusSize]byte
	encodeDeviceStatus(&raw, &st)
	return k.copyOut(c, gpa, raw[:])
}

// deviceStatus is what a device of c did, or had done when c ended.
func (k *Kernel) deviceStatus(c *Container, device uint64) (abi.DeviceStatus, abi.Errno) {
	for _, st := range c.did {
		if uint64(st.Index) == device {
			return st, 0
		}
	}
	d, err := k.device(c, device)
	if err != 0 {
		return abi.DeviceStatus{}, err
	}
	if d.gpa == 0 {
		return abi.DeviceStatus{Index: d.ID}, 0
	}
	return k.hardware.Status(d), 0
}

package nic

import (
	"errors"
	"fmt"
	"os"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal"
)

// ErrNoDevice says that the container has no such network function.
var ErrNoDevice = errors.New("nic: the container has no such network function")

// ErrTaken says that the platform beneath the program drives the network function for the program's sockets.
var ErrTaken = errors.New("nic: the platform's TCP/IP drives the function for sockets: start the program with --stack own (nom run), or --nic (nom boot)")

// Grants lists the network functions that belong to the container, none elsewhere.
func Grants() []abi.DeviceGrant {
	boot := metal.BootPage()
	if boot == nil {
		return nil
	}
	var list []abi.DeviceGrant
	for _, g := range boot.Devices[:min(boot.NumDevices, abi.MaxDevices)] {
		if g.Kind == abi.DeviceIGBVF {
			list = append(list, g)
		}
	}
	return list
}

// Open drives the nth network function of the container. MAC comes from the grant, and the longest frame if MaxFrame is 0. The error is
// metal.ErrNotRunning where there is no nom, ErrNoDevice where the container has no such function, ErrTaken where the platform
// drives it, ErrRefused where MaxFrame is too much.
func Open(n int, c Config) (*Function, error) {
	if !metal.InContainer() {
		return nil, metal.ErrNotRunning
	}
	grants := Grants()
	if n < 0 || n >= len(grants) {
		return nil, fmt.Errorf("opening network function %d of %d: %w", n, len(grants), ErrNoDevice)
	}
	if n == 0 && taken() {
		return nil, fmt.Errorf("opening network function %d: %w", n, ErrTaken)
	}
	g := grants[n]
	c.MAC, c.granted = g.MAC, int(g.MaxFrame)
	if c.MaxFrame == 0 {
		c.MaxFrame = c.granted
	}
	if g.BAR.Size < igb.VFSize {
		return nil, fmt.Errorf("opening network function %d: its registers take %d bytes, want %d: the nonkernel is of another version", n, g.BAR.Size, igb.VFSize)
	}
	f, err := New(NewWindow(metal.RangeBytes(g.BAR)), pages, c)
	if err != nil {
		return nil, fmt.Errorf("opening network function %d: %w", n, err)
	}
	f.device, f.entries = uint64(g.Index), min(f.entries, int(g.Vectors))
	return f, nil
}

// taken tells whether the platform drives the first function.
func taken() bool {
	return metal.BootPage().Companion == 0 && os.Getenv(abi.AddressEnv) != "" && os.Getenv(abi.StackEnv) != abi.StackOwn
}

// pages is memory that the device reaches at the address where the container has it. It is touched: the container owns a page,
// and the device reaches it, from the first time that a processor writes there.
func pages(bytes int) (Memory, error) {
	p, err := metal.Pages(bytes / pageSize)
	if err != nil {
		return Memory{}, err
	}
	metal.Zero(p.Bytes())
	return Memory{p.Bytes(), p.Addr}, nil
}

// Arm lets queue n raise an interrupt on one of the container's vCPUs, so that Wait can sleep. vector must be free, from
// abi.FirstDeviceVector to abi.LastDeviceVector.
func (f *Function) Arm(n, vcpu, vector int) error {
	file, err := metal.OpenVector(vector)
	if err != nil {
		return fmt.Errorf("nic: interrupt of queue %d: %w", n, err)
	}
	if err := f.Interrupt(n, n, file); err != nil {
		return errors.Join(err, file.Close())
	}
	if _, err := metal.Hypercall(abi.CallRoute, f.device, uint64(n), uint64(vcpu), uint64(vector), 0, 0); err != nil {
		return errors.Join(fmt.Errorf("nic: routing interrupt %d of network function %d to vCPU %d: %w", n, f.device, vcpu, err), file.Close())
	}
	if _, err := metal.Hypercall(abi.CallMaskDevice, f.device, uint64(n), 0, 0, 0, 0); err != nil {
		return errors.Join(fmt.Errorf("nic: opening interrupt %d of network function %d: %w", n, f.device, err), file.Close())
	}
	return nil
}

// Hostilenic drives its container's network function against the machine, in one way for each name. Built for the tests.
//
// It has a driver of its own, because package nic refuses to do most of this.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/lib/nic"
	"nom.dev/nom/metal"
)

var modes = map[string]func(*function) error{
	"dma": attackMemory, "reset": resetForever, "registers": writeEverything, "route": routeWrongly, "die": dieWorking,
	"spoof": spoof, "listen": listen, "reach": reach,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hostilenic:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 || modes[os.Args[1]] == nil {
		return errors.New("give the name of one attack")
	}
	f, err := open()
	if err != nil {
		return err
	}
	return modes[os.Args[1]](f)
}

// function is a network function with one queue in each direction.
type function struct {
	abi.DeviceGrant
	nic.Window
	registers []byte
	memory    metal.Physical // pages: receive ring, transmit ring, frame, and what is received
}

const (
	rxRing, txRing, frame, received = 0, abi.PageSize, 2 * abi.PageSize, 3 * abi.PageSize
	slots                           = abi.PageSize / igb.DescriptorSize
	frameLen                        = 64
)

var (
	rx = igb.VFRxQueue(0)
	tx = igb.VFTxQueue(0)
)

func open() (*function, error) {
	grants := nic.Grants()
	if len(grants) == 0 {
		return nil, nic.ErrNoDevice
	}
	m, err := metal.Pages(4)
	if err != nil {
		return nil, err
	}
	metal.Zero(m.Bytes())
	g := grants[0]
	b := metal.RangeBytes(g.BAR)
	return &function{g, nic.NewWindow(b), b, m}, nil
}

// at is where the device finds a part of the memory.
func (f *function) at(part uint64) uint64 { return f.memory.Addr + part }

// describe writes the nth descriptor of a ring.
func (f *function) describe(ring uint64, n int, first, second uint64) {
	b := f.memory.Bytes()[ring+uint64(n)*igb.DescriptorSize:]
	binary.LittleEndian.PutUint64(b, first)
	binary.LittleEndian.PutUint64(b[8:], second)
}

// startReceiving gives the device a ring at an address, and as many descriptors as it has.
func (f *function) startReceiving(ring uint64) {
	f.Write32(rx+igb.RXDCTL, 0)
	f.Write32(rx+igb.RDBAL, uint32(ring))
	f.Write32(rx+igb.RDBAH, uint32(ring>>32))
	f.Write32(rx+igb.RDLEN, abi.PageSize)
	f.Write32(rx+igb.SRRCTL, 2*igb.SRRCTL_KiB|igb.SRRCTL_ADV_ONEBUF|igb.SRRCTL_DROP_EN)
	f.Write32(rx+igb.RDH, 0)
	f.Write32(rx+igb.RDT, 0)
	f.Write32(rx+igb.RXDCTL, igb.QueueEnable)
	f.Write32(rx+igb.RDT, slots-1)
}

// receiveInto lets the device put all frames at one address.
func (f *function) receiveInto(buffer uint64) {
	for i := range slots {
		f.describe(rxRing, i, buffer, 0)
	}
	f.startReceiving(f.at(rxRing))
}

// transmit gives the device a ring at an address, and n descriptors. What is done is reported to head, if that is not 0.
func (f *function) transmit(ring uint64, n uint32, head uint64) {
	f.Write32(tx+igb.TXDCTL, 0)
	f.Write32(tx+igb.TDBAL, uint32(ring))
	f.Write32(tx+igb.TDBAH, uint32(ring>>32))
	f.Write32(tx+igb.TDLEN, abi.PageSize)
	f.Write32(tx+igb.TDH, 0)
	f.Write32(tx+igb.TDT, 0)
	f.Write32(tx+igb.TDWBAH, uint32(head>>32))
	f.Write32(tx+igb.TDWBAL, uint32(head)|min(1, uint32(head)))
	f.Write32(tx+igb.TXDCTL, igb.QueueEnable)
	f.Write32(tx+igb.TDT, n)
}

// transmitFrom sends a frame that the device is to read at an address.
func (f *function) transmitFrom(buffer uint64) {
	f.describe(txRing, 0, buffer, igb.TxFrame(frameLen))
	f.transmit(f.at(txRing), 1, 0)
}

// etherType is IEEE's for experiments.
const etherType = 0x88b5

// putFrame makes a frame of the tests' own, which says something.
func (f *function) putFrame(from [6]byte, says string) {
	b := f.memory.Bytes()[frame:][:frameLen]
	metal.Zero(b)
	n := copy(b, "\xff\xff\xff\xff\xff\xff")
	n += copy(b[n:], from[:])
	binary.BigEndian.PutUint16(b[n:], etherType)
	copy(b[n+2:], says)
}

// broadcast sends such a frame to everybody, which in the emulation is this function, too.
func (f *function) broadcast(says string) {
	f.putFrame(f.MAC, says)
	f.transmitFrom(f.at(frame))
}

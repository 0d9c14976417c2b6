package main

import (
	"fmt"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal"
)

// longEnough is for how long each place is attacked: the nonkernel looks ten times a second what was blocked.
const longEnough = 700 * time.Millisecond

// inside a page: the emulation takes a receive buffer at address 0 for none.
const inside = 0x100

// attackMemory lets the device read and write what is not the container's, in each way that a device does, and prints where.
func attackMemory(f *function) error {
	returned, err := metal.Pages(1)
	if err != nil {
		return err
	}
	metal.Zero(returned.Bytes())
	if _, err := metal.Hypercall(abi.CallReturnPages, returned.Addr, 1, 0, 0, 0, 0); err != nil {
		return err
	}
	end := f.BAR.Addr + f.BAR.Size
	for _, p := range []struct {
		what string
		at   uint64
	}{
		{"page 0", 0}, {"the nonkernel's event page", abi.EventPageAddr}, {"the console, which is the parent's", abi.ConsoleAddr},
		{"a page that was returned", returned.Addr}, {"the registers of the function", f.BAR.Addr}, {"beyond the memory", end},
		{"host memory", 768 << 20}, {"the card's registers", 0xfe60_0000}, {"the IOMMU's registers", 0xfed9_0000}, {"256 GiB", 1 << 38},
		{"beyond all tables", 1 << 45},
	} {
		if p.at == 0xfed9_0000 || p.at == 768<<20 { // never within the container's own memory
			if p.at < end {
				return fmt.Errorf("the container is too large for this test: it ends at %#x", end)
			}
		}
		fmt.Printf("reads %#x: %s\n", p.at, p.what)
		f.repeat(func() { f.transmitFrom(p.at + inside) })
		fmt.Printf("writes %#x: %s\n", p.at, p.what)
		f.repeat(func() {
			f.receiveInto(p.at + inside)
			f.broadcast("nobody may read this")
		})
	}
	f.attackWithRings(end)
	f.receiveInto(f.at(received))
	f.broadcast("still here")
	for deadline := time.Now().Add(time.Minute); string(f.heard()) != "still here"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the function does not work any more: it received %q", f.heard())
		}
	}
	fmt.Println("the function still works")
	return nil
}

// attackWithRings puts the rings themselves where no memory is, and what the device reports.
func (f *function) attackWithRings(end uint64) {
	at := end + abi.PageSize
	fmt.Printf("reads %#x: a ring\n", at)
	f.repeat(func() { f.transmit(at, 10, 0) })
	at += abi.PageSize
	fmt.Printf("reads %#x: a ring\n", at)
	f.repeat(func() {
		f.startReceiving(at)
		f.broadcast("nobody receives this")
	})
	f.receiveInto(f.at(received))
	at += abi.PageSize
	fmt.Printf("writes %#x: the head\n", at)
	f.repeat(func() {
		f.putFrame(f.MAC, "with a head")
		f.transmit(f.at(txRing), 1, at)
	})
}

// repeat does something again and again.
func (f *function) repeat(do func()) {
	for start := time.Now(); time.Since(start) < longEnough; time.Sleep(5 * time.Millisecond) {
		do()
	}
}

// heard is what the received frame says, up to the first zero.
func (f *function) heard() []byte {
	b := f.memory.Bytes()[received+14:][:frameLen-14]
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// reach lets the function's second queue, which the platform leaves alone, read a ring beyond the memory, until the container is ended.
func reach(f *function) error {
	tx = igb.VFTxQueue(1)
	at := f.BAR.Addr + f.BAR.Size + abi.PageSize
	fmt.Printf("reads %#x: a ring\n", at)
	for {
		f.repeat(func() { f.transmit(at, 10, 0) })
	}
}

package main

import (
	"fmt"
	"math/rand/v2"

	"nom.dev/nom/abi"
)

// The local APIC, in x2APIC mode (AMD64 APM vol. 2, section 16.9).
const (
	msrTPR     = 0x808
	msrEOI     = 0x80b
	msrSVR     = 0x80f
	msrICR     = 0x830
	msrTimer   = 0x832
	msrCount   = 0x838
	msrDivide  = 0x83e
	msrSelfIPI = 0x83f
)

// tryIPIs sends interrupts of every kind to everybody but this vCPU, so that whoever gets one is somebody else.
func tryIPIs() error {
	p, err := newProber()
	if err != nil {
		return err
	}
	writeCode := bytes(wrmsr)
	write := func(icr uint64) uint64 {
		return p.run(writeCode, &registers{RCX: msrICR, RAX: icr & 0xffff_ffff, RDX: icr >> 32})
	}
	faults := 0
	const all, allButSelf = 2 << 18, 3 << 18
	for mode := range uint64(8) { // fixed, lowest priority, SMI, -, NMI, INIT, start-up, ExtINT
		for _, vector := range []uint64{0, 2, 8, 18, 0x20, 0x40, 0xef, 0xff} {
			targets := []uint64{allButSelf}
			for id := uint64(1); id <= 64; id++ {
				targets = append(targets, id<<32)
			}
			targets = append(targets, 0xff<<32, 0xffff<<32, 0x7fff_ffff<<32)
			if mode != 0 { // an interrupt of this kind would hit the sender too
				targets = append(targets, 0, all, 0xffff_ffff<<32)
			}
			for _, to := range targets {
				for _, more := range []uint64{0, 1 << 11, 1 << 14, 1<<14 | 1<<15} { // logical, assert, level
					if write(to|mode<<8|vector|more) != noFault {
						faults++
					}
				}
			}
		}
	}
	fmt.Printf("sent to everybody; %d writes faulted\n", faults)
	return nil
}

// trySelfIPIs makes every vector pending at this vCPU while it does not take any, goes out to the nonkernel again and
// again with all of them pending, and leaves.
func trySelfIPIs() error {
	fmt.Println("raising every vector")
	cli()
	for range 100 {
		for v := uint64(16); v < 256; v++ {
			wrmsrOff(msrSelfIPI, v)
		}
		vmmcall(uint64(abi.CallNull), 0, 0, 0, 0, 0, 0)
		vmmcall(uint64(abi.CallVersion), 0, 0, 0, 0, 0, 0)
	}
	exit(0)
	return nil
}

// tryAPIC writes nonsense to the timer and the priorities, and leaves with the timer running.
func tryAPIC() error {
	fmt.Println("setting the timer to everything")
	p, err := newProber()
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 1))
	read, write := bytes(rdmsr), bytes(wrmsr)
	cli()
	for range 5000 {
		msr := []uint64{msrTPR, msrEOI, msrSVR, msrTimer, msrCount, msrDivide, apicFirst + r.Uint64N(apicLast-apicFirst)}[r.IntN(7)]
		if msr == msrICR || msr == msrSelfIPI {
			continue
		}
		value := r.Uint64() >> r.UintN(64)
		p.run(write, &registers{RCX: msr, RAX: value & 0xffff_ffff, RDX: value >> 32})
	}
	for msr := uint64(apicFirst); msr <= apicLast; msr++ {
		p.run(read, &registers{RCX: msr})
	}
	exit(0)
	return nil
}

// exit ends the container without the platform, which may not be able to any more.
func exit(code uint64) {
	vmmcall(uint64(abi.CallExit), code, 0, 0, 0, 0, 0)
	spinOff()
}

package main

import "fmt"

// Model-specific registers and I/O ports.

// msrRanges are those that a permission map covers (AMD64 APM vol. 2, section 15.11), and one that none does.
var msrRanges = []struct{ first, last uint32 }{
	{0, 0x1fff}, {0xc000_0000, 0xc000_1fff}, {0xc001_0000, 0xc001_1fff}, {0x4000_0000, 0x4000_00ff}, {0xffff_ff00, 0xffff_ffff},
}

const (
	apicFirst, apicLast = 0x800, 0x8ff // the attacks apic and ipi have these

	rdmsr = "0f32"
	wrmsr = "0f30"
	// flip reads a register, writes the opposite, and what it was if that worked.
	flip = rdmsr + "4189c0" + "4189d1" + "f7d0" + "f7d2" + wrmsr + "4489c0" + "4489ca" + wrmsr
)

// tryMSRs reads every register and writes to it: the opposite of what it holds, or ones where it cannot be read.
func tryMSRs() error {
	p, err := newProber()
	if err != nil {
		return err
	}
	var readable, secret, writable []uint32
	forEachMSR(func(msr uint32) {
		if p.run(bytes(rdmsr), &registers{RCX: uint64(msr)}) == noFault {
			readable = append(readable, msr)
		} else {
			secret = append(secret, msr)
		}
	})
	write := func(msrs []uint32, code string) {
		machineCode := bytes(code)
		for _, msr := range msrs {
			if p.run(machineCode, &registers{RCX: uint64(msr), RAX: 0xffff_ffff, RDX: 0xffff_ffff}) == noFault {
				writable = append(writable, msr)
			}
		}
	}
	write(readable, flip)
	write(secret, wrmsr)
	fmt.Printf("of %d registers these can be read: %#x\n", len(readable)+len(secret), readable)
	fmt.Printf("these take any value: %#x\n", writable)
	return nil
}

// forEachMSR calls f with each register but the local APIC's.
func forEachMSR(f func(msr uint32)) {
	for _, r := range msrRanges {
		for msr := r.first; ; msr++ {
			if msr < apicFirst || msr > apicLast {
				f(msr)
			}
			if msr == r.last {
				break
			}
		}
	}
}

// tryPorts reads every port and writes to it, a byte, a word and a double word at a time. One of them would switch the
// machine off.
func tryPorts() error {
	p, err := newProber()
	if err != nil {
		return err
	}
	accesses := []struct{ name, code string }{
		{"inb", "ec"}, {"inw", "66ed"}, {"inl", "ed"}, {"outb", "ee"}, {"outw", "66ef"}, {"outl", "ef"},
	}
	for _, a := range accesses {
		answers := 0
		code := bytes(a.code)
		for port := range uint64(1 << 16) {
			r := registers{RDX: port, RAX: 0x2000}
			if a.name[0] == 'i' {
				r.RAX = ^uint64(0)
			}
			if p.run(code, &r) == noFault && a.name[0] == 'i' && uint32(r.RAX) != 0xffff_ffff {
				answers++
				fmt.Printf("port %#x answers %#x\n", port, r.RAX)
			}
		}
		fmt.Printf("%s: %d ports answer\n", a.name, answers)
	}
	return nil
}

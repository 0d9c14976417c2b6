package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

// fuzzCalls is how many hypercalls the fuzzers make; the environment variable HOSTILE_CALLS changes it.
func fuzzCalls() int {
	if n, err := strconv.Atoi(os.Getenv("HOSTILE_CALLS")); err == nil && n > 0 {
		return n
	}
	return 1_000_000
}

// fuzzer makes arguments that come close to what means something.
type fuzzer struct {
	*rand.Rand
	victim metal.Physical // memory that may be lost
	own    abi.Status
}

func newFuzzer() (*fuzzer, error) {
	own, err := container.OwnStatus()
	if err != nil {
		return nil, err
	}
	victim, err := metal.Pages(64)
	if err != nil {
		return nil, err
	}
	f := &fuzzer{rand.New(rand.NewPCG(uint64(own.ID), 2)), victim, own}
	f.refill()
	return f, nil
}

// refill fills the victim with what may look like structures.
func (f *fuzzer) refill() {
	b := f.victim.Bytes()
	for i := 0; i+8 <= len(b); i += 8 {
		v := f.number()
		for k := range 8 {
			b[i+k] = byte(v >> (8 * k))
		}
	}
}

// number draws something between small and wild, with everything that has a meaning more often.
func (f *fuzzer) number() uint64 {
	switch f.IntN(10) {
	case 0:
		return f.Uint64()
	case 1:
		return f.Uint64() >> f.UintN(64)
	case 2:
		return 1<<f.UintN(64) - f.Uint64N(3) + 1
	case 3:
		return f.Uint64N(uint64(f.own.Limit)+8) * abi.PageSize
	case 4:
		return f.victim.Addr + f.Uint64N(f.victim.Size)
	case 5:
		return f.victim.Addr + f.Uint64N(f.victim.Pages())*abi.PageSize
	case 6:
		return uint64(f.own.ID) + f.Uint64N(64) - 8
	case 7:
		return []uint64{abi.AllSlots, abi.LendRead, abi.LendWrite, abi.CopyMax, abi.LendMax, abi.ReturnMax, abi.EventUser, abi.MaxVCPUs, abi.Version}[f.IntN(9)]
	}
	return f.Uint64N(20)
}

// call is one random hypercall. tame leaves out those that would end or stop the caller itself.
func (f *fuzzer) call(tame bool) {
	nr := f.Uint64N(abi.NumCalls + 2)
	if f.IntN(50) == 0 {
		nr = f.Uint64()
	}
	a := [6]uint64{f.number(), f.number(), f.number(), f.number(), f.number(), f.number()}
	if tame {
		switch abi.Call(nr) {
		case abi.CallExit, abi.CallDebugWrite, abi.CallStartVCPU:
			return
		case abi.CallReturnPages: // of its own memory, only what it does not need
			a[0] = f.victim.Addr + f.Uint64N(f.victim.Size)
			a[1] %= 4
		case abi.CallReturnCore, abi.CallGrantCore: // its own vCPU keeps its core
			a[1] &^= abi.AllSlots
		case abi.CallStatus: // it would write over somebody's memory
			a[1] = f.victim.Addr
		}
	}
	vmmcall(nr, a[0], a[1], a[2], a[3], a[4], a[5])
}

// fuzz makes many hypercalls with random arguments.
func fuzz(tame bool) func() error {
	return func() error {
		n := fuzzCalls()
		fmt.Printf("%d hypercalls with random arguments\n", n)
		f, err := newFuzzer()
		if err != nil {
			return err
		}
		for i := range n {
			// Pages of the victim may have been returned. What is left of it is enough for structures.
			f.call(tame)
			if i%10_000 == 0 {
				f.tidy()
			}
		}
		f.tidy()
		if got := vmmcall(uint64(abi.CallVersion), 0, 0, 0, 0, 0, 0); got != abi.Version {
			return fmt.Errorf("afterwards the nonkernel says it has version %#x", got)
		}
		fmt.Println("still here")
		return nil
	}
}

// tidy ends the children that the calls made, so that there is room for more.
func (f *fuzzer) tidy() {
	for id := uint64(f.own.ID) + 1; id < uint64(f.own.ID)+4000; id++ {
		vmmcall(uint64(abi.CallKill), id, 0, 0, 0, 0, 0)
		vmmcall(uint64(abi.CallReap), id, 0, 0, 0, 0, 0)
	}
}

// shout fills the nonkernel's console, as far as that lets it.
func shout() error {
	p, err := metal.Pages(1)
	if err != nil {
		return err
	}
	for i := range p.Bytes() {
		p.Bytes()[i] = 'A' + byte(i%26)
	}
	passed := 0
	for range 10_000 {
		if vmmcall(uint64(abi.CallDebugWrite), p.Addr, abi.DebugWriteMax, 0, 0, 0, 0) == 0 {
			passed++
		}
	}
	fmt.Printf("%d of 10000 went through\n", passed)
	return nil
}

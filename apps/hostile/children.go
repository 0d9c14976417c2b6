package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

// spinAndExit spins with interrupts off on all vCPUs but one, and ends the container on that.
func spinAndExit() error {
	n := runtime.NumCPU()
	fmt.Printf("spinning on %d of %d CPUs\n", n-1, n)
	for range n - 1 {
		go spinOff()
	}
	for start := metal.TSC(); metal.TSC()-start < metal.BootPage().TSCHz; { // a second, without asking the scheduler
	}
	exit(0)
	return nil
}

// makeMany makes containers until the nonkernel refuses, starts each with registers that mean nothing, and leaves all of
// them behind.
func makeMany() error {
	r := rand.New(rand.NewPCG(3, 3))
	for n := 0; ; n++ {
		c, err := container.Create(container.Spec{Name: fmt.Sprint("garbage-", n), VCPUs: 1 + r.IntN(3), Pages: 4, Memory: 1 << 20})
		if err != nil {
			fmt.Printf("made some; then: %v\n", err)
			if n == 0 {
				return fmt.Errorf("not even one container was possible")
			}
			return nil
		}
		state := abi.VCPUState{RIP: r.Uint64() >> r.UintN(64), RSP: r.Uint64() >> 17, CR3: r.Uint64N(256) * abi.PageSize}
		if err := c.Start(state); err != nil && r.IntN(2) == 0 {
			c.Kill()
		}
	}
}

// forkBomb starts itself in two children with all memory that it has, which do the same.
func forkBomb() error {
	platform, self, err := container.Images()
	if err != nil {
		return err
	}
	own, err := container.Own()
	if err != nil {
		return err
	}
	for n := range 2 {
		st, err := container.OwnStatus()
		if err != nil {
			return err
		}
		cfg := container.Config{
			Name: fmt.Sprint("bomb-", n), Pages: (st.Pages - st.Given) / 4, Program: self, Platform: platform,
			Args: []string{"hostile", "forkbomb"}, Nested: true,
			Cores: []container.Slots{{VCPU: 0, Core: own.Core[0], Slots: every(own.Slots[0], n, 3)}},
		}
		if _, err := container.Launch(cfg); err != nil {
			fmt.Println("no further child:", err)
		}
	}
	for {
		time.Sleep(time.Second)
	}
}

// every picks each n-th of the slots, from number first on.
func every(slots uint32, first, n int) uint32 {
	picked := uint32(0)
	for i := 0; slots != 0; i++ {
		if i%n == first {
			picked |= slots & -slots
		}
		slots &= slots - 1
	}
	return picked
}

// dieReturning ends the container on one vCPU while another one, or another goroutine, returns pages.
func dieReturning() error {
	p, err := metal.Pages(2048)
	if err != nil {
		return err
	}
	fmt.Println("returning pages and dying")
	go func() {
		time.Sleep(time.Millisecond)
		exit(0)
	}()
	for off := uint64(0); off < p.Size; off += 16 * abi.PageSize {
		vmmcall(uint64(abi.CallReturnPages), p.Addr+off, 16, 0, 0, 0, 0)
	}
	exit(0)
	return nil
}

// dieWithChild ends while a child of its own runs and holds pages that were lent to it.
func dieWithChild() error {
	platform, self, err := container.Images()
	if err != nil {
		return err
	}
	own, err := container.Own()
	if err != nil {
		return err
	}
	_, err = container.Launch(container.Config{
		Name: "orphan", Pages: 16 << 20 / abi.PageSize, Program: self, Platform: platform, Args: []string{"hostile", "spin"}, Nested: true,
		Cores: []container.Slots{{VCPU: 0, Core: own.Core[0], Slots: every(own.Slots[0], 1, 3)}},
	})
	if err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	exit(0)
	return nil
}

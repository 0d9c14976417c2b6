// Command kernel is the nonkernel: it takes the machine, gives all of it to the root container, and from then on only
// isolates and arbitrates. It owns no driver but the console, no file system and no network stack.
//
// It is an ordinary Go program on package metal's platform, on the bare machine. It starts here: memory and cores become
// a container.Kernel, the boot bundle's root program becomes the root container, and one runner for each core does the
// rest. It must never run code of a container, nor trust a byte that one wrote.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/layout"
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/kernel/core"
	"nom.dev/nom/kernel/devices"
	"nom.dev/nom/metal"
)

func main() {
	if !metal.Running() {
		fmt.Fprintln(os.Stderr, "kernel: this is nom's nonkernel; it runs on a bare machine. Try: nom boot ./apps/hello")
		os.Exit(125)
	}
	if err := run(metal.BootPage()); err != nil {
		fmt.Printf("nom: %v\n", err)
		_ = metal.PowerOff(125)
	}
}

// run boots the machine and returns only when it cannot go on.
func run(boot *abi.BootPage) error {
	if boot.Flags&abi.BootHost == 0 {
		return errors.New("the nonkernel was started in a container")
	}
	debug.SetMemoryLimit(int64(boot.HostPool / 2))
	files, err := bundle.Open(metal.RangeBytes(boot.Bundle))
	if err != nil {
		return fmt.Errorf("the machine image's bundle: %w", err)
	}
	m, err := core.New(boot, processor)
	if err != nil {
		return err
	}
	vcpuPages, portPages := m.Overhead()
	k, err := container.New(container.Config{
		Machine:        m,
		Memory:         boot.Managed[:boot.NumManaged],
		Cores:          int(boot.NumCPUs),
		TSCHz:          boot.TSCHz,
		VCPUPages:      vcpuPages,
		ContainerPages: portPages,
		Zero:           metal.Zero,
		Bug:            bug,
	})
	if err != nil {
		return fmt.Errorf("taking the machine: %w", err)
	}
	m.Use(k)
	root, err := makeRoot(k, boot, files)
	if err != nil {
		return fmt.Errorf("making the root container: %w", err)
	}
	set, list, err := devices.Open(m, boot, bug)
	switch {
	case err == nil:
		k.AddDevices(set, list)
		go set.Watch()
		fmt.Printf("nom: %d network functions for containers\n", len(list))
	default:
		fmt.Printf("nom: %v\n", err)
	}
	total, _ := k.Memory()
	fmt.Printf("nom: %d cores, %d MiB for containers, TSC %d MHz\n", boot.NumCPUs, total*abi.PageSize>>20, boot.TSCHz/1_000_000)
	go k.Reaper(nil)
	if slices.Contains(os.Args[1:], "check") {
		go check(k)
	}
	m.Run()
	for c := range m.Endings() {
		report(c)
		if c == root {
			_, code, _ := c.End()
			return fmt.Errorf("the root container has ended with code %d", code)
		}
	}
	return nil
}

// check looks all the time whether what must always hold does; it holds the kernel's lock for long, and is for tests.
func check(k *container.Kernel) {
	for n := 1; ; n++ {
		if err := k.Invariants(); err != nil {
			bug(err)
		}
		if n == 1 {
			fmt.Println("nom: checking the isolation invariants all the time")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// bug stops the machine: the nonkernel found that its own books are wrong.
func bug(err error) {
	fmt.Printf("nom: bug in the nonkernel: %v\n", err)
	debug.PrintStack()
	_ = metal.PowerOff(125)
}

// report says on the console when a container did not end by itself.
func report(c *container.Container) {
	why := ""
	reason, _, info := c.End()
	switch reason {
	case abi.EndShutdown:
		why = "triple fault"
	case abi.EndMemory:
		why = fmt.Sprintf("touched %#x, which is not its memory", info)
	case abi.EndIllegal:
		why = fmt.Sprintf("illegal exit %#x", info)
	default:
		return
	}
	fmt.Printf("nom: container %d (%s) ended: %s\n", c.ID, c.Name, why)
}

// makeRoot lays the root program out, gives it everything and lets it start.
func makeRoot(k *container.Kernel, boot *abi.BootPage, files *bundle.Bundle) (*container.Container, error) {
	program, _, ok := files.File(bundle.Root)
	platform, _, ok2 := files.File(bundle.Metal)
	if !ok || !ok2 {
		return nil, fmt.Errorf("the bundle lacks %q or %q", bundle.Root, bundle.Metal)
	}
	plan, err := layout.New(layout.Input{
		Program: program, Platform: platform, Bundle: metal.RangeBytes(boot.Bundle),
		Args: []string{"root"}, Name: "root", Base: abi.ImageAddr,
	})
	if err != nil {
		return nil, err
	}
	lent := boot.Bundle.Size / abi.PageSize
	root, err := k.NewRoot(container.RootSpec{Name: "root", VCPUs: min(int(boot.NumCPUs), abi.MaxVCPUs), Lent: lent})
	if err != nil {
		return nil, err
	}
	limit := (k.Status(root).Pages + lent + abi.ReservedPages) * abi.PageSize
	if err := plan.SetLimit(limit, 0); err != nil {
		return nil, err
	}
	b := &plan.Boot
	b.VCPUs = 1
	b.TSCHz, b.APICHz = boot.TSCHz, boot.APICHz
	b.WallTSC, b.WallNanos = boot.WallTSC, boot.WallNanos
	b.Seed = boot.Seed
	b.NumCPUs = boot.NumCPUs
	if err := k.LendHost(root, b.Bundle.Addr, boot.Bundle.Addr, lent); err != nil {
		return nil, err
	}
	for i := range plan.Pieces {
		if p := &plan.Pieces[i]; p.Source != layout.Bundle {
			if err := k.CopyTo(root, p.PA, p.Data); err != nil {
				return nil, err
			}
		}
	}
	if err := k.CopyTo(root, plan.TablesAddr, plan.Tables); err != nil {
		return nil, err
	}
	if err := k.CopyTo(root, plan.BootAddr, plan.BootBytes()); err != nil {
		return nil, err
	}
	return root, k.Start(root, plan.State)
}

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
		DMAPages:       devices.DMAPages,
		Zero:           metal.Zero,
		Bug:            bug,
	})
	if err != nil {
		return fmt.Errorf("taking the machine: %w", err)
	}
	m.Use(k)
	root, plan, err := makeRoot(k, boot, files)
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
	if isManaged() {
		if err := connectRoot(k, plan, list); err != nil {
			return fmt.Errorf("connecting the root container: %w", err)
		}
	}
	if err := startRoot(k, root, plan); err != nil {
		return fmt.Errorf("starting the root container: %w", err)
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

// isManaged says that the root container serves people in a network: its place there is in the environment.
func isManaged() bool { return os.Getenv(abi.AddressEnv) != "" }

// rootRoom is address space for the registers of root's network function.
const rootRoom = 2 << 20

// makeRoot lays the root program out and gives it everything.
func makeRoot(k *container.Kernel, boot *abi.BootPage, files *bundle.Bundle) (*container.Container, *layout.Plan, error) {
	program, _, ok := files.File(bundle.Root)
	platform, _, ok2 := files.File(bundle.Metal)
	if !ok || !ok2 {
		return nil, nil, fmt.Errorf("the bundle lacks %q or %q", bundle.Root, bundle.Metal)
	}
	in := layout.Input{
		Program: program, Platform: platform, Bundle: metal.RangeBytes(boot.Bundle),
		Args: []string{"root"}, Name: "root", Base: abi.ImageAddr,
	}
	lent := boot.Bundle.Size / abi.PageSize
	spec := container.RootSpec{Name: "root", VCPUs: min(int(boot.NumCPUs), abi.MaxVCPUs), Lent: lent}
	if isManaged() {
		for _, name := range []string{abi.AddressEnv, abi.GatewayEnv, abi.DNSEnv} {
			if value := os.Getenv(name); value != "" {
				in.Env = append(in.Env, name+"="+value)
			}
		}
		spec.Room = rootRoom
	}
	plan, err := layout.New(in)
	if err != nil {
		return nil, nil, err
	}
	root, err := k.NewRoot(spec)
	if err != nil {
		return nil, nil, err
	}
	limit := (k.Status(root).Pages + lent + abi.ReservedPages) * abi.PageSize
	top := uint64(0)
	if spec.Room != 0 {
		top = (limit+rootRoom-1)&^(rootRoom-1) + 2*rootRoom
	}
	if err := plan.SetLimit(limit, top); err != nil {
		return nil, nil, err
	}
	b := &plan.Boot
	b.VCPUs = 1
	b.TSCHz, b.APICHz = boot.TSCHz, boot.APICHz
	b.WallTSC, b.WallNanos = boot.WallTSC, boot.WallNanos
	b.Seed = boot.Seed
	b.NumCPUs = boot.NumCPUs
	return root, plan, k.LendHost(root, b.Bundle.Addr, boot.Bundle.Addr, lent)
}

// connectRoot gives root a network function for its sockets.
func connectRoot(k *container.Kernel, plan *layout.Plan, list []*container.Device) error {
	if len(list) == 0 {
		return errors.New("the machine is to be managed over a network and has no network function")
	}
	grant, err := k.GiveRoot(list[0])
	if err != nil {
		return err
	}
	plan.Boot.Devices[0], plan.Boot.NumDevices = grant, 1
	return nil
}

// startRoot copies the root program to where the plan has it and lets it start.
func startRoot(k *container.Kernel, root *container.Container, plan *layout.Plan) error {
	for i := range plan.Pieces {
		if p := &plan.Pieces[i]; p.Source != layout.Bundle {
			if err := k.CopyTo(root, p.PA, p.Data); err != nil {
				return err
			}
		}
	}
	if err := k.CopyTo(root, plan.TablesAddr, plan.Tables); err != nil {
		return err
	}
	if err := k.CopyTo(root, plan.BootAddr, plan.BootBytes()); err != nil {
		return err
	}
	return k.Start(root, plan.State)
}

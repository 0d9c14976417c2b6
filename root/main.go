// Root is the program of the root container: the first program on a machine, to which the nonkernel gives everything. It
// starts the programs of the machine image, each in a container of its own, passes on what they print, starts them
// again when they are to be, reports what became of them, and switches the machine off when all have ended.
//
// # Policy
//
// Memory: root keeps 32 MiB. A program gets what the manifest says, or an equal part of the rest, but at most half of the
// machine (256 MiB on a small one). Cores: see cores.go. With the manifest's option "parallel" = N, at most N programs run
// at a time; one that does not fit in what is free waits until others have ended.
//
// Exit codes: a program's own; 126 when it could not be started; 137 when it was killed, used memory it did not have, or
// lost its parent; 139 when its virtual machine shut down or did what none may. The machine's is that of the first
// program, in the order of the manifest, that failed.
//
// # Outside
//
// The console is the first serial port (lines "name| text"), events for the nom command go to the second (package api).
// Root holds all I/O ports and writes to them directly.
//
// On a machine in the background (the manifest's option "manage") root also serves a management API by HTTP on a network
// function of its own (manage.go, manager.go, serve.go): programs are uploaded, started, followed and removed. Who does not
// send the machine's token learns nothing.
//
// The program must never trust what a container prints or does, and never end before its children have.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

// heapLimit keeps root well within the memory that it keeps for itself.
const heapLimit = rootPages * abi.PageSize / 2

func main() {
	if !metal.InContainer() {
		fmt.Fprintln(os.Stderr, "root: it runs in the root container of a nom machine only: start one with \"nom boot\"")
		os.Exit(1)
	}
	debug.SetMemoryLimit(heapLimit)
	report := newReporter(newUART(realPorts{}, com1), newUART(realPorts{}, com2))
	code, lost, err := run(report)
	if err != nil {
		// No event "done": that is how the nom command learns that the machine failed.
		report.say("the machine cannot go on: %v", err)
		code = 1
	} else {
		if lost != (api.Lost{}) {
			report.say("not everything came back: %d pages, %d core slots, %d devices and %d containers are lost", lost.Pages, lost.Slots, lost.Devices, lost.Containers)
		}
		report.send(api.Event{Event: api.EventDone, Code: code, Lost: &lost})
	}
	powerOff(code)
	os.Exit(code)
}

// run starts everything, waits for its end and counts what came back.
func run(report *reporter) (code int, lost api.Lost, err error) {
	boot := metal.BootPage()
	files, err := bundle.Open(metal.RangeBytes(boot.Bundle))
	if err != nil {
		return 0, lost, fmt.Errorf("the bundle of the machine image: %w", err)
	}
	raw, _, ok := files.File(bundle.Manifest)
	if !ok {
		return 0, lost, fmt.Errorf("no %s in the bundle of the machine image", bundle.Manifest)
	}
	m, err := manifest.Parse(raw)
	if err != nil {
		return 0, lost, err
	}
	opts, err := readOptions(m.Options)
	if err != nil {
		return 0, lost, err
	}
	if opts.manage != nil {
		debug.SetMemoryLimit(managedHeap)
	}
	platform, _, err := container.Images()
	if err != nil {
		return 0, lost, err
	}
	own, err := container.OwnStatus()
	if err != nil {
		return 0, lost, err
	}
	cores := ownCores(boot, metal.EventPage())
	report.machine(len(cores), int64(own.Pages+own.Overhead)*abi.PageSize, boot.TSCHz, own.MainTSC)
	l := &machineLauncher{files: files, platform: platform, seeds: rand.NewChaCha8(seed(boot))}
	if opts.manage != nil {
		return 0, lost, manage(opts.manage, cores, newManagedMemory(own.Pages, own.Given), l, report, boot.TSCHz)
	}
	s := newSupervisor(m, opts.parallel, cores, newMemory(own.Pages, own.Given), l, report, boot.TSCHz)
	before, err := readBooks()
	if err != nil {
		return 0, lost, err
	}
	code = s.run()
	after, err := readBooks()
	return code, before.lost(after), err
}

// options are what the manifest says to root itself.
type options struct {
	parallel int
	manage   *manifest.Management
}

// readOptions reads the manifest's options. One that is not known is an error, as unknown fields are.
func readOptions(raw map[string]json.RawMessage) (o options, err error) {
	for name, value := range raw {
		switch name {
		case "parallel":
			if err := json.Unmarshal(value, &o.parallel); err != nil || o.parallel < 0 {
				return o, fmt.Errorf("manifest: option parallel is %s, and must be a number from 0 on", value)
			}
		case manifest.Manage:
			if err := json.Unmarshal(value, &o.manage); err != nil || o.manage == nil || len(o.manage.Token) < leastToken || o.manage.Port == 0 {
				return o, fmt.Errorf("manifest: option %s needs a port and a token of at least %d characters", name, leastToken)
			}
		default:
			return o, fmt.Errorf("manifest: option %q is not known: build the image and the system together", name)
		}
	}
	return o, nil
}

// ownCores lists the cores that root can give away, its own first.
func ownCores(boot *abi.BootPage, page *abi.EventPage) []uint32 {
	cores := []uint32{atomic.LoadUint32(&page.Core[0])}
	if cores[0] == abi.NoCore {
		cores[0] = 0
	}
	n := boot.NumCPUs
	for i := range page.Core {
		if c := atomic.LoadUint32(&page.Core[i]); c != abi.NoCore && c >= n {
			n = c + 1
		}
	}
	for c := range n {
		if c != cores[0] {
			cores = append(cores, c)
		}
	}
	return cores
}

// seed is what all random numbers of this machine's programs come from.
func seed(boot *abi.BootPage) [32]byte {
	s := boot.Seed
	for i, tsc := 0, metal.TSC(); i < 8; i++ {
		s[i] ^= byte(tsc >> (8 * i))
	}
	return s
}

// machineLauncher starts the programs of the bundle.
type machineLauncher struct {
	files    *bundle.Bundle
	platform []byte

	functions functions

	mu    sync.Mutex
	seeds *rand.ChaCha8
}

func (l *machineLauncher) launch(spec *manifest.Container, pages uint64, cores []container.Slots, output func(int, []byte)) (running, error) {
	program, _, ok := l.files.File(spec.Program)
	if !ok {
		return nil, fmt.Errorf("no %s in the bundle of the machine image", spec.Program)
	}
	var files []byte
	if spec.Files != "" {
		if files, _, ok = l.files.File(spec.Files); !ok {
			return nil, fmt.Errorf("no %s in the bundle of the machine image", spec.Files)
		}
	}
	return l.start(spec, program, files, pages, cores, output)
}

// start starts a program that lies anywhere in root's memory; it must stay there until the container has been closed.
func (l *machineLauncher) start(spec *manifest.Container, program, files []byte, pages uint64, cores []container.Slots, output func(int, []byte)) (process, error) {
	cfg := container.Config{Name: spec.Name, Pages: pages, Cores: cores, Program: program, Platform: l.platform, Files: files,
		Args: spec.Args, Env: environment(spec), Output: output, Nested: container.CanNest(program)}
	if spec.Network != nil && spec.Network.Stack == manifest.StackGVisor {
		var ok bool
		if cfg.Companion, _, ok = l.files.File(bundle.Uplink); !ok {
			return nil, fmt.Errorf("no %s in the bundle of the machine image", bundle.Uplink)
		}
	}
	l.seed(&cfg.Seed)
	if r := spec.Rate; r != nil {
		cfg.Limit = abi.DeviceLimit{SendBits: r.Bits, SendFrames: r.Frames, ReceiveBits: r.Bits, ReceiveFrames: r.Frames}
	}
	launch := container.Launch
	if spec.NIC {
		launch = l.functions.launch
	}
	c, err := launch(cfg)
	if err != nil {
		return nil, explain(err)
	}
	return c, nil
}

// seed draws what a program's random numbers come from.
func (l *machineLauncher) seed(to *[32]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 0; i < len(to); i += 8 {
		binary.LittleEndian.PutUint64(to[i:], l.seeds.Uint64())
	}
}

// explain adds what to do about the one error that a user can cause.
func explain(err error) error {
	if errors.Is(err, abi.ENOSPC) {
		return fmt.Errorf("%w: a machine can have %d containers at a time", err, abi.MaxContainers)
	}
	return err
}

// environment is the program's environment with its working directory and its place in the network in it.
func environment(spec *manifest.Container) []string {
	var env []string
	if spec.Dir != "" && spec.Dir != "/" {
		env = append(env, "PWD="+spec.Dir)
	}
	if n := spec.Network; n != nil && n.DHCP {
		env = append(env, abi.AddressEnv+"="+abi.AddressDHCP)
	} else if n != nil {
		env = append(env, abi.AddressEnv+"="+n.Address.String())
		if n.Gateway.IsValid() {
			env = append(env, abi.GatewayEnv+"="+n.Gateway.String())
		}
		if n.DNS.IsValid() {
			env = append(env, abi.DNSEnv+"="+n.DNS.String())
		}
		if n.Stack == manifest.StackOwn {
			env = append(env, abi.StackEnv+"="+abi.StackOwn)
		}
	}
	return append(env, spec.Env...)
}

// Ports that switch the machine off.
const (
	debugExit = 0xf4   // QEMU's isa-debug-exit: QEMU ends with code<<1 | 1
	pm1aQ35   = 0x604  // PM1a control of QEMU's q35 and pc machines (ACPI 6.5 section 4.8.3.2.1)
	slpEnable = 0x2000 // SLP_EN, SLP_TYP 0
)

// powerOff switches the machine off, in the ways that QEMU has.
func powerOff(code int) {
	metal.Outl(debugExit, uint32(code))
	metal.Outw(pm1aQ35, slpEnable)
	time.Sleep(time.Second)
}

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"nom.dev/nom/machine"
)

// machineFlags say what machine to boot.
type machineFlags struct {
	cpus    int
	memory  quantity
	accel   string
	icount  bool
	console string
	timeout time.Duration
	qemu    []string
}

func (m *machineFlags) add(fs *pflag.FlagSet, cpus int, memory quantity, timeout time.Duration, timeoutHelp string) {
	m.memory = memory
	fs.IntVar(&m.cpus, "cpus", cpus, "processors of the machine")
	fs.VarP(&m.memory, "memory", "m", "memory of the machine")
	fs.StringVar(&m.accel, "accel", "", "kvm or tcg (software emulation); default: the best that this computer has")
	fs.BoolVar(&m.icount, "icount", false, "let one instruction take one nanosecond of the machine's time (slow)")
	fs.StringVar(&m.console, "console", "", "also write the machine's console to this `file`")
	fs.DurationVar(&m.timeout, "timeout", timeout, timeoutHelp)
	fs.StringArrayVar(&m.qemu, "qemu-arg", nil, "add an `argument` to QEMU's command line (repeat it)")
}

// config is the machine to start, without its image. close ends the console file.
func (m *machineFlags) config() (c machine.Config, close func() error, err error) {
	c = machine.Config{CPUs: m.cpus, Memory: int64(m.memory), Accel: m.accel, Icount: m.icount, ExtraArgs: m.qemu}
	if m.cpus < 1 {
		return c, nil, fmt.Errorf("--cpus %d: a machine has at least one processor", m.cpus)
	}
	if c.Accel == "" {
		c.Accel = machine.TCG
		if !m.icount {
			c.Accel = machine.BestAccel()
		}
	}
	if m.console == "" {
		return c, func() error { return nil }, nil
	}
	f, err := os.Create(m.console)
	if err != nil {
		return c, nil, fmt.Errorf("file for the console: %w", err)
	}
	c.Console = f
	return c, f.Close, nil
}

// containerFlags say how the programs run.
type containerFlags struct {
	restart   restart
	env       []string
	envFiles  []string
	vcpus     int
	memory    quantity
	dedicated bool
	nic       string
	publish   []string
	net       bool
	dhcp      bool
	stack     string
	rate      rate
	tags      string
	fs        *pflag.FlagSet
}

const stackUsage = "the network `stack` of the programs: gvisor for gVisor's, in a companion program; own for programs that drive their network function themselves (lib/nic); default: the platform's"

func (c *containerFlags) add(fs *pflag.FlagSet) {
	c.restart = "no"
	c.fs = fs
	fs.Var(&c.restart, "restart", "when to start a program again that ended: no, on-failure[:N] or always")
	fs.StringArrayVarP(&c.env, "env", "e", nil, "set a `variable` of the programs' environment: NAME=VALUE, or NAME to take it from here")
	fs.StringArrayVar(&c.envFiles, "env-file", nil, "read variables from a `file`, one a line")
	fs.IntVar(&c.vcpus, "vcpus", 0, "virtual processors of each container; default: the machine decides")
	fs.Var(&c.memory, "container-memory", "memory of each container; default: the machine decides")
	fs.StringVar(&c.nic, "nic", "", "give the machine a network card on this QEMU -netdev `backend`, and each container a function of it")
	fs.StringArrayVarP(&c.publish, "publish", "p", nil, "lead a `port` of this computer to one of a container: [CONTAINER=][ADDRESS:]PORT:PORT[/udp] (repeat it)")
	fs.BoolVar(&c.net, "network", false, "let the programs reach the network outside; -p does so, too")
	fs.BoolVar(&c.dhcp, "dhcp", false, "let the programs reach the network outside from addresses that its DHCP server gives; with --nic, the network of that backend")
	fs.StringVar(&c.stack, "stack", "", stackUsage)
	fs.Var(&c.rate, "net", "most that each container may send, and receive, in a second: 10Mbps, 2kfps (frames) or 10Mbps,2kfps")
	fs.BoolVar(&c.dedicated, "dedicated", false, "give each container cores of its own; default: the machine decides")
	fs.StringVar(&c.tags, "tags", "", "comma-separated build `tags`")
}

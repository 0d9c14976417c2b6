// Package machine is one QEMU machine, seen from the developer's computer: it starts QEMU on a bootable image, decodes
// the events that the root container sends over the second serial port, keeps the end of the console and says how the
// machine ended.
//
// The machine it describes is the one that the rest of nom is written for: q35, an AMD processor with SVM and nested
// paging, two 16550 serial ports, isa-debug-exit at 0xf4. Tested on QEMU 10.0.2 under software emulation (TCG).
//
// The package must never leave a QEMU process behind, whatever ends the caller, and must never trust what the machine
// sends: lines are bounded and anything that is not an event is an error.
package machine

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Names of the ways to run the machine's instructions.
const (
	KVM = "kvm" // on this computer's processor; needs an AMD processor with nested virtualisation
	TCG = "tcg" // emulated in software; runs everywhere
)

// EnvQEMU is the environment variable that names another QEMU than the first qemu-system-x86_64 in PATH.
const EnvQEMU = "NOM_QEMU"

// Bounds on what a machine may be asked to have.
const (
	MaxCPUs   = 255
	MinMemory = 64 << 20
)

// Config says what machine to start.
type Config struct {
	CPUs      int       // 0 means 1
	Memory    int64     // bytes; 0 means 1 GiB
	Accel     string    // KVM, TCG, or "" for the best that this computer has
	Icount    bool      // count instructions: one a nanosecond of the machine's time, on one host thread
	Image     string    // the bootable ELF image
	Dir       string    // for the machine's sockets; "" when there are none
	QMP       bool      // serve QEMU's monitor protocol on the socket qmp.sock in Dir
	Netdev    string    // QEMU's -netdev without its id, such as "user"; "" = no network card and no IOMMU
	ExtraArgs []string  // added to QEMU's command line
	QEMU      string    // path of QEMU; "" looks at $NOM_QEMU, then in PATH
	Console   io.Writer // also gets everything that the console prints; may be nil
}

// withDefaults fills in what the caller left open and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.Memory == 0 {
		c.Memory = 1 << 30
	}
	if c.CPUs < 1 || c.CPUs > MaxCPUs {
		return c, fmt.Errorf("a machine with %d processors: choose from 1 to %d", c.CPUs, MaxCPUs)
	}
	if c.Memory < MinMemory {
		return c, fmt.Errorf("a machine with %d bytes of memory: give it at least %d MiB", c.Memory, MinMemory>>20)
	}
	if c.QMP && c.Dir == "" {
		return c, fmt.Errorf("a machine with a QMP socket needs a directory for it")
	}
	if _, err := os.Stat(c.Image); err != nil {
		return c, fmt.Errorf("machine image: %w", err)
	}
	switch {
	case c.Accel == "" && c.Icount:
		c.Accel = TCG // KVM cannot count instructions
	case c.Accel == "":
		c.Accel = BestAccel()
	case c.Accel == KVM && c.Icount:
		return c, fmt.Errorf("counting instructions needs software emulation: choose accelerator %q", TCG)
	case c.Accel != KVM && c.Accel != TCG:
		return c, fmt.Errorf("accelerator %q: choose %q or %q", c.Accel, KVM, TCG)
	}
	var err error
	c.QEMU, err = findQEMU(c.QEMU)
	return c, err
}

// args is QEMU's command line without its name. The console leaves through the file descriptor consoleFD.
func (c Config) args() []string {
	a := []string{"-machine", "q35"}
	switch {
	case c.Accel == KVM:
		a = append(a, "-accel", "kvm", "-cpu", "host,+svm,+x2apic")
	case c.Icount:
		// A program that reads the x2APIC's timer (RDMSR 839) aborts a QEMU that counts ("Bad icount read"); the
		// option one-insn-per-tb=on would help, and costs a factor of seven. The platform does not read it.
		a = append(a, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", tcgCPU)
	default:
		a = append(a, "-accel", "tcg,thread=multi", "-cpu", tcgCPU)
	}
	a = append(a,
		"-m", strconv.FormatInt(c.Memory>>10, 10)+"K",
		"-smp", strconv.Itoa(c.CPUs),
		"-display", "none", "-nodefaults", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4",
		"-serial", fmt.Sprintf("file:/dev/fd/%d", consoleFD),
		"-serial", "stdio",
	)
	if c.Netdev != "" {
		a = append(a,
			"-device", "intel-iommu,intremap=on,eim=on",
			"-device", "pcie-root-port,id=rp1,chassis=1,slot=1",
			"-netdev", networkBackend(c.Netdev),
			"-device", "igb,bus=rp1,netdev=net0",
		)
	}
	if c.QMP {
		a = append(a, "-qmp", "unix:"+c.qmpPath()+",server=on,wait=off")
	}
	a = append(a, "-kernel", c.Image)
	return append(a, c.ExtraArgs...)
}

// networkBackend gives a -netdev argument its id: "user,hostfwd=..." becomes "user,id=net0,hostfwd=...".
func networkBackend(netdev string) string {
	kind, rest, _ := strings.Cut(netdev, ",")
	s := kind + ",id=net0"
	if rest != "" {
		s += "," + rest
	}
	return s
}

// tcgCPU is the emulated processor model: the oldest AMD server processor with everything that nom needs.
const tcgCPU = "EPYC,+svm,+npt,+x2apic"

// consoleFD is the file descriptor that QEMU inherits for the console.
const consoleFD = 3

func (c Config) qmpPath() string { return strings.TrimSuffix(c.Dir, "/") + "/qmp.sock" }

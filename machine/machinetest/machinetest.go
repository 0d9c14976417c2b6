// Package machinetest is a stand-in for QEMU with which the tools can be tested on any computer. A test binary becomes
// the stand-in by calling Main when it is started under QEMU's name.
//
// It understands as much of QEMU's command line as package machine uses. What it then does is up to the environment
// variable NOM_FAKE_QEMU:
//
//   - unset: it takes the bundle out of the image and runs its programs on this computer, one after the other, as the
//     root container would, and sends the same events. A program's ELF file is the same on Linux and on nom, so this
//     tests all of the tools except the machine. An image of a machine in the background makes it serve the management API and
//     QEMU's monitor, as far as nom uses them.
//   - otherwise it is a script, one command a line; see the commands in script.go.
//
// The package must never be imported by anything but tests.
package machinetest

import (
	"fmt"
	"os"
	"strings"
)

// EnvScript is the environment variable that says what the stand-in does.
const EnvScript = "NOM_FAKE_QEMU"

// Main is QEMU's main function.
func Main() {
	args := os.Args[1:]
	switch line := strings.Join(args, " "); {
	case line == "--version":
		fmt.Println("QEMU emulator version " + version() + " (Debian 1:10.0.2)")
		return
	case strings.HasSuffix(line, "-device help"):
		fmt.Print("name \"igb\", bus PCI, desc \"Intel 82576 Gigabit Ethernet Controller\"\n" +
			"name \"intel-iommu\", bus System, desc \"Intel IOMMU (VT-d) DMA Remapping device\"\n")
		return
	case strings.HasSuffix(line, "-device nvme,help"):
		fmt.Println("nvme options:\n  sriov_max_vfs=<uint16> -  (default: 0)")
		return
	}
	q := &qemu{image: option(args, "-kernel"), cpus: option(args, "-smp"), memory: option(args, "-m"), netdev: option(args, "-netdev"), qmp: option(args, "-qmp")}
	console := strings.TrimPrefix(option(args, "-serial"), "file:")
	f, err := os.OpenFile(console, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		fmt.Fprintf(os.Stderr, "qemu-system-x86_64: -serial file:%s: %v\n", console, err)
		os.Exit(1)
	}
	q.console = f
	if script, ok := os.LookupEnv(EnvScript); ok {
		os.Exit(q.script(script))
	}
	os.Exit(q.linux())
}

// version is the version that the stand-in claims to have.
func version() string {
	if v := os.Getenv("NOM_FAKE_QEMU_VERSION"); v != "" {
		return v
	}
	return "10.0.2"
}

// qemu is what the stand-in was started with.
type qemu struct {
	image, cpus, memory string
	netdev, qmp         string
	console             *os.File
}

// option returns the value of the first option of this name.
func option(args []string, name string) string {
	for i, a := range args[:max(len(args)-1, 0)] {
		if a == name {
			return args[i+1]
		}
	}
	return ""
}

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"text/tabwriter"

	"nom.dev/nom/image"
	"nom.dev/nom/machine"
)

// check is one line of what nom doctor found out. Its JSON form is stable.
type check struct {
	Event  string `json:"event"` // "check"
	Name   string `json:"name"`
	Status string `json:"status"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// Status of a check.
const (
	statusOK      = "ok"
	statusLimited = "limited" // nom works, without something
	statusMissing = "missing" // nom does not work
)

func doctor(a *app, args []string) error {
	fs := a.flagSet("doctor", "\nIt exits with 1 when something is missing without which no machine boots.\n")
	f := formatTable
	fs.Var(&f, "format", "how to print it")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("doctor takes no arguments, and got %q", fs.Arg(0))
	}
	r := machine.Probe(a.ctx)
	checks := append(checkQEMU(r.QEMU), checkKVM(r.KVM), checkMemory(r), checkGo(a), checkSystem())
	a.printChecks(checks, f)
	for _, c := range checks {
		if c.Status == statusMissing {
			return withCode(1, nil)
		}
	}
	return nil
}

func (a *app) printChecks(checks []check, f format) {
	if f == formatJSON {
		enc := json.NewEncoder(a.stdout)
		for _, c := range checks {
			c.Event = "check"
			enc.Encode(c)
		}
		return
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CHECK\tSTATUS\tFOUND")
	for _, c := range checks {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, c.Status, c.Found)
	}
	w.Flush()
	for _, c := range checks {
		if c.Advice != "" {
			fmt.Fprintf(a.stdout, "\n%s: %s\n", c.Name, c.Advice)
		}
	}
}

const installAdvice = "on Debian and Ubuntu \"make qemu\" in nom's source installs one that works (or run scripts/install-qemu.sh); elsewhere use " +
	"your package manager, or set " + machine.EnvQEMU + " to its path"

// checkQEMU says whether machines boot, and which of their devices there are.
func checkQEMU(q machine.QEMUState) []check {
	c := check{Name: "qemu", Status: statusOK, Found: q.Version + " at " + q.Path}
	switch {
	case q.Err != nil:
		c.Status, c.Found, c.Advice = statusMissing, q.Err.Error(), installAdvice
		return []check{c}
	case !q.NewEnough():
		c.Status = statusLimited
		c.Advice = fmt.Sprintf("nom is tested with QEMU 10.0; before %d.%d, programs may run but devices do not: %s", machine.MinQEMUMajor, machine.MinQEMUMinor, installAdvice)
	}
	checks := []check{c}
	for _, d := range []struct {
		name, what string
		there      bool
	}{
		{"igb", "network card with virtual functions", q.IGB},
		{"nvme", "disk with virtual functions", q.NVMeSRIOV},
		{"intel-iommu", "IOMMU", q.IntelIOMMU},
	} {
		c := check{Name: d.name, Status: statusOK, Found: d.what}
		if !d.there {
			c.Status, c.Found = statusLimited, "this QEMU has no "+d.what
			c.Advice = "containers do not get a device of this kind for themselves: " + installAdvice
		}
		checks = append(checks, c)
	}
	return checks
}

// checkKVM says whether machines run at the speed of this computer.
func checkKVM(k machine.KVMState) check {
	c := check{Name: "kvm", Status: statusLimited}
	const emulated = "machines are emulated in software, 10 to 50 times slower"
	switch {
	case k.Usable():
		c.Status, c.Found = statusOK, "with nested virtualisation"
	case !k.Device:
		c.Found = "no /dev/kvm"
		c.Advice = emulated + ": enable SVM in the firmware, or nested virtualisation in the hypervisor that this computer runs on, and load the module kvm_amd"
	case !k.AMD:
		c.Found = "not an AMD processor"
		c.Advice = emulated + ": the nonkernel drives AMD's SVM, which KVM offers only on AMD processors"
	case !k.Nested:
		c.Found = "without nested virtualisation"
		c.Advice = emulated + ": as root, \"modprobe -r kvm_amd && modprobe kvm_amd nested=1\""
	default:
		c.Found = "no permission to use /dev/kvm"
		c.Advice = emulated + ": add yourself to the group kvm (\"usermod -aG kvm $USER\", then log in again)"
	}
	return c
}

// comfortable is the memory that the default machine and its emulator take, in bytes.
const comfortable = 2 << 30

func checkMemory(r machine.Report) check {
	c := check{Name: "memory", Status: statusOK, Found: fmt.Sprintf("%.1f GiB, %.1f GiB free", float64(r.Memory)/(1<<30), float64(r.Free)/(1<<30))}
	switch {
	case r.Memory == 0:
		c.Status, c.Found = statusLimited, "unknown"
		c.Advice = "nom runs on Linux"
	case r.Free < comfortable:
		c.Status = statusLimited
		c.Advice = "machines take the memory that they touch: use a smaller --memory, or close something"
	}
	return c
}

// checkGo says whether programs can be built.
func checkGo(a *app) check {
	c := check{Name: "go", Status: statusOK}
	out, err := exec.CommandContext(a.ctx, "go", "env", "GOVERSION").Output()
	c.Found = strings.TrimSpace(string(out))
	switch {
	case err != nil:
		c.Status, c.Found = statusMissing, err.Error()
		c.Advice = fmt.Sprintf("install %s: programs and the system are built with it", image.GoVersion)
	case !goFits(c.Found):
		c.Status = statusMissing
		c.Advice = fmt.Sprintf("the platform beneath the Go runtime fits %s and no other: install it", image.GoVersion)
	}
	return c
}

// checkSystem says whether nom has the parts that run on a machine beside the programs.
func checkSystem() check {
	parts, err := image.System()
	if err != nil {
		return check{Name: "system", Status: statusMissing, Found: err.Error(), Advice: "run \"make\" in nom's source, and use the command that it leaves in bin"}
	}
	return check{Name: "system", Status: statusOK, Found: "metal, kernel, root and uplink in " + parts.Dir}
}

func goFits(version string) bool {
	rest, ok := strings.CutPrefix(version, image.GoVersion)
	return ok && (rest == "" || rest[0] == '.')
}

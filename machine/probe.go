package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// QEMUName is the program that is looked for in PATH.
const QEMUName = "qemu-system-x86_64"

// Oldest QEMU that has every device that nom drives: igb with virtual functions that work under an IOMMU.
const (
	MinQEMUMajor = 9
	MinQEMUMinor = 2
)

// ErrNoQEMU is part of the error when no QEMU was found.
var ErrNoQEMU = fmt.Errorf("%s was not found: install it with \"make qemu\" or your package manager, or set %s to its path", QEMUName, EnvQEMU)

// findQEMU returns the path of QEMU: the given one, the one that the environment names, or the first in PATH.
func findQEMU(given string) (string, error) {
	if given == "" {
		given = os.Getenv(EnvQEMU)
	}
	if given == "" {
		given = QEMUName
	}
	path, err := exec.LookPath(given)
	if err != nil {
		return "", fmt.Errorf("%w (%v)", ErrNoQEMU, err)
	}
	return path, nil
}

// BestAccel is KVM on a computer where it can run the nonkernel's virtual machines, else TCG.
func BestAccel() string {
	if probeKVM().Usable() {
		return KVM
	}
	return TCG
}

// KVMState is what this computer's KVM can do for nom.
type KVMState struct {
	Device  bool // /dev/kvm exists
	Allowed bool // and this user may use it
	AMD     bool // the module for AMD processors is loaded
	Nested  bool // and lets guests use SVM
}

// Usable says that a machine can run on KVM.
func (k KVMState) Usable() bool { return k.Device && k.Allowed && k.AMD && k.Nested }

func probeKVM() KVMState { return probeKVMIn("/") }

// probeKVMIn looks beneath root, which is "/" except in tests.
func probeKVMIn(root string) KVMState {
	var k KVMState
	if _, err := os.Stat(root + "dev/kvm"); err != nil {
		return k
	}
	k.Device = true
	if f, err := os.OpenFile(root+"dev/kvm", os.O_RDWR, 0); err == nil {
		f.Close()
		k.Allowed = true
	}
	nested, err := os.ReadFile(root + "sys/module/kvm_amd/parameters/nested")
	k.AMD = err == nil
	k.Nested = strings.HasPrefix(string(nested), "1") || strings.HasPrefix(string(nested), "Y")
	return k
}

// QEMUState is what was found out about QEMU.
type QEMUState struct {
	Path         string
	Err          error // why it cannot be used
	Version      string
	Major, Minor int
	IGB          bool // the network card with virtual functions
	NVMeSRIOV    bool // the disk with virtual functions
	IntelIOMMU   bool
}

// NewEnough says that the version has all that nom uses.
func (q QEMUState) NewEnough() bool {
	return q.Major > MinQEMUMajor || q.Major == MinQEMUMajor && q.Minor >= MinQEMUMinor
}

// Report is what this computer can do for nom.
type Report struct {
	QEMU   QEMUState
	KVM    KVMState
	Memory int64 // bytes of memory, 0 if unknown
	Free   int64 // of these, available now
}

// Probe looks at this computer. It starts QEMU a few times, without a machine.
func Probe(ctx context.Context) Report {
	r := Report{QEMU: probeQEMU(ctx), KVM: probeKVM()}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		r.Memory, r.Free = parseMeminfo(string(b))
	}
	return r
}

var versionRE = regexp.MustCompile(`version ((\d+)\.(\d+)[0-9.]*)`)

func probeQEMU(ctx context.Context) QEMUState {
	var q QEMUState
	if q.Path, q.Err = findQEMU(""); q.Err != nil {
		return q
	}
	ask := func(args ...string) string {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, q.Path, args...).CombinedOutput()
		if err != nil && q.Err == nil {
			q.Err = fmt.Errorf("%s %s: %w", q.Path, strings.Join(args, " "), err)
		}
		return string(out)
	}
	if m := versionRE.FindStringSubmatch(ask("--version")); m != nil {
		q.Version = m[1]
		q.Major, _ = strconv.Atoi(m[2])
		q.Minor, _ = strconv.Atoi(m[3])
	}
	if q.Err != nil {
		return q
	}
	devices := ask("-machine", "none", "-device", "help")
	q.IGB = strings.Contains(devices, `name "igb"`)
	q.IntelIOMMU = strings.Contains(devices, `name "intel-iommu"`)
	q.NVMeSRIOV = strings.Contains(ask("-machine", "none", "-device", "nvme,help"), "sriov_max_vfs")
	return q
}

// parseMeminfo returns the bytes in MemTotal and MemAvailable.
func parseMeminfo(s string) (total, free int64) {
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			continue
		}
		switch f[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			free = n << 10
		}
	}
	return total, free
}

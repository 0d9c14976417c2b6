package machinetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nom.dev/nom/machine"
)

// RealQEMU is for tests that boot a machine: it skips them in short runs and when there is no QEMU, which in CI is a
// failure.
func RealQEMU(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots machines")
	}
	if q := machine.Probe(t.Context()).QEMU; q.Err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(q.Err)
		}
		t.Skip(q.Err)
	}
}

// System returns the directory with the parts of the system, made from the sources: the one that NOM_SYSTEM names, as
// "make test" sets it, or a new one.
func System(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("NOM_SYSTEM"); dir != "" {
		return dir
	}
	return BuildSystem(t, t.TempDir())
}

// BuildSystem builds the parts of the system beneath the directory bin and returns the directory that they are in.
func BuildSystem(t testing.TB, bin string) string {
	t.Helper()
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("looking for the module's directory: %v", err)
	}
	cmd := exec.Command("make", "-s", "system", "BIN="+bin)
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the parts of the system: %v\n%s", err, out)
	}
	return filepath.Join(bin, "system")
}

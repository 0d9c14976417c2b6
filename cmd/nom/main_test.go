package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nom.dev/nom/image"
	"nom.dev/nom/machine"
	"nom.dev/nom/machine/machinetest"
)

// realQEMU is the path of QEMU, looked up before the stand-in stands in its place.
var realQEMU, errQEMU = exec.LookPath(machine.QEMUName)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"nom":            func() { os.Exit(run(os.Args[1:])) },
		machine.QEMUName: machinetest.Main,
	})
}

// TestScript runs the transcripts in testdata/script, on the stand-in for QEMU.
func TestScript(t *testing.T) {
	runScripts(t, "testdata/script", fakeSystem(t), "")
}

// TestMachine runs the transcripts in testdata/machine, on the real QEMU with the real system.
func TestMachine(t *testing.T) {
	if errQEMU != nil {
		realQEMU = "no-qemu-here"
	}
	t.Setenv(machine.EnvQEMU, realQEMU)
	machinetest.RealQEMU(t)
	runScripts(t, "testdata/machine", machinetest.System(t), realQEMU)
}

func runScripts(t *testing.T, dir, system, qemu string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Condition:           condition,
		Setup: func(env *testscript.Env) error {
			// The caches of this computer, so that nothing is built or fetched twice.
			for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY"} {
				out, err := exec.Command("go", "env", name).Output()
				if err != nil {
					return err
				}
				env.Setenv(name, string(out[:max(len(out)-1, 0)]))
			}
			if err := choosePorts(env); err != nil {
				return err
			}
			env.Setenv(image.SystemEnv, system)
			env.Setenv(machine.EnvQEMU, qemu)
			return nil
		},
	})
}

// condition knows "mounts": that a script may mount file systems in a name space of its own.
func condition(name string) (bool, error) {
	if name != "mounts" {
		return false, fmt.Errorf("no condition is called %q", name)
	}
	return exec.Command("unshare", "--user", "--map-root-user", "--mount", "true").Run() == nil, nil
}

// choosePorts writes the numbers of free ports into the files port, port2 and port3, and that of one which somebody listens on into busy.
func choosePorts(env *testscript.Env) error {
	for _, name := range []string{"port", "port2", "port3", "busy"} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		if name == "busy" {
			env.Defer(func() { l.Close() })
		} else {
			defer l.Close()
		}
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), fmt.Append(nil, l.Addr().(*net.TCPAddr).Port), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// fakeSystem makes programs that stand for the parts of the system: the image tool accepts them, and the stand-in for
// QEMU never runs them.
func fakeSystem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":  "module fake\n",
		"main.go": "package main\n\nfunc main() {}\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for part, flags := range map[string]string{"metal": "-T 0x70001000", "kernel": "", "root": "", "uplink": "-T 0x60001000"} {
		cmd := exec.Command("go", "build", "-o", part, "-ldflags", flags, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building a stand-in for %s: %v\n%s", part, err, out)
		}
	}
	return dir
}

package machine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nom.dev/nom/api"
	"nom.dev/nom/machine"
	"nom.dev/nom/machine/machinetest"
)

const (
	asQEMU = "NOM_TEST_AS_QEMU" // the test binary plays QEMU
	asTool = "NOM_TEST_AS_TOOL" // the test binary starts a machine with the image that this names, and hangs
)

func TestMain(m *testing.M) {
	if image := os.Getenv(asTool); image != "" {
		os.Unsetenv(asTool)
		machine.Run(context.Background(), machine.Config{Image: image}, func(api.Event) {})
		return
	}
	if os.Getenv(asQEMU) != "" {
		machinetest.Main()
		return
	}
	os.Exit(m.Run())
}

// fake makes the test binary QEMU, with a script, and returns a configuration for it.
func fake(t *testing.T, script string) machine.Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asQEMU, "1")
	t.Setenv(machine.EnvQEMU, exe)
	t.Setenv(machinetest.EnvScript, script)
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, []byte("image"), 0o666); err != nil {
		t.Fatal(err)
	}
	return machine.Config{Image: image, Accel: machine.TCG}
}

func TestRun(t *testing.T) {
	c := fake(t, `
		console booting
		event {"event":"machine","version":1,"cpus":2,"memory":1024,"tsc_hz":7}
		event {"event":"start","container":"a"}

		event {"event":"output","container":"a","stream":"stdout","data":"aGkK","a field from the future":1}
		event {"event":"exit","container":"a","code":3,"reason":"exit","stats":{"exits":{"halt":4},"cpu_seconds":0.5}}
		event {"event":"done","code":3}
		exit 7`)
	var console bytes.Buffer
	c.Console = &console
	var got []api.Event
	code, err := machine.Run(t.Context(), c, func(ev api.Event) { got = append(got, ev) })
	if err != nil || code != 3 {
		t.Fatalf("got code %d, error %v", code, err)
	}
	if len(got) != 5 {
		t.Fatalf("got %d events: %+v", len(got), got)
	}
	if ev := got[0]; ev.CPUs != 2 || ev.Memory != 1024 || ev.TSCHz != 7 {
		t.Errorf("machine event: %+v", ev)
	}
	if ev := got[2]; string(ev.Data) != "hi\n" || ev.Stream != "stdout" {
		t.Errorf("output event: %+v", ev)
	}
	if ev := got[3]; ev.Code != 3 || ev.Stats == nil || ev.Stats.Exits["halt"] != 4 {
		t.Errorf("exit event: %+v", ev)
	}
	if got, want := console.String(), "booting\n"; got != want {
		t.Errorf("console: got %q, want %q", got, want)
	}
}

func TestFailures(t *testing.T) {
	const hi = `event {"event":"start","container":"a"}` + "\n"
	tests := []struct {
		name, script, want string
		garbage            bool
	}{
		{"powers off", hi + "exit 0", "switched off", false},
		{"stops itself", hi + "exit 9", "stopped itself with code 4", false},
		{"QEMU complains", "stderr no such cpu\nexit 1", "no such cpu", false},
		{"QEMU dies", hi + "signal 9", "signal: killed", false},
		{"unknown status", hi + "exit 2", "status 2", false},
		{"not JSON", hi + "event panic: nil\nexit 3", `"panic: nil"`, true},
		{"JSON, no event", hi + "event {\"hello\":1}\nexit 3", `no "event"`, true},
		{"cut off", hi + "raw {\"event\"\nexit 3", "middle of a line", true},
		{"flood", "flood 3000000\nexit 3", "longer than", true},
		{"garbage and then nothing", "event garbage\nhang", "garbage", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fake(t, "console before it\n"+tt.script)
			_, err := machine.Run(t.Context(), c, func(api.Event) {})
			var f *machine.Failure
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a failure", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if got := errors.Is(err, machine.ErrGarbage); got != tt.garbage {
				t.Errorf("garbage: got %v, want %v (%v)", got, tt.garbage, err)
			}
			if got := string(f.Console); got != "before it\n" {
				t.Errorf("console: got %q", got)
			}
		})
	}
}

// TestStaysOn checks that a machine that is done but does not switch itself off is stopped.
func TestStaysOn(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	c := fake(t, "pid "+pid+"\nevent {\"event\":\"done\",\"code\":5}\nhang")
	code, err := machine.Run(t.Context(), c, func(api.Event) {})
	if code != 5 || err != nil {
		t.Errorf("got code %d, error %v", code, err)
	}
	wantGone(t, readPid(t, pid))
}

func TestCancel(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	c := fake(t, "pid "+pid+"\nhang")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		readPid(t, pid)
		cancel(why)
	}()
	if _, err := machine.Run(ctx, c, func(api.Event) {}); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	wantGone(t, readPid(t, pid))
}

// TestToolKilled checks that QEMU ends when the tool that started it is killed and can do nothing about it.
func TestToolKilled(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	c := fake(t, "pid "+pid+"\nhang")
	tool := exec.Command(os.Getenv(machine.EnvQEMU))
	tool.Env = append(os.Environ(), asTool+"="+c.Image)
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	qemu := readPid(t, pid)
	tool.Process.Kill()
	tool.Wait()
	wantGone(t, qemu)
}

func TestKillTwice(t *testing.T) {
	c := fake(t, "hang")
	m, err := machine.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m.Kill()
	m.Kill()
	if exit := m.Wait(); !exit.Killed {
		t.Errorf("got %+v, want killed", exit)
	}
	m.Kill()
	if _, ok := m.Wait().DebugCode(); ok {
		t.Error("a killed machine has a debug code")
	}
	wantGone(t, m.Pid())
}

func TestConsoleTail(t *testing.T) {
	c := fake(t, "lines 300\nconsole the end\nexit 0")
	m, err := machine.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m.Wait()
	got := string(m.Console())
	if len(got) > 64<<10 || len(got) < 60<<10 {
		t.Errorf("kept %d bytes", len(got))
	}
	if !strings.HasPrefix(got, "yyy") || !strings.HasSuffix(got, "\nthe end\n") {
		t.Errorf("got %q...%q", got[:10], got[len(got)-10:])
	}
	for line := range strings.Lines(got) {
		if len(line) != 1001 && line != "the end\n" {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
}

func TestBadConfig(t *testing.T) {
	good := fake(t, "exit 0")
	tests := []struct {
		name string
		edit func(*machine.Config)
		want string
	}{
		{"no image", func(c *machine.Config) { c.Image = "nowhere" }, "nowhere"},
		{"processors", func(c *machine.Config) { c.CPUs = 1000 }, "1 to 255"},
		{"memory", func(c *machine.Config) { c.Memory = 1 }, "64 MiB"},
		{"accelerator", func(c *machine.Config) { c.Accel = "fast" }, `"kvm" or "tcg"`},
		{"kvm and icount", func(c *machine.Config) { c.Accel, c.Icount = machine.KVM, true }, "counting instructions"},
		{"QMP", func(c *machine.Config) { c.QMP = true }, "directory"},
		{"no QEMU", func(c *machine.Config) { c.QEMU = "no-such-qemu" }, "install it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.edit(&c)
			_, err := machine.Start(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	fake(t, "")
	q := machine.Probe(t.Context()).QEMU
	if q.Err != nil || q.Version != "10.0.2" || q.Major != 10 || !q.NewEnough() || !q.IGB || !q.NVMeSRIOV || !q.IntelIOMMU {
		t.Errorf("got %+v", q)
	}
	t.Setenv("NOM_FAKE_QEMU_VERSION", "7.2.22")
	if q := machine.Probe(t.Context()).QEMU; q.NewEnough() || q.Version != "7.2.22" {
		t.Errorf("got %+v", q)
	}
	t.Setenv(machine.EnvQEMU, "no-such-qemu")
	if q := machine.Probe(t.Context()).QEMU; !errors.Is(q.Err, machine.ErrNoQEMU) {
		t.Errorf("got %+v", q)
	}
}

// readPid waits until the fake QEMU has written its process id.
func readPid(t *testing.T, file string) int {
	for range 1000 {
		if b, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(string(b))
			if err != nil {
				t.Error(err)
			}
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the fake QEMU did not start")
	return 0
}

func wantGone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		if state := procState(pid); state == "" || state == "Z" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
	syscall.Kill(pid, syscall.SIGKILL)
}

// procState is the state letter of a process, "" when there is none.
func procState(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:min(1, len(rest))]
}

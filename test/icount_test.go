package test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"nom.dev/nom/api"
	"nom.dev/nom/machine"
)

// The tests in this file run on machines that count: one tick of the time stamp counter is one instruction, and a
// processor that halts lets none pass. What they measure is the same on every computer. The counter is that of the
// whole machine: with a second processor it counts what that does too.

// TestCountedStart counts what stands between a container's first instruction and its program's main function.
func TestCountedStart(t *testing.T) {
	// One after the other: what a second container does between counts, too.
	o := boot(t, hardware{cpus: 1, memory: gib, icount: true, parallel: 1}, run("apps/hello"), run("test/programs/idle"))
	hello := o.want("hello", api.ReasonExit, 0).last().Stats
	spec.startToMain.hold(t, "hello", hello.MainTSC)
	idle := o.want("idle", api.ReasonExit, 0).last().Stats
	spec.startToMain.hold(t, "idle", idle.MainTSC)
	spec.idleMemory.hold(t, "idle", uint64(idle.MemoryPeakBytes))
}

// TestCountedBoot counts what stands between the first instruction of a machine image and the root container's main
// function. Firmware runs before: the same image is booted a second time with code in its first page that only says
// what the counter is.
func TestCountedBoot(t *testing.T) {
	hw := hardware{cpus: 1, memory: gib, icount: true}
	var root uint64
	var console bytes.Buffer
	config := hw.config(&console)
	config.Image = machineImage(t, hw, []*guest{run("apps/hello")})
	if _, err := machine.Run(t.Context(), config, func(ev api.Event) { root = max(root, ev.MainTSC) }); err != nil {
		t.Fatalf("%v\n%s", err, console.Bytes())
	}
	firmware := firstTick(t, config)
	if firmware == 0 || root <= firmware {
		t.Fatalf("root's main began at tick %d, the image at %d", root, firmware)
	}
	t.Logf("firmware took %d ticks", firmware)
	spec.bootToRoot.hold(t, "a machine with one processor and 1 GiB", root-firmware)
}

// firstTick boots an image of which the first page is replaced, and returns the time stamp counter at its entry.
func firstTick(t *testing.T, config machine.Config) uint64 {
	t.Helper()
	code := []byte{
		0x0f, 0x31, // rdtsc
		0x89, 0xd3, // mov ebx, edx
		0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0xb9, 4, 0, 0, 0, // mov ecx, 4
		0xee, 0xc1, 0xe8, 8, 0xe2, 0xfa, // out dx, al; shr eax, 8; loop back
		0x89, 0xd8, // mov eax, ebx
		0xb9, 4, 0, 0, 0, // mov ecx, 4
		0xee, 0xc1, 0xe8, 8, 0xe2, 0xfa, // out dx, al; shr eax, 8; loop back
		0x31, 0xc0, 0x66, 0xba, 0xf4, 0, 0xef, 0xf4, // xor eax, eax; mov dx, 0xf4; out dx, eax; hlt
	}
	f, err := os.OpenFile(config.Image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	headers, err := elf.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range headers.Progs {
		if p.Type == elf.PT_LOAD && p.Paddr == headers.Entry {
			_, err = f.WriteAt(code, int64(p.Off))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	text := bare(t, config)
	if len(text) != 8 {
		t.Fatalf("the image's replaced first page printed %q, want 8 bytes", text)
	}
	return binary.LittleEndian.Uint64(text)
}

// bare runs a machine that has no root container, so that it sends no events, and returns what it printed.
func bare(t *testing.T, config machine.Config) []byte {
	t.Helper()
	var console bytes.Buffer
	config.Console = &console
	_, err := machine.Run(t.Context(), config, func(api.Event) {})
	var f *machine.Failure
	if !errors.As(err, &f) {
		t.Fatalf("a machine without a root container: error %v", err)
	}
	if code, ok := f.Exit.DebugCode(); !ok || code != 0 {
		t.Fatalf("a machine without a root container: %v\n%s", err, console.Bytes())
	}
	return console.Bytes()
}

// counts reads what programs/count printed.
func counts(t *testing.T, text string) map[string]uint64 {
	t.Helper()
	got := map[string]uint64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		var n uint64
		if at := strings.LastIndexByte(line, ' '); at > 0 {
			if _, err := fmt.Sscan(line[at:], &n); err == nil {
				got[line[:at]] = n
			}
		}
	}
	if len(got) < 8 || !strings.Contains(text, "done") {
		t.Fatalf("count printed\n%s", text)
	}
	return got
}

// TestCountedWork runs the same program in containers and as the only program of a bare machine, and compares.
func TestCountedWork(t *testing.T) {
	system(t)
	elf, err := os.ReadFile(program(t, "test/programs/count"))
	if err != nil {
		t.Fatal(err)
	}
	hw := hardware{cpus: 1, memory: gib, icount: true}
	config := hw.config(nil)
	config.Image = bootable(t, hw, elf, nil)
	alone := counts(t, string(bare(t, config)))
	for _, c := range []struct {
		where string
		cpus  int
		loss  promise
		call  promise
	}{
		{"on a core of its own", 2, spec.computeLoss, spec.nullCall},
		{"on a shared core", 1, spec.sharedLoss, spec.sharedCall},
	} {
		t.Run(strings.ReplaceAll(c.where, " ", "-"), func(t *testing.T) {
			o := boot(t, hardware{cpus: c.cpus, memory: gib, icount: true}, run("test/programs/count"))
			inside := counts(t, o.want("count", api.ReasonExit, 0).stdout)
			for _, name := range countedWork {
				t.Logf("%s: %d instructions, %d on the bare machine", name, inside[name], alone[name])
				more := max(inside[name], alone[name]) - alone[name]
				loss := c.loss
				if leansOnRuntime[name] {
					loss = spec.runtimeLoss
				}
				loss.hold(t, name, (more*1000+alone[name]-1)/alone[name])
			}
			for _, name := range []string{"system call", "hypercall", "hypercall that reads the clock", "hypercall that reaches the nonkernel"} {
				t.Logf("%s: %d instructions", name, inside[name])
			}
			c.call.hold(t, "with Go's way in and out", inside["hypercall"]-worldSwitch(t))
		})
	}
}

// countedWork is the work of programs/count that computes.
var countedWork = []string{"sieve", "sha256", "sort", "float", "json", "garbage", "channel"}

// leansOnRuntime is work whose count differs from run to run, on the bare machine too: the collector and the scheduler of
// goroutines depend on random numbers and on when timers fire.
var leansOnRuntime = map[string]bool{"garbage": true, "channel": true}

// worldSwitch is how many instructions it takes to go from the nonkernel to a container and back: those of the function
// that does it, which has no branches.
func worldSwitch(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile(tree + "/metal/platform/vmrun_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(text), "TEXT ·vmrun(SB)")
	body, _, end := strings.Cut(body, "\n\tRET")
	if n := strings.Count(body, "\n\t") + 1; ok && end && n > 50 {
		return uint64(n)
	}
	t.Fatal("the world switch is not where this test looks for it")
	return 0
}

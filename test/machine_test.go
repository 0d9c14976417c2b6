package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/image"
	"nom.dev/nom/machine"
	"nom.dev/nom/machine/machinetest"
)

// tree is the module's directory, seen from this package's.
const tree = ".."

// shared is what all tests of this package have in common. It is made when the first test asks for it.
var shared struct {
	mu       sync.Mutex
	dir      string // for everything that is built
	system   *image.Parts
	programs map[string]string // executables, by the package's folder
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// sharedDir is a directory that lives as long as the tests. shared.mu is held.
func sharedDir(t testing.TB) string {
	t.Helper()
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "nom-test-")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
	}
	return shared.dir
}

// system is nom's own parts. Tests that need them need QEMU too, and are skipped without it.
func system(t testing.TB) *image.Parts {
	t.Helper()
	machinetest.RealQEMU(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.system != nil {
		return shared.system
	}
	dir := os.Getenv(image.SystemEnv)
	if dir == "" {
		dir = machinetest.BuildSystem(t, sharedDir(t))
	}
	parts, err := image.ReadSystem(dir)
	if err != nil {
		t.Fatal(err)
	}
	shared.system = parts
	return parts
}

// program builds a package main, named by its folder in the tree, and returns the executable.
func program(t testing.TB, folder string) string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if file := shared.programs[folder]; file != "" {
		return file
	}
	file, err := image.Program(t.Context(), "./"+folder, image.BuildOptions{
		Dir:    tree,
		Output: filepath.Join(sharedDir(t), filepath.Base(folder)+strconv.Itoa(len(shared.programs))),
		Flags:  []string{"-trimpath"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if shared.programs == nil {
		shared.programs = map[string]string{}
	}
	shared.programs[folder] = file
	return file
}

// guest is a container of a machine: the program's folder, and what the manifest says about it. Name and Args[0] are
// the folder's last element unless given.
type guest struct {
	folder string
	elf    string // instead of folder: an executable
	manifest.Container
	files []bundle.File
}

// run makes a guest of a program with its arguments.
func run(folder string, args ...string) *guest {
	name := filepath.Base(folder)
	return &guest{folder: folder, Container: manifest.Container{Name: name, Args: append([]string{name}, args...)}}
}

// named gives a guest another name.
func (g *guest) named(name string) *guest {
	g.Name = name
	return g
}

// on says how many vCPUs a guest has.
func (g *guest) on(vcpus int) *guest {
	g.VCPUs = vcpus
	return g
}

// hardware says what a machine is.
type hardware struct {
	cpus     int
	memory   int64
	icount   bool
	parallel int           // programs that run at a time; 0 = all
	patience time.Duration // 0 = defaultPatience
	netdev   string        // "" = no network card
	watch    func(api.Event)
}

// defaultPatience is how long a machine may take: much longer than it does, on any computer.
const defaultPatience = 5 * time.Minute

// end is what became of a container.
type end struct {
	stdout, stderr string
	starts         int
	first, final   int   // numbers of the events that it started and ended with
	attempts       []int // of restarts
	exits          []api.Event
}

// last is the last exit of a container.
func (e *end) last() api.Event {
	if len(e.exits) == 0 {
		return api.Event{Stats: &api.Stats{}}
	}
	return e.exits[len(e.exits)-1]
}

// outcome is what became of a machine that was done.
type outcome struct {
	t          testing.TB
	code       int
	events     int       // how many came
	machine    api.Event // its first event
	done       api.Event // its last event
	containers map[string]*end
	console    *bytes.Buffer
}

// boot runs a machine to its end. A machine that fails fails the test, and its console is printed.
func boot(t testing.TB, hw hardware, guests ...*guest) *outcome {
	t.Helper()
	o := &outcome{t: t, containers: map[string]*end{}, console: new(bytes.Buffer)}
	config := hw.config(o.console)
	config.Image = machineImage(t, hw, guests)
	resets := filepath.Join(t.TempDir(), "resets")
	config.ExtraArgs = []string{"-d", "cpu_reset", "-D", resets}
	ctx, cancel := hw.limit(t)
	defer cancel()
	var err error
	if o.code, err = machine.Run(ctx, config, hw.handler(o)); err != nil {
		t.Fatalf("machine with %+v: %v\n%s%s", hw, err, diagnose(err, resets), o.said())
	}
	lost := o.done.Lost
	o.check(lost != nil && *lost == api.Lost{}, "not all resources came back at the end: %+v", lost)
	return o
}

// handler notes events in o and shows them to watch.
func (hw hardware) handler(o *outcome) func(api.Event) {
	return func(ev api.Event) {
		o.handle(ev)
		if hw.watch != nil {
			hw.watch(ev)
		}
	}
}

// machineImage makes an image with guests in it and returns its file.
func machineImage(t testing.TB, hw hardware, guests []*guest) string {
	t.Helper()
	parts := system(t)
	m := &manifest.Manifest{Version: manifest.Version}
	if hw.parallel > 0 {
		m.Options = map[string]json.RawMessage{"parallel": fmt.Append(nil, hw.parallel)}
	}
	var programs []image.ProgramFile
	shared := map[string]string{} // programs that several guests run
	for _, g := range guests {
		file := g.elf
		if file == "" {
			file = program(t, g.folder)
		}
		if g.Program = shared[file]; g.Program != "" && len(g.files) == 0 {
			m.Containers = append(m.Containers, g.Container)
			continue
		}
		elf, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g.Program = bundle.ProgramPrefix + g.Name
		shared[file] = g.Program
		if len(g.files) > 0 {
			g.Files = bundle.FilesPrefix + g.Name
		}
		m.Containers = append(m.Containers, g.Container)
		programs = append(programs, image.ProgramFile{Name: g.Name, ELF: elf, Files: g.files})
	}
	packed, err := image.Pack(parts, m, programs)
	if err != nil {
		t.Fatal(err)
	}
	return bootable(t, hw, parts.Kernel, packed)
}

// bootable writes an image with a program on the bare platform, which is the nonkernel nearly always.
func bootable(t testing.TB, hw hardware, nonkernel, packed []byte) string {
	t.Helper()
	var options image.Options
	if !hw.icount { // what is counted must be the same every time
		rand.Read(options.Seed[:])
	}
	file := filepath.Join(t.TempDir(), "machine.elf")
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(image.Bootable(f, nonkernel, system(t).Metal, packed, options), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// diagnose is what QEMU knows about the end of a machine.
func diagnose(err error, resets string) string {
	said := ""
	var f *machine.Failure
	if errors.As(err, &f) && len(f.Stderr) > 0 {
		said = fmt.Sprintf("QEMU said: %s\n", f.Stderr)
	}
	if b, err := os.ReadFile(resets); err == nil {
		if _, state, found := bytes.Cut(b, []byte("Triple fault")); found {
			said += fmt.Sprintf("QEMU saw a triple fault outside of containers:\n%s\n", state)
		}
	}
	return said
}

// limit ends a machine that takes much too long.
func (hw hardware) limit(t testing.TB) (context.Context, context.CancelFunc) {
	d := hw.patience
	if d == 0 {
		d = defaultPatience
	}
	return context.WithTimeoutCause(t.Context(), d, fmt.Errorf("the machine was not done after %v", d))
}

func (hw hardware) config(console io.Writer) machine.Config {
	return machine.Config{CPUs: hw.cpus, Memory: hw.memory, Icount: hw.icount, Netdev: hw.netdev, Console: console}
}

// handle takes an event of the machine.
func (o *outcome) handle(ev api.Event) {
	e := o.containers[ev.Container]
	if e == nil {
		e = &end{}
		o.containers[ev.Container] = e
	}
	o.events++
	switch ev.Event {
	case api.EventMachine:
		o.machine = ev
	case api.EventDone:
		o.done = ev
	case api.EventStart:
		if e.starts++; e.first == 0 {
			e.first = o.events
		}
	case api.EventRestart:
		e.attempts = append(e.attempts, ev.Attempt)
	case api.EventExit:
		e.exits = append(e.exits, ev)
		e.final = o.events
	case api.EventOutput:
		if ev.Stream == api.StreamStderr {
			e.stderr += string(ev.Data)
		} else {
			e.stdout += string(ev.Data)
		}
	}
}

// said is the end of the console and of what containers printed on standard error, for people.
func (o *outcome) said() string {
	const most = 16 << 10
	b := o.console.Bytes()
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return fmt.Sprintf("--- the machine's console\n%s\n---", b)
}

// check fails the test with the machine's console unless ok.
func (o *outcome) check(ok bool, format string, args ...any) {
	o.t.Helper()
	if !ok {
		o.t.Errorf(format+"\n%s", append(args, o.said())...)
	}
}

// want checks how a container ended for the last time, and returns what became of it.
func (o *outcome) want(name, reason string, code int) *end {
	o.t.Helper()
	e := o.containers[name]
	if e == nil {
		o.t.Fatalf("%s: it was never started\n%s", name, o.said())
	}
	got := e.last()
	o.check(got.Reason == reason && got.Code == code, "%s: ended by %q with code %d (%s), want %q with code %d\nstderr: %s",
		name, got.Reason, got.Code, got.Error, reason, code, e.stderr)
	return e
}

// together checks that containers ran at the same time.
func (o *outcome) together(names ...string) {
	o.t.Helper()
	for _, a := range names {
		for _, b := range names {
			o.check(o.containers[a].first < o.containers[b].final, "%s started only when %s had ended", a, b)
		}
	}
}

// describe is an exit's statistics in one line.
func describe(ev api.Event) string {
	b, _ := json.Marshal(ev.Stats)
	return string(b)
}

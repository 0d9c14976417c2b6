package machinetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/api"
)

// manifest is the part of manifest.json that the stand-in understands.
type manifest struct {
	Containers []container `json:"containers"`
	Options    struct {
		Manage *struct {
			Token string `json:"token"`
		} `json:"manage"`
	} `json:"options"`
}

type container struct {
	Name    string   `json:"name"`
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
}

// linux runs the programs of the image on this computer.
func (q *qemu) linux() int {
	b, err := findBundle(q.image)
	if err != nil {
		fmt.Fprintln(os.Stderr, "qemu-system-x86_64:", err)
		return 1
	}
	var m manifest
	raw, _, ok := b.File(bundle.Manifest)
	if !ok {
		fmt.Fprintln(q.console, "root: no manifest in the bundle")
		return 3
	}
	must(json.Unmarshal(raw, &m))
	if m.Options.Manage != nil {
		return q.manage(m.Options.Manage.Token)
	}
	cpus, _ := strconv.Atoi(q.cpus)
	kib, _ := strconv.ParseInt(strings.TrimSuffix(q.memory, "K"), 10, 64)
	var p port
	p.send(api.Event{Event: api.EventMachine, Version: json.RawMessage("1"), CPUs: cpus, Memory: kib << 10, TSCHz: 1e9})
	code := 0
	for _, c := range m.Containers {
		fmt.Fprintf(q.console, "root: starting %s\n", c.Name)
		if got := p.run(b, c); code == 0 {
			code = got
		}
	}
	p.send(api.Event{Event: api.EventDone, Code: code})
	return code<<1&0xff | 1
}

// findBundle looks for the bundle in an image: it starts at a page boundary of the file.
func findBundle(image string) (*bundle.Bundle, error) {
	raw, err := os.ReadFile(image)
	if err != nil {
		return nil, err
	}
	for at := 0; at < len(raw); at += bundle.PageSize {
		if bytes.HasPrefix(raw[at:], []byte(bundle.Magic)) {
			return bundle.Open(raw[at:])
		}
	}
	return nil, errors.New("no bundle in " + image)
}

// port is the event port.
type port struct{ mu sync.Mutex }

func (p *port) send(ev api.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line, err := json.Marshal(ev)
	must(err)
	os.Stdout.Write(append(line, '\n'))
}

// stream sends what a program prints.
type stream struct {
	p               *port
	container, name string
}

func (s stream) Write(b []byte) (int, error) {
	s.p.send(api.Event{Event: api.EventOutput, Container: s.container, Stream: s.name, Data: b})
	return len(b), nil
}

// run runs one container and returns its exit code.
func (p *port) run(b *bundle.Bundle, c container) int {
	p.send(api.Event{Event: api.EventStart, Container: c.Name})
	start := time.Now()
	end := api.Event{Event: api.EventExit, Container: c.Name, Reason: api.ReasonExit}
	state, err := p.exec(b, c)
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		end.Reason, end.Error, end.Code = api.ReasonStartFailed, err.Error(), api.CodeStartFailed
	case state.ExitCode() < 0:
		end.Reason, end.Code = api.ReasonShutdown, 128+int(state.Sys().(syscall.WaitStatus).Signal())
	default:
		end.Code = state.ExitCode()
	}
	end.Stats = &api.Stats{Exits: map[string]uint64{"hypercall": 1}, RunSeconds: time.Since(start).Seconds(), MemoryPeakBytes: 1 << 20}
	if state != nil {
		end.Stats.CPUSeconds = (state.UserTime() + state.SystemTime()).Seconds()
	}
	p.send(end)
	return end.Code
}

func (p *port) exec(b *bundle.Bundle, c container) (*os.ProcessState, error) {
	elf, _, ok := b.File(c.Program)
	if !ok {
		return nil, fmt.Errorf("no %s in the bundle", c.Program)
	}
	tmp, err := os.MkdirTemp("", "fake-qemu-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	path := filepath.Join(tmp, filepath.Base(c.Program))
	if err := os.WriteFile(path, elf, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Args, cmd.Env, cmd.Dir = c.Args, c.Env, c.Dir
	cmd.Stdout, cmd.Stderr = stream{p, c.Name, api.StreamStdout}, stream{p, c.Name, api.StreamStderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	return cmd.ProcessState, err
}

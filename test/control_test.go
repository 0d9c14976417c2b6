package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newBackground prepares machines in the background, of which none is left at the end.
func newBackground(t *testing.T) *background {
	t.Helper()
	system(t)
	home, err := os.MkdirTemp("", "nom-home-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	b := &background{t, program(t, "cmd/nom"), home, ctx}
	t.Cleanup(func() {
		b.ctx = context.WithoutCancel(ctx) // also when the time was up
		b.run("machine", "stop")
	})
	return b
}

// await runs nom again and again until it prints a word.
func (b *background) await(word string, args ...string) {
	b.t.Helper()
	for {
		if out, _ := b.run(args...); strings.Contains(out, word) {
			return
		}
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("nom %s: never printed %q", strings.Join(args, " "), word)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// TestControl: signals reach unchanged programs, and one can look into them.
func TestControl(t *testing.T) {
	b := newBackground(t)
	const signals = "./test/programs/signals"

	b.want(nil, "run", "-d", "--name", "handles", signals, "--", "handle")
	b.await("ready", "logs", "handles")
	b.want([]string{"handles\n"}, "kill", "-s", "HUP", "handles")
	b.await("got hangup", "logs", "handles")
	b.want([]string{"handles\n"}, "kill", "-s", "10", "handles")
	b.await("got user defined signal 1", "logs", "handles")
	b.want([]string{"handles\n"}, "stop", "handles")
	b.want([]string{"got terminated"}, "logs", "handles")
	b.want([]string{"exited (0)"}, "ps", "-a")

	b.want([]string{"handles\n"}, "restart", "handles")
	b.want([]string{"handles\n"}, "kill", "handles")
	b.want([]string{"137\n"}, "wait", "handles")

	b.want(nil, "run", "-d", "--name", "plain", "--network", signals, "--", "plain")
	b.await("ready", "logs", "plain")
	b.want([]string{"plain\n"}, "stop", "plain")
	b.want([]string{"143\n"}, "wait", "plain")

	b.want(nil, "run", "-d", "--name", "stubborn", signals, "--", "stubborn")
	b.await("ready", "logs", "stubborn")
	b.want([]string{"stubborn\n"}, "stop", "--time", "2s", "stubborn")
	b.want([]string{"137\n"}, "wait", "stubborn")

	b.interrupt(signals)
	b.lookInto("./test/programs/busy")
}

// lookInto looks into a program with everything that nom debug has.
func (b *background) lookInto(folder string) {
	b.t.Helper()
	b.want(nil, "run", "-d", "--name", "busy", "--vcpus", "2", folder)
	b.await("ready: "+syscall.ENOSYS.Error(), "logs", "busy")
	b.want([]string{" memfd_create ", "not there: answered with ENOSYS", " write "}, "debug", "busy", "--syscall-summary")
	b.await("\nmain.park(...)\n", "debug", "busy", "--goroutines")
	b.want([]string{
		"goroutine 1 [run", // running or runnable: it shares its processor with whom it does not know
		"[chan receive]:\nmain.park(...)\n\t", "/test/programs/busy/main.go:20 +", "created by main.main in goroutine 1\n",
	}, "debug", "busy", "--goroutines")

	dir := b.t.TempDir()
	cpu, heap := filepath.Join(dir, "cpu"), filepath.Join(dir, "heap")
	b.want(nil, "debug", "busy", "--pprof", "cpu", "--seconds", "3", "-o", cpu)
	if out := b.top(cpu); !strings.Contains(out, "Type: cpu") || !strings.Contains(out, "main.work") || !strings.Contains(out, "main.main") {
		b.t.Error("the cpu profile has not main.work, called by main.main")
	}
	b.want(nil, "debug", "busy", "--pprof", "heap", "-o", heap)
	if out := b.top(heap); !strings.Contains(out, "Type: inuse_space") || !strings.Contains(out, "main.keep") {
		b.t.Error("the heap profile has not main.keep")
	}
	b.captures()
	b.ownStack()
	b.misuse()
	b.want(nil, "kill", "busy")
	if _, code := b.run("debug", "busy", "--goroutines"); code != 125 {
		b.t.Errorf("looking into one that has ended: code %d, want 125", code)
	}
}

// top is what Go's pprof makes of a profile.
func (b *background) top(file string) string {
	b.t.Helper()
	out, err := exec.CommandContext(b.ctx, "go", "tool", "pprof", "-top", file).CombinedOutput()
	b.t.Logf("go tool pprof -top: %v\n%s", err, out)
	if err != nil {
		b.t.Error(err)
	}
	return string(out)
}

// interrupt presses ^C while nom follows a program, which hears it as SIGTERM.
func (b *background) interrupt(folder string) {
	b.t.Helper()
	cmd := exec.CommandContext(b.ctx, b.nom, "run", "--name", "front", folder, "--", "handle")
	cmd.Dir, cmd.Env = tree, b.env()
	out := &pressAt{word: []byte("ready\n"), press: func() { _ = cmd.Process.Signal(syscall.SIGINT) }}
	cmd.Stdout = out
	err := cmd.Run()
	b.t.Logf("nom run with ^C: %v\n%s", err, out.all.Bytes())
	if err != nil || !strings.Contains(out.all.String(), "got terminated\n") {
		b.t.Errorf("^C: got %v, want the program's own code 0 and that it was asked to end", err)
	}
}

// pressAt does something when a word comes by.
type pressAt struct {
	word  []byte
	press func()
	all   bytes.Buffer
}

func (p *pressAt) Write(data []byte) (int, error) {
	before := bytes.Contains(p.all.Bytes(), p.word)
	p.all.Write(data)
	if !before && bytes.Contains(p.all.Bytes(), p.word) {
		p.press()
	}
	return len(data), nil
}

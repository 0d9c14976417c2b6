package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
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
	t.Cleanup(func() { b.run("machine", "stop") })
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

// TestControl: signals reach unchanged programs.
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

package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/api"
)

// background runs nom on machines of its own.
type background struct {
	t    *testing.T
	nom  string
	home string
	ctx  context.Context
}

func (b *background) env() []string {
	return append(os.Environ(), "NOM_HOME="+b.home, "NOM_SYSTEM="+shared.system.Dir, "NOM_CHECK=1")
}

// run runs nom and returns what it printed on standard output, and its exit code.
func (b *background) run(args ...string) (string, int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.ctx, b.nom, args...)
	cmd.Dir = tree
	cmd.Env = b.env()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	b.t.Logf("nom %s: code %d\n%s%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.Bytes(), errs.Bytes())
	if err != nil && cmd.ProcessState.ExitCode() < 0 {
		b.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// want runs nom, which must succeed and print what has all the words in it.
func (b *background) want(words []string, args ...string) {
	b.t.Helper()
	out, code := b.run(args...)
	for _, w := range words {
		if !strings.Contains(out, w) {
			b.t.Errorf("nom %s: no %q", strings.Join(args, " "), w)
		}
	}
	if code != 0 {
		b.t.Errorf("nom %s: code %d", strings.Join(args, " "), code)
	}
}

// processes lists those whose command line has a word in it.
func processes(word string) []string {
	var list []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, _ := os.ReadFile(f); bytes.Contains(b, []byte(word)) {
			list = append(list, string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		}
	}
	return list
}

// address is where a container is in its machine.
func (b *background) address(name string) string {
	b.t.Helper()
	out, _ := b.run("inspect", name)
	var k api.Container
	if err := json.Unmarshal([]byte(out), &k); err != nil {
		b.t.Error(err)
	}
	return k.Address
}

// endsByItself: who ends by itself, after it was started again as often as its policy says, leaves its ports to others.
func (b *background) endsByItself(port int) {
	b.t.Helper()
	forward := fmt.Sprintf("127.0.0.1:%d:8080", port)
	b.want([]string{"once\n"}, "run", "-d", "--name", "once", "-p", forward, "--restart", "on-failure:1", "./apps/crash")
	b.want([]string{"2\n"}, "wait", "once")
	freed := fmt.Sprintf("free once 127.0.0.1:%d->8080/tcp", port)
	var story string
	for !strings.Contains(story, freed) && b.ctx.Err() == nil {
		story, _ = b.run("events")
		time.Sleep(100 * time.Millisecond)
	}
	for _, line := range []string{"start once", "publish once", "exit once code 2: exit", "restart once for the 1. time", "start web", "stop web"} {
		if !strings.Contains(story, line) {
			b.t.Errorf("no event %q", line)
		}
	}
	b.want([]string{"next\n"}, "run", "-d", "--name", "next", "-p", forward, "./apps/web")
	if err := browse(b.ctx, fmt.Sprintf("http://127.0.0.1:%d/", port), 1, 1); err != nil {
		b.t.Error(err)
	}
	if _, code := b.run("rm", "-f", "once", "next"); code != 0 {
		b.t.Errorf("rm: code %d", code)
	}
}

// keepsValues: an unchanged server that is built on somebody else's library (redcon) answers clients of Redis.
func (b *background) keepsValues(port int) {
	b.want([]string{"kv\n"}, "run", "-d", "--name", "kv", "-p", fmt.Sprintf("127.0.0.1:%d:6379", port), "./apps/kv")
	const question, answer = "PING\r\n*3\r\n$3\r\nSET\r\n$4\r\nname\r\n$3\r\nnom\r\nGET name\r\nQUIT\r\n", "+PONG\r\n+OK\r\n$3\r\nnom\r\n+OK\r\n"
	for got := ""; got != answer; time.Sleep(10 * time.Millisecond) { // QEMU takes connections before the program listens, and ends them
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			b.t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, question)
		all, err := io.ReadAll(c)
		c.Close()
		if got = string(all); b.ctx.Err() != nil || got != "" && got != answer {
			b.t.Fatalf("kv answered %q, error %v, want %q", got, err, answer)
		}
	}
	if _, code := b.run("rm", "-f", "kv"); code != 0 {
		b.t.Errorf("rm: code %d", code)
	}
}

// TestBackground: a machine in the background starts with the first program, serves it to this computer, and goes without a trace.
func TestBackground(t *testing.T) {
	b := newBackground(t)
	ctx, home := b.ctx, b.home
	port := freeTCPPort(t)
	forward := fmt.Sprintf("127.0.0.1:%d:8080", port)

	b.want([]string{"web\n"}, "run", "-d", "--name", "web", "-p", forward, "./apps/web")
	b.want([]string{"web", "running", fmt.Sprintf("127.0.0.1:%d->8080/tcp", port)}, "ps")
	if err := browse(ctx, fmt.Sprintf("http://127.0.0.1:%d/", port), 2, 5); err != nil {
		t.Fatal(err)
	}
	b.want([]string{"web: serving on :8080\n"}, "logs", "web")
	b.want([]string{fmt.Sprintf("8080/tcp -> 127.0.0.1:%d", port)}, "port", "web")
	b.want([]string{"hello from hello"}, "run", "--rm", "./apps/hello")
	if _, code := b.run("run", "-d", "-p", forward, "./apps/web"); code != 125 {
		t.Errorf("a port that is taken: code %d, want 125", code)
	}
	before := b.address("web")
	b.want([]string{"web\n"}, "restart", "web")
	if after := b.address("web"); after != before || before == "" {
		t.Errorf("after the restart its address is %q instead of %q", after, before)
	}
	if err := browse(ctx, fmt.Sprintf("http://127.0.0.1:%d/", port), 1, 1); err != nil {
		t.Error(err)
	}
	b.want([]string{"NAME", "web", "interrupt "}, "stats")
	b.want([]string{`"cpus": 2`, `"running": true`, `"memory_free"`}, "machine", "inspect")
	b.want([]string{"nom_build_info{", `nom_app_up{app="web"} 1`, "# EOF"}, "machine", "metrics")
	b.endsByItself(freeTCPPort(t))
	b.keepsValues(freeTCPPort(t))
	b.want([]string{"web\n"}, "stop", "web")
	b.want([]string{"web", "exited (0)"}, "ps", "-a")
	b.want([]string{"0\n"}, "wait", "web")
	b.want([]string{"web\n"}, "rm", "web")
	if out, code := b.run("ps", "-a", "-q"); code != 0 || out != "" {
		t.Errorf("after rm there is still %q", out)
	}
	b.want([]string{"default", "running"}, "machine", "ls")
	b.want(nil, "machine", "stop")
	b.want([]string{"default", "stopped"}, "machine", "ls")
	if left := processes(home); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
	log, err := os.ReadFile(filepath.Join(home, "machines", "default", "console.log"))
	if err != nil || bytes.Contains(log, []byte("bug in the nonkernel")) || !bytes.Contains(log, []byte("checking the isolation invariants")) || bytes.Contains(log, []byte("blocked")) {
		t.Errorf("the machine's console: %v\n%s", err, log)
	}
	b.want(nil, "machine", "rm")
}

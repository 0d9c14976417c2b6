package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/api"
)

// inspect is what nom says about a container.
func (b *background) inspect(name string) (k api.Container) {
	b.t.Helper()
	out, code := b.run("inspect", name)
	if err := json.Unmarshal([]byte(out), &k); err != nil || code != 0 || k.Name != name {
		b.t.Fatalf("nom inspect %s: code %d, %v:\n%s", name, code, err, out)
	}
	return k
}

// TestRates: a program that sends without pause is held to its rate while a neighbour answers: it gets out a small part of what it gets
// out without one, for each page that the neighbour serves. A server that is held to a rate loses no page.
func TestRates(t *testing.T) {
	const pages, limit = 100, 400_000
	b := newBackground(t)
	web := func(name string, args ...string) (url string) {
		port := freeTCPPort(t)
		b.want([]string{name + "\n"}, append(append([]string{"run", "-d", "--name", name, "-p", fmt.Sprintf("127.0.0.1:%d:8080", port)}, args...), "./apps/web")...)
		return fmt.Sprintf("http://127.0.0.1:%d/", port)
	}
	read := func(url string) {
		t.Helper()
		if err := browse(b.ctx, url, 1, pages); err != nil {
			t.Fatal(err)
		}
	}
	neighbour := web("neighbour")
	read(neighbour)
	flood := func(name string, args ...string) api.Container {
		t.Helper()
		b.want([]string{name + "\n"}, append(append([]string{"run", "-d", "--name", name, "--network"}, args...), "./test/programs/flood", "--", "10.0.2.2:9")...)
		before := b.inspect(name)
		for before.Traffic == nil || before.Traffic.SentFrames < 10 { // until it floods
			if b.ctx.Err() != nil || before.State != api.StateRunning {
				t.Fatalf("%s is %s and does not flood", name, before.State)
			}
			time.Sleep(50 * time.Millisecond)
			before = b.inspect(name)
		}
		read(neighbour)
		k := b.inspect(name)
		if k.State != api.StateRunning || k.Traffic == nil || before.Traffic == nil || k.Rate == nil && k.Traffic.SentFrames == before.Traffic.SentFrames {
			t.Fatalf("%s is %s and sent %+v, before %+v", name, k.State, k.Traffic, before.Traffic)
		}
		t.Logf("%s: %+v before, %+v after %d pages of the neighbour", name, *before.Traffic, *k.Traffic, pages)
		k.Traffic.SentBytes -= before.Traffic.SentBytes
		for n := k; k.Rate != nil && n.Traffic.SendPauses < 2; n = b.inspect(name) { // it goes on after a pause
			if b.ctx.Err() != nil || n.State != api.StateRunning || n.Traffic == nil {
				t.Fatalf("%s is %s and sent %+v: it does not go on", name, n.State, n.Traffic)
			}
			time.Sleep(50 * time.Millisecond)
		}
		b.want([]string{name}, "rm", "-f", name)
		return k
	}
	free := flood("free")
	held := flood("held", "--net", fmt.Sprint(limit, "bps"))
	if free.Rate != nil || free.Traffic.SendPauses != 0 {
		t.Errorf("without a limit: %+v, %+v", free.Rate, free.Traffic)
	}
	if held.Rate == nil || *held.Rate != (api.Rate{Bits: limit}) || held.Traffic.SendPauses == 0 {
		t.Errorf("with a limit: %+v, %+v", held.Rate, held.Traffic)
	}
	if held.Traffic.SentBytes*4 > free.Traffic.SentBytes {
		t.Errorf("with a limit %d bytes went out while the neighbour served %d pages, without one %d", held.Traffic.SentBytes, pages, free.Traffic.SentBytes)
	}
	for _, stack := range [][]string{nil, {"--stack", "gvisor"}} {
		read(web("slow", append(stack, "--net", "1Mbps,40fps")...))
		slow := b.inspect("slow")
		if slow.Traffic == nil || slow.Traffic.SendPauses+slow.Traffic.ReceivePauses == 0 || slow.Rate == nil || *slow.Rate != (api.Rate{Bits: 1_000_000, Frames: 40}) {
			t.Errorf("%v: the server under a limit was never held: %+v, %+v", stack, slow.Rate, slow.Traffic)
		} else {
			t.Logf("%v: %+v", stack, *slow.Traffic)
		}
		b.want([]string{"slow"}, "rm", "-f", "slow")
	}
	b.want(nil, "machine", "stop")
	log, err := os.ReadFile(filepath.Join(b.home, "machines", "default", "machine.log"))
	if err != nil || strings.Contains(string(log), "bug in the nonkernel") || strings.Contains(string(log), "was reset too often") {
		t.Errorf("the machine's log: %v\n%s", err, log)
	}
}

// TestRunExhausted: who runs one container more than there are network functions learns who has them. One that goes makes place.
func TestRunExhausted(t *testing.T) {
	b := newBackground(t)
	start := func(name string) []string {
		return []string{"run", "-d", "--name", name, "-m", "64Mi", "--network", "./apps/web"}
	}
	for i := range 6 { // the machine has seven, and one is its own
		name := fmt.Sprint("w", i)
		b.want([]string{name + "\n"}, start(name)...)
	}
	const said = "no network function is free: the machine's 7 are held by w0, w1, w2, w3, w4, w5, the machine's management API"
	cmd := exec.CommandContext(b.ctx, b.nom, start("late")...)
	cmd.Dir, cmd.Env = tree, b.env()
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), said) {
		t.Errorf("the seventh: %v\n%s", err, out)
	}
	b.want([]string{"w3"}, "rm", "-f", "w3")
	b.want([]string{"late\n"}, start("late")...)
}

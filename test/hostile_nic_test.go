package test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nom.dev/nom/api"
	"nom.dev/nom/machine"
)

// hostileNIC makes a guest that attacks through its network function.
func hostileNIC(attack string) *guest {
	g := run("test/programs/hostilenic", attack).named(attack).on(1)
	g.NIC = true
	g.Memory = 64 * mib
	return g
}

// TestHostileFunctions: containers let their network functions reach for what is not theirs, reset them without end, write nonsense
// to all their registers and ask for all interrupts; on the same machine an unchanged program keeps serving HTTP.
func TestHostileFunctions(t *testing.T) {
	attacks := []string{"dma", "reset", "registers", "route"}
	guests := []*guest{run("apps/web").on(1).place("10.0.2.15/24")}
	for _, a := range attacks {
		guests = append(guests, hostileNIC(a))
	}
	port := freeTCPPort(t)
	hw := hardware{cpus: 2, memory: 2 * gib, netdev: fmt.Sprintf("user,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:8080", port)}
	console := new(bytes.Buffer)
	config := hw.config(console)
	config.Image = machineImage(t, hw, guests)
	ctx, cancel := hw.limit(t)
	defer cancel()
	o := &outcome{t: t, containers: map[string]*end{}, console: console}
	ended, over := make(chan error, 1), newEnds(attacks)
	go func() {
		_, err := machine.Run(ctx, config, func(ev api.Event) {
			o.handle(ev)
			over.note(ev)
		})
		ended <- err
	}()
	pages, err := browseUntil(ctx, fmt.Sprintf("http://127.0.0.1:%d/", port), over.all)
	cancel()
	end := <-ended
	if err != nil {
		t.Fatalf("after %d pages: %v\nthe machine ended with: %v\n%s", pages, err, end, o.said())
	}
	t.Logf("%d pages were served meanwhile", pages)
	for name, last := range map[string]string{"dma": "the function still works\n", "reset": "works again\n", "registers": "works again\n", "route": "routed everything\n"} {
		e := o.want(name, api.ReasonExit, 0)
		o.check(strings.HasSuffix(e.stdout, last), "%s printed\n%s", name, e.stdout)
		t.Logf("%s:\n%s", name, e.stdout)
	}
	checkBlocked(o, "dma")
	for _, line := range []string{`which belongs to "reset": it was reset too often`, `which belongs to "route": its holder sent its interrupts to others`} {
		o.check(strings.Contains(console.String(), line), "not on the console: %s", line)
	}
	o.check(o.containers["web"].exits == nil, "web ended: %+v", o.containers["web"].exits)
	o.check(!strings.Contains(console.String(), "bug in the nonkernel"), "the nonkernel's books are wrong")
}

var (
	reaches   = regexp.MustCompile(`(?m)^(reads|writes) (0x[0-9a-f]+): (.*)$`)
	isBlocked = regexp.MustCompile(`iommu: blocked (read|write) (?:from|to) (0x[0-9a-f]+) by [0-9a-f:.]+, which belongs to "([^"]+)"`)
)

// checkBlocked checks that the console has each of what an attacker says that it reached for, with its name.
func checkBlocked(o *outcome, name string) {
	o.t.Helper()
	blocked := map[string]bool{}
	for _, m := range isBlocked.FindAllStringSubmatch(o.console.String(), -1) {
		if m[3] == name {
			blocked[m[1]+"s "+m[2]] = true
		}
	}
	tried := reaches.FindAllStringSubmatch(o.containers[name].stdout, -1)
	for _, m := range tried {
		o.check(blocked[m[1]+" "+m[2]], "%q %s %s (%s): not on the console", name, m[1], m[2], m[3])
	}
	o.check(len(tried) > 20, "%q tried %d places", name, len(tried))
}

// ends waits for the ends of containers.
type ends struct {
	mu   sync.Mutex
	left map[string]bool
	all  chan struct{} // closed when all have ended
}

func newEnds(names []string) *ends {
	e := &ends{left: map[string]bool{}, all: make(chan struct{})}
	for _, n := range names {
		e.left[n] = true
	}
	return e
}

func (e *ends) note(ev api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.Event != api.EventExit || !e.left[ev.Container] {
		return
	}
	if delete(e.left, ev.Container); len(e.left) == 0 {
		close(e.all)
	}
}

// browseUntil asks for a page again and again until done, and says how often. Every answer must be right.
func browseUntil(ctx context.Context, url string, done <-chan struct{}) (pages int, err error) {
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	if err := awaitPage(ctx, &client, url); err != nil {
		return 0, err
	}
	for ; ; pages++ {
		if err := getPage(ctx, &client, url); err != nil {
			return pages, err
		}
		select {
		case <-done:
			return pages, getPage(ctx, &client, url)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// fakeLauncher runs programs that end at once with the codes in their arguments, one for each start.
type fakeLauncher struct {
	mu     sync.Mutex
	now    int
	most   int
	starts map[string]int
	slots  map[string][]container.Slots
}

type fakeRunning struct {
	l      *fakeLauncher
	status abi.Status
}

func (l *fakeLauncher) launch(spec *manifest.Container, pages uint64, cores []container.Slots, output func(int, []byte)) (running, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.starts == nil {
		l.starts, l.slots = map[string]int{}, map[string][]container.Slots{}
	}
	n := l.starts[spec.Name]
	l.starts[spec.Name]++
	l.slots[spec.Name] = cores
	word := spec.Args[min(n, len(spec.Args)-1)]
	if word == "bad" {
		return nil, errors.New("no good")
	}
	l.now++
	l.most = max(l.most, l.now)
	output(container.Stdout, []byte("run "+spec.Name+"\n"))
	st := abi.Status{State: abi.StateEnded, End: abi.EndExit, Pages: pages}
	if word == "killed" {
		st.End = abi.EndKilled
	} else {
		fmt.Sscan(word, &st.Code)
	}
	return &fakeRunning{l, st}, nil
}

func (r *fakeRunning) Wait() (abi.Status, error) { return r.status, nil }

func (r *fakeRunning) Close() error {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	r.l.now--
	return nil
}

// program makes a container that ends with the words in order.
func program(name, restart string, words ...string) manifest.Container {
	return manifest.Container{Name: name, Program: "program/" + name, Args: words, Restart: restart}
}

// supervise runs programs and returns the code and the events, without output.
func supervise(t *testing.T, l *fakeLauncher, cpus int, pages uint64, parallel int, programs ...manifest.Container) (int, []string) {
	t.Helper()
	var events bytes.Buffer
	r := newReporter(io.Discard, &events)
	m := &manifest.Manifest{Version: manifest.Version, Containers: programs}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	code := newSupervisor(m, parallel, cores(cpus), newMemory(pages, 0), l, r, 1000).run()
	var words []string
	for line := range strings.Lines(events.String()) {
		var ev api.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		switch ev.Event {
		case api.EventStart:
			words = append(words, "start "+ev.Container)
		case api.EventRestart:
			words = append(words, fmt.Sprintf("restart %s %d", ev.Container, ev.Attempt))
		case api.EventExit:
			words = append(words, fmt.Sprintf("%s %s %d", ev.Container, ev.Reason, ev.Code))
		}
	}
	return code, words
}

func TestSupervisor(t *testing.T) {
	for _, c := range []struct {
		name     string
		programs []manifest.Container
		code     int
		want     []string
	}{
		{"none", nil, 0, nil},
		{"good", []manifest.Container{program("a", "", "0")}, 0, []string{"start a", "a exit 0"}},
		{"first in order counts", []manifest.Container{program("a", "", "0"), program("b", "", "3"), program("c", "", "4")}, 3,
			[]string{"start a", "a exit 0", "start b", "b exit 3", "start c", "c exit 4"}},
		{"killed", []manifest.Container{program("a", "", "killed")}, 137, []string{"start a", "a killed 137"}},
		{"cannot start", []manifest.Container{program("a", "always", "bad"), program("b", "", "0")}, 126,
			[]string{"a start-failed 126", "start b", "b exit 0"}},
		{"restart", []manifest.Container{program("a", "on-failure", "1", "0")}, 0,
			[]string{"start a", "a exit 1", "restart a 1", "start a", "a exit 0"}},
		{"restart in vain", []manifest.Container{program("a", "on-failure:1", "1")}, 1,
			[]string{"start a", "a exit 1", "restart a 1", "start a", "a exit 1"}},
	} {
		code, got := supervise(t, &fakeLauncher{}, 1, 1024*mib, 1, c.programs...)
		if code != c.code || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got code %d, %q; want %d, %q", c.name, code, got, c.code, c.want)
		}
	}
}

func TestParallel(t *testing.T) {
	var programs []manifest.Container
	for i := range 40 {
		programs = append(programs, program(fmt.Sprint("p", i), "", "0"))
	}
	for _, parallel := range []int{0, 1, 5} {
		l := &fakeLauncher{}
		code, got := supervise(t, l, 1, 8192*mib, parallel, programs...)
		limit := 12 // the slots of one core that are not root's
		if parallel > 0 {
			limit = parallel
		}
		if code != 0 || len(got) != 2*len(programs) || l.most > limit || len(l.starts) != len(programs) {
			t.Errorf("parallel %d: got code %d, %d events, %d at a time; want at most %d", parallel, code, len(got), l.most, limit)
		}
	}
}

func TestMemoryWaits(t *testing.T) {
	big := func(name string) manifest.Container {
		c := program(name, "", "0")
		c.Memory = 300 << 20
		return c
	}
	huge := big("huge")
	huge.Memory = 8 << 30
	l := &fakeLauncher{}
	code, got := supervise(t, l, 4, 512*mib, 0, big("a"), big("b"), huge)
	if l.most != 1 || code != 126 {
		t.Errorf("got %d at a time, code %d, %q; want one after the other and the huge one refused", l.most, code, got)
	}
}

func TestOwnCores(t *testing.T) {
	page := &abi.EventPage{}
	for i := range page.Core {
		page.Core[i] = abi.NoCore
	}
	page.Core[0] = 0
	for _, c := range []struct {
		cpus uint32
		held uint32
		want []uint32
	}{{0, 1, []uint32{0}}, {3, 1, []uint32{0, 1, 2}}, {0, 2, []uint32{0, 1}}} {
		for i := range c.held {
			page.Core[i] = i
		}
		if got := ownCores(&abi.BootPage{NumCPUs: c.cpus}, page); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d CPUs, %d held: got %v, want %v", c.cpus, c.held, got, c.want)
		}
		page.Core[1] = abi.NoCore
	}
}

func TestReadOptions(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
		bad  bool
	}{{`{}`, 0, false}, {`{"parallel":3}`, 3, false}, {`{"parallel":-1}`, 0, true}, {`{"parallel":"x"}`, 0, true}, {`{"other":1}`, 0, true}} {
		var options map[string]json.RawMessage
		if err := json.Unmarshal([]byte(c.text), &options); err != nil {
			t.Fatal(err)
		}
		got, err := readOptions(options)
		if got.parallel != c.want && !c.bad || (err != nil) != c.bad {
			t.Errorf("%s: got %d, %v", c.text, got.parallel, err)
		}
	}
}

package machinetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"nom.dev/nom/api"
)

// managed is a machine in the background: the management API with programs that run on this computer. It does what the verbs of nom
// need and leaves the checks to root, whose own tests have them.
type managed struct {
	token string

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of anything
	list    []*guest
	events  []api.Event
	made    int
}

// guest is a container of it.
type guest struct {
	api.Container
	program string
	env     []string
	process *os.Process
	output  []api.Event
}

var managementForward = regexp.MustCompile(`hostfwd=tcp:([0-9.]+:[0-9]+)-`)

// manage serves a machine in the background until the process is killed.
func (q *qemu) manage(token string) int {
	m := &managed{token: token, changed: make(chan struct{})}
	forward := managementForward.FindStringSubmatch(q.netdev)
	l, err := net.Listen("tcp", forward[1])
	must(err)
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *guest){
		"GET /v1/machine": func(w http.ResponseWriter, r *http.Request, _ *guest) {
			reply(w, api.Machine{Version: api.Version, CPUs: 2})
		},
		"GET /metrics":   func(w http.ResponseWriter, r *http.Request, _ *guest) { fmt.Fprint(w, "# EOF\n") },
		"GET /v1/events": m.streamEvents, "POST /v1/events": m.note,
		"GET /v1/containers": m.all, "POST /v1/containers": m.create,
		"GET /v1/containers/{name}": m.describe, "DELETE /v1/containers/{name}": m.remove,
		"POST /v1/containers/{name}/kill": m.kill, "POST /v1/containers/{name}/stop": m.kill,
		"POST /v1/containers/{name}/restart": m.restart,
		"GET /v1/containers/{name}/wait":     m.wait, "GET /v1/containers/{name}/logs": m.logs,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			k := m.find(r.PathValue("name"))
			switch {
			case r.Header.Get("Authorization") != "Bearer "+m.token:
				w.WriteHeader(http.StatusUnauthorized)
			case r.PathValue("name") != "" && k == nil:
				refuse(w, http.StatusNotFound, "no container is called "+r.PathValue("name"))
			default:
				h(w, r, k)
			}
		})
	}
	go serveMonitor(q.qmp)
	fmt.Fprintln(q.console, "root: the stand-in serves")
	(&port{}).send(api.Event{Event: api.EventServing})
	must(http.Serve(l, mux))
	return 0
}

// reply answers, if anybody still listens.
func reply(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func refuse(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	reply(w, api.Error{Error: text})
}

// happened wakes who waits; m is locked.
func (m *managed) happened(event string, k *guest, more api.Event) {
	more.Event, more.Container, more.Seq, more.Time = event, k.Name, uint64(len(m.events)+1), time.Now()
	m.events = append(m.events, more)
	m.wake()
}

func (m *managed) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// until waits for a condition.
func (m *managed) until(r *http.Request, holds func() bool) {
	for {
		m.mu.Lock()
		ok, changed := holds(), m.changed
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (m *managed) find(name string) *guest {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.list {
		if k.Name == name {
			return k
		}
	}
	return nil
}

func (m *managed) all(w http.ResponseWriter, r *http.Request, _ *guest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []api.Container{}
	for _, k := range m.list {
		list = append(list, k.Container)
	}
	reply(w, list)
}

func (m *managed) describe(w http.ResponseWriter, r *http.Request, k *guest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reply(w, k.Container)
}

func (m *managed) create(w http.ResponseWriter, r *http.Request, _ *guest) {
	raw, err := base64.StdEncoding.DecodeString(r.Header.Get(api.HeaderSpec))
	must(err)
	var spec api.Spec
	must(json.Unmarshal(raw, &spec))
	program, err := io.ReadAll(r.Body)
	must(err)
	if m.find(spec.Name) != nil {
		refuse(w, http.StatusConflict, "there is a container called "+spec.Name+" already")
		return
	}
	dir, err := os.MkdirTemp("", "fake-qemu-")
	must(err)
	k := &guest{program: filepath.Join(dir, "program"), env: spec.Env}
	must(os.WriteFile(k.program, program, 0o755))
	m.mu.Lock()
	m.made++
	k.Container = api.Container{Name: spec.Name, Args: spec.Args, Ports: spec.Ports, Restart: spec.Restart, Address: fmt.Sprint("10.0.2.", 15+m.made)}
	m.list = append(m.list, k)
	m.mu.Unlock()
	m.start(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	reply(w, k.Container)
}

// start starts the program of k. The thread that did so must stay: its end would be the program's (PR_SET_PDEATHSIG).
func (m *managed) start(k *guest) {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(k.program)
		cmd.Args, cmd.Env = k.Args, k.env
		cmd.Stdout, cmd.Stderr = guestStream{m, k, api.StreamStdout}, guestStream{m, k, api.StreamStderr}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		m.mu.Lock()
		err := cmd.Start()
		k.process, k.State, k.Started, k.Stats = cmd.Process, api.StateRunning, time.Now(), &api.Stats{Exits: map[string]uint64{"halt": 3}, CPUSeconds: 0.5}
		m.happened(api.EventStart, k, api.Event{})
		m.mu.Unlock()
		started <- err
		_ = cmd.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		k.State, k.Reason, k.Code = api.StateExited, api.ReasonExit, cmd.ProcessState.ExitCode()
		if k.Code < 0 {
			k.Reason, k.Code = api.ReasonKilled, api.CodeKilled
		}
		m.happened(api.EventExit, k, api.Event{Code: k.Code, Reason: k.Reason})
	}()
	must(<-started)
}

// guestStream keeps what a program prints.
type guestStream struct {
	m    *managed
	k    *guest
	name string
}

func (s guestStream) Write(b []byte) (int, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.k.output = append(s.k.output, api.Event{Event: api.EventOutput, Container: s.k.Name, Stream: s.name, Data: append([]byte(nil), b...)})
	s.m.wake()
	return len(b), nil
}

func (m *managed) end(r *http.Request, k *guest) {
	m.mu.Lock()
	if k.State == api.StateRunning {
		_ = k.process.Kill()
	}
	m.mu.Unlock()
	m.until(r, func() bool { return k.State == api.StateExited })
}

func (m *managed) kill(w http.ResponseWriter, r *http.Request, k *guest) {
	m.end(r, k)
	m.describe(w, r, k)
}

func (m *managed) restart(w http.ResponseWriter, r *http.Request, k *guest) {
	m.end(r, k)
	m.start(k)
	m.describe(w, r, k)
}

func (m *managed) wait(w http.ResponseWriter, r *http.Request, k *guest) {
	m.until(r, func() bool { return k.State == api.StateExited })
	m.describe(w, r, k)
}

func (m *managed) remove(w http.ResponseWriter, r *http.Request, k *guest) {
	m.end(r, k)
	_ = os.RemoveAll(filepath.Dir(k.program))
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.list {
		if m.list[i] == k {
			m.list = append(m.list[:i], m.list[i+1:]...)
			m.happened(api.EventRemove, k, api.Event{})
			break
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (m *managed) logs(w http.ResponseWriter, r *http.Request, k *guest) {
	m.stream(w, r, 0, func() []api.Event { return k.output }, func() *api.Event {
		if k.State != api.StateExited {
			return nil
		}
		return &api.Event{Event: api.EventExit, Container: k.Name, Code: k.Code, Reason: k.Reason}
	})
}

func (m *managed) streamEvents(w http.ResponseWriter, r *http.Request, _ *guest) {
	since, _ := strconv.Atoi(r.URL.Query().Get("since"))
	m.stream(w, r, since, func() []api.Event { return m.events }, func() *api.Event { return nil })
}

// stream sends a list that grows, and with follow the event that ends it.
func (m *managed) stream(w http.ResponseWriter, r *http.Request, at int, list func() []api.Event, end func() *api.Event) {
	follow := r.URL.Query().Get("follow") != ""
	for r.Context().Err() == nil {
		m.mu.Lock()
		more, last := list(), end()
		m.mu.Unlock()
		for ; at < len(more); at++ {
			reply(w, more[at])
		}
		w.(http.Flusher).Flush()
		if !follow {
			return
		}
		if last != nil {
			reply(w, last)
			return
		}
		m.until(r, func() bool { return len(list()) > at || end() != nil })
	}
}

func (m *managed) note(w http.ResponseWriter, r *http.Request, _ *guest) {
	var ev api.Event
	must(json.NewDecoder(r.Body).Decode(&ev))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.happened(ev.Event, &guest{Container: api.Container{Name: ev.Container}}, api.Event{Port: ev.Port})
	w.WriteHeader(http.StatusNoContent)
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout/layouttest"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

const testToken = "0123456789abcdef0123456789abcdef"

// fakeStarter runs programs that print their arguments and run until they are killed, unless the first argument says how they
// end: a code, or "bad".
type fakeStarter struct {
	mu      sync.Mutex
	running int
	specs   []manifest.Container
	signals []int
	blocked atomic.Uint64
	off     atomic.Uint64
}

type fakeProcess struct {
	s    *fakeStarter
	name string
	once sync.Once
	end  chan struct{}
	last abi.Status
}

func (s *fakeStarter) start(spec *manifest.Container, program, files []byte, pages uint64, cores []container.Slots, output func(int, []byte)) (process, error) {
	if len(program) == 0 || pages == 0 || len(cores) == 0 {
		return nil, errors.New("something is missing")
	}
	p := &fakeProcess{s: s, name: spec.Name, end: make(chan struct{})}
	word := ""
	if len(spec.Args) > 1 {
		word = spec.Args[1]
	}
	if word == "bad" {
		return nil, errors.New("no good")
	}
	s.mu.Lock()
	s.running++
	s.specs = append(s.specs, *spec)
	s.mu.Unlock()
	output(container.Stdout, fmt.Appendln(nil, "args:", spec.Args))
	output(container.Stderr, []byte("to stderr\n"))
	if word != "" {
		code := uint32(0)
		fmt.Sscan(word, &code)
		p.finish(abi.Status{State: abi.StateEnded, End: abi.EndExit, Code: code})
	}
	return p, nil
}

func (p *fakeProcess) finish(st abi.Status) {
	p.once.Do(func() {
		p.last = st
		close(p.end)
	})
}

func (p *fakeProcess) Wait() (abi.Status, error)   { <-p.end; return p.last, nil }
func (p *fakeProcess) Status() (abi.Status, error) { return abi.Status{}, nil }

func (p *fakeProcess) DeviceStatus() ([]abi.DeviceStatus, error) {
	return []abi.DeviceStatus{{SentFrames: 3, SentBytes: 200, SendPauses: 1, Blocked: p.s.blocked.Load(), BlockedLast: 0x5000 | abi.BlockedWrite, SwitchedOff: p.s.off.Load()}}, nil
}

func (p *fakeProcess) Dropped() [abi.NumDrops]uint64 { return [abi.NumDrops]uint64{abi.DropForeign: 4} }

func (p *fakeProcess) Kill() error {
	p.finish(abi.Status{State: abi.StateEnded, End: abi.EndKilled})
	return nil
}

func (p *fakeProcess) Close() error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.running--
	return nil
}

// rig is a machine's API without a machine.
type rig struct {
	*api.Client
	m       *manager
	starter *fakeStarter
	server  *httptest.Server
	blocks  atomic.Int64 // that were not given back
}

// newRig serves the API; at the end everything must have come back.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{starter: &fakeStarter{}}
	place := manifest.Network{Address: netip.MustParsePrefix("10.0.2.15/24"), Gateway: netip.MustParseAddr("10.0.2.2")}
	alloc := func(size int) (*block, error) {
		r.blocks.Add(1)
		return &block{make([]byte, size), func() error { r.blocks.Add(-1); return nil }}, nil
	}
	r.m = newManager(r.starter, newReporter(io.Discard, io.Discard), alloc, cores(2), newManagedMemory(2048*mib, 0), place, 1e9)
	r.server = httptest.NewServer(newServer(r.m, testToken))
	r.Client = &api.Client{Base: r.server.URL, Token: testToken}
	t.Cleanup(func() {
		list, err := r.Containers(context.Background()) // the test's own has ended
		for _, k := range list {
			err = errors.Join(err, r.Remove(context.Background(), k.Name, true))
		}
		r.server.Close()
		if err != nil || r.blocks.Load() != 0 || r.m.used != 0 || slices.Contains(r.m.taken, true) || len(r.m.names) != 0 || r.starter.running != 0 {
			t.Errorf("not everything came back: %v, %d pages, seats %v, names %v, %d running, %d blocks", err, r.m.used, r.m.taken, r.m.names, r.starter.running, r.blocks.Load())
		}
	})
	return r
}

// testProgram is an executable that the API accepts: large enough that its upload takes several pieces.
var testProgram = layouttest.ELF(0x400000, layouttest.Segment{VA: 0x400000, Data: make([]byte, 4<<20), Flags: 5})

// begin starts a container.
func (r *rig) begin(t *testing.T, spec api.Spec, args ...string) (api.Container, error) {
	t.Helper()
	spec.Args = append([]string{spec.Name}, args...)
	return r.Create(t.Context(), &spec, testProgram, nil)
}

// status is the status of an error of the API.
func status(err error) int {
	var e *api.StatusError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func TestUnauthorized(t *testing.T) {
	r := newRig(t)
	if _, err := r.begin(t, api.Spec{Name: "secret"}); err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer " + testToken[1:], "Bearer " + testToken + "0", "bearer " + testToken, testToken, "Basic " + testToken} {
		paths := []string{"/", "/other", "/v1/containers/none"}
		for pattern := range (&server{}).routes() {
			_, path, _ := strings.Cut(pattern, " ")
			paths = append(paths, strings.ReplaceAll(path, "{name}", "secret"))
		}
		for _, path := range paths {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				q, _ := http.NewRequest(method, r.server.URL+path, strings.NewReader("x"))
				q.Header.Set("Authorization", header)
				a, err := http.DefaultClient.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(a.Body)
				a.Body.Close()
				if a.StatusCode != 401 || len(body) != 0 {
					t.Errorf("%s %s with %q: got %s, %q; want 401 and nothing", method, path, header, a.Status, body)
				}
			}
		}
	}
}

func TestLife(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	k, err := r.begin(t, api.Spec{Name: "web", Network: true, Env: []string{"A=1"}, Ports: []string{"0.0.0.0:80->80/tcp"}})
	if err != nil || k.State != api.StateRunning || k.Address != "10.0.2.16" || len(k.Ports) != 1 {
		t.Fatalf("got %+v, %v", k, err)
	}
	if n := r.starter.specs[0].Network; n == nil || n.Address.String() != "10.0.2.16/24" || !r.starter.specs[0].NIC {
		t.Errorf("it was started with the network %+v", n)
	}
	if err := r.Remove(ctx, "web", false); status(err) != 409 {
		t.Errorf("removing it while it runs: %v, want 409", err)
	}
	if _, err := r.begin(t, api.Spec{Name: "web"}); status(err) != 409 {
		t.Errorf("a second one of that name: %v, want 409", err)
	}
	if k, err := r.Kill(ctx, "web"); err != nil || k.State != api.StateExited || k.Code != api.CodeKilled || k.Reason != api.ReasonKilled {
		t.Errorf("killed: %+v, %v", k, err)
	}
	if k, err := r.Kill(ctx, "web"); err != nil || k.State != api.StateExited {
		t.Errorf("killed again: %+v, %v", k, err)
	}
	if k, err := r.Restart(ctx, "web", 0); err != nil || k.State != api.StateRunning || k.Restarts != 1 || k.Address != "10.0.2.16" || k.Code != 0 {
		t.Errorf("restarted: %+v, %v", k, err)
	}
	if list, err := r.Containers(ctx); err != nil || len(list) != 1 || list[0].Name != "web" {
		t.Errorf("list: %+v, %v", list, err)
	}
	m, err := r.Machine(ctx)
	if err != nil || m.Containers != 1 || m.CPUs != 2 || m.MemoryFree >= m.Memory {
		t.Errorf("machine: %+v, %v", m, err)
	}
	if err := r.Remove(ctx, "web", true); err != nil {
		t.Error(err)
	}
	if k, err := r.begin(t, api.Spec{Name: "next", Network: true}, "0"); err != nil || k.Address != "10.0.2.17" {
		t.Errorf("the next one: %+v, %v; want another address", k, err)
	}
}

func TestUnknown(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	for what, do := range map[string]func() error{
		"inspect": func() error { _, err := r.Container(ctx, "none"); return err },
		"kill":    func() error { _, err := r.Kill(ctx, "none"); return err },
		"restart": func() error { _, err := r.Restart(ctx, "none", 0); return err },
		"wait":    func() error { _, err := r.Wait(ctx, "../none"); return err },
		"remove":  func() error { return r.Remove(ctx, "none", true) },
		"logs":    func() error { return r.Logs(ctx, "none", false, func(api.Event) error { return nil }) },
	} {
		if err := do(); status(err) != 404 {
			t.Errorf("%s: got %v, want 404", what, err)
		}
	}
}

func TestCodes(t *testing.T) {
	r := newRig(t)
	if _, err := r.begin(t, api.Spec{Name: "three"}, "3"); err != nil {
		t.Fatal(err)
	}
	k, err := r.Wait(t.Context(), "three")
	if err != nil || k.Code != 3 || k.Reason != api.ReasonExit {
		t.Errorf("got %+v, %v", k, err)
	}
	var out, errs []byte
	var last api.Event
	err = r.Logs(t.Context(), "three", true, func(ev api.Event) error {
		if ev.Stream == api.StreamStderr {
			errs = append(errs, ev.Data...)
		} else {
			out = append(out, ev.Data...)
		}
		last = ev
		return nil
	})
	if err != nil || string(out) != "args: [three 3]\n" || string(errs) != "to stderr\n" || last.Event != api.EventExit || last.Code != 3 {
		t.Errorf("got %q, %q, %+v, %v", out, errs, last, err)
	}
	if _, err := r.begin(t, api.Spec{Name: "bad"}, "bad"); status(err) != 422 || !strings.Contains(err.Error(), "no good") {
		t.Errorf("a program that cannot start: %v", err)
	}
}

func TestFull(t *testing.T) {
	r := newRig(t)
	if _, err := r.begin(t, api.Spec{Name: "huge", Memory: 64 << 30}); status(err) != 507 {
		t.Errorf("more memory than there is: %v", err)
	}
	n := 0
	for ; n < 2*mostSeats; n++ {
		if _, err := r.begin(t, api.Spec{Name: fmt.Sprint("c", n), Memory: 1 << 20}); err != nil {
			if status(err) != 507 {
				t.Errorf("one too many: %v", err)
			}
			break
		}
	}
	if n != len(r.m.seats) {
		t.Errorf("%d ran at a time, want %d", n, len(r.m.seats))
	}
	for i := range n {
		_, _ = r.Kill(t.Context(), fmt.Sprint("c", i))
	}
	for ; n < api.MaxWorkloads; n++ {
		if _, err := r.begin(t, api.Spec{Name: fmt.Sprint("c", n), Memory: 1 << 20}, "0"); err != nil {
			t.Fatal(err)
		}
		_, _ = r.Wait(t.Context(), fmt.Sprint("c", n))
	}
	if _, err := r.begin(t, api.Spec{Name: "more"}, "0"); status(err) != 507 {
		t.Errorf("more than the machine may know: %v", err)
	}
}

// TestBadUpload: what is wrong with an upload is said, and nothing stays behind.
func TestBadUpload(t *testing.T) {
	r := newRig(t)
	program := testProgram
	good := base64.StdEncoding.EncodeToString([]byte(`{"name":"x","args":["x"]}`))
	spec := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	digest := func(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }
	for _, c := range []struct {
		name, spec, digest string
		body               []byte
		length             int64
		want               int
	}{
		{"no spec", "", digest(program), program, 0, 400},
		{"no base64", "???", digest(program), program, 0, 400},
		{"unknown field", spec(`{"name":"x","args":["x"],"root":true}`), digest(program), program, 0, 400},
		{"bad name", spec(`{"name":"../x","args":["x"]}`), digest(program), program, 0, 400},
		{"no arguments", spec(`{"name":"x"}`), digest(program), program, 0, 400},
		{"bad environment", spec(`{"name":"x","args":["x"],"env":["=1"]}`), digest(program), program, 0, 400},
		{"vcpus", spec(`{"name":"x","args":["x"],"vcpus":-1}`), digest(program), program, 0, 400},
		{"memory", spec(`{"name":"x","args":["x"],"memory":18446744073709551615}`), digest(program), program, 0, 400},
		{"large spec", spec(`{"name":"x","args":["` + strings.Repeat("x", api.MaxSpec) + `"]}`), digest(program), program, 0, 400},
		{"short digest", good, "12", program, 0, 400},
		{"wrong digest", good, digest([]byte("x")), program, 0, 400},
		{"no program", good, digest([]byte("x")), []byte("x"), 0, 422},
		{"empty", good, digest(nil), nil, 0, 411},
		{"no length", good, digest(program), program, -1, 411},
		{"too large", good, digest(program), program, api.MaxProgram + 1, 413},
	} {
		q, _ := http.NewRequest("POST", r.server.URL+"/v1/containers", bytes.NewReader(c.body))
		q.Header.Set("Authorization", "Bearer "+testToken)
		q.Header.Set(api.HeaderSpec, c.spec)
		q.Header.Set(api.HeaderDigest, c.digest)
		if c.length < 0 {
			q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(c.body)), -1
		}
		w := httptest.NewRecorder()
		if c.length > 0 {
			q.ContentLength = c.length
			r.server.Config.Handler.ServeHTTP(w, q)
		} else {
			a, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			w.Code = a.StatusCode
			_, _ = io.Copy(w.Body, a.Body)
			a.Body.Close()
		}
		var e api.Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); w.Code != c.want || err != nil || e.Error == "" {
			t.Errorf("%s: got %d, %q; want %d", c.name, w.Code, w.Body, c.want)
		}
	}
}

// TestCutOffUpload: a connection that ends in the middle leaves nothing behind.
func TestCutOffUpload(t *testing.T) {
	r := newRig(t)
	c, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	spec := base64.StdEncoding.EncodeToString([]byte(`{"name":"cut","args":["cut"]}`))
	fmt.Fprintf(c, "POST /v1/containers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s: %s\r\n%s: %064d\r\nContent-Length: 1000000\r\n\r\nhalf",
		testToken, api.HeaderSpec, spec, api.HeaderDigest, 0)
	_ = c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) || !bytes.Contains(answer, []byte("cut off")) {
		t.Errorf("got %q, %v", answer, err)
	}
	c.Close()
	if _, err := r.begin(t, api.Spec{Name: "cut"}, "0"); err != nil {
		t.Errorf("the name is still taken: %v", err)
	}
}

func TestLogRing(t *testing.T) {
	var l logRing
	l.write(api.StreamStdout, []byte("a"))
	pieces, next, more := l.read(0)
	l.write(api.StreamStdout, []byte("b"))
	<-more
	if len(pieces) != 1 || string(pieces[0].data) != "a" || next != 1 {
		t.Errorf("got %q up to %d", pieces, next)
	}
	if pieces, next, _ = l.read(1); len(pieces) != 1 || string(pieces[0].data) != "b" || next != 2 {
		t.Errorf("got %q up to %d", pieces, next)
	}
	total := 2
	for i := range 100_000 { // the worst: each byte is of another stream
		l.write([]string{api.StreamStderr, api.StreamStdout}[i%2], []byte{byte(i)})
		total++
	}
	if l.size() > api.LogSize || l.size() < api.LogSize/2 {
		t.Errorf("the log takes %d bytes", l.size())
	}
	for range 100 {
		l.write(api.StreamStdout, make([]byte, 100_000))
		total += 100_000
	}
	pieces, next, _ = l.read(0)
	size := 0
	for _, p := range pieces {
		size += len(p.data)
	}
	if int(next) != total || size > api.LogSize || size < api.LogSize-2*logChunk {
		t.Errorf("got %d bytes up to %d of %d", size, next, total)
	}
}

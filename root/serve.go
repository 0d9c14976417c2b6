package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout"
	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
)

const (
	// uploadPiece and uploadPatience: who sends less than a piece in that time is cut off.
	uploadPiece    = 256 << 10
	uploadPatience = 30 * time.Second
	// mostUploads is how many programs are uploaded at a time.
	mostUploads = 4
)

// server answers the management API, as package api has it.
type server struct {
	m       *manager
	token   [sha256.Size]byte // of what the header must be
	mux     *http.ServeMux
	uploads chan struct{}
}

func newServer(m *manager, token string) http.Handler {
	s := &server{m: m, token: sha256.Sum256([]byte("Bearer " + token)), mux: http.NewServeMux(), uploads: make(chan struct{}, mostUploads)}
	for pattern, h := range s.routes() {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				answerError(w, err)
			}
		})
	}
	return s
}

// routes are what there is to ask for.
func (s *server) routes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/machine":                    s.machine,
		"GET /v1/containers":                 s.list,
		"POST /v1/containers":                s.create,
		"GET /v1/containers/{name}":          s.inspect,
		"DELETE /v1/containers/{name}":       s.remove,
		"POST /v1/containers/{name}/kill":    s.kill,
		"POST /v1/containers/{name}/stop":    s.stop,
		"POST /v1/containers/{name}/signal":  s.signal,
		"POST /v1/containers/{name}/restart": s.restart,
		"GET /v1/containers/{name}/wait":     s.wait,
		"GET /v1/containers/{name}/logs":     s.logs,
		"GET /v1/events":                     s.events,
		"POST /v1/events":                    s.note,
		"GET /metrics":                       s.metrics,
		"GET /v1/containers/{name}/program":  s.program,
		"GET /v1/containers/{name}/syscalls": s.syscalls,
		"POST /v1/containers/{name}/memory":  s.memory,
		"POST /v1/containers/{name}/profile": s.profile,

		"POST /v1/containers/{name}/capture":   s.capture,
		"DELETE /v1/containers/{name}/capture": s.endCapture,
	}
}

// ServeHTTP answers nothing to who has not the token: not even what there is.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	if subtle.ConstantTimeCompare(got[:], s.token[:]) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
	return nil
}

func answerError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var f *failure
	if errors.As(err, &f) {
		status = f.status
	}
	_ = answer(w, status, api.Error{Error: err.Error()})
}

func (s *server) machine(w http.ResponseWriter, r *http.Request) error {
	return answer(w, 200, s.m.describe())
}

func (s *server) list(w http.ResponseWriter, r *http.Request) error {
	s.m.mu.Lock()
	all := append([]*workload(nil), s.m.workloads...)
	s.m.mu.Unlock()
	list := []api.Container{}
	for _, k := range all {
		list = append(list, s.m.describeContainer(k))
	}
	return answer(w, 200, list)
}

func (s *server) inspect(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	return answer(w, 200, s.m.describeContainer(k))
}

func (s *server) create(w http.ResponseWriter, r *http.Request) error {
	spec, err := readSpec(r.Header.Get(api.HeaderSpec))
	if err != nil {
		return &failure{http.StatusBadRequest, err}
	}
	digest, err := hex.DecodeString(r.Header.Get(api.HeaderDigest))
	if err != nil || len(digest) != sha256.Size {
		return failed(http.StatusBadRequest, "%s is not a SHA-256 digest in hexadecimal digits", api.HeaderDigest)
	}
	switch {
	case r.ContentLength <= 0:
		return failed(http.StatusLengthRequired, "send the length of the program")
	case r.ContentLength > api.MaxProgram:
		return failed(http.StatusRequestEntityTooLarge, "the program has %d bytes, and %d is the most", r.ContentLength, api.MaxProgram)
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return failed(http.StatusServiceUnavailable, "%d programs are being uploaded: try again", mostUploads)
	}
	if err := s.m.reserveName(spec.Name); err != nil {
		return err
	}
	program, err := s.upload(w, r, digest)
	if err != nil {
		s.m.releaseName(spec.Name)
		return err
	}
	k, err := s.m.add(spec, program, hex.EncodeToString(digest))
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, s.m.describeContainer(k))
}

// upload reads a program into memory of its own and checks it.
func (s *server) upload(w http.ResponseWriter, r *http.Request, digest []byte) (*block, error) {
	b, err := s.m.take(int(r.ContentLength))
	if err != nil {
		return nil, err
	}
	if err := receive(w, r, b.bytes); err != nil {
		s.m.drop(b)
		return nil, failed(http.StatusBadRequest, "the upload was cut off: %w", err)
	}
	sum := sha256.Sum256(b.bytes)
	if !equal(sum[:], digest) {
		s.m.drop(b)
		return nil, failed(http.StatusBadRequest, "what arrived is not the program that was sent: its digest is %x", sum)
	}
	if err := layout.CheckProgram(b.bytes); err != nil {
		s.m.drop(b)
		return nil, &failure{http.StatusUnprocessableEntity, err}
	}
	return b, nil
}

func equal(a, b []byte) bool { return string(a) == string(b) }

// receive fills to with the request's body, and moves the deadline on while something comes. The platform reads into the Go heap
// only, so it is copied.
func receive(w http.ResponseWriter, r *http.Request, to []byte) error {
	control := http.NewResponseController(w)
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	piece := make([]byte, uploadPiece)
	for len(to) > 0 {
		_ = control.SetReadDeadline(time.Now().Add(uploadPatience)) // a test's recorder has none
		n, err := io.ReadFull(r.Body, piece[:min(len(to), uploadPiece)])
		if err != nil {
			return err
		}
		to = to[copy(to, piece[:n]):]
	}
	return nil
}

// readSpec reads and checks a container to start.
func readSpec(header string) (*api.Spec, error) {
	if base64.StdEncoding.DecodedLen(len(header)) > api.MaxSpec {
		return nil, fmt.Errorf("arguments and environment take too much: %d bytes is the most", api.MaxSpec)
	}
	raw, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64: %w", api.HeaderSpec, err)
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	spec := new(api.Spec)
	if err := d.Decode(spec); err != nil {
		return nil, fmt.Errorf("%s: %w", api.HeaderSpec, err)
	}
	check := manifest.Manifest{Version: manifest.Version, Containers: []manifest.Container{{
		Name: spec.Name, Program: "program/" + spec.Name, Args: spec.Args, Env: spec.Env, Memory: spec.Memory, VCPUs: spec.VCPUs,
		Restart: spec.Restart, NIC: spec.Network, Rate: rateOf(spec),
	}}}
	if err := check.Check(); err != nil {
		return nil, err
	}
	if err := manifest.CheckStack(spec.Stack); err != nil {
		return nil, err
	}
	if spec.Memory > abi.MaxMemory {
		return nil, fmt.Errorf("%d bytes of memory, and %d is the most", spec.Memory, uint64(abi.MaxMemory))
	}
	return spec, nil
}

// rateOf is the rate of spec as the manifest has it.
func rateOf(spec *api.Spec) *manifest.Rate {
	if spec.Rate == nil {
		return nil
	}
	return &manifest.Rate{Bits: spec.Rate.Bits, Frames: spec.Rate.Frames}
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	if r.URL.Query().Get("force") != "" {
		if err := s.end(r, k); err != nil {
			return err
		}
	}
	if err := s.m.remove(k); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// end ends a container and waits until it has ended.
func (s *server) end(r *http.Request, k *workload) error {
	done, err := s.m.kill(k)
	if err != nil {
		return err
	}
	return awaitDone(r.Context(), done)
}

func awaitDone(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) kill(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	if err := s.end(r, k); err != nil {
		return err
	}
	return answer(w, 200, s.m.describeContainer(k))
}

func (s *server) restart(w http.ResponseWriter, r *http.Request) error {
	k, patience, err := s.stopping(r)
	if err != nil {
		return err
	}
	if err := s.m.stop(r.Context(), k, patience); err != nil {
		return err
	}
	if err := s.m.again(k); err != nil {
		return err
	}
	return answer(w, 200, s.m.describeContainer(k))
}

func (s *server) wait(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	if err := awaitDone(r.Context(), s.m.doneOf(k)); err != nil {
		return err
	}
	return answer(w, 200, s.m.describeContainer(k))
}

// logs streams what a container printed.
func (s *server) logs(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	follow := r.URL.Query().Get("follow") != ""
	done := s.m.doneOf(k)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, control := json.NewEncoder(w), http.NewResponseController(w)
	for at := uint64(0); ; {
		ended := isClosed(done) // before reading: what was printed last is there then
		pieces, next, more := k.log.read(at)
		at = next
		for _, p := range pieces {
			if out.Encode(api.Event{Event: api.EventOutput, Container: k.spec.Name, Stream: p.stream, Data: p.data}) != nil {
				return nil // nobody reads any more
			}
		}
		_ = control.Flush()
		switch {
		case !follow:
			return nil
		case ended:
			_ = out.Encode(s.m.endOf(k))
			return nil
		}
		select {
		case <-more:
		case <-done:
		case <-r.Context().Done():
			return nil
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

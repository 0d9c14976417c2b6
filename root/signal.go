package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

const (
	sigTERM = 15
	// askPatience is how long a container's platform may take to answer.
	askPatience = 5 * time.Second
)

// controlled is what a process can be asked to do while it runs.
type controlled interface {
	Signal(ctx context.Context, sig int) error
	Syscalls(ctx context.Context) ([]container.Syscall, error)
	ReadMemory(ctx context.Context, address uint64, buf []byte) (int, error)
	Profile(ctx context.Context, rate int, handle func(stack []uint64) error) (lost uint64, err error)
	Capture(ctx context.Context, snap int, handle func(frames []container.Frame, lost uint64) error) error
}

// runningOf is the process of w, which must run.
func (m *manager) runningOf(w *workload) (process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.process == nil {
		return nil, failed(http.StatusConflict, "%s is %s", w.spec.Name, w.state)
	}
	return w.process, nil
}

// signal delivers a signal to the program of w.
func (m *manager) signal(ctx context.Context, w *workload, sig int) error {
	p, err := m.runningOf(w)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return asked(p.Signal(ctx, sig))
}

// asked gives an error of what a container was asked its status.
func asked(err error) error {
	switch {
	case errors.Is(err, container.ErrSilent), errors.Is(err, container.ErrNonsense):
		return &failure{http.StatusGatewayTimeout, err}
	case errors.Is(err, container.ErrEnded), errors.Is(err, container.ErrProfiled), errors.Is(err, container.ErrCaptured), errors.Is(err, container.ErrNoTCPIP):
		return &failure{http.StatusConflict, err}
	}
	return err
}

// stop asks the program of w to end and gives it so long, then ends it.
func (m *manager) stop(ctx context.Context, w *workload, patience time.Duration) error {
	m.mu.Lock()
	m.noteStop(w)
	m.mu.Unlock()
	if patience > 0 && m.signal(ctx, w, sigTERM) == nil { // who cannot be asked is ended at once
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-m.doneOf(w):
			return nil
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done, err := m.kill(w)
	if err != nil {
		return err
	}
	return awaitDone(ctx, done)
}

// signal is POST .../signal?signal=NUMBER.
func (s *server) signal(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	sig, err := strconv.Atoi(r.URL.Query().Get("signal"))
	if err != nil || sig < 1 || sig > api.MaxSignal {
		return failed(http.StatusBadRequest, "signal=%s: say which, by a number from 1 to %d", r.URL.Query().Get("signal"), api.MaxSignal)
	}
	if err := s.m.signal(r.Context(), k, sig); err != nil {
		return err
	}
	return answer(w, 200, s.m.describeContainer(k))
}

// stop is POST .../stop?seconds=N.
func (s *server) stop(w http.ResponseWriter, r *http.Request) error {
	k, patience, err := s.stopping(r)
	if err != nil {
		return err
	}
	if err := s.m.stop(r.Context(), k, patience); err != nil {
		return err
	}
	return answer(w, 200, s.m.describeContainer(k))
}

// stopping reads what a request that ends a container says.
func (s *server) stopping(r *http.Request) (*workload, time.Duration, error) {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return nil, 0, err
	}
	patience := api.StopPatience
	if text := r.URL.Query().Get("seconds"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || time.Duration(n)*time.Second > api.MaxPatience {
			return nil, 0, failed(http.StatusBadRequest, "seconds=%s: give it 0 to %d", text, api.MaxPatience/time.Second)
		}
		patience = time.Duration(n) * time.Second
	}
	return k, patience, nil
}

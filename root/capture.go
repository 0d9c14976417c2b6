package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strconv"

	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// errAllFrames ends a capture that has as many frames as were asked for.
var errAllFrames = errors.New("enough frames")

// capture is POST .../capture?snaplen=N&count=N.
func (s *server) capture(w http.ResponseWriter, r *http.Request) error {
	snap, count, err := captureSize(r)
	if err != nil {
		return err
	}
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p, err := s.m.beginCapture(k, cancel)
	if err != nil {
		return err
	}
	defer s.m.captureOver(k)
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &frameWriter{w: bufio.NewWriter(w), control: http.NewResponseController(w), left: count, counted: count > 0}
	err = p.Capture(ctx, snap, out.write)
	switch {
	case err != nil && !errors.Is(err, errAllFrames) && !out.begun:
		w.Header().Del("Content-Type")
		return asked(err)
	case err == nil || errors.Is(err, errAllFrames):
		if out.put(api.EndFrame) == nil {
			_ = out.w.Flush()
		}
	case r.Context().Err() == nil:
		s.m.report.say("capture of %s: %v", k.spec.Name, err) // the answer is too short
	}
	return nil
}

// captureSize is what a request says of how much to capture; 0 frames are without end.
func captureSize(r *http.Request) (snap, count int, err error) {
	q := r.URL.Query()
	snap, err = strconv.Atoi(q.Get("snaplen"))
	if text := q.Get("count"); err == nil && text != "" {
		if count, err = strconv.Atoi(text); count < 1 {
			err = errAllFrames
		}
	}
	if err != nil || snap < 1 || snap > api.MaxSnap || count > api.MaxCapture {
		return 0, 0, failed(http.StatusBadRequest, "capture 1 to %d bytes of each frame, and 1 to %d frames", api.MaxSnap, api.MaxCapture)
	}
	return snap, count, nil
}

// frameWriter writes frames as they come.
type frameWriter struct {
	w       *bufio.Writer
	control *http.ResponseController
	counted bool
	left    int // of those that were asked for, if counted
	begun   bool
	buf     []byte
}

func (o *frameWriter) write(frames []container.Frame, lost uint64) error {
	o.begun = true
	for _, f := range frames {
		if err := o.put(api.Frame{Nanos: f.Nanos, Length: f.Length, Data: f.Data, Lost: lost}); err != nil {
			return err
		}
		lost = 0
		if o.left--; o.counted && o.left == 0 {
			return errAllFrames
		}
	}
	if lost > 0 {
		if err := o.put(api.Frame{Lost: lost}); err != nil {
			return err
		}
	}
	return errors.Join(o.w.Flush(), o.control.Flush())
}

func (o *frameWriter) put(f api.Frame) error {
	o.buf = api.AppendFrame(o.buf[:0], &f)
	_, err := o.w.Write(o.buf)
	return err
}

// beginCapture notes how the capture of w is ended, which must be the only one.
func (m *manager) beginCapture(w *workload, end func()) (process, error) {
	p, err := m.runningOf(w)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch n := w.spec.Network; {
	case n == nil:
		return nil, failed(http.StatusConflict, "%s is in no network: \"nom run --network\" or -p puts it into one", w.spec.Name)
	case n.Stack != "":
		return nil, failed(http.StatusConflict, "captures need the platform's TCP/IP, and %s has another (--stack %s), which drives the network function itself", w.spec.Name, n.Stack)
	case w.capture != nil:
		return nil, &failure{http.StatusConflict, container.ErrCaptured}
	}
	w.capture = end
	return p, nil
}

func (m *manager) captureOver(w *workload) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.capture = nil
}

// endCapture is DELETE .../capture.
func (s *server) endCapture(w http.ResponseWriter, r *http.Request) error {
	k, err := s.m.find(r.PathValue("name"))
	if err != nil {
		return err
	}
	s.m.mu.Lock()
	end := k.capture
	s.m.mu.Unlock()
	if end == nil {
		return failed(http.StatusConflict, "nobody captures the frames of %s", k.spec.Name)
	}
	end()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
)

// events streams what happened.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	var since uint64
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return failed(http.StatusBadRequest, "since=%.30q is not the number of an event", text)
		}
	}
	follow := r.URL.Query().Get("follow") != ""
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, control := json.NewEncoder(w), http.NewResponseController(w)
	for {
		list, dropped, more := s.m.events.after(since)
		if dropped > 0 && out.Encode(api.Event{Event: api.EventDropped, Count: dropped, Seq: since + dropped}) != nil {
			return nil // nobody reads any more
		}
		for _, ev := range list {
			if out.Encode(ev) != nil {
				return nil
			}
			since = ev.Seq
		}
		_ = control.Flush()
		if !follow {
			return nil
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return nil
		}
	}
}

// longestPort is how long the description of a published port may be.
const longestPort = 64

// note adds an event that happened on the developer's computer: only there it is known where ports lead.
func (s *server) note(w http.ResponseWriter, r *http.Request) error {
	d := json.NewDecoder(io.LimitReader(r.Body, api.MaxEvent))
	d.DisallowUnknownFields()
	var ev api.Event
	if err := d.Decode(&ev); err != nil {
		return failed(http.StatusBadRequest, "not an event: %w", err)
	}
	if ev.Event != api.EventPublish && ev.Event != api.EventFree || !isPort(ev.Port) {
		return failed(http.StatusBadRequest, "the events to tell the machine of are %q and %q, with a port", api.EventPublish, api.EventFree)
	}
	if err := manifest.CheckName(ev.Container); err != nil {
		return &failure{http.StatusBadRequest, err}
	}
	s.m.events.add(api.Event{Event: ev.Event, Container: ev.Container, Port: ev.Port})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// isPort says that text may stand in an event as a port: printable ASCII.
func isPort(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= longestPort
}

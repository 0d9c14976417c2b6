package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"nom.dev/nom/abi/layout/layouttest"
	"nom.dev/nom/api"
)

var smallProgram = layouttest.ELF(0x400000, layouttest.Segment{VA: 0x400000, Data: make([]byte, 4096), Flags: 5})

// FuzzAPI: whatever somebody with the token asks, nothing panics, and bad input is the asker's fault.
func FuzzAPI(f *testing.F) {
	spec := `{"name":"x","args":["x","0"],"restart":"on-failure:1","network":true,"rate":{"bits":1000}}`
	digest := fmt.Sprintf("%x", sha256.Sum256(smallProgram))
	for _, c := range []struct{ method, path, spec, digest, body string }{
		{"POST", "/v1/containers", spec, digest, string(smallProgram)},
		{"POST", "/v1/containers", `{"name":"x","args":[],"env":["="]}`, "zz", ""},
		{"GET", "/v1/containers/a/logs?follow=1", "", "", ""},
		{"POST", "/v1/containers/a/restart?seconds=-1", "", "", ""},
		{"POST", "/v1/containers/a/stop?seconds=99999999999", "", "", ""},
		{"POST", "/v1/containers/a/signal?signal=15", "", "", ""},
		{"DELETE", "/v1/containers/a?force=1", "", "", ""},
		{"GET", "/v1/containers/..%2f/wait", "", "", ""},
		{"GET", "/v1/events?since=18446744073709551615&follow=1", "", "", ""},
		{"POST", "/v1/events", "", "", `{"event":"publish","container":"a","port":"1->2/tcp"}`},
		{"GET", "/metrics?x=%zz", "", "", ""},
	} {
		f.Add(c.method, c.path, c.spec, c.digest, []byte(c.body))
	}
	f.Fuzz(func(t *testing.T, method, path, spec, digest string, body []byte) {
		u, err := url.ParseRequestURI(path)
		if err != nil || method == "" {
			return
		}
		r := newRig(t)
		if _, err := r.Create(t.Context(), &api.Spec{Name: "a", Args: []string{"a", "1"}, Memory: 1 << 20}, smallProgram, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // for what follows without end
		defer cancel()
		q := httptest.NewRequest("GET", "/", bytes.NewReader(body)).WithContext(ctx)
		q.Method, q.URL = method, u
		q.Header.Set("Authorization", "Bearer "+testToken)
		q.Header.Set(api.HeaderSpec, base64.StdEncoding.EncodeToString([]byte(spec)))
		q.Header.Set(api.HeaderDigest, digest)
		w := httptest.NewRecorder()
		r.server.Config.Handler.ServeHTTP(w, q)
		if w.Code >= 500 && w.Code != 507 { // 507: it asks for more than there is
			t.Errorf("%s %s: %d, %s", method, path, w.Code, w.Body)
		}
	})
}

// FuzzSpec: what is accepted can be started.
func FuzzSpec(f *testing.F) {
	f.Add(`{"name":"x","args":["x"],"env":["A=1"],"memory":4096,"vcpus":1,"restart":"always","ports":["1->2/tcp"]}`)
	f.Add(`{"name":"x","args":["x"]}{}`)
	f.Fuzz(func(t *testing.T, raw string) {
		spec, err := readSpec(base64.StdEncoding.EncodeToString([]byte(raw)))
		if err != nil {
			return
		}
		if spec.Name == "" || len(spec.Args) == 0 || len(raw) > api.MaxSpec {
			t.Errorf("%q was accepted: %+v", raw, spec)
		}
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nom.dev/nom/api"
)

// Results of testing a package, as they are printed.
const (
	statusPass = "ok"
	statusFail = "FAIL"
	statusNone = "?" // it has no tests
)

// testPackage is a package to test and what became of it.
type testPackage struct {
	pkg       listed
	name      string // of the container
	container *container
	started   bool
	since     time.Time
	output    []byte // not printed yet
	status    string // "" until it is tested
	note      string // in brackets, instead of a time
	code      int
	seconds   float64
	stats     *api.Stats
}

// testReport prints the results of packages in the order of the command line.
type testReport struct {
	a        *app
	o        *testOptions
	packages []*testPackage
	next     int // the first that is not printed yet
}

// testResult is the JSON form of a package's result. It is stable.
type testResult struct {
	Event   string  `json:"event"` // "package"
	Package string  `json:"package"`
	Status  string  `json:"status"` // pass, fail or none
	Code    int     `json:"code"`
	Note    string  `json:"note,omitempty"`
	Seconds float64 `json:"seconds"`
	Output  string  `json:"output,omitempty"`
	*api.Stats
}

// testSummary is the last JSON object.
type testSummary struct {
	Event  string `json:"event"` // "result"
	Code   int    `json:"code"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	None   int    `json:"none"` // packages without tests
}

func newTestReport(a *app, o *testOptions, pkgs []listed) *testReport {
	r := &testReport{a: a, o: o}
	names := make([]program, len(pkgs))
	for i, p := range pkgs {
		names[i].name = strings.TrimLeft(p.ImportPath, "./")
	}
	unique(names)
	for i, p := range pkgs {
		t := &testPackage{pkg: p, name: names[i].name}
		switch {
		case p.Error != nil:
			t.status, t.note, t.output = statusFail, "[setup failed]", []byte(p.Error.Err+"\n")
		case len(p.TestGoFiles)+len(p.XTestGoFiles) == 0:
			t.status, t.note = statusNone, "[no test files]"
		}
		r.packages = append(r.packages, t)
	}
	return r
}

// handle takes the next event of a machine.
func (r *testReport) handle(ev api.Event) {
	var t *testPackage
	for _, p := range r.packages {
		if p.name == ev.Container {
			t = p
		}
	}
	if t == nil || t.status != "" {
		return
	}
	switch ev.Event {
	case api.EventStart:
		t.started, t.since = true, time.Now()
	case api.EventOutput:
		t.output = append(t.output, ev.Data...)
		r.stream()
	case api.EventExit:
		t.exit(ev)
		r.advance()
	}
}

// exit keeps the end of the container in which a package was tested.
func (t *testPackage) exit(ev api.Event) {
	t.code, t.stats = api.ExitCode(ev.Reason, ev.Code), ev.Stats
	t.status = statusFail
	if t.code == 0 {
		t.status = statusPass
	}
	t.seconds = time.Since(t.since).Seconds()
	if ev.Stats != nil && ev.Stats.RunSeconds > 0 {
		t.seconds = ev.Stats.RunSeconds
	}
	words := why[ev.Reason]
	if ev.Error != "" {
		words = strings.TrimPrefix(words+": "+ev.Error, ": ")
	}
	if words != "" {
		t.output = endLine(t.output)
		t.output = append(t.output, "container: "+words+"\n"...)
	}
}

// stream prints output as it comes, of the package whose turn it is, when all output is wanted.
func (r *testReport) stream() {
	if !r.o.verbose || r.o.format == formatJSON || r.next == len(r.packages) {
		return
	}
	t := r.packages[r.next]
	n := bytes.LastIndexByte(t.output, '\n') + 1
	r.a.stdout.Write(t.output[:n])
	t.output = append([]byte(nil), t.output[n:]...)
}

// advance prints the results that are there, up to the first package that is not done.
func (r *testReport) advance() {
	for r.next < len(r.packages) && r.packages[r.next].status != "" {
		r.print(r.packages[r.next])
		r.next++
		r.stream()
	}
}

// print prints the result of a package as go test would.
func (r *testReport) print(t *testPackage) {
	if r.o.format == formatJSON {
		r.printJSON(t)
		return
	}
	if t.status == statusFail || r.o.verbose {
		r.a.stdout.Write(endLine(t.output))
	}
	path := t.pkg.ImportPath
	switch {
	case t.note != "" && t.status == statusNone:
		fmt.Fprintf(r.a.stdout, "?   \t%s\t%s\n", path, t.note)
	case t.note != "":
		fmt.Fprintf(r.a.stdout, "FAIL\t%s %s\n", path, t.note)
	default:
		fmt.Fprintf(r.a.stdout, "%-4s\t%s\t%.3fs%s\n", t.status, path, t.seconds, t.nothing())
	}
}

// nothing is what go test says behind a package whose tests were all left out.
func (t *testPackage) nothing() string {
	if bytes.Contains(t.output, []byte("testing: warning: no tests to run")) {
		return " [no tests to run]"
	}
	return ""
}

func (r *testReport) printJSON(t *testPackage) {
	status := map[string]string{statusPass: "pass", statusFail: "fail", statusNone: "none"}[t.status]
	code := t.code
	if t.note != "" && t.status == statusFail {
		code = codeFailed
	}
	json.NewEncoder(r.a.stdout).Encode(testResult{"package", t.pkg.ImportPath, status, code, t.note, t.seconds, string(t.output), t.stats})
}

// finish prints the summary and returns an error when something failed.
func (r *testReport) finish() error {
	s := testSummary{Event: "result"}
	for _, t := range r.packages {
		switch t.status {
		case statusPass:
			s.Passed++
		case statusNone:
			s.None++
		default:
			s.Failed++
			s.Code = 1
		}
	}
	if r.o.format == formatJSON {
		json.NewEncoder(r.a.stdout).Encode(s)
	} else if s.Failed > 0 {
		fmt.Fprintln(r.a.stdout, "FAIL")
	}
	if len(r.packages) == 0 {
		return fmt.Errorf("no packages to test")
	}
	if s.Failed > 0 {
		return withCode(1, nil)
	}
	return nil
}

// endLine adds the line end that output lacks.
func endLine(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		return append(b, '\n')
	}
	return b
}

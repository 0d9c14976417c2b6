package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"nom.dev/nom/api"
)

// containerResult is what is known about a container when the machine has ended. Its JSON form is stable.
type containerResult struct {
	Name   string `json:"name"`
	Code   int    `json:"code"`
	Reason string `json:"reason"` // see api.ReasonExit; "lost" when the machine ended first
	Error  string `json:"error,omitempty"`
	api.Stats
	started bool
}

// reasonLost is why a container ended that was still there when the machine was not any more.
const reasonLost = "lost"

// machineResult describes the machine that the containers ran on.
type machineResult struct {
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory_bytes"`
	TSCHz  uint64 `json:"tsc_hz"`
	Accel  string `json:"accel"`
	Icount bool   `json:"icount"`
}

// outputLine is the JSON form of what a program printed.
type outputLine struct {
	Event     string `json:"event"`
	Container string `json:"container"`
	Stream    string `json:"stream"`
	Text      string `json:"text"`           // with its line end; bytes that are not UTF-8 are replaced
	Data      []byte `json:"data,omitempty"` // the bytes, only when Text could not hold them
}

// eventLine is the JSON form of an event without output or result.
type eventLine struct {
	Event     string          `json:"event"`
	Version   json.RawMessage `json:"version,omitempty"`
	CPUs      int             `json:"cpus,omitempty"`
	Memory    int64           `json:"memory_bytes,omitempty"`
	TSCHz     uint64          `json:"tsc_hz,omitempty"`
	Container string          `json:"container,omitempty"`
	Attempt   int             `json:"attempt,omitempty"`
}

// exitLine is the JSON form of a container's end.
type exitLine struct {
	Event     string `json:"event"`
	Container string `json:"container"`
	Code      int    `json:"code"`
	Reason    string `json:"reason"`
	Error     string `json:"error,omitempty"`
	*api.Stats
}

// result is the last JSON object.
type result struct {
	Event      string             `json:"event"`
	Code       int                `json:"code"`
	Error      string             `json:"error,omitempty"`
	Seconds    float64            `json:"seconds"`
	Machine    machineResult      `json:"machine"`
	Containers []*containerResult `json:"containers"`
}

// report prints the events of a machine as they come and keeps what the result needs.
type report struct {
	a       *app
	format  format
	machine machineResult
	results []*containerResult // in the order of the command line
	buffers map[stream]*lineBuffer
	start   time.Time

	// annotate names the functions of the addresses in a line; nil = leave them.
	annotate func(container, line string) string
}

// dumped recognises what the platform says of a program that it cannot go on with.
var dumped = regexp.MustCompile(`^ (pc|ax) 0x[0-9a-f]+`)

// stream is one of the two outputs of a container.
type stream struct{ container, name string }

func newReport(a *app, f format, m machineResult, names []string) *report {
	r := &report{a: a, format: f, machine: m, buffers: map[stream]*lineBuffer{}, start: time.Now()}
	for _, n := range names {
		r.results = append(r.results, &containerResult{Name: n, Code: codeFailed, Reason: reasonLost, Stats: api.Stats{Exits: map[string]uint64{}}})
	}
	return r
}

// handle takes the next event of the machine.
func (r *report) handle(ev api.Event) {
	c := r.container(ev.Container)
	switch ev.Event {
	case api.EventMachine:
		r.machine.CPUs, r.machine.Memory, r.machine.TSCHz = ev.CPUs, ev.Memory, ev.TSCHz
	case api.EventStart:
		if c != nil {
			c.started = true
		}
	case api.EventOutput:
		r.output(stream{ev.Container, ev.Stream}, ev.Data)
		return
	case api.EventExit:
		r.flush(ev.Container)
		if c != nil {
			c.end(ev)
		}
		if r.format == formatTable {
			r.sayEnd(ev)
			return
		}
		r.json(exitLine{ev.Event, ev.Container, api.ExitCode(ev.Reason, ev.Code), ev.Reason, ev.Error, ev.Stats})
		return
	}
	if r.format == formatJSON && ev.Event != api.EventDone {
		r.json(eventLine{ev.Event, ev.Version, ev.CPUs, ev.Memory, ev.TSCHz, ev.Container, ev.Attempt})
	}
}

func (r *report) container(name string) *containerResult {
	for _, c := range r.results {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// end keeps what an exit event says.
func (c *containerResult) end(ev api.Event) {
	c.Code, c.Reason, c.Error = api.ExitCode(ev.Reason, ev.Code), ev.Reason, ev.Error
	if ev.Stats != nil {
		restarts := c.Restarts
		c.Stats = *ev.Stats
		c.Restarts = max(c.Restarts, restarts)
		if c.Exits == nil {
			c.Exits = map[string]uint64{}
		}
	}
}

// why are the reasons for an end in words.
var why = map[string]string{
	api.ReasonKilled:      "it was killed",
	api.ReasonShutdown:    "its processor shut down (triple fault)",
	api.ReasonMemory:      "it used memory that it was not granted; see --container-memory",
	api.ReasonIllegal:     "it did what no container may do",
	api.ReasonParent:      "its parent ended",
	api.ReasonStartFailed: "it could not be started",
}

// sayEnd explains an end that the program did not choose.
func (r *report) sayEnd(ev api.Event) {
	words := why[ev.Reason]
	switch {
	case ev.Reason == api.ReasonExit && ev.Error == "":
		return
	case words == "":
		words = "ended by " + ev.Reason
	}
	if ev.Error != "" {
		words += ": " + ev.Error
	}
	r.a.complain(fmt.Errorf("%s: %s", ev.Container, words))
}

// code is the exit code of the first container that failed, in the order of the command line.
func (r *report) code() int {
	for _, c := range r.results {
		if c.Code != 0 {
			return c.Code
		}
	}
	return 0
}

// output prints what came on a stream, line by line.
func (r *report) output(s stream, data []byte) {
	b := r.buffers[s]
	if b == nil {
		b = &lineBuffer{}
		r.buffers[s] = b
	}
	b.write(data, func(line []byte) { r.line(s, line) })
}

// flush prints the lines that a container left without an end.
func (r *report) flush(container string) {
	for _, name := range []string{api.StreamStdout, api.StreamStderr} {
		if b := r.buffers[stream{container, name}]; b != nil {
			b.flush(func(line []byte) { r.line(stream{container, name}, line) })
		}
	}
}

// line prints one line; only the last of a stream may come without a line end.
func (r *report) line(s stream, line []byte) {
	if r.annotate != nil && s.name == api.StreamStderr && dumped.Match(line) {
		line = []byte(r.annotate(s.container, string(line)))
	}
	if r.format == formatJSON {
		o := outputLine{Event: api.EventOutput, Container: s.container, Stream: s.name, Text: string(line)}
		if !utf8.Valid(line) {
			o.Data = line
		}
		r.json(o)
		return
	}
	w := r.a.stdout
	if s.name == api.StreamStderr {
		w = r.a.stderr
	}
	end := ""
	if line[len(line)-1] != '\n' {
		end = "\n"
	}
	fmt.Fprintf(w, "%s%s%s", r.prefix(s.container), line, end)
}

// prefix is what stands before each line of a container: its name, in a colour of its own on a terminal.
func (r *report) prefix(name string) string {
	p := name + "| "
	if !r.a.colour {
		return p
	}
	at := 0
	for i, c := range r.results {
		if c.Name == name {
			at = i
		}
	}
	colours := []int{36, 33, 32, 35, 34, 96, 93, 92, 95, 94}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[at%len(colours)], p)
}

func (r *report) json(v any) {
	if err := json.NewEncoder(r.a.stdout).Encode(v); err != nil {
		panic(err) // every value that is passed has a JSON form
	}
}

// finish prints what is left and the result, for a machine that ended with the given error.
func (r *report) finish(code int, err error, stats bool) {
	for s := range r.buffers {
		r.flush(s.container)
	}
	if r.format == formatJSON {
		res := result{Event: "result", Code: code, Seconds: time.Since(r.start).Seconds(), Machine: r.machine, Containers: r.results}
		if err != nil {
			res.Error = err.Error()
		}
		r.json(res)
		return
	}
	if stats {
		r.table(r.a.stderr)
	}
}

// table prints the statistics of all containers.
func (r *report) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CONTAINER\tCODE\tREASON\tRUN\tCPU\tTO MAIN\tMEMORY PEAK\tRESTARTS\tEXITS")
	for _, c := range r.results {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.3fs\t%.3fs\t%.3fms\t%.1fMi\t%d\t%s\n", c.Name, c.Code, c.Reason, c.RunSeconds, c.CPUSeconds,
			c.MainSeconds*1000, float64(c.MemoryPeakBytes)/(1<<20), c.Restarts, exits(c.Exits))
	}
	w.Flush()
}

// exits lists the exits that happened, the most frequent first.
func exits(m map[string]uint64) string {
	var names []string
	for name, n := range m {
		if n > 0 {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := names[i], names[j]
		return m[a] > m[b] || m[a] == m[b] && a < b
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s=%d", name, m[name])
	}
	return strings.Join(names, " ")
}

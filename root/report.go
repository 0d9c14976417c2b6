package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"

	"nom.dev/nom/abi"
	"nom.dev/nom/api"
	"nom.dev/nom/lib/container"
)

// reporter tells people (on the console) and the nom command (by events) what happens.
type reporter struct {
	mu      sync.Mutex
	console io.Writer
	events  io.Writer
	lines   map[string]*[2][]byte // of each container and stream: what has no line end yet
}

func newReporter(console, events io.Writer) *reporter {
	return &reporter{console: console, events: events, lines: map[string]*[2][]byte{}}
}

// longestLine is where a line without an end is broken on the console.
const longestLine = 1024

// output passes on what a container printed, in order: each piece whole as an event, line by line on the console.
func (r *reporter) output(name string, stream int, data []byte) {
	words := [...]string{container.Stdout: api.StreamStdout, container.Stderr: api.StreamStderr}
	r.send(api.Event{Event: api.EventOutput, Container: name, Stream: words[stream], Data: data})
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.lines[name]
	if kept == nil {
		kept = new([2][]byte)
		r.lines[name] = kept
	}
	line := append(kept[stream], data...)
	for len(line) > 0 {
		end := bytes.IndexByte(line, '\n')
		if end < 0 && len(line) < longestLine {
			break
		}
		if end < 0 || end > longestLine {
			end = longestLine - 1
		}
		r.line(name, line[:end+1])
		line = line[end+1:]
	}
	kept[stream] = append(kept[stream][:0], line...)
}

// flush prints what a container that has ended left without a line end.
func (r *reporter) flush(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.lines[name]
	if kept == nil {
		return
	}
	for _, line := range kept {
		if len(line) > 0 {
			r.line(name, line)
		}
	}
	delete(r.lines, name)
}

// line prints one line in one piece, with what a terminal would act on made harmless.
func (r *reporter) line(name string, line []byte) {
	out := make([]byte, 0, len(name)+len(line)+8)
	out = append(append(out, name...), "| "...)
	for _, c := range bytes.TrimRight(line, "\r\n") {
		if c < ' ' && c != '\t' || c == 0x7f {
			c = '.'
		}
		out = append(out, c)
	}
	r.console.Write(append(out, '\r', '\n'))
}

// say prints a message of the root container itself.
func (r *reporter) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line("root", fmt.Appendf(nil, format, args...))
}

// send sends an event as one line.
func (r *reporter) send(ev api.Event) {
	b, err := json.Marshal(ev)
	if err != nil {
		r.say("an event was lost: %v", err)
		return
	}
	r.events.Write(append(b, '\n'))
}

// machine says what there is, and when root began.
func (r *reporter) machine(cpus int, memory int64, tscHz, mainTSC uint64) {
	version := json.RawMessage(strconv.Itoa(api.Version))
	r.send(api.Event{Event: api.EventMachine, Version: version, CPUs: cpus, Memory: memory, TSCHz: tscHz, MainTSC: mainTSC})
}

// exitEvent describes the end of a container that ran.
func exitEvent(name string, st abi.Status, tscHz uint64, restarts int) api.Event {
	reason := container.EndName(st.End)
	ev := api.Event{Event: api.EventExit, Container: name, Reason: reason, Code: api.ExitCode(reason, int(st.Code&0xff)), Stats: stats(st, tscHz)}
	ev.Stats.Restarts = restarts
	switch st.End {
	case abi.EndMemory:
		ev.Error = fmt.Sprintf("at guest-physical address %#x", st.Info)
	case abi.EndIllegal:
		ev.Error = fmt.Sprintf("exit code %#x of the virtual machine", st.Info)
	}
	return ev
}

// stats turns a Status into what the event says.
func stats(st abi.Status, tscHz uint64) *api.Stats {
	s := &api.Stats{
		Exits:              map[string]uint64{},
		MemoryPeakBytes:    int64(st.PeakPages) * abi.PageSize,
		MemoryGrantedBytes: int64(st.Pages) * abi.PageSize,
		CPUSeconds:         seconds(st.CPUTime, tscHz),
	}
	if st.State != abi.StateEnded {
		s.MemoryBytes = int64(st.Attached) * abi.PageSize
	}
	for i, name := range api.ExitNames {
		s.Exits[name] = st.Exits[i]
	}
	if st.StartTSC == 0 {
		return s
	}
	if st.MainTSC > st.StartTSC {
		s.MainTSC = st.MainTSC - st.StartTSC
		s.MainSeconds = seconds(s.MainTSC, tscHz)
	}
	if st.EndTSC > st.StartTSC {
		s.RunSeconds = seconds(st.EndTSC-st.StartTSC, tscHz)
	}
	return s
}

func seconds(ticks, hz uint64) float64 {
	if hz == 0 {
		return 0
	}
	return float64(ticks) / float64(hz)
}

package machine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest event that a machine may send, in bytes.
const MaxLine = 1 << 20

// Names of the events.
const (
	EventMachine = "machine" // the root container runs: CPUs, Memory, TSCHz
	EventStart   = "start"   // a container runs
	EventOutput  = "output"  // a container printed Data on Stream
	EventExit    = "exit"    // a container ended: Code, Reason, Error, Stats
	EventRestart = "restart" // a container is started again, for the Attempt-th time
	EventDone    = "done"    // all containers have ended and the machine switches itself off
)

// Event is one message of the root container.
type Event struct {
	Event     string          `json:"event"`
	Version   json.RawMessage `json:"version,omitempty"`
	CPUs      int             `json:"cpus,omitempty"`
	Memory    int64           `json:"memory,omitempty"`
	TSCHz     uint64          `json:"tsc_hz,omitempty"`
	Container string          `json:"container,omitempty"`
	Stream    string          `json:"stream,omitempty"`
	Data      []byte          `json:"data,omitempty"`
	Code      int             `json:"code,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Error     string          `json:"error,omitempty"`
	Attempt   int             `json:"attempt,omitempty"`
	Stats     *Stats          `json:"stats,omitempty"`
}

// Why a container ended.
const (
	ReasonExit        = "exit"         // its program ended; Code is the exit code
	ReasonKilled      = "killed"       // an ancestor killed it
	ReasonShutdown    = "shutdown"     // triple fault
	ReasonMemory      = "memory"       // it touched memory that it was not granted
	ReasonIllegal     = "illegal"      // it did what no container may do
	ReasonParent      = "parent"       // its parent ended
	ReasonStartFailed = "start-failed" // it could not be started; Error says why
)

// Stats is what one container used, from its first entry to its end.
type Stats struct {
	Exits              map[string]uint64 `json:"exits"`
	CPUSeconds         float64           `json:"cpu_seconds"`
	MemoryPeakBytes    int64             `json:"memory_peak_bytes"`
	MemoryGrantedBytes int64             `json:"memory_granted_bytes"`
	MainTSC            uint64            `json:"main_tsc"`
	MainSeconds        float64           `json:"main_seconds"`
	RunSeconds         float64           `json:"run_seconds"`
	Restarts           int               `json:"restarts"`
}

// ErrGarbage is part of the error for bytes on the event port that are not an event.
var ErrGarbage = errors.New("not an event")

// eventReader decodes a stream of events, one JSON object a line.
type eventReader struct{ r *bufio.Reader }

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next event, io.EOF after the last one, or an error that wraps ErrGarbage.
func (e *eventReader) next() (Event, error) {
	for {
		line, err := e.line()
		if err != nil {
			return Event{}, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		return decodeEvent(line)
	}
}

// line reads up to and including the next line feed, at most MaxLine bytes. A last line without one is an error too:
// the machine died while it was writing.
func (e *eventReader) line() ([]byte, error) {
	var long []byte
	for {
		part, err := e.r.ReadSlice('\n')
		if err == nil && long == nil {
			return part, nil
		}
		long = append(long, part...)
		switch {
		case len(long) > MaxLine:
			return nil, fmt.Errorf("%w: line longer than %d bytes, it starts with %s", ErrGarbage, MaxLine, excerpt(long))
		case err == nil:
			return long, nil
		case err == io.EOF && len(long) > 0:
			return nil, fmt.Errorf("%w: the machine stopped in the middle of a line: %s", ErrGarbage, excerpt(long))
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

func decodeEvent(line []byte) (Event, error) {
	var ev Event
	if err := json.Unmarshal(line, &ev); err != nil {
		return Event{}, fmt.Errorf("%w: %s (%v)", ErrGarbage, excerpt(line), err)
	}
	if ev.Event == "" {
		return Event{}, fmt.Errorf("%w: no \"event\" in %s", ErrGarbage, excerpt(line))
	}
	return ev, nil
}

// excerpt is a printable piece of foreign bytes, for error messages.
func excerpt(b []byte) string {
	const most = 120
	if len(b) > most {
		return fmt.Sprintf("%q...", b[:most])
	}
	return fmt.Sprintf("%q", b)
}

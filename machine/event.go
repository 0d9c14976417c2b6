package machine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"nom.dev/nom/api"
)

// MaxLine is the longest event that a machine may send, in bytes.
const MaxLine = 1 << 20

// ErrGarbage is part of the error for bytes on the event port that are not an event.
var ErrGarbage = errors.New("not an event")

// eventReader decodes a stream of events, one JSON object a line.
type eventReader struct{ r *bufio.Reader }

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next event, io.EOF after the last one, or an error that wraps ErrGarbage.
func (e *eventReader) next() (api.Event, error) {
	for {
		line, err := e.line()
		if err != nil {
			return api.Event{}, err
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

func decodeEvent(line []byte) (api.Event, error) {
	var ev api.Event
	if err := json.Unmarshal(line, &ev); err != nil {
		return api.Event{}, fmt.Errorf("%w: %s (%v)", ErrGarbage, excerpt(line), err)
	}
	if ev.Event == "" {
		return api.Event{}, fmt.Errorf("%w: no \"event\" in %s", ErrGarbage, excerpt(line))
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

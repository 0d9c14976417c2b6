package api

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Limits of captures.
const (
	MaxSnap    = 262144    // bytes of a frame that can be asked for
	MaxCapture = 1 << 32   // frames
	mostFrame  = 1<<16 - 1 // bytes of a frame that are believed
)

// Frame is an Ethernet frame that a container received or sent, as its platform says.
type Frame struct {
	Nanos  uint64 // since 1970, by the container's clock
	Length int    // without check sequence
	Data   []byte // its beginning
	Lost   uint64 // how many others were lost since the one before
}

const frameHead = 24

// AppendFrame writes a frame as the answer to a capture has it, in little-endian order: uint64s, Lost and Nanos, uint32s, Length and how
// many bytes follow, and these. A Length of 0 stands for no frame: there was none for a while, but some were lost. EndFrame is last.
func AppendFrame(b []byte, f *Frame) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, f.Lost)
	b = le.AppendUint64(b, f.Nanos)
	b = le.AppendUint32(b, uint32(f.Length))
	b = le.AppendUint32(b, uint32(len(f.Data)))
	return append(b, f.Data...)
}

// EndFrame says that a capture has come to its end.
var EndFrame = Frame{Nanos: ^uint64(0)}

// Capture is a capture that goes on.
type Capture struct {
	body io.Closer
	r    *bufio.Reader
}

// Capture begins to copy the frames of a container: snap bytes of each, count of them, or all with 0.
func (c *Client) Capture(ctx context.Context, name string, snap, count int) (*Capture, error) {
	path := fmt.Sprintf("/capture?snaplen=%d", snap)
	if count > 0 {
		path += fmt.Sprintf("&count=%d", count)
	}
	answer, err := c.do(ctx, "POST", containerPath(name, path), nil, 0, nil)
	if err != nil {
		return nil, err
	}
	return &Capture{answer.Body, bufio.NewReader(answer.Body)}, nil
}

// EndCapture ends the capture of a container: its frames come to an end.
func (c *Client) EndCapture(ctx context.Context, name string) error {
	return c.get(ctx, "DELETE", containerPath(name, "/capture"), nil)
}

// Next is the next frame, or io.EOF after the last one. Its Length may be 0: see AppendFrame.
func (c *Capture) Next() (f Frame, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return f, fmt.Errorf("%w in the middle of a capture: %w", ErrCut, err)
	}
	le := binary.LittleEndian
	f = Frame{Lost: le.Uint64(head[:]), Nanos: le.Uint64(head[8:]), Length: int(le.Uint32(head[16:]))}
	kept := int(le.Uint32(head[20:]))
	switch {
	case f.Lost == 0 && f.Length == 0 && kept == 0 && f.Nanos == EndFrame.Nanos:
		return f, io.EOF
	case kept > f.Length || f.Length > mostFrame || f.Nanos/uint64(time.Second) >= 1<<32:
		return f, fmt.Errorf("the machine sent a frame of %d bytes with %d of them, at second %d", f.Length, kept, f.Nanos/uint64(time.Second))
	}
	f.Data = make([]byte, kept)
	if _, err := io.ReadFull(c.r, f.Data); err != nil {
		return f, fmt.Errorf("%w in the middle of a frame: %w", ErrCut, err)
	}
	return f, nil
}

// Close ends the connection, and the capture with it.
func (c *Capture) Close() error { return c.body.Close() }

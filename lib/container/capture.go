package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"nom.dev/nom/abi"
)

// Errors of Capture.
var (
	ErrCaptured = errors.New("somebody else captures its frames")
	ErrNoTCPIP  = errors.New("captures need the platform's TCP/IP, which does not drive the container's network function")
)

// Frame is an Ethernet frame that a container's platform received or sent, as the container says.
type Frame struct {
	Nanos  uint64 // since 1970, by the container's clock
	Length int    // on the wire, without check sequence
	Data   []byte // its beginning
}

// Capture copies the frames that the container's platform receives and sends, snap bytes of each (abi.CapturedMost at most), until ctx
// ends or the container does. handle gets them as they come, with how many were lost since it was called last: what finds no room
// with the container until it is fetched. It is called first, without frames, when the capture has begun.
func (c *Container) Capture(ctx context.Context, snap int, handle func(frames []Frame, lost uint64) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("container %s: capturing its frames: %w", c.spec.Name, err)
		}
	}()
	if !c.captured.CompareAndSwap(false, true) {
		return ErrCaptured
	}
	defer c.captured.Store(false)
	if snap < 1 {
		return fmt.Errorf("%d bytes of a frame: %w", snap, abi.EINVAL)
	}
	end := context.WithoutCancel(ctx) // the container must hear of the end
	_, err = c.askSoon(end, abi.ControlCapture, uint64(snap))
	if errors.Is(err, abi.ENOENT) || errors.Is(err, abi.EBUSY) {
		return ErrNoTCPIP
	}
	if err != nil {
		return err
	}
	err = c.fetchFrames(ctx, snap, handle)
	if _, e := c.askSoon(end, abi.ControlCapture, 0); err == nil {
		err = e
	}
	if errors.Is(err, ErrEnded) {
		err = nil
	}
	return err
}

const (
	// framePause is how long frames gather before they are fetched.
	framePause = 50 * time.Millisecond
	// lastFetches bounds what is fetched at the end: more than fits into the buffer of an honest container.
	lastFetches = 1024
)

// fetchFrames hands on what was captured until ctx ends, and what there is then.
func (c *Container) fetchFrames(ctx context.Context, snap int, handle func([]Frame, uint64) error) error {
	if err := handle(nil, 0); err != nil {
		return err
	}
	end := context.WithoutCancel(ctx)
	for last := 0; last < lastFetches; {
		data, err := c.askSoon(end, abi.ControlFrames)
		if err != nil {
			return err
		}
		frames, lost, more, err := parseFrames(data, snap)
		if err != nil {
			return err
		}
		if len(frames) > 0 || lost > 0 {
			if err := handle(frames, lost); err != nil {
				return err
			}
		}
		switch {
		case ctx.Err() != nil && !more:
			return nil
		case ctx.Err() != nil:
			last++
		case !more:
			select {
			case <-time.After(framePause):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// mostFrame is the longest frame that is believed, and mostSeconds the latest time: what fits into a file of pcap.
const (
	mostFrame   = 1<<16 - 1
	mostSeconds = 1<<32 - 1
)

// parseFrames takes an answer to abi.ControlFrames apart.
func parseFrames(data []byte, snap int) (frames []Frame, lost uint64, more bool, err error) {
	le := binary.LittleEndian
	if len(data) < 8 {
		return nil, 0, false, ErrNonsense
	}
	lost, data = le.Uint64(data), data[8:]
	more = lost&abi.ControlMore != 0
	if lost &^= abi.ControlMore; lost > mostLost {
		return nil, 0, false, ErrNonsense
	}
	for len(data) > 0 {
		if len(data) < abi.CapturedHead {
			return nil, 0, false, ErrNonsense
		}
		f := Frame{Nanos: le.Uint64(data), Length: int(le.Uint32(data[8:]))}
		kept := int(le.Uint32(data[12:]))
		data = data[abi.CapturedHead:]
		if kept < 1 || kept > min(f.Length, snap) || f.Length > mostFrame || f.Nanos/uint64(time.Second) > mostSeconds || (kept+7)&^7 > len(data) {
			return nil, 0, false, ErrNonsense
		}
		f.Data, data = data[:kept], data[(kept+7)&^7:]
		frames = append(frames, f)
	}
	return frames, lost, more, nil
}

// mostLost bounds what a container says to have lost between two answers, so that nobody's sum overflows.
const mostLost = 1 << 40

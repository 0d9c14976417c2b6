package container

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"nom.dev/nom/abi"
)

// Errors of what is asked of a container's platform.
var (
	ErrEnded     = errors.New("the container has ended")
	ErrNoConsole = errors.New("the container has no console ring, through which it could be asked")
	ErrSilent    = errors.New("the container does not answer")
	ErrNonsense  = errors.New("the container's answer makes no sense")
)

// SIGKILL is the one signal that no program can handle: the container is killed.
const SIGKILL = 9

// controller is the asking end of a ring's Control. The answering end is hostile, as the ring's writer is.
type controller struct {
	mu       sync.Mutex
	sequence uint32
}

// post writes a request.
func (r *controller) post(c *abi.Control, command uint32, args [3]uint64) {
	atomic.StoreUint32(&c.Sequence, r.sequence+1)
	c.Command, c.Args = command, args
	r.sequence += 2
	atomic.StoreUint32(&c.Sequence, r.sequence)
}

// answer copies what was answered to the last request, once it was.
func (r *controller) answer(c *abi.Control) (data []byte, done bool, err error) {
	if atomic.LoadUint32(&c.Answered) != r.sequence {
		return nil, false, nil
	}
	size, result := c.Size, c.Result
	if size > abi.ControlData || result > 0 {
		return nil, true, ErrNonsense
	}
	if result < 0 {
		return nil, true, abi.Errno(-result)
	}
	return append([]byte(nil), c.Data[:size]...), true, nil
}

// ask asks the platform in the container and returns its answer, which is at most abi.ControlData bytes of whatever the container
// chose. A container that does not answer keeps the caller until ctx ends.
func (c *Container) ask(ctx context.Context, command uint32, args ...uint64) ([]byte, error) {
	if c.console == nil {
		return nil, ErrNoConsole
	}
	c.control.mu.Lock()
	defer c.control.mu.Unlock()
	if c.closed.Load() { // the ring may be gone
		return nil, ErrEnded
	}
	w, err := Watch(abi.EventChild | abi.ConsoleBit)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var a [3]uint64
	copy(a[:], args)
	control := &c.console.r.Control
	c.control.post(control, command, a)
	if err := c.Notify(abi.ControlBit); err != nil {
		if errors.Is(err, abi.EBUSY) || errors.Is(err, abi.ENOENT) {
			return nil, ErrEnded
		}
		return nil, err
	}
	for {
		if data, done, err := c.control.answer(control); done {
			return data, err
		}
		select {
		case <-w.C:
		case <-c.done:
			return nil, ErrEnded
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrSilent, context.Cause(ctx))
		}
	}
}

// Signal delivers a signal, by its number on Linux, to the container's program, as kill(1) does there: its handler runs, or it
// ends with 128 and the number as its code. SIGKILL ends the container as Kill does. A container that has ended is no error.
func (c *Container) Signal(ctx context.Context, sig int) error {
	if sig == SIGKILL {
		return c.Kill()
	}
	if sig < 1 {
		return fmt.Errorf("container %s: signal %d: %w", c.spec.Name, sig, abi.EINVAL)
	}
	_, err := c.ask(ctx, abi.ControlSignal, uint64(sig))
	if err != nil && !errors.Is(err, ErrEnded) {
		return fmt.Errorf("container %s: signal %d: %w", c.spec.Name, sig, err)
	}
	return nil
}

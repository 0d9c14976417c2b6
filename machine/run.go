package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"nom.dev/nom/api"
)

// grace is how long a machine may take to switch itself off after its last event, and to print what it has to say
// after it went wrong.
const grace = 3 * time.Second

// Failure is the error for a machine that ended without saying that it was done: the nonkernel or the root container
// went wrong, not a program, or the caller's context ended.
type Failure struct {
	What    string // in words
	Exit    Exit
	Console []byte // the end of the console
	Stderr  []byte // what QEMU itself printed
	Stopped bool   // the caller's context ended; Err is the cause
	Err     error  // what was wrong with the events, or nil
}

func (f *Failure) Error() string {
	if f.Stopped {
		return f.Err.Error()
	}
	s := "the machine failed: " + f.What
	if f.Err != nil {
		s += fmt.Sprintf(" (%v)", f.Err)
	}
	return s
}

// Unwrap returns the error in the stream of events, or the cause of the context's end.
func (f *Failure) Unwrap() error { return f.Err }

// Run starts a machine, hands every event to handle and returns the code of its "done" event when it has ended. The
// error is a *Failure if the machine ended before it was done. handle runs on the caller's goroutine.
func Run(ctx context.Context, c Config, handle func(api.Event)) (code int, err error) {
	m, err := Start(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() {
		m.Kill()
		m.Wait()
	}()
	for {
		ev, err := m.Next()
		if err != nil {
			return 0, m.fail(ctx, err)
		}
		handle(ev)
		if ev.Event == api.EventDone {
			m.waitGrace()
			return ev.Code, nil
		}
	}
}

// waitGrace gives the machine time to end by itself, then kills it.
func (m *Machine) waitGrace() Exit {
	// What it may still send must not block it.
	go io.Copy(io.Discard, m.out)
	t := time.AfterFunc(grace, m.Kill)
	defer t.Stop()
	return m.Wait()
}

// fail makes the error for a stream of events that ended with err before the machine was done.
func (m *Machine) fail(ctx context.Context, err error) error {
	exit := m.waitGrace()
	f := &Failure{Exit: exit, Console: m.Console(), Stderr: m.Stderr()}
	switch {
	case ctx.Err() != nil:
		f.What, f.Stopped, f.Err = "it was stopped", true, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		f.What = exit.String()
	default:
		f.What, f.Err = "it sent something that nom does not understand on its event port", err
	}
	return f
}

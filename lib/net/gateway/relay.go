package gateway

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Buffers. An idle connection holds a small one for the outside, and none for the program.
const (
	smallSize = 1 << 10
	largeSize = 32 << 10
)

var (
	small = sync.Pool{New: func() any { b := make([]byte, smallSize); return &b }}
	large = sync.Pool{New: func() any { b := make([]byte, largeSize); return &b }}
)

// relay is a connection between the program and the outside.
type relay struct {
	program *socket
	outside net.Conn
	once    sync.Once     // for abort
	orphan  time.Duration // how long the outside may go on when the program closed

	inDone  atomic.Bool // nothing more comes from outside
	waiting atomic.Bool // outwards waits for the program to let go

	writes atomic.Uint64 // to the outside, begun and ended: odd while one is under way
	seen   uint64        // writes when isStuck was called last
}

func newRelay(program *socket, outside net.Conn, orphan time.Duration) *relay {
	return &relay{program: program, outside: outside, orphan: orphan}
}

// run moves bytes both ways until both have ended, or one failed.
func (r *relay) run() {
	var work sync.WaitGroup
	work.Go(r.inwards)
	r.outwards()
	work.Wait()
	r.program.Close()
	_ = r.outside.Close()
}

// abort resets both halves, which ends run.
func (r *relay) abort() {
	r.once.Do(func() {
		r.program.Abort()
		abort(r.outside)
	})
}

// abort resets a connection of the transport, if it can do that, and closes it.
func abort(c net.Conn) {
	switch a := c.(type) {
	case interface{ Abort() }:
		a.Abort()
	case interface{ SetLinger(int) error }:
		_ = a.SetLinger(0)
	}
	_ = c.Close()
}

// inwards moves what comes from outside to the program.
func (r *relay) inwards() {
	err := r.copyIn()
	if err == nil {
		err = r.program.CloseWrite()
	}
	if err != nil {
		r.abort()
		return
	}
	r.inDone.Store(true)
	if r.waiting.Load() {
		r.program.wake()
	}
}

// copyIn ends with nil at the end of data. It reads into a small buffer until more comes than that holds.
func (r *relay) copyIn() error {
	pool := &small
	for {
		b := pool.Get().(*[]byte)
		n, err := r.outside.Read(*b)
		if n > 0 {
			if _, err := r.program.Write((*b)[:n]); err != nil {
				pool.Put(b)
				return err
			}
		}
		pool.Put(b)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == smallSize && pool == &small:
			pool = &large
		case n < smallSize:
			pool = &small
		}
	}
}

// outwards moves what the program sends to the outside.
func (r *relay) outwards() {
	if err := r.copyOut(); err != nil {
		r.abort()
		return
	}
	c, ok := r.outside.(interface{ CloseWrite() error })
	if !ok {
		_ = r.outside.Close()
		return
	}
	if c.CloseWrite() != nil {
		r.abort()
		return
	}
	// The program may go on reading. When it does not, the outside may not keep the connection for ever.
	r.waiting.Store(true)
	if !r.inDone.Load() && r.program.waitGone() == nil {
		_ = r.outside.SetReadDeadline(time.Now().Add(r.orphan))
	}
}

// copyOut ends with nil at the end of data.
func (r *relay) copyOut() error {
	for {
		b, n, err := r.program.receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r.writes.Add(1)
		_, err = r.outside.Write((*b)[:n])
		r.writes.Add(1)
		large.Put(b)
		if err != nil {
			return err
		}
	}
}

// isStuck is called now and then. It tells whether the outside took nothing since the last call, for a program that is gone: a
// program that gave up waiting and closed its end cannot be noticed by who waits for the outside.
func (r *relay) isStuck() bool {
	writes := r.writes.Load()
	stuck := writes%2 == 1 && writes == r.seen && r.program.isGone()
	r.seen = writes
	return stuck
}

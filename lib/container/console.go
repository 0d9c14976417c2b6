package container

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// Streams of a console, as Launch's Output gets them.
const (
	Stdout = 0
	Stderr = 1
)

// ring is the reading end of a console ring. The writing end is hostile: it may change any byte of the ring at any time.
// So the reader's position is kept here and only published there, and what is read of the ring is bounded before use.
type ring struct {
	r    *abi.ConsoleRing
	tail [2]uint32
	lost [2]uint64 // bytes that the writer overwrote or made up
}

// read copies what is new in a stream to buf. Zero means that there is nothing.
func (r *ring) read(stream int, buf []byte) int {
	s := &r.r.Stream[stream]
	head, tail := atomic.LoadUint32(&s.Head), r.tail[stream]
	n := head - tail
	if n > abi.ConsoleData {
		// An honest writer waits for room. This one gets what the ring can hold.
		r.lost[stream] += uint64(n - abi.ConsoleData)
		tail = head - abi.ConsoleData
		n = abi.ConsoleData
	}
	n = min(n, uint32(len(buf)))
	at := tail % abi.ConsoleData
	k := copy(buf[:n], r.r.Data[stream][at:])
	copy(buf[k:n], r.r.Data[stream][:])
	r.tail[stream] = tail + n
	atomic.StoreUint32(&s.Tail, tail+n)
	return int(n)
}

// arm asks the writer to notify when it writes. It reports false when there is something to read already.
func (r *ring) arm() bool {
	quiet := true
	for i := range r.r.Stream {
		s := &r.r.Stream[i]
		atomic.StoreUint32(&s.Wait, 1)
		quiet = quiet && atomic.LoadUint32(&s.Head) == r.tail[i]
	}
	return quiet
}

// drainMost bounds what one call of drain passes on, so that a container that writes without end cannot hold its reader.
const drainMost = 16

// drain passes on what the container printed.
func (c *Container) drain() {
	if c.console == nil {
		return
	}
	var buf [abi.ConsoleData]byte
	for range drainMost {
		idle := true
		for stream := range c.console.tail {
			if n := c.console.read(stream, buf[:]); n > 0 {
				idle = false
				c.output(stream, buf[:n])
			}
		}
		if idle {
			return
		}
	}
}

// arm reports whether there is nothing to do until the next event.
func (c *Container) arm() bool { return c.console == nil || c.console.arm() }

package container

import (
	"sync"
	"sync/atomic"

	"nom.dev/nom/abi"
)

// drops keeps what a container's platform says that it dropped. The counters lie where the container writes: they are made to rise
// only, and bounded.
type drops struct {
	mu   sync.Mutex
	last [abi.NumDrops]uint64
	gone bool // the ring is not the container's any more
}

// mostDropped keeps sums of counters from overflowing.
const mostDropped = 1 << 48

func (d *drops) read(r *abi.ConsoleRing) {
	for i := range d.last {
		d.last[i] = max(d.last[i], min(atomic.LoadUint64(&r.Dropped[i]), mostDropped))
	}
}

// end reads for the last time.
func (d *drops) end(c *Container) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.console != nil && !d.gone {
		d.read(c.console.r)
	}
	d.gone = true
}

// Dropped is what the TCP/IP of the container's platform dropped since the start, by abi.DropDevice and those that follow, as the
// container says; of one that was closed, until then. All are 0 when it has no console ring to say it in.
func (c *Container) Dropped() [abi.NumDrops]uint64 {
	c.drops.mu.Lock()
	defer c.drops.mu.Unlock()
	if c.console != nil && !c.drops.gone {
		c.drops.read(c.console.r)
	}
	return c.drops.last
}

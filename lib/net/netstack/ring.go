package netstack

import (
	"errors"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nom.dev/nom/lib/net/inplace"
)

// ringSize is how many packets can wait for Serve: what Linux lets wait for a card.
const ringSize = 1024

// ErrFull says that too much waits to be sent.
var ErrFull = errors.New("netstack: too many packets wait to be sent")

// outgoing is what is to be sent: a frame of gVisor, or a datagram.
type outgoing struct {
	frame    *stack.PacketBuffer
	datagram *datagram
}

// datagram is what inplace.Output makes a frame of.
type datagram struct {
	to      inplace.Endpoint
	from    uint16
	until   uint32 // the second in which it is given up
	payload []byte
}

var datagrams = sync.Pool{New: func() any { return new(datagram) }}

// drop gives back what a packet holds.
func (o outgoing) drop() {
	if o.frame != nil {
		o.frame.DecRef()
	}
	if o.datagram != nil {
		datagrams.Put(o.datagram)
	}
}

// cut says that a frame is to be sent as several segments.
func (o outgoing) cut() bool {
	return o.frame != nil && o.frame.GSOOptions.Type == stack.GSOTCPv4 && o.frame.Data().Size() > int(o.frame.GSOOptions.MSS)
}

// slots is how many of the card's transmit slots a packet takes, with buffers of a length.
func (o outgoing) slots(buffer int) int {
	if !o.cut() {
		return 1
	}
	return 1 + (o.frame.Size()+buffer-1)/buffer // see nic.Queue.SendTCP
}

// ring is between all goroutines that send and the one that owns the queue.
type ring struct {
	kick   func() // tells that goroutine
	buffer int    // length of the card's

	mu     sync.Mutex
	slots  [ringSize]outgoing // guarded by mu, as all below
	first  int
	length int
	lost   uint64
	closed bool
}

// putFrames puts what fits of a batch into the ring, each with a reference of its own, and says how many that were.
func (r *ring) putFrames(frames []*stack.PacketBuffer) (int, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, ErrClosed
	}
	n := min(len(frames), ringSize-r.length)
	for _, f := range frames[:n] {
		r.push(outgoing{frame: f.IncRef()})
	}
	r.lost += uint64(len(frames) - n)
	r.mu.Unlock()
	r.kick()
	return n, nil
}

// putDatagram puts one datagram into the ring, which owns it then.
func (r *ring) putDatagram(d *datagram) error {
	r.mu.Lock()
	var err error
	switch {
	case r.closed:
		err = ErrClosed
	case r.length == ringSize:
		r.lost++
		err = ErrFull
	default:
		r.push(outgoing{datagram: d})
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	r.kick()
	return nil
}

// push adds to the end. r.mu is held, and there is room.
func (r *ring) push(o outgoing) {
	r.slots[(r.first+r.length)%ringSize] = o
	r.length++
}

// take moves as many as there are, and as fit, and for which there is room in the card's ring, out of this one, and says how many that were.
// If the room ended it, need is how much the next one takes.
func (r *ring) take(into []outgoing, room int) (n, need int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; n < len(into) && r.length > 0; n++ {
		slots := r.slots[r.first].slots(r.buffer)
		if slots > room {
			return n, slots
		}
		room -= slots
		into[n], r.slots[r.first] = r.slots[r.first], outgoing{}
		r.first = (r.first + 1) % ringSize
		r.length--
	}
	return n, 0
}

// close drops what waits and refuses what comes.
func (r *ring) close() {
	r.mu.Lock()
	r.closed = true
	rest := make([]outgoing, 0, r.length)
	for ; r.length > 0; r.length-- {
		rest = append(rest, r.slots[r.first])
		r.slots[r.first] = outgoing{}
		r.first = (r.first + 1) % ringSize
	}
	r.mu.Unlock()
	for _, o := range rest {
		o.drop()
	}
}

func (r *ring) lostSoFar() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

package inet

// How much is put together at the same time, of how many pieces, and for how long it is waited for.
const (
	mostDatagrams = 4
	mostPieces    = 64
	pieceTime     = 30 * second
)

// FragmentKey says which datagram a fragment is of. Addresses of IPv4 are in the lower halves.
type FragmentKey struct {
	From, To Address
	ID       uint32
	Proto    uint8
}

// same is == by its parts: the compiler's own comparison is no function of this package, which it must call alone.
func (k *FragmentKey) same(o *FragmentKey) bool {
	return k.ID == o.ID && k.Proto == o.Proto && k.From == o.From && k.To == o.To
}

type piece struct{ from, to uint32 }

// datagram is one of which pieces have come.
type datagram struct {
	key    FragmentKey
	until  uint64 // 0: free
	bad    bool   // the rest of it is not wanted either
	buf    []byte
	total  uint32 // 0: the last piece has not come
	have   uint32
	pieces [mostPieces]piece
	num    uint8
}

// Reassembler puts fragments of a few datagrams together, in memory that it is given. Pieces that overlap discard all of their
// datagram (RFC 5722, also for IPv4): whoever sends them wants different readers to see different things.
type Reassembler struct{ datagrams [mostDatagrams]datagram }

// Use gives it memory, in equal parts for each datagram. What does not fit a part is discarded: 256 KiB take all there can be.
func (r *Reassembler) Use(memory []byte) {
	n := len(memory) / mostDatagrams
	for i := range r.datagrams {
		r.datagrams[i].until = 0
		r.datagrams[i].buf = memory[i*n : (i+1)*n]
	}
}

// Add takes the piece of a datagram that lies at offset of its payload; more come behind it. When it was the last one missing the
// payload is returned, which is there until the next call.
func (r *Reassembler) Add(k *FragmentKey, offset uint32, more bool, data []byte, now uint64) []byte {
	n := uint32(len(data))
	if n == 0 || more && n%8 != 0 || offset%8 != 0 {
		return nil
	}
	d := r.find(k, now)
	if d.bad {
		return nil
	}
	if offset > 65535 || n > 65535-offset || !d.add(offset, more, data) {
		d.bad = true
		return nil
	}
	if d.total == 0 || d.have != d.total {
		return nil
	}
	d.until = 0
	return d.buf[:d.total]
}

// find is the datagram of k: a new one takes the place of the oldest, if no other is free.
func (r *Reassembler) find(k *FragmentKey, now uint64) *datagram {
	oldest := &r.datagrams[0]
	for i := range r.datagrams {
		d := &r.datagrams[i]
		if d.until <= now {
			d.until = 0
		}
		if d.until != 0 && d.key.same(k) {
			return d
		}
		if d.until < oldest.until {
			oldest = d
		}
	}
	oldest.key = *k
	oldest.until = now + pieceTime
	oldest.bad, oldest.total, oldest.have, oldest.num = false, 0, 0, 0
	return oldest
}

// add stores a piece. False: it contradicts what is there, or there is no room.
func (d *datagram) add(offset uint32, more bool, data []byte) bool {
	p := piece{offset, offset + uint32(len(data))}
	if p.to > uint32(len(d.buf)) || d.total != 0 && (p.to > d.total || !more && p.to != d.total) {
		return false
	}
	for i := range d.num {
		q := d.pieces[i]
		if q == p { // it came twice
			return string(d.buf[p.from:p.to]) == string(data) && (more || d.total != 0)
		}
		if p.from < q.to && q.from < p.to || !more && q.to > p.to {
			return false
		}
	}
	if d.num == mostPieces {
		return false
	}
	if !more {
		d.total = p.to
	}
	d.pieces[d.num] = p
	d.num++
	d.have += uint32(len(data))
	copy(d.buf[p.from:p.to], data)
	return true
}

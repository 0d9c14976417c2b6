package inet

// mostSacked is how many stretches a scoreboard remembers.
const mostSacked = 32

// scoreboard is what a peer says that it has beyond a gap (RFC 6675, 3): in order, apart from each other, and all of it sent and not
// acknowledged. It may know less than the peer said, never more.
type scoreboard struct {
	n      uint8
	ranges [mostSacked]Range
}

func (r Range) size() uint32 { return uint32(r.To - r.From) }

// add notes r. True: there was something new.
func (b *scoreboard) add(r Range) bool {
	first := 0 // of those that r touches
	for first < int(b.n) && b.ranges[first].To.before(r.From) {
		first++
	}
	last := first // is behind them
	for last < int(b.n) && !b.ranges[last].From.after(r.To) {
		last++
	}
	if last == first {
		return b.insert(first, r)
	}
	if h := b.ranges[first]; h.From.before(r.From) {
		r.From = h.From
	}
	if h := b.ranges[last-1]; h.To.after(r.To) {
		r.To = h.To
	}
	if last == first+1 && b.ranges[first] == r {
		return false
	}
	b.ranges[first] = r
	b.remove(first+1, last)
	return true
}

// insert puts r, which touches no other, in place i. When there is no room what has the fewest bytes is forgotten: it may be sent again, and
// costs least.
func (b *scoreboard) insert(i int, r Range) bool {
	if b.n == mostSacked {
		least, at := r.size(), -1
		for k := range b.ranges {
			if n := b.ranges[k].size(); n < least {
				least, at = n, k
			}
		}
		if at < 0 {
			return false
		}
		b.remove(at, at+1)
		if at < i {
			i--
		}
	}
	for k := int(b.n); k > i; k-- {
		b.ranges[k] = b.ranges[k-1]
	}
	b.ranges[i] = r
	b.n++
	return true
}

// remove takes out those from i on and before j.
func (b *scoreboard) remove(i, j int) {
	for ; j < int(b.n); i, j = i+1, j+1 {
		b.ranges[i] = b.ranges[j]
	}
	b.n = uint8(i)
}

// trim forgets what is acknowledged. One that una lies in or next to goes, too: a peer that has it would have acknowledged it, so this one
// has it no more.
func (b *scoreboard) trim(una Seq) {
	n := 0
	for n < int(b.n) && !b.ranges[n].From.after(una) {
		n++
	}
	if n != 0 {
		b.remove(0, n)
	}
}

// top is behind the last byte that the peer has, or una if it has none beyond.
func (b *scoreboard) top(una Seq) Seq {
	if b.n == 0 {
		return una
	}
	return b.ranges[b.n-1].To
}

// lostBefore is where loss ends: what the peer has not, and is before that, is lost (IsLost of RFC 6675, 4): three stretches are beyond it, or
// more than two segments' worth of data. It is una when nothing is.
func (b *scoreboard) lostBefore(una Seq, mss uint32) Seq {
	beyond := uint32(0)
	for i := int(b.n) - 1; i >= 0; i-- {
		beyond += b.ranges[i].size()
		if int(b.n)-i >= dupThresh || beyond > (dupThresh-1)*mss {
			return b.ranges[i].From
		}
	}
	return una
}

// has is how many bytes from one number on and before another the peer has.
func (b *scoreboard) has(from, to Seq) uint32 {
	n := uint32(0)
	for i := range int(b.n) {
		r := b.ranges[i]
		if r.From.before(from) {
			r.From = from
		}
		if r.To.after(to) {
			r.To = to
		}
		if r.From.before(r.To) {
			n += r.size()
		}
	}
	return n
}

// gap is the first stretch at or behind from that the peer has not, up to the next that it has, or to end if there is none. It is empty when
// nothing is missing before end.
func (b *scoreboard) gap(from, end Seq) Range {
	for i := range int(b.n) {
		r := b.ranges[i]
		if !r.To.after(from) {
			continue
		}
		if r.From.after(from) {
			if r.From.before(end) {
				end = r.From
			}
			break
		}
		from = r.To
	}
	if end.before(from) {
		end = from
	}
	return Range{from, end}
}

package igb

import (
	"time"

	"nom.dev/nom/hw/igb"
)

// Counters is what a function has received and sent since it was opened.
type Counters struct {
	RxFrames, RxBytes         uint64
	TxFrames, TxBytes         uint64
	RxMulticasts              uint64
	LoopRxFrames, LoopRxBytes uint64 // of these from functions of the same controller,
	LoopTxFrames, LoopTxBytes uint64 // and to them
	Resets                    uint64 // by its holder
	Refusals                  uint64 // times that it was switched off for a while for having been reset too often
	TxPauses, RxPauses        uint64 // times that it had sent or received too much
}

// numRaw is how many counters the controller has for a function. They have 32 bits and wrap, at the link's speed in half a minute: Poll
// reads them in time.
const (
	numRaw        = 9
	countInterval = 5 * time.Second
)

func (p *PF) readRaw(n int, raw *[numRaw]uint32) {
	vf := uint32(n)
	for i, r := range [numRaw]uint32{
		igb.PVFGPRC(vf), igb.PVFGORC(vf), igb.PVFGPTC(vf), igb.PVFGOTC(vf), igb.PVFMPRC(vf), igb.PVFGPRLBC(vf), igb.PVFGORLBC(vf), igb.PVFGPTLBC(vf),
		igb.PVFGOTLBC(vf),
	} {
		raw[i] = p.read(r)
	}
}

// count adds up what the controller has counted since the last time.
func (p *PF) count(n int) {
	f := &p.fn[n]
	var raw [numRaw]uint32
	p.readRaw(n, &raw)
	c := &f.counters
	for i, sum := range [numRaw]*uint64{
		&c.RxFrames, &c.RxBytes, &c.TxFrames, &c.TxBytes, &c.RxMulticasts, &c.LoopRxFrames, &c.LoopRxBytes, &c.LoopTxFrames, &c.LoopTxBytes,
	} {
		*sum += uint64(raw[i] - f.last[i])
	}
	f.last = raw
	c.Resets, c.Refusals, c.TxPauses, c.RxPauses = f.resets, f.refusals, f.tx.pauses, f.rx.pauses
}

// Counters is what function n has done since it was opened.
func (p *PF) Counters(n int) Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.check(n) != nil {
		return Counters{}
	}
	if p.fn[n].open {
		p.count(n)
	}
	return p.fn[n].counters
}

// Rate is how much may go in one direction, a second; 0 is no limit.
type Rate struct{ Bytes, Frames uint64 }

// Limit is how much a function may send and receive. On hardware the controller holds what it sends to the rate in bytes. All else,
// and everything in the emulation, is Police's: it switches a direction off when the counters say that too much has gone, until time
// has made up for that. Frames that arrive meanwhile are lost.
type Limit struct{ Tx, Rx Rate }

// meter holds one direction of a function to a rate.
type meter struct {
	rate          Rate
	bytes, frames budget
	paused        bool
	pauses        uint64
}

// What may go at once: a tenth of a second's worth, but so much at least.
const (
	burstPart   = 10
	leastBytes  = 2 * JumboFrame
	leastFrames = 16
)

// limit sets the rate; what has gone before is not held against anybody.
func (m *meter) limit(r Rate, bytes, frames uint64, now time.Duration) {
	m.rate = r
	m.bytes = newBudget(r.Bytes, leastBytes, bytes, now)
	m.frames = newBudget(r.Frames, leastFrames, frames, now)
}

// spend takes what has gone in all, and says whether that is more than may.
func (m *meter) spend(bytes, frames uint64, now time.Duration) (over bool) {
	if m.rate.Bytes != 0 {
		over = m.bytes.use(bytes, now)
	}
	if m.rate.Frames != 0 {
		over = m.frames.use(frames, now) || over
	}
	return over
}

// SetLimit limits function n until it is cleaned.
func (p *PF) SetLimit(n int, l Limit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(n); err != nil {
		return err
	}
	f := &p.fn[n]
	if f.open {
		p.count(n)
	}
	f.limit(l, p.o.Clock.Now())
	p.limitRate(n)
	return nil
}

func (f *function) limit(l Limit, now time.Duration) {
	f.tx.limit(l.Tx, f.counters.TxBytes, f.counters.TxFrames, now)
	f.rx.limit(l.Rx, f.counters.RxBytes, f.counters.RxFrames, now)
}

// Limit is the limit of function n.
func (p *PF) Limit(n int) Limit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.check(n) != nil {
		return Limit{}
	}
	return Limit{p.fn[n].tx.rate, p.fn[n].rx.rate}
}

// limitRate tells the controller the limit of a function's queues.
func (p *PF) limitRate(n int) {
	rate := min(p.fn[n].tx.rate.Bytes, maxBurst)
	mbit := uint32(min(rate*8/1_000_000, 1<<20))
	if rate != 0 {
		mbit = max(mbit, 1)
	}
	for i := range uint32(2) {
		p.write(igb.RTTDQSEL, igb.Queue(uint32(n), i))
		p.write(igb.RTTBCNRM, igb.RTTBCNRM_JUMBO)
		p.write(igb.RTTBCNRC, igb.RateLimit(1000, mbit))
	}
}

// Police pauses functions that have sent or received more than they may, and lets those go on that have paid for it. It says whether
// there are any with a limit, for which it must be called every few milliseconds; Poll does what it does, too.
func (p *PF) Police() (limited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Clock.Now()
	for n := range p.functions {
		if f := &p.fn[n]; f.open && f.isLimited() {
			p.police(n, now)
			limited = true
		}
	}
	return limited
}

// isLimited says that f has a limit, or a pause from one that it had.
func (f *function) isLimited() bool {
	return f.tx.rate != Rate{} || f.rx.rate != Rate{} || f.tx.paused || f.rx.paused
}

func (p *PF) police(n int, now time.Duration) {
	p.count(n)
	f := &p.fn[n]
	f.counted = now
	tx := f.tx.spend(f.counters.TxBytes, f.counters.TxFrames, now)
	rx := f.rx.spend(f.counters.RxBytes, f.counters.RxFrames, now)
	if tx == f.tx.paused && rx == f.rx.paused {
		return
	}
	if tx && !f.tx.paused {
		f.tx.pauses++
	}
	if rx && !f.rx.paused {
		f.rx.pauses++
	}
	f.tx.paused, f.rx.paused = tx, rx
	p.admit(n)
}

// admit lets function n do what it may now.
func (p *PF) admit(n int) {
	f := &p.fn[n]
	p.enable(n, f.open && !f.off && !f.tx.paused, f.open && !f.off && !f.rx.paused)
}

// budget is a bucket that fills with time and is emptied by use.
type budget struct {
	rate  uint64 // a second
	burst uint64
	left  int64 // in 1/unit
	seen  uint64
	at    time.Duration
}

// unit keeps small rates from being lost between two rounds.
const (
	unit     = 1000
	maxBurst = 1 << 50
)

func newBudget(rate, least, seen uint64, now time.Duration) budget {
	burst := min(max(rate/burstPart, least), maxBurst)
	return budget{rate: rate, burst: burst, left: int64(burst) * unit, seen: seen, at: now}
}

// use takes what was used since the last time, of a sum that only grows, and says whether that is more than there is.
func (b *budget) use(sum uint64, now time.Duration) (over bool) {
	b.spend(sum-b.seen, now)
	b.seen = sum
	return b.left < 0
}

// fill adds what time has brought.
func (b *budget) fill(now time.Duration) {
	const longest, maxRate = 10 * time.Second, 1 << 36
	passed := min(max(now-b.at, 0), longest)
	b.at = now - passed%time.Microsecond
	micros := uint64(passed / time.Microsecond)
	b.left = min(b.left+int64(min(b.rate, maxRate)*micros/(1_000_000/unit)), int64(min(b.burst, maxBurst))*unit)
}

// spend takes what was used, more than there is if need be.
func (b *budget) spend(n uint64, now time.Duration) {
	b.fill(now)
	b.left = max(b.left-int64(min(n, maxBurst))*unit, -maxBurst*unit)
}

// take takes n if there is as much.
func (b *budget) take(n int64, now time.Duration) bool {
	b.fill(now)
	if b.left < n*unit {
		return false
	}
	b.left -= n * unit
	return true
}

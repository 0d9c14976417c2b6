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
	Paused                    uint64 // times that it had sent too much
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
	c.Resets = f.resets
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

// Limit is how much a function may send: on hardware the controller holds it to the rate, and in the emulation Poll pauses it when its
// counters say that it has sent more.
type Limit struct {
	BytesPerSecond uint64 // 0: no limit
	Burst          uint64 // bytes at once; at least what goes out between two rounds of Poll
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
	f.limit = l
	f.bytes = l.budget(p.o.Clock.Now())
	f.bytes.seen = f.counters.TxBytes // what was sent before is not held against it
	p.limitRate(n)
	return nil
}

func (l Limit) budget(now time.Duration) budget {
	return budget{rate: l.BytesPerSecond, burst: l.Burst, left: int64(min(l.Burst, maxBurst)) * unit, at: now}
}

// limitRate tells the controller the limit of a function's queues.
func (p *PF) limitRate(n int) {
	mbit := uint32(min(p.fn[n].limit.BytesPerSecond*8/1_000_000, 1<<20))
	if p.fn[n].limit.BytesPerSecond != 0 {
		mbit = max(mbit, 1)
	}
	for i := range uint32(2) {
		p.write(igb.RTTDQSEL, igb.Queue(uint32(n), i))
		p.write(igb.RTTBCNRM, igb.RTTBCNRM_JUMBO)
		p.write(igb.RTTBCNRC, igb.RateLimit(1000, mbit))
	}
}

// police pauses a function that has sent more than it may, and lets one go on that has paid for it.
func (p *PF) police(n int, now time.Duration, e *Events) {
	f := &p.fn[n]
	sent := f.counters.TxBytes - f.bytes.seen
	f.bytes.seen = f.counters.TxBytes
	if f.limit.BytesPerSecond == 0 {
		if f.paused {
			p.resume(n, e)
		}
		return
	}
	f.bytes.spend(sent, now)
	switch {
	case f.bytes.left < 0 && !f.paused:
		f.paused = true
		f.counters.Paused++
		p.unset(igb.VFTE, 1<<n)
		e.Paused |= 1 << n
	case f.bytes.left >= 0 && f.paused:
		p.resume(n, e)
	}
}

func (p *PF) resume(n int, e *Events) {
	p.fn[n].paused = false
	p.set(igb.VFTE, 1<<n)
	e.Resumed |= 1 << n
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

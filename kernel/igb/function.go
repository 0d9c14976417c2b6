package igb

import (
	"time"

	"nom.dev/nom/hw/igb"
)

// function is what is known of a virtual function.
type function struct {
	filter    Filter
	open      bool // its holder may use it
	off       bool // of an open one: its holder has reset it, and it does not work again yet
	resets    uint64
	refused   bool   // off, and too often so
	refusals  uint64 // times that it began to be
	allowance budget // of resets by its holder
	tx, rx    meter
	counters  Counters
	counted   time.Duration  // when they were brought up to date
	last      [numRaw]uint32 // what the controller's counters were
}

// A holder may reset its function over and over: each of it is work for Poll. What is beyond this leaves the function closed until
// there is an allowance again.
const (
	resetsPerSecond = 1
	resetsAtOnce    = 4
)

// Open lets function n receive and transmit. Its holder sets its queues up then.
//
// Before, the function was closed, reset (pci.Function.Reset) and cleaned, and the IOMMU holds it to its new holder's memory.
func (p *PF) Open(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(n); err != nil {
		return err
	}
	f := &p.fn[n]
	p.write(igb.VFLRE, 1<<n)
	now := p.o.Clock.Now()
	f.open, f.off, f.resets, f.refused, f.refusals = true, false, 0, false, 0
	f.allowance = budget{rate: resetsPerSecond, burst: resetsAtOnce, left: resetsAtOnce * unit, at: now}
	f.counters = Counters{}
	l := Limit{f.tx.rate, f.rx.rate}
	f.tx, f.rx = meter{}, meter{}
	f.limit(l, now)
	p.readRaw(n, &f.last)
	p.admit(n)
	return nil
}

// Close stops function n: it accepts no frame and sends none. DMA that is under way ends by itself; the function's reset and the
// IOMMU's flush wait for it.
func (p *PF) Close(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(n); err != nil {
		return err
	}
	if p.fn[n].open {
		p.count(n)
	}
	p.fn[n].open = false
	p.admit(n)
	return nil
}

// Clean removes what the reset of a closed function leaves of its last holder: queues, interrupt causes and where they went, the
// mailbox; and gives it the default filter. What it counted goes on in the controller, where the next holder can read it.
func (p *PF) Clean(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(n); err != nil {
		return err
	}
	p.fn[n].open = false
	p.admit(n)
	p.leaveVLAN(n)
	p.fn[n].filter = p.DefaultFilter(n)
	p.fn[n].tx, p.fn[n].rx = meter{}, meter{}
	p.program(n)
	p.write(igb.DTXSWC, p.switchControl())
	p.limitRate(n)
	p.clean(n)
	return nil
}

func (p *PF) clean(n int) {
	vf := uint32(n)
	for i := range uint32(2) {
		rx, tx := igb.RxQueue(igb.Queue(vf, i)), igb.TxQueue(igb.Queue(vf, i))
		for _, r := range []uint32{igb.RXDCTL, igb.RDLEN, igb.RDBAL, igb.RDBAH, igb.RDH, igb.RDT, igb.SRRCTL, igb.RXCTL} {
			p.write(rx+r, 0)
		}
		for _, r := range []uint32{igb.TXDCTL, igb.TDLEN, igb.TDBAL, igb.TDBAH, igb.TDH, igb.TDT, igb.TXCTL, igb.TDWBAL, igb.TDWBAH} {
			p.write(tx+r, 0)
		}
	}
	p.cleanInterrupts(n)
	p.write(igb.PSRTYPE(vf), 0)
	p.write(igb.P2VMAILBOX(vf), igb.P2V_RVFU)
	p.write(igb.MBVFICR, (1|1<<16)<<vf)
	for word := range uint32(igb.MailboxWords) {
		p.write(igb.VMBMEM(vf, word), 0)
	}
	p.write(igb.VFLRE, 1<<vf)
}

// cleanInterrupts makes a function's interrupts as after power-on. A function cannot take back what it wrote to IVAR in the emulation,
// where bits are only ever added.
func (p *PF) cleanInterrupts(n int) {
	vf := uint32(n)
	p.write(igb.EIMC, igb.Causes(vf))
	p.write(igb.IVAR(vf), 0)
	p.write(igb.PVTEIAC(vf), 0)
	p.write(igb.EICR, igb.Causes(vf))
	for i := range uint32(igb.VFVectors) {
		p.write(igb.EITR(22-3*vf+i), 0)
	}
}

// enable lets a function transmit and receive, or not.
func (p *PF) enable(n int, tx, rx bool) {
	for _, e := range [2]struct {
		register uint32
		on       bool
	}{{igb.VFRE, rx}, {igb.VFTE, tx}} {
		if e.on {
			p.set(e.register, 1<<n)
		} else {
			p.unset(e.register, 1<<n)
		}
	}
}

// Events is what Poll found; masks have a bit for each function.
type Events struct {
	Link        Link
	LinkChanged bool
	Reset       uint32 // holders that reset their function; it works again
	Closed      uint32 // holders that did it too often; it works again when Reset says so
	Foreign     uint32 // holders that sent their interrupts to another function; they are not sent there any more
}

// Poll does what the physical function has to do, a bounded amount of work; call it every few milliseconds.
func (p *PF) Poll() Events {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Clock.Now()
	var e Events
	e.Link = p.readLink()
	e.LinkChanged = e.Link.Up != p.link.Up || e.Link.Up && e.Link != p.link
	p.link = e.Link
	reset := p.read(igb.VFLRE)
	for n := range p.functions {
		f := &p.fn[n]
		if !f.open {
			p.write(igb.VFLRE, reset&(1<<n))
			continue
		}
		if f.isLimited() || now-f.counted >= countInterval {
			p.police(n, now)
		}
		if reset>>n&1 != 0 {
			f.resets++
			p.write(igb.VFLRE, 1<<n)
			p.cleanInterrupts(n)
		}
		if !igb.OwnCauses(uint32(n), p.read(igb.IVAR(uint32(n)))) {
			p.cleanInterrupts(n)
			e.Foreign |= 1 << n
		}
		if f.off || reset>>n&1 != 0 || !f.rx.paused && p.read(igb.VFRE)>>n&1 == 0 {
			f.off = true
			p.revive(n, now, &e)
		}
	}
	p.mailboxes()
	return e
}

// revive lets a function work again that its holder has reset, if it has not done so too often.
func (p *PF) revive(n int, now time.Duration, e *Events) {
	f := &p.fn[n]
	if !f.allowance.take(1, now) {
		e.Closed |= 1 << n
		if !f.refused {
			f.refused = true
			f.refusals++
		}
		return
	}
	e.Reset |= 1 << n
	f.off, f.refused = false, false
	p.admit(n)
}

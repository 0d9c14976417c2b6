package igb

import (
	"strings"
	"testing"
	"time"

	"nom.dev/nom/hw/igb"
	"pgregory.net/rapid"
)

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) options() Options { return Options{BAR: bar, Memory: m, Clock: m} }

// up opens the controller with n functions, of which none works.
func (m *model) up(n int) *PF {
	m.t.Helper()
	p, err := Open(m.options())
	do(m.t, err)
	m.regs[igb.VFLRE] = 0xff // enabling functions resets them all
	for vf := range uint32(igb.NumVFs) {
		m.regs[v2p(vf)] |= igb.V2P_RSTI
	}
	do(m.t, p.Setup(n))
	return p
}

func TestOpen(t *testing.T) {
	m := newModel(t)
	m.regs[igb.EIMS], m.regs[igb.IMS] = 0xffff, 0xffff
	p := m.up(3)
	if p.MAC() != cardMAC {
		t.Errorf("address %x", p.MAC())
	}
	if m.regs[igb.EIMS]|m.regs[igb.IMS]|m.regs[igb.VFRE]|m.regs[igb.VFTE] != 0 {
		t.Error("something works before it was opened")
	}
	for q := range uint32(igb.NumQueues) {
		if m.regs[igb.RxQueue(q)+igb.RXDCTL]|m.regs[igb.TxQueue(q)+igb.TXDCTL] != 0 {
			t.Errorf("queue %d is on", q)
		}
	}
	if v := m.vfMailbox(2); v != igb.V2P_RSTD {
		t.Errorf("functions see %#x, want that the reset is done", v)
	}
	if l := p.Link(); l.Up || l.Mbit != 1000 || !l.FullDuplex {
		t.Errorf("link %+v", l)
	}
	m.now += 600 * time.Millisecond
	if e := p.Poll(); !e.LinkChanged || !e.Link.Up {
		t.Errorf("events %+v, want that the link is up", e)
	}
	if e := p.Poll(); e.LinkChanged || !e.Link.Up {
		t.Errorf("events %+v, want none", e)
	}
	m.unplugged = true
	if e := p.Poll(); !e.LinkChanged || e.Link.Up {
		t.Errorf("events %+v, want that the link is down", e)
	}
}

func TestOpenFails(t *testing.T) {
	for name, change := range map[string]func(m *model){
		"dead":     func(m *model) { m.dead = true },
		"deaf PHY": func(m *model) { m.deafPHY = true },
		"bad PHY":  func(m *model) { m.badPHY = true },
		"reset":    func(m *model) { m.resetAt = 1 << 60 },
	} {
		m := newModel(t)
		change(m)
		if name == "reset" {
			o := m.options()
			o.Memory = endless{m}
			_, err := Open(o)
			if err == nil || !strings.Contains(err.Error(), "reset") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if _, err := Open(m.options()); err == nil {
			t.Errorf("%s: opened", name)
		}
		if m.now > time.Second {
			t.Errorf("%s: it took %v", name, m.now)
		}
	}
	m := newModel(t)
	p := m.up(1)
	if p.Setup(8) == nil || p.Setup(-1) == nil {
		t.Error("a pool is left for nobody")
	}
	for _, err := range []error{p.Open(1), p.Open(-1), p.Close(1), p.Clean(1), p.SetFilter(1, p.DefaultFilter(1)), p.SetLimit(1, Limit{})} {
		if err == nil {
			t.Error("a function that is not there was touched")
		}
	}
	if p.Counters(1) != (Counters{}) || p.Filter(1) != (Filter{}) {
		t.Error("a function that is not there has counters")
	}
}

// endless never ends its reset.
type endless struct{ *model }

func (e endless) Read32(pa uint64) uint32 {
	if pa == bar+igb.CTRL {
		return igb.CTRL_RST
	}
	return e.model.Read32(pa)
}

// TestFilters sends frames to everybody and looks who gets them.
func TestFilters(t *testing.T) {
	m := newModel(t)
	p := m.up(4)
	for n := range 4 {
		do(t, p.Open(n))
		m.start(uint32(n))
	}
	broadcast := [6]byte{255, 255, 255, 255, 255, 255}
	multicast := [6]byte{0x33, 0x33, 0, 0, 0, 1}
	mac := func(n int) [6]byte { return p.DefaultFilter(n).MAC }
	check := func(what string, f frame, want uint32) {
		t.Helper()
		if got := m.receive(f); got != want {
			t.Errorf("%s: pools %#b get %+v, want %#b", what, got, f, want)
		}
	}
	check("own", frame{mac(0), 0, 60}, 1)
	check("own", frame{mac(3), 0, 1514}, 8)
	check("broadcast", frame{broadcast, 0, 60}, 15)
	check("multicast", frame{multicast, 0, 60}, 15)
	check("too long", frame{mac(0), 0, 1515}, 0)
	check("tagged", frame{mac(0), 100, 60}, 0)
	check("tagged", frame{broadcast, 100, 60}, 0)
	check("unknown", frame{[6]byte{2, 1, 1, 1, 1, 1}, 0, 60}, 0)
	check("hash of rubbish", frame{[6]byte{2, 1, 1, 1, 0, 6}, 0, 60}, 0)
	check("rubbish", frame{rubbish, 0, 60}, 0)
	check("controller's own", frame{cardMAC, 0, 60}, 0)

	own := [6]byte{0x52, 0x54, 0, 1, 2, 3}
	do(t, p.SetFilter(1, Filter{MAC: own, VLAN: 100, MaxFrame: StandardFrame}))
	do(t, p.SetFilter(2, Filter{MAC: mac(2), VLAN: 100, MaxFrame: JumboFrame, Multicast: true}))
	do(t, p.SetFilter(3, Filter{MAC: mac(3), MaxFrame: JumboFrame}))
	check("VLAN", frame{own, 100, 1518}, 2)
	check("VLAN", frame{broadcast, 100, 64}, 6)
	check("VLAN", frame{multicast, 100, 64}, 4)
	check("another VLAN", frame{own, 101, 64}, 0)
	check("no tag", frame{own, 0, 64}, 0)
	check("no tag", frame{broadcast, 0, 60}, 9)
	check("no multicasts", frame{multicast, 0, 60}, 1)
	check("former address", frame{mac(1), 0, 60}, 0)
	check("jumbo with tag", frame{mac(2), 100, JumboFrame + 4}, 4)
	check("jumbo", frame{mac(3), 0, JumboFrame}, 8)
	check("longer", frame{mac(3), 0, JumboFrame + 1}, 0)
	check("longer with tag", frame{mac(2), 100, JumboFrame + 5}, 0)
	check("jumbo to another", frame{mac(0), 0, JumboFrame}, 0)
	if v, w := m.regs[igb.VMVIR(1)], m.regs[igb.VMVIR(0)]; v != igb.VMVIR_DEFAULT|100 || w != igb.VMVIR_NEVER {
		t.Errorf("tags: %#x and %#x", v, w)
	}
	if v := m.regs[igb.DTXSWC]; v != 0x60f {
		t.Errorf("spoof checks: %#x", v)
	}
	do(t, p.SetFilter(1, Filter{MAC: own, VLAN: 7, MaxFrame: StandardFrame, TwoQueues: true}))
	check("moved", frame{own, 7, 64}, 2)
	check("moved", frame{broadcast, 100, 64}, 4)
	if m.regs[igb.VMOLR(1)]&igb.VMOLR_RSSE == 0 || m.regs[igb.RETA(31)] != 0x0100_0100 {
		t.Error("flows are not spread")
	}
	do(t, p.SetFilter(2, p.DefaultFilter(2)))
	check("nobody's VLAN", frame{mac(2), 100, 64}, 0)
	if m.regs[igb.VFTA(3)] != 0 {
		t.Errorf("the VLAN is still in the table: %#x", m.regs[igb.VFTA(3)])
	}
	if p.Filter(1).VLAN != 7 {
		t.Errorf("filter %+v", p.Filter(1))
	}
}

func TestFiltersRefused(t *testing.T) {
	m := newModel(t)
	p := m.up(2)
	for name, f := range map[string]Filter{
		"group":      {MAC: [6]byte{1, 2, 3, 4, 5, 6}, MaxFrame: 1514},
		"none":       {MaxFrame: 1514},
		"card":       {MAC: cardMAC, MaxFrame: 1514},
		"neighbour":  {MAC: p.DefaultFilter(1).MAC, MaxFrame: 1514},
		"short":      {MAC: [6]byte{2}, MaxFrame: 59},
		"long":       {MAC: [6]byte{2}, MaxFrame: JumboFrame + 1},
		"VLAN 4095":  {MAC: [6]byte{2}, MaxFrame: 1514, VLAN: 4095},
		"VLAN 65535": {MAC: [6]byte{2}, MaxFrame: 1514, VLAN: 65535},
	} {
		if err := p.SetFilter(0, f); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if p.Filter(0) != p.DefaultFilter(0) {
		t.Errorf("filter %+v", p.Filter(0))
	}
	o := m.options()
	o.Loopback = true
	p, err := Open(o)
	do(t, err)
	do(t, p.Setup(0))
	if m.regs[igb.DTXSWC] != igb.DTXSWC_LOOPBACK {
		t.Errorf("DTXSWC %#x", m.regs[igb.DTXSWC])
	}
}

// TestHandOver lets a holder write everywhere, and looks what the next one finds.
func TestHandOver(t *testing.T) {
	m := newModel(t)
	p := m.up(3)
	fresh := map[uint32]uint32{}
	for r, v := range m.regs {
		fresh[r] = v
	}
	do(t, p.Open(0))
	do(t, p.Open(1))
	do(t, p.Open(2))
	for vf := range uint32(3) {
		m.start(vf)
	}
	do(t, p.SetFilter(1, Filter{MAC: [6]byte{2, 2, 2, 2, 2, 2}, VLAN: 5, MaxFrame: 9000}))
	do(t, p.SetLimit(1, Limit{Tx: Rate{Bytes: 1e6}}))
	if m.rates[1]&igb.RTTBCNRC_RS_ENA == 0 || m.rates[9] != m.rates[1] || m.rates[0] != 0 {
		t.Errorf("rates %#x", m.rates)
	}
	neighbours := func() map[uint32]uint32 {
		kept := map[uint32]uint32{}
		for vf := range uint32(3) {
			if vf != 1 {
				for _, r := range []uint32{igb.RxQueue(vf) + igb.RDBAL, igb.RxQueue(vf) + igb.RXDCTL, igb.TxQueue(vf+8) + igb.TDT, igb.IVAR(vf), igb.RAH(vf + 1), igb.VMOLR(vf)} {
					kept[r] = m.regs[r]
				}
			}
		}
		kept[igb.EIMS] = m.regs[igb.EIMS] &^ igb.Causes(1)
		return kept
	}
	before := neighbours()
	m.vfWrite(1, igb.VTEICS, 7)
	m.vfWrite(1, igb.VFPSRTYPE, 0xff)
	m.vfWrite(1, igb.VMBMEM0+8, 0xdead)
	m.vfWrite(1, igb.V2PMAILBOX, igb.V2P_VFU|igb.V2P_REQ|igb.V2P_ACK)
	m.send(1, 10, 1000)

	do(t, p.Close(1))
	if m.send(1, 1, 100) || m.receive(frame{[6]byte{2, 2, 2, 2, 2, 2}, 5, 100}) != 0 {
		t.Error("a closed function works")
	}
	if c := p.Counters(1); c.TxFrames != 10 || c.TxBytes != 1000 {
		t.Errorf("counters after Close: %+v", c)
	}
	m.vfReset(1)
	do(t, p.Clean(1))
	for r, v := range m.regs {
		own := r >= 0x10000 || r == igb.EIAC || before[r] != 0 || r == igb.ICR
		for _, vf := range []uint32{0, 2} { // the neighbours work
			for n := range uint32(2) {
				q := igb.Queue(vf, n)
				own = own || r >= igb.RxQueue(q) && r < igb.RxQueue(q+1) || r >= igb.TxQueue(q) && r < igb.TxQueue(q+1)
			}
			own = own || r >= igb.EITR(22-3*vf) && r <= igb.EITR(24-3*vf)
		}
		if !own && v != fresh[r] && r != igb.VFRE && r != igb.VFTE && r != igb.RTTDQSEL && r != igb.RTTBCNRM {
			t.Errorf("register %#x is %#x, was %#x", r, v, fresh[r])
		}
	}
	if m.rates[1] != 0 || m.rates[9] != 0 {
		t.Errorf("the rate of the next holder is limited: %#x", m.rates)
	}
	for r, v := range neighbours() {
		if v != before[r] {
			t.Errorf("a neighbour's register %#x is %#x, was %#x", r, v, before[r])
		}
	}
	if m.regs[igb.EIMS]&igb.Causes(1) != 0 || m.regs[igb.VFRE] != 5 || m.regs[igb.VFLRE] != 0 || m.regs[v2p(1)]&igb.V2P_VFU != 0 {
		t.Errorf("EIMS %#x, VFRE %#x, VFLRE %#x", m.regs[igb.EIMS], m.regs[igb.VFRE], m.regs[igb.VFLRE])
	}
	m.regs[igb.PVFGOTC(1)] += 5000 // the last bytes were counted late
	do(t, p.Open(1))
	m.start(1)
	m.send(1, 1, 60)
	if c := p.Counters(1); c.TxFrames != 1 || c.TxBytes != 60 || m.regs[igb.IVAR(1)] != 0x9493 {
		t.Errorf("the next holder has sent %+v, IVAR %#x", c, m.regs[igb.IVAR(1)])
	}
}

// TestResets has a holder that resets its function: now and then, and over and over.
func TestResets(t *testing.T) {
	m := newModel(t)
	p := m.up(2)
	do(t, p.Open(0))
	do(t, p.Open(1))
	p.Poll()
	m.start(0)
	m.vfWrite(0, igb.VTCTRL, igb.CTRL_RST)
	if e := p.Poll(); e.Reset != 1 || m.regs[igb.VFRE] != 3 || m.regs[igb.VFTE] != 3 || m.regs[igb.VFLRE] != 0 || m.regs[igb.IVAR(0)] != 0 {
		t.Errorf("events %+v, VFRE %#x", e, m.regs[igb.VFRE])
	}
	m.start(0)
	if !m.send(0, 1, 60) {
		t.Error("it cannot send after its reset")
	}
	revived, closed := 0, 0
	for range 10_000 { // ten seconds
		m.vfWrite(0, igb.VTCTRL, igb.CTRL_RST)
		m.now += time.Millisecond
		m.reads = 0
		e := p.Poll()
		if m.reads > 40 {
			t.Fatalf("Poll read %d registers", m.reads)
		}
		if e.Reset&1 != 0 {
			revived++
		}
		if e.Closed&1 != 0 {
			closed++
		}
		if e.Reset&2 != 0 || e.Closed&2 != 0 || m.regs[igb.VFRE]&2 == 0 {
			t.Fatalf("events %+v: the neighbour is affected", e)
		}
	}
	if revived < 10 || revived > 14 || revived+closed != 10_000 {
		t.Errorf("revived %d times, closed %d times", revived, closed)
	}
	if c := p.Counters(0); c.Resets != 10_001 || c.Refusals < uint64(revived)-resetsAtOnce || c.Refusals > uint64(revived) {
		t.Errorf("%d resets and %d refusals counted, it was revived %d times", c.Resets, c.Refusals, revived)
	}
	m.vfWrite(0, igb.VTCTRL, igb.CTRL_RST)
	m.now += 2 * time.Second
	if e := p.Poll(); e.Reset != 1 {
		t.Errorf("events %+v, want that it works again", e)
	}
	// One that is closed stays closed.
	do(t, p.Close(0))
	m.vfReset(0)
	if e := p.Poll(); e.Reset != 0 || m.regs[igb.VFRE] != 2 || m.regs[igb.VFLRE] != 0 {
		t.Errorf("events %+v, VFRE %#x, VFLRE %#x", e, m.regs[igb.VFRE], m.regs[igb.VFLRE])
	}
}

// TestForeign has a holder that sends its interrupts to its neighbour, which the emulation lets it do.
func TestForeign(t *testing.T) {
	m := newModel(t)
	p := m.up(2)
	do(t, p.Open(0))
	do(t, p.Open(1))
	m.start(0)
	m.start(1)
	if e := p.Poll(); e.Foreign != 0 {
		t.Errorf("events %+v", e)
	}
	m.vfWrite(1, igb.VTIVAR, 0x84)
	if e := p.Poll(); e.Foreign != 2 || m.regs[igb.IVAR(1)] != 0 || m.regs[igb.EIMS]&igb.Causes(1) != 0 || m.regs[igb.IVAR(0)] != 0x9796 {
		t.Errorf("events %+v, IVAR %#x, EIMS %#x", e, m.regs[igb.IVAR(1)], m.regs[igb.EIMS])
	}
}

func TestLimit(t *testing.T) {
	m := newModel(t)
	p := m.up(2)
	for n := range 2 {
		do(t, p.Open(n))
		m.start(uint32(n))
	}
	m.regs[igb.PVFGOTC(0)] = 0xffff_ff00 // about to wrap
	do(t, p.Close(0))
	do(t, p.Open(0))
	const before = 1 << 30 // sent when there was no limit
	m.send(0, 1, before)
	do(t, p.SetLimit(0, Limit{Tx: Rate{Bytes: 1_000_000}}))
	start, sent, refused := m.now, uint64(0), 0
	for m.now-start < 10*time.Second {
		m.now += 5 * time.Millisecond
		if m.send(0, 10, 15_000) { // three times what it may
			sent += 15_000
		} else {
			refused++
		}
		if !m.send(1, 10, 15_000) {
			t.Fatal("the neighbour is held up")
		}
		p.Poll()
	}
	if sent < 9_900_000 || sent > 10_300_000 || refused < 1000 {
		t.Errorf("it sent %d bytes in 10 s, refused %d times", sent, refused)
	}
	if c := p.Counters(0); c.TxBytes != sent+before || c.TxPauses < 100 || c.RxPauses != 0 {
		t.Errorf("counters %+v, want %d bytes", c, sent)
	}
	// A pause outlives a reset by the holder, and ends with the limit.
	for p.Poll(); m.send(0, 100, 150_000); p.Poll() {
	}
	m.vfWrite(0, igb.VTCTRL, igb.CTRL_RST)
	if e := p.Poll(); e.Reset != 1 || m.regs[igb.VFTE]&1 != 0 || m.regs[igb.VFRE]&1 == 0 {
		t.Errorf("events %+v, VFTE %#x", e, m.regs[igb.VFTE])
	}
	do(t, p.SetLimit(0, Limit{}))
	if p.Poll(); m.regs[igb.VFTE]&1 == 0 || m.rates[0] != 0 || p.Limit(0) != (Limit{}) || p.Police() {
		t.Errorf("VFTE %#x, limit %+v", m.regs[igb.VFTE], p.Limit(0))
	}
	do(t, p.SetLimit(0, Limit{Tx: Rate{Bytes: 1}}))
	if m.rates[0] == 0 {
		t.Error("a very low rate is no limit")
	}
}

// TestLimits: each direction is held to its rate in bytes and in frames by itself, a pause is no reset, and one that may not receive
// for now may send.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		limit      Limit
		sent, gets uint64 // frames in 10 s, of 1000 bytes
	}{
		{Limit{Tx: Rate{Bytes: 100_000}}, 1000, 20_000},
		{Limit{Tx: Rate{Frames: 500}}, 5000, 20_000},
		{Limit{Rx: Rate{Bytes: 100_000}}, 20_000, 1000},
		{Limit{Rx: Rate{Frames: 500}}, 20_000, 5000},
		{Limit{Tx: Rate{Bytes: 1_000_000, Frames: 100}, Rx: Rate{Bytes: 50_000, Frames: 1000}}, 1000, 500},
	} {
		m := newModel(t)
		p := m.up(1)
		do(t, p.SetLimit(0, c.limit))
		do(t, p.Open(0))
		m.start(0)
		to := frame{p.Filter(0).MAC, 0, 1000}
		for range 1000 {
			m.now += 10 * time.Millisecond
			for range 20 {
				m.send(0, 1, 1000)
				if m.receive(to) != 0 {
					m.regs[igb.PVFGPRC(0)]++
					m.regs[igb.PVFGORC(0)] += 1000
				}
			}
			if !p.Police() {
				t.Fatal("a limit is no limit")
			}
			if e := p.Poll(); e.Reset|e.Closed|e.Foreign != 0 {
				t.Fatalf("%+v: a pause is taken for something else: %+v", c.limit, e)
			}
		}
		got := p.Counters(0)
		near := func(n, want uint64) bool { return n >= want*95/100 && n <= want*115/100+40 }
		if !near(got.TxFrames, c.sent) || !near(got.RxFrames, c.gets) {
			t.Errorf("%+v: sent %d, want %d; received %d, want %d", c.limit, got.TxFrames, c.sent, got.RxFrames, c.gets)
		}
	}
}

// TestBudget holds buckets of all sizes to what they promise: never more than the burst and what the time has brought.
func TestBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBudget(rapid.Uint64Range(1, 1<<34).Draw(t, "rate"), rapid.Uint64Range(0, 1<<34).Draw(t, "burst"), 0, 0)
		now, used := time.Duration(0), uint64(0)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "passed"))
			n := rapid.Uint64Range(0, 1<<30).Draw(t, "n")
			if b.take(int64(n), now) {
				used += n
			}
			if most := float64(b.burst) + float64(b.rate)*now.Seconds(); float64(used) > most {
				t.Fatalf("%d used after %v, at most %.0f are due", used, now, most)
			}
		}
	})
	b := newBudget(^uint64(0), 0, 0, 0)
	b.spend(^uint64(0), 1<<62)
	b.spend(^uint64(0), 1<<62)
	for range 10_000 {
		b.spend(0, 1<<62)
	}
	if b.left > maxBurst*unit || b.left < -maxBurst*unit {
		t.Errorf("extremes leave %d", b.left)
	}
}

// TestCounters lets counters wrap several times while nobody asks.
func TestCounters(t *testing.T) {
	m := newModel(t)
	p := m.up(1)
	do(t, p.Open(0))
	m.start(0)
	for range 100 { // 100 s at 1 Gbit/s, Poll every 100 ms
		for range 10 {
			m.send(0, 8000, 12_500_000)
			m.regs[igb.PVFGORC(0)] += 1000
			m.now += 100 * time.Millisecond
			p.Poll()
		}
	}
	if c := p.Counters(0); c.TxBytes != 12_500_000_000 || c.TxFrames != 8_000_000 || c.RxBytes != 1_000_000 {
		t.Errorf("counters %+v", c)
	}
}

func TestMailbox(t *testing.T) {
	m := newModel(t)
	p := m.up(2)
	do(t, p.Open(1))
	m.vfMailbox(1)
	ask := func(message uint32) {
		m.vfWrite(1, igb.V2PMAILBOX, igb.V2P_VFU)
		m.vfWrite(1, igb.VMBMEM0, message)
		m.vfWrite(1, igb.V2PMAILBOX, igb.V2P_REQ)
	}
	ask(igb.VF_RESET)
	p.Poll()
	low, high := igb.Address(p.DefaultFilter(1).MAC)
	if v := m.vfMailbox(1); v != igb.V2P_PFSTS|igb.V2P_PFACK {
		t.Errorf("mailbox %#x", v)
	}
	if m.regs[igb.VMBMEM(1, 0)] != igb.VF_RESET|igb.VT_ACK|igb.VT_CTS || m.regs[igb.VMBMEM(1, 1)] != low || m.regs[igb.VMBMEM(1, 2)] != high {
		t.Errorf("reply %#x %#x %#x", m.regs[igb.VMBMEM(1, 0)], m.regs[igb.VMBMEM(1, 1)], m.regs[igb.VMBMEM(1, 2)])
	}
	ask(2) // its address
	p.Poll()
	if m.regs[igb.VMBMEM(1, 0)] != 2|igb.VT_NACK|igb.VT_CTS || m.regs[igb.MBVFICR] != 0 {
		t.Errorf("reply %#x, events %#x", m.regs[igb.VMBMEM(1, 0)], m.regs[igb.MBVFICR])
	}
	m.vfWrite(1, igb.V2PMAILBOX, igb.V2P_ACK)
	if p.Poll(); m.regs[igb.MBVFICR] != 0 {
		t.Errorf("an acknowledgement stays: %#x", m.regs[igb.MBVFICR])
	}
	// Long frames are let in to who asks, up to what is possible; who asks for more, or for nonsense, keeps what it had. The next holder begins
	// anew.
	m.vfWrite(1, igb.VFRxQueue(0)+igb.RXDCTL, igb.QueueEnable)
	length := func(n int) uint32 { return m.receive(frame{p.DefaultFilter(1).MAC, 0, n}) }
	for _, c := range []struct {
		size     uint32
		ok       bool
		in, less int
	}{
		{JumboFrame + 8, true, JumboFrame, JumboFrame + 1}, {JumboFrame + 9, false, JumboFrame, JumboFrame + 1}, {1<<32 - 1, false, JumboFrame, JumboFrame + 1},
		{0, false, JumboFrame, JumboFrame + 1}, {3008, true, 3000, 3001}, {67, false, 3000, 3001}, {StandardFrame + 8, true, StandardFrame, StandardFrame + 1},
		{4008, true, 4000, 4001},
	} {
		m.vfWrite(1, igb.VMBMEM0+4, c.size)
		ask(igb.VF_SET_LPE)
		p.Poll()
		want := uint32(igb.VF_SET_LPE | igb.VT_NACK | igb.VT_CTS)
		if c.ok {
			want = igb.VF_SET_LPE | igb.VT_ACK | igb.VT_CTS
		}
		if got := m.regs[igb.VMBMEM(1, 0)]; got != want || length(c.in) != 2 || length(c.less) != 0 || p.Filter(1).MaxFrame != c.in {
			t.Errorf("%d: reply %#x, want %#x; frames of %d: %v, of %d: %v, %+v", c.size, got, want, c.in, length(c.in), c.less, length(c.less), p.Filter(1))
		}
		m.vfWrite(1, igb.V2PMAILBOX, igb.V2P_ACK)
		p.Poll()
	}
	do(t, p.Close(1))
	do(t, p.Clean(1))
	if p.Filter(1) != p.DefaultFilter(1) {
		t.Errorf("after its holder: %+v", p.Filter(1))
	}
	do(t, p.Open(1))
	m.vfMailbox(1)
	// Who holds the mailbox gets no answer until it lets go, and nobody waits for it.
	ask(igb.VF_RESET)
	m.vfWrite(1, igb.V2PMAILBOX, igb.V2P_VFU)
	start := m.now
	p.Poll()
	if m.regs[igb.MBVFICR] != 2 || m.now-start > time.Millisecond {
		t.Errorf("events %#x after %v", m.regs[igb.MBVFICR], m.now-start)
	}
	m.vfWrite(1, igb.V2PMAILBOX, 0)
	p.Poll()
	if m.regs[igb.MBVFICR] != 0 || m.regs[igb.VMBMEM(1, 0)] != igb.VF_RESET|igb.VT_ACK|igb.VT_CTS {
		t.Errorf("events %#x, reply %#x", m.regs[igb.MBVFICR], m.regs[igb.VMBMEM(1, 0)])
	}
}

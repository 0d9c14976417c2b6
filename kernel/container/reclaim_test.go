package container

import (
	"testing"

	"nom.dev/nom/abi"
)

func TestReclaimPages(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	child := m.create(t, m.root, "child", 1, 1000, 16<<20)
	id := uint64(child.ID)
	m.start(t, child)
	m.poke(t, child, 998*page, uint8(1))
	m.must(t, v, abi.CallReclaimPages, id, 100, 1000)
	e := m.k.eventPage(child)
	if e.ReclaimPages != 100 || e.ReclaimDeadline != m.f.now+1_000_000 || e.Pending&abi.EventReclaimPages == 0 {
		t.Errorf("got %+v", e)
	}
	m.fails(t, abi.EBUSY, v, abi.CallReclaimPages, id, 1, 1000)
	m.must(t, child.VCPUs[0], abi.CallReturnPages, 0x10_0000, 30)
	if e.ReclaimPages != 70 || e.Pages != 970 {
		t.Errorf("after a return: got %+v", e)
	}
	m.f.now += 999_999
	m.k.Tick(m.f.now)
	m.drain()
	if child.granted != 970 {
		t.Error("taken before the deadline")
	}
	m.f.now++
	m.k.Tick(m.f.now)
	m.drain()
	m.check(t)
	if child.granted != 900 || e.Pages != 900 || e.ReclaimPages != 0 || child.attached != 0 {
		t.Errorf("granted %d, attached %d, event page %+v", child.granted, child.attached, e)
	}
	if hole, _ := child.Tables.Lookup(1002 * page); !isHole(hole) {
		t.Error("the top of the space is still there")
	}
	m.must(t, v, abi.CallReclaimPages, id, 900, 0)
	m.drain()
	m.check(t)
	if child.granted != 0 || !child.alive() {
		t.Errorf("granted %d, alive %v, want 0 and alive", child.granted, child.alive())
	}
	for _, c := range []struct {
		pages, notice uint64
		want          abi.Errno
	}{{0, 0, abi.EINVAL}, {1, abi.MaxNotice + 1, abi.EINVAL}, {1, 0, abi.ENOMEM}, {^uint64(0), 0, abi.ENOMEM}} {
		m.fails(t, c.want, v, abi.CallReclaimPages, id, c.pages, c.notice)
	}
	if m.k.PageFault(child.VCPUs[0], 998*page, 0) != ActionEnd {
		t.Error("a page that was taken can be touched")
	}
}

// TestReclaimReplaces: a demand without notice takes the place of one with.
func TestReclaimReplaces(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	child := m.create(t, m.root, "child", 1, 1000, 16<<20)
	m.must(t, v, abi.CallReclaimPages, uint64(child.ID), 100, 1000)
	m.must(t, v, abi.CallReclaimPages, uint64(child.ID), 10, 0)
	m.must(t, v, abi.CallReclaimPages, uint64(child.ID), 20, 0)
	m.drain()
	if child.granted != 980 {
		t.Errorf("got %d pages, want 980", child.granted)
	}
}

// TestReclaimEndsChildren: what was given away comes back from the youngest child on.
func TestReclaimEndsChildren(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 1000, 16<<20)
	m.start(t, a)
	v := a.VCPUs[0]
	old := m.create(t, a, "old", 1, 300, 4<<20)
	young := m.create(t, a, "young", 1, 300, 4<<20)
	m.must(t, v, abi.CallLend, uint64(old.ID), 0x4000, 0x30_0000, 3, abi.LendWrite)
	m.must(t, m.root.VCPUs[0], abi.CallReclaimPages, uint64(a.ID), 600, 0)
	m.drain()
	m.check(t)
	if young.alive() || !old.alive() || a.granted != 400 {
		t.Fatalf("young lives: %v, old lives: %v, granted %d", young.alive(), old.alive(), a.granted)
	}
	m.must(t, m.root.VCPUs[0], abi.CallReclaimPages, uint64(a.ID), 400, 0)
	m.drain()
	m.check(t)
	if old.State() != abi.StateEnded || a.granted != 0 {
		t.Errorf("old is in state %d, granted %d", old.State(), a.granted)
	}
}

// TestReclaimInSteps: a large demand takes several steps, and first what has been granted again but is not in place.
func TestReclaimInSteps(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	child := m.create(t, m.root, "child", 1, 9000, 64<<20)
	id := uint64(child.ID)
	m.start(t, child)
	w := child.VCPUs[0]
	m.must(t, w, abi.CallReturnPages, 0x10_0000, abi.ReturnMax)
	m.must(t, w, abi.CallReturnPages, 0x110_0000, 1000)
	m.must(t, v, abi.CallGrantPages, id, abi.ReturnMax+1000)
	if child.restore != 1000 {
		t.Fatalf("%d holes wait, want 1000", child.restore)
	}
	limit := child.limit
	m.must(t, v, abi.CallReclaimPages, id, 7000, 0)
	steps := 0
	for m.k.Step() {
		m.check(t)
		steps++
	}
	if child.granted != 2000 || child.restore != 0 || child.limit != limit || steps < 2 {
		t.Errorf("granted %d, %d holes wait, limit %d, %d steps", child.granted, child.restore, child.limit, steps)
	}
	m.must(t, v, abi.CallGrantPages, id, 7000) // all holes come back before the limit moves
	for child.restore > 0 {
		m.call(w, abi.CallReturnPages, 0x10_0000, 1)
	}
	m.check(t)
	if child.limit != limit || child.holes > 1 {
		t.Errorf("limit %d with %d holes, want %d", child.limit, child.holes, limit)
	}
}

func TestNextTick(t *testing.T) {
	m := boot(t)
	if got := m.k.NextTick(); got != 0 {
		t.Errorf("got %d, want 0: nothing is due", got)
	}
	child := m.create(t, m.root, "child", 1, 100, 1<<20)
	m.must(t, m.root.VCPUs[0], abi.CallReclaimPages, uint64(child.ID), 1, 3000)
	m.must(t, m.root.VCPUs[0], abi.CallGrantCore, uint64(child.ID), 0, 1, 1)
	m.must(t, m.root.VCPUs[0], abi.CallReclaimCore, uint64(child.ID), 0, 1, 5000)
	for _, want := range []uint64{3_000_000, 5_000_000, 0} {
		if got := m.k.NextTick(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
		m.f.now = want
		m.k.Tick(want)
	}
}

// TestReclaimOfWhatWasGivenOn: pages that are granted again, not in place yet, and given on already.
func TestReclaimOfWhatWasGivenOn(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 1, 6000, 64<<20)
	m.start(t, a)
	w := a.VCPUs[0]
	m.must(t, w, abi.CallReturnPages, 0x10_0000, abi.ReturnMax)
	m.must(t, w, abi.CallReturnPages, 0x110_0000, 1000)
	b := m.create(t, a, "b", 1, 10, 64<<20)
	m.must(t, v, abi.CallGrantPages, uint64(a.ID), abi.ReturnMax+1000)
	m.must(t, w, abi.CallGrantPages, uint64(b.ID), a.available()-5)
	if a.restore != 1000 {
		t.Fatalf("%d holes wait, want 1000", a.restore)
	}
	m.must(t, v, abi.CallReclaimPages, uint64(a.ID), 500, 0)
	for m.k.Step() {
		m.check(t)
	}
	if b.alive() || a.granted != 5500 {
		t.Errorf("b lives: %v, a has %d pages", b.alive(), a.granted)
	}
}

// TestReclaimSparesWhatIsLent: of a big frame of which one page is lent, the rest can be taken.
func TestReclaimSparesWhatIsLent(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 3000, 32<<20)
	m.start(t, a)
	m.poke(t, a, 0x60_0000, uint8(5))
	b := m.create(t, a, "b", 1, 10, 1<<20)
	m.must(t, a.VCPUs[0], abi.CallLend, uint64(b.ID), 0x4000, 0x7f_f000, 1, abi.LendWrite)
	m.must(t, m.root.VCPUs[0], abi.CallReclaimPages, uint64(a.ID), 2900, 0)
	m.drain()
	m.check(t)
	if e, _ := a.Tables.Lookup(0x7f_f000); !b.alive() || !e.Present() || a.granted != 100 {
		t.Errorf("b lives: %v, the page it borrows: %#x, a has %d", b.alive(), e, a.granted)
	}
}

// TestReclaimAgainstChurn: who makes children and lets them die all the time cannot put off what it owes.
func TestReclaimAgainstChurn(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 2000, 16<<20)
	m.start(t, a)
	v := a.VCPUs[0]
	m.poke(t, a, scratch, specFor("b", 1, 20, 1<<20))
	for range 5 {
		m.must(t, v, abi.CallCreate, scratch)
	}
	m.must(t, m.root.VCPUs[0], abi.CallReclaimPages, uint64(a.ID), 1990, 0)
	m.fails(t, abi.EAGAIN, v, abi.CallCreate, scratch)
	m.fails(t, abi.EAGAIN, v, abi.CallGrantPages, uint64(a.children[0].ID), 1)
	b := m.create(t, m.root, "b", 1, 1, 1<<20)
	for steps := 0; a.granted != 10; steps++ {
		if steps > 100 {
			t.Fatalf("a still has %d pages", a.granted)
		}
		m.call(m.root.VCPUs[0], abi.CallKill, uint64(b.ID))
		b = m.create(t, m.root, "b", 1, 1, 1<<20)
		m.k.Step()
		m.check(t)
	}
	m.drain()
	m.must(t, m.root.VCPUs[0], abi.CallGrantPages, uint64(a.ID), 1990)
	m.create(t, a, "c", 1, 20, 1<<20)
}

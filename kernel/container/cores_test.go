package container

import (
	"testing"

	"nom.dev/nom/abi"
)

// holders is who has the slots of a core: vCPUs by the names given, '.' nobody.
func holders(m *machine, core int, names map[*VCPU]byte) string {
	b := make([]byte, abi.FrameSlots)
	for i, v := range m.k.Timetable().Frame(core).Slots {
		b[i] = '?'
		if v == nil {
			b[i] = '.'
		} else if n, ok := names[v]; ok {
			b[i] = n
		}
	}
	return string(b)
}

func TestCores(t *testing.T) {
	m := boot(t)
	r0, r1 := m.root.VCPUs[0], m.root.VCPUs[1]
	a := m.create(t, m.root, "a", 2, 500, 16<<20)
	m.start(t, a)
	a0, a1 := a.VCPUs[0], a.VCPUs[1]
	b := m.create(t, a, "b", 1, 20, 1<<20)
	names := map[*VCPU]byte{r0: 'r', r1: 'R', a0: 'a', a1: 'A', b.VCPUs[0]: 'b'}
	const ok = abi.Errno(0)
	aid, bid := uint64(a.ID), uint64(b.ID)
	for i, c := range []struct {
		v     *VCPU
		call  abi.Call
		args  []uint64
		want  abi.Errno
		core  int
		slots string
	}{
		{r0, abi.CallGrantCore, []uint64{aid, 0, 1, 0xff}, ok, 1, "aaaaaaaaRRRRRRRR"},
		{r0, abi.CallGrantCore, []uint64{aid, 1, 1, 0x1}, abi.EPERM, 1, "aaaaaaaaRRRRRRRR"}, // given already
		{r0, abi.CallGrantCore, []uint64{aid, 0, 0, 0x1}, abi.EBUSY, 0, "rrrrrrrrrrrrrrrr"}, // has another core
		{r0, abi.CallGrantCore, []uint64{aid, 2, 0, 0x1}, abi.EINVAL, 0, "rrrrrrrrrrrrrrrr"},
		{r0, abi.CallGrantCore, []uint64{aid, 0, cores, 0x1}, abi.EINVAL, 0, "rrrrrrrrrrrrrrrr"},
		{r0, abi.CallGrantCore, []uint64{aid, 0, 1, 0}, abi.EINVAL, 0, "rrrrrrrrrrrrrrrr"},
		{r0, abi.CallGrantCore, []uint64{aid, 0, 1, 0x10000}, abi.EINVAL, 0, "rrrrrrrrrrrrrrrr"},
		{r0, abi.CallGrantCore, []uint64{aid + 1, 0, 1, 1}, abi.ENOENT, 0, "rrrrrrrrrrrrrrrr"},
		{a0, abi.CallGrantCore, []uint64{bid, 0, 1, 0x100}, abi.EPERM, 1, "aaaaaaaaRRRRRRRR"}, // its parent's
		{a0, abi.CallGrantCore, []uint64{bid, 0, 1, 0x03}, ok, 1, "bbaaaaaaRRRRRRRR"},
		{a0, abi.CallGrantCore, []uint64{0, 1, 1, 0x80}, ok, 1, "bbaaaaaARRRRRRRR"}, // to itself
		{a0, abi.CallReturnCore, []uint64{0, 0x81}, abi.EPERM, 1, "bbaaaaaARRRRRRRR"},
		{a0, abi.CallReturnCore, []uint64{0, 0x40}, ok, 1, "bbaaaaRARRRRRRRR"},
		{a0, abi.CallReturnCore, []uint64{5, 0x40}, abi.EINVAL, 1, "bbaaaaRARRRRRRRR"},
		{r0, abi.CallReturnCore, []uint64{0, 1}, abi.EINVAL, 0, "rrrrrrrrrrrrrrrr"},
		{r0, abi.CallReclaimCore, []uint64{aid, 0, 0x100, 0}, abi.EPERM, 1, "bbaaaaRARRRRRRRR"},
		{r0, abi.CallReclaimCore, []uint64{aid, 9, 1, 0}, abi.EINVAL, 1, "bbaaaaRARRRRRRRR"},
		{r0, abi.CallReclaimCore, []uint64{aid, 0, 0x01, 0}, ok, 1, "RbaaaaRARRRRRRRR"}, // from the grandchild
		{r0, abi.CallGrantCore, []uint64{aid, 0, 2, 0x1}, abi.EBUSY, 2, "................"},
		{r0, abi.CallGrantCore, []uint64{0, 0, 2, 0x1}, abi.EBUSY, 2, "................"},
		{a0, abi.CallGrantCore, []uint64{bid, 0, 1, 0x3c}, ok, 1, "RbbbbbRARRRRRRRR"}, // all that vCPU 0 had
		{r0, abi.CallReclaimCore, []uint64{aid, 0, 0x02, 0}, ok, 1, "RRbbbbRARRRRRRRR"},
		{a1, abi.CallReclaimCore, []uint64{bid, 0, 0x04, 0}, ok, 1, "RRAbbbRARRRRRRRR"}, // to the vCPU that is there
		{r0, abi.CallKill, []uint64{aid}, ok, 1, "RRAbbbRARRRRRRRR"},
	} {
		_, err := abi.Result(m.call(c.v, c.call, c.args...))
		if c.want == 0 && err != nil || c.want != 0 && err != c.want {
			t.Errorf("step %d: got %v, want %v", i, err, c.want)
		}
		if got := holders(m, c.core, names); got != c.slots {
			t.Errorf("step %d: got %s, want %s", i, got, c.slots)
		}
		m.check(t)
	}
	m.drain()
	if m.k.Timetable().Dedicated(1) != r1 {
		t.Errorf("core 1 did not come back: %s", holders(m, 1, names))
	}
}

func TestReclaimCoreWithNotice(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 2, 500, 16<<20)
	id := uint64(a.ID)
	m.must(t, v, abi.CallGrantCore, id, 0, 1, 0xff)
	m.must(t, v, abi.CallGrantCore, id, 1, 0, 0xf0)
	m.start(t, a)
	e := m.k.eventPage(a)
	if e.Slots[0] != 0xff || e.Core[0] != 1 || e.Slots[1] != 0xf0 || e.Core[1] != 0 || e.Pending&abi.EventGrant == 0 {
		t.Errorf("got %+v", e)
	}
	m.fails(t, abi.EINVAL, v, abi.CallReclaimCore, id, 0, 0x0f, abi.MaxNotice+1)
	m.must(t, v, abi.CallReclaimCore, id, 0, 0x0f, 2000)
	m.must(t, v, abi.CallReclaimCore, id, 1, 0x10, 1000)
	m.fails(t, abi.EBUSY, v, abi.CallReclaimCore, id, 0, 0x01, 1000)
	if e.ReclaimSlots[0] != 0x0f || e.ReclaimSlots[1] != 0x10 || e.ReclaimSlotsTSC != m.f.now+1_000_000 || m.f.interrupts[a.VCPUs[0]] == 0 {
		t.Errorf("got %+v", e)
	}
	m.must(t, a.VCPUs[0], abi.CallReturnCore, 0, 0x03)
	m.f.now += 1_000_000
	m.k.Tick(m.f.now)
	m.check(t)
	if a.VCPUs[1].slots != 0xe0 || a.VCPUs[0].slots != 0xfc || e.ReclaimSlots[0] != 0x0c || e.ReclaimSlots[1] != 0 {
		t.Errorf("slots %#x and %#x, event page %+v", a.VCPUs[0].slots, a.VCPUs[1].slots, e)
	}
	m.f.now += 1_000_000
	m.k.Tick(m.f.now)
	m.check(t)
	if a.VCPUs[0].slots != 0xf0 || e.ReclaimSlotsTSC != 0 {
		t.Errorf("slots %#x, event page %+v", a.VCPUs[0].slots, e)
	}
	m.must(t, v, abi.CallReclaimCore, id, 0, 0xf0, 0)
	if e.Core[0] != abi.NoCore || a.VCPUs[0].Core() != -1 {
		t.Errorf("a vCPU without slots is on core %d", e.Core[0])
	}
}

// TestSlotsFindAVCPU: slots that come back to a container whose vCPUs all sit elsewhere belong to it, but run nobody.
func TestSlotsFindAVCPU(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 1, 10, 1<<20)
	m.must(t, v, abi.CallGrantCore, uint64(a.ID), 0, 2, 0xffff) // a core without a vCPU of root
	m.must(t, v, abi.CallReclaimCore, uint64(a.ID), 0, 0xffff, 0)
	if got := m.k.Timetable().Frame(2).Slots[0]; got != nil {
		t.Errorf("slot 0 went to vCPU %d of %q", got.Index, got.Container.Name)
	}
	e := m.k.eventPage(m.root)
	e.Pending = 0
	m.must(t, v, abi.CallGrantCore, uint64(a.ID), 0, 0, 0x7fff)
	if e.Pending&abi.EventGrant != 0 {
		t.Error("who gives slots away, and keeps some, need not be told")
	}
	m.must(t, v, abi.CallGrantCore, uint64(a.ID), 0, 0, 0x8000) // all that vCPU 0 has
	if v.Core() != -1 || e.Core[0] != abi.NoCore || e.Pending&abi.EventGrant == 0 {
		t.Fatalf("vCPU 0 is on core %d, and the event page says %d, %#x", v.Core(), e.Core[0], e.Pending)
	}
	m.must(t, v, abi.CallReclaimCore, uint64(a.ID), 0, 0xff, 0)
	if v.Core() != 0 || v.slots != 0xff {
		t.Errorf("vCPU 0 has slots %#x of core %d", v.slots, v.Core())
	}
}

package container

import (
	"testing"

	"nom.dev/nom/abi"
)

func TestLife(t *testing.T) {
	m := boot(t)
	total, _ := m.k.Memory()
	before := m.status(t, m.root, 0)
	if got := before.Pages + before.Overhead; got != total {
		t.Errorf("root has %d pages, want all %d", got, total)
	}
	c := m.create(t, m.root, "child", 2, 1000, 16<<20)
	s := m.status(t, m.root, uint64(c.ID))
	if s.State != abi.StateCreated || s.Pages != 1000 || s.Limit != 1003 || s.Overhead != m.k.Overhead(16<<20, 2) {
		t.Errorf("got %+v", s)
	}
	if got := m.status(t, m.root, 0).Given; got != s.Pages+s.Overhead {
		t.Errorf("root gave %d, want %d", got, s.Pages+s.Overhead)
	}
	m.must(t, m.root.VCPUs[0], abi.CallGrantCore, uint64(c.ID), 0, 1, 0xff)
	m.start(t, c)
	m.poke(t, c, 0x30_0000, uint64(1))
	m.must(t, c.VCPUs[0], abi.CallExit, 7)
	if s := m.status(t, m.root, uint64(c.ID)); s.State != abi.StateRunning {
		t.Errorf("state before all is returned: got %d, want %d", s.State, abi.StateRunning)
	}
	m.drain()
	m.check(t)
	s = m.status(t, m.root, uint64(c.ID))
	if s.State != abi.StateEnded || s.End != abi.EndExit || s.Code != 7 || s.PeakPages == 0 {
		t.Errorf("got %+v", s)
	}
	m.must(t, m.root.VCPUs[0], abi.CallReap, uint64(c.ID))
	m.fails(t, abi.ENOENT, m.root.VCPUs[0], abi.CallStatus, uint64(c.ID), scratch)
	if after := m.status(t, m.root, 0); after.Given != 0 || m.k.timetable.Dedicated(1) != m.root.VCPUs[1] {
		t.Errorf("not everything came back: %+v", after)
	}
}

package container

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/abi"
)

func TestNewRefuses(t *testing.T) {
	f := newFake()
	memory := []abi.Range{{Addr: ramBase, Size: ramSize}}
	for _, cfg := range []Config{
		{Memory: memory, Cores: 1, TSCHz: 1},
		{Machine: f, Memory: memory, TSCHz: 1},
		{Machine: f, Memory: memory, Cores: 1},
		{Machine: f, Memory: append(memory, memory...), Cores: 1, TSCHz: 1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	k, err := New(Config{Machine: f, Memory: []abi.Range{{Addr: ramBase, Size: 4 * page}}, Cores: 1, TSCHz: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []RootSpec{{VCPUs: 0}, {VCPUs: abi.MaxVCPUs + 1}, {VCPUs: 1}} {
		if _, err := k.NewRoot(spec); err == nil {
			t.Errorf("%+v: no error", spec)
		}
	}
	m := boot(t)
	if _, err := m.k.NewRoot(RootSpec{VCPUs: 1}); err == nil {
		t.Error("two roots")
	}
	if err := m.k.Start(m.root, abi.VCPUState{}); err == nil {
		t.Error("root starts twice")
	}
}

func TestRootWithoutBackend(t *testing.T) {
	f := newFake()
	f.refuseVCPU = true
	k, err := New(Config{Machine: f, Memory: []abi.Range{{Addr: ramBase, Size: ramSize}}, Cores: 1, TSCHz: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.NewRoot(RootSpec{VCPUs: 1}); err == nil {
		t.Fatal("no error")
	}
	if err := k.Invariants(); err != nil {
		t.Error(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	spec := specFor("x", 1, 100, 1<<20)
	m.poke(t, m.root, scratch, spec)
	for _, gpa := range []uint64{0, 0x10, m.root.limit * page, ^uint64(0), ^uint64(0) - 127, m.root.limit*page - 1} {
		if err := abi.EFAULT; m.call(v, abi.CallCreate, gpa) != err.RAX() {
			t.Errorf("spec at %#x: no EFAULT", gpa)
		}
	}
	m.f.refuseVCPU = true
	m.fails(t, abi.ENOSPC, v, abi.CallCreate, scratch)
	m.f.refuseVCPU = false
	spec.Flags = 1
	m.poke(t, m.root, scratch, spec)
	m.fails(t, abi.EINVAL, v, abi.CallCreate, scratch)
	spec.Flags, spec.Pages = 0, m.root.available()
	spec.Memory = 64 << 20
	m.poke(t, m.root, scratch, spec)
	m.fails(t, abi.ENOMEM, v, abi.CallCreate, scratch)
	spec.Pages -= m.k.Overhead(spec.Memory, 1)
	m.poke(t, m.root, scratch, spec)
	m.must(t, v, abi.CallCreate, scratch) // the last page
	if m.root.available() != 0 {
		t.Errorf("%d pages are left", m.root.available())
	}
}

// TestBomb: who makes children without end leaves room for those above it.
func TestBomb(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 8000, 64<<20)
	m.start(t, a)
	m.poke(t, a, scratch, specFor("b", 1, 1, 1<<20))
	n := 0
	for ; m.call(a.VCPUs[0], abi.CallCreate, scratch) < abi.MaxContainers; n++ {
	}
	if want := abi.MaxContainers - 2 - reserve; n != want {
		t.Errorf("made %d children, want %d", n, want)
	}
	m.create(t, m.root, "c", 1, 10, 1<<20)
	m.must(t, m.root.VCPUs[0], abi.CallKill, uint64(a.ID))
	m.drain()
	m.check(t)
	if got := len(m.k.all); got != 3 {
		t.Errorf("%d containers are left, want root, the dead and the new", got)
	}
}

// TestDeathOfATree: children end before parents, and each tells why.
func TestDeathOfATree(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 3000, 32<<20)
	m.start(t, a)
	b := m.create(t, a, "b", 1, 1000, 16<<20)
	m.start(t, b)
	c := m.create(t, b, "c", 1, 100, 1<<20)
	d := m.create(t, a, "d", 1, 100, 1<<20)
	m.must(t, m.root.VCPUs[0], abi.CallGrantPorts, uint64(a.ID), 0x60, 5)
	m.must(t, a.VCPUs[0], abi.CallGrantPorts, uint64(b.ID), 0x64, 1)
	m.must(t, a.VCPUs[0], abi.CallKill, uint64(d.ID))
	m.k.End(a, abi.EndShutdown, 0, 99)
	m.k.End(a, abi.EndExit, 0, 0) // only the first counts
	if r := m.k.Hypercall(c.VCPUs[0], abi.CallNull, [6]uint64{}); !r.Exit {
		t.Error("the grandchild goes on")
	}
	if r := m.k.Hypercall(a.VCPUs[0], abi.CallNotify, [6]uint64{0, abi.ConsoleBit}); !r.Exit || m.root.childEvents != 0 {
		t.Error("the dead can notify")
	}
	if m.f.kicked[c.VCPUs[0]] == 0 {
		t.Error("the grandchild was not kicked")
	}
	for m.k.Step() {
		m.check(t)
	}
	if want := []string{"d", "c", "b", "a"}; !slices.Equal(m.f.ended, want) {
		t.Errorf("ended in order %v, want %v", m.f.ended, want)
	}
	for _, x := range []struct {
		c    *Container
		want uint32
	}{{a, abi.EndShutdown}, {b, abi.EndParent}, {c, abi.EndParent}, {d, abi.EndKilled}} {
		if reason, _, _ := x.c.End(); reason != x.want || x.c.State() != abi.StateEnded {
			t.Errorf("%s: state %d, reason %d, want %d", x.c.Name, x.c.State(), reason, x.want)
		}
	}
	if s := m.status(t, m.root, uint64(a.ID)); s.Info != 99 || s.Children != 0 {
		t.Errorf("got %+v", s)
	}
	e := m.k.eventPage(m.root)
	if e.Pending&abi.EventChild == 0 || e.ChildEvents != 1 || m.f.interrupts[m.root.VCPUs[0]] == 0 {
		t.Errorf("root was not told: %+v", e)
	}
	if !m.root.HasPort(0x64) || a.HasPort(0x60) {
		t.Error("ports did not come back")
	}
	v := m.root.VCPUs[0]
	m.fails(t, abi.EBUSY, v, abi.CallKill, uint64(a.ID))
	m.fails(t, abi.EBUSY, v, abi.CallNotify, uint64(a.ID), abi.SpaceBit)
	m.fails(t, abi.EBUSY, v, abi.CallStart, uint64(a.ID), scratch)
	m.must(t, v, abi.CallReap, uint64(a.ID))
	m.fails(t, abi.ENOENT, v, abi.CallReap, uint64(a.ID))
	if next := m.create(t, m.root, "next", 1, 1, 1<<20); next.ID == a.ID {
		t.Error("an id was used again")
	}
}

func TestReapRefuses(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 1, 10, 1<<20)
	m.fails(t, abi.EBUSY, v, abi.CallReap, uint64(a.ID))
	m.must(t, v, abi.CallKill, uint64(a.ID))
	m.must(t, v, abi.CallKill, uint64(a.ID)) // dying already
	m.fails(t, abi.EBUSY, v, abi.CallReap, uint64(a.ID))
	m.fails(t, abi.ENOENT, v, abi.CallReap, 0)
	m.fails(t, abi.ENOENT, v, abi.CallKill, 0)
}

// TestLargeDeath: a death takes steps, each of which frees a bounded number of pages.
func TestLargeDeath(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 9000, 36<<20)
	for gpa := uint64(0x1_0000); gpa < 35<<20; gpa += 1 << 16 {
		m.byteAt(t, a, gpa, true)
	}
	if a.attached < 8000 {
		t.Fatalf("only %d pages are attached", a.attached)
	}
	m.must(t, m.root.VCPUs[0], abi.CallKill, uint64(a.ID))
	for more := true; more; {
		before := m.k.frames.Available()
		more = m.k.Step()
		if freed := m.k.frames.Available() - before; freed > stepPages+512 {
			t.Errorf("freed %d pages in a step", freed)
		}
		m.check(t)
	}
	if a.State() != abi.StateEnded {
		t.Error("still there")
	}
}

func TestReaper(t *testing.T) {
	m := boot(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { m.k.Reaper(stop); close(stopped) }()
	a := m.create(t, m.root, "a", 1, 10, 1<<20)
	m.call(m.root.VCPUs[0], abi.CallKill, uint64(a.ID))
	for range 1000 {
		if a.State() == abi.StateEnded {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if a.State() != abi.StateEnded {
		t.Error("nobody took it apart")
	}
	close(stop)
	<-stopped
}

func TestStart(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 2, 100, 1<<20)
	id := uint64(a.ID)
	bad := abi.VCPUState{RIP: 1 << 63}
	m.poke(t, m.root, scratch, bad)
	m.fails(t, abi.EINVAL, v, abi.CallStart, id, scratch)
	m.fails(t, abi.EFAULT, v, abi.CallStart, id, 0)
	if a.VCPUs[0].Started() {
		t.Error("started")
	}
	m.start(t, a)
	if a.VCPUs[0].Start.CR3 != 0x8000 || !a.VCPUs[0].Started() || a.VCPUs[1].Started() || m.f.kicked[a.VCPUs[0]] == 0 {
		t.Errorf("vCPU 0 starts with %+v", a.VCPUs[0].Start)
	}
	m.fails(t, abi.EBUSY, v, abi.CallStart, id, scratch)
	w := a.VCPUs[0]
	m.poke(t, a, scratch, abi.VCPUState{RIP: 0x1234})
	m.fails(t, abi.EINVAL, w, abi.CallStartVCPU, 2, scratch)
	m.fails(t, abi.EFAULT, w, abi.CallStartVCPU, 1, ^uint64(0))
	m.fails(t, abi.EBUSY, w, abi.CallStartVCPU, 0, scratch)
	m.must(t, w, abi.CallStartVCPU, 1, scratch)
	m.fails(t, abi.EBUSY, w, abi.CallStartVCPU, 1, scratch)
	a.Entered(5)
	a.Entered(6)
	m.f.now = 77
	m.must(t, w, abi.CallMark, abi.MarkMain)
	m.f.now = 78
	m.must(t, w, abi.CallMark, abi.MarkMain)
	m.fails(t, abi.EINVAL, w, abi.CallMark, 2)
	a.VCPUs[0].CPUTime.Add(10)
	a.VCPUs[1].CPUTime.Add(20)
	a.VCPUs[1].Exits[abi.ExitHalt].Add(3)
	if s := m.status(t, m.root, id); s.StartTSC != 5 || s.MainTSC != 77 || s.CPUTime != 30 || s.Exits[abi.ExitHalt] != 3 {
		t.Errorf("got %+v", s)
	}
	m.fails(t, abi.EFAULT, w, abi.CallStatus, 0, abi.PricePageAddr)
	m.fails(t, abi.EFAULT, w, abi.CallStatus, 0, abi.EventPageAddr)
	m.fails(t, abi.EFAULT, w, abi.CallStatus, 0, 103*page-255)
	m.fails(t, abi.ENOENT, w, abi.CallStatus, 1, scratch)
}

func TestNotify(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 1, 100, 1<<20)
	id := uint64(a.ID)
	m.must(t, v, abi.CallNotify, id, abi.SpaceBit) // not started yet: no interrupt
	if m.f.interrupts[a.VCPUs[0]] != 0 {
		t.Error("interrupted before its start")
	}
	m.start(t, a)
	m.must(t, v, abi.CallNotify, id, 1<<63)
	if e := m.k.eventPage(a); e.Pending&abi.EventUser != 1<<63|abi.SpaceBit || m.f.interrupts[a.VCPUs[0]] != 1 {
		t.Errorf("pending %#x", e.Pending)
	}
	m.must(t, a.VCPUs[0], abi.CallNotify, 0, abi.ConsoleBit)
	if e := m.k.eventPage(m.root); e.Pending&(abi.EventUser|abi.EventChild) != abi.ConsoleBit|abi.EventChild || e.ChildEvents != 1 {
		t.Errorf("root: %+v", e)
	}
	m.fails(t, abi.ENOENT, v, abi.CallNotify, 0, abi.ConsoleBit)
	m.fails(t, abi.EINVAL, v, abi.CallNotify, id, 0)
	m.fails(t, abi.EINVAL, v, abi.CallNotify, id, abi.EventKill)
	m.fails(t, abi.ENOENT, v, abi.CallNotify, id+7, abi.ConsoleBit)
}

func TestPorts(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	a := m.create(t, m.root, "a", 1, 100, 1<<20)
	id := uint64(a.ID)
	for _, c := range []struct {
		first, count uint64
		want         abi.Errno
	}{
		{0x10000, 1, abi.EINVAL}, {0, 0, abi.EINVAL}, {0xffff, 2, abi.EINVAL}, {1, ^uint64(0), abi.EINVAL}, {^uint64(0), 2, abi.EINVAL},
	} {
		m.fails(t, c.want, v, abi.CallGrantPorts, id, c.first, c.count)
	}
	m.must(t, v, abi.CallGrantPorts, id, 0xfff0, 16)
	m.fails(t, abi.EPERM, v, abi.CallGrantPorts, id, 0xffff, 1)
	m.fails(t, abi.EPERM, v, abi.CallGrantPorts, id, 0xffe0, 17)
	if !a.HasPort(0xffff) || a.HasPort(0xffef) || m.root.HasPort(0xfff0) || !m.root.HasPort(0xffef) {
		t.Error("the wrong ports moved")
	}
}

func TestPortConfig(t *testing.T) {
	ports, n := newPortMap([]PortRange{{0x2f8, 8}, {0xfffe, 100}})
	c := &Container{ports: ports}
	if n != 10 || !c.HasPort(0x2ff) || c.HasPort(0x300) || !c.HasPort(0xffff) || c.HasPort(0) {
		t.Errorf("%d ports", n)
	}
}

func TestDebugWrite(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	m.poke(t, m.root, scratch, []byte("hello\n"))
	m.must(t, v, abi.CallDebugWrite, scratch, 6)
	if got := m.f.printed.String(); got != "root: hello\n" {
		t.Errorf("printed %q", got)
	}
	m.fails(t, abi.EINVAL, v, abi.CallDebugWrite, scratch, abi.DebugWriteMax+1)
	m.fails(t, abi.EFAULT, v, abi.CallDebugWrite, 0, 1)
	write := func() bool { return m.call(v, abi.CallDebugWrite, scratch, abi.DebugWriteMax) == 0 }
	n := 0
	for ; write(); n++ {
	}
	if n != abi.DebugWriteRate/abi.DebugWriteMax-1 {
		t.Errorf("%d writes at once", n)
	}
	m.f.now += tscHz/64 + 10
	if !write() || write() {
		t.Error("not one write after a sixty-fourth of a second")
	}
	for range 1000 { // asking all the time does not stop the bucket from filling
		m.f.now += tscHz / 64 / 1000
		m.call(v, abi.CallDebugWrite, scratch, abi.DebugWriteMax)
	}
	if strings.Count(m.f.printed.String(), "root: ") != n+3 {
		t.Errorf("%d writes in all, want %d", strings.Count(m.f.printed.String(), "root: "), n+3)
	}
}

func TestOtherCalls(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	if got := m.call(v, abi.CallVersion); got != abi.Version {
		t.Errorf("version: got %d", got)
	}
	m.f.now = 123
	if got := m.call(v, abi.CallNow); got != 123 {
		t.Errorf("now: got %d", got)
	}
	if got := m.call(v, abi.CallNull); got != 0 {
		t.Errorf("null: got %d", got)
	}
	for _, call := range []abi.Call{abi.Call(abi.NumCalls), 1 << 32, ^abi.Call(0)} {
		m.fails(t, abi.ENOSYS, v, call)
	}
	if r := m.k.Hypercall(v, abi.CallGrantCore, [6]uint64{0, 0, 0, 1}); !r.Resched || r.Exit || r.RAX != 0 {
		t.Errorf("a change of the caller's core: %+v", r)
	}
	if r := m.k.Hypercall(v, abi.CallNull, [6]uint64{}); r.Resched {
		t.Errorf("no change: %+v", r)
	}
	if m.k.Root() != m.root {
		t.Error("Root is not root")
	}
	n := 0
	m.k.Containers(func(*Container) { n++ })
	if n != 1 {
		t.Errorf("%d containers", n)
	}
}

// TestBugs: what cannot happen is reported, not hidden.
func TestBugs(t *testing.T) {
	m := boot(t)
	var got []error
	m.k.cfg.Bug = func(err error) { got = append(got, err) }
	a := m.create(t, m.root, "a", 1, 1000, 8<<20)
	a.used = a.overhead // as if the tables had taken all
	m.poke(t, m.root, scratch, uint64(1))
	m.call(m.root.VCPUs[0], abi.CallCopy, uint64(a.ID), 0x30_0000, scratch, 8)
	if len(got) == 0 {
		t.Error("a table beyond the overhead was not reported")
	}
}

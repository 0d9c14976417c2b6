package container

import (
	"bytes"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

const page = abi.PageSize

func TestAttach(t *testing.T) {
	const memory = 8 << 20
	for _, c := range []struct {
		name  string
		pages uint64
		gpa   []uint64
		want  uint64 // attached after all faults
	}{
		{"boot page", 1000, []uint64{0x1000}, 1},
		{"around the reserved pages", 1000, []uint64{0xf000, 0x4000}, 2},
		{"chunk", 1000, []uint64{0x1_0000}, 16},
		{"chunk again", 1000, []uint64{0x1_0000, 0x1_f123}, 16},
		{"chunk beyond the limit", 1000, []uint64{1000 * page}, 1}, // limit 1003, chunk ends at 1008
		{"big", memory/page - 3, []uint64{bigFrom + 0x12_3456}, 512},
		{"big beyond the limit", bigFrom/page + 400, []uint64{bigFrom}, 16},
		{"small grant", 20, []uint64{0x1_0000}, 1}, // limit 23
		{"used up", 17, []uint64{0x1000, 0x4000, 0x5000}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := boot(t)
			child := m.create(t, m.root, "child", 1, c.pages, memory)
			m.start(t, child)
			for _, gpa := range c.gpa {
				if m.k.PageFault(child.VCPUs[0], gpa, faultWrite) != ActionResume {
					t.Fatalf("ended at %#x", gpa)
				}
				m.check(t)
			}
			if child.attached != c.want {
				t.Errorf("attached: got %d, want %d", child.attached, c.want)
			}
		})
	}
}

func TestFaultsThatEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		gpa   uint64
		write bool
	}{
		{"nil", 0x10, false},
		{"price page", abi.PricePageAddr, true},
		{"limit", 203 * page, false},
		{"beyond the address space", 1 << 30, false},
		{"highest address", ^uint64(0), true},
		{"lent read-only", 0x4000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := boot(t)
			child := m.create(t, m.root, "child", 1, 199, 16<<20)
			m.must(t, m.root.VCPUs[0], abi.CallLend, uint64(child.ID), 0x4000, scratch, 1, abi.LendRead)
			m.start(t, child)
			code := uint64(0)
			if c.write {
				code = faultWrite
			}
			if m.k.PageFault(child.VCPUs[0], c.gpa, code) != ActionEnd {
				t.Fatal("goes on")
			}
			if m.k.PageFault(child.VCPUs[0], 0x1000, code) != ActionEnd {
				t.Error("a further fault of what has ended: goes on")
			}
			m.drain()
			m.check(t)
			if reason, _, info := child.End(); reason != abi.EndMemory || info != c.gpa {
				t.Errorf("got reason %d at %#x, want %d at %#x", reason, info, abi.EndMemory, c.gpa)
			}
		})
	}
}

func TestQuantityUsedUp(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 100, 16<<20)
	m.start(t, a)
	m.poke(t, a, scratch, specFor("b", 1, 50, 1<<20))
	m.must(t, a.VCPUs[0], abi.CallCreate, scratch)
	for gpa := uint64(0x4000); a.available() > 0; gpa += page {
		m.poke(t, a, gpa, uint8(1))
	}
	if m.k.PageFault(a.VCPUs[0], 99*page, 0) != ActionEnd {
		t.Error("attached a page that was given to a child")
	}
	m.drain()
	m.check(t)
}

func TestCopy(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	child := m.create(t, m.root, "child", 1, 100, 1<<20)
	id := uint64(child.ID)
	text := bytes.Repeat([]byte("0123456789"), 1000)
	m.poke(t, m.root, 0x30_0123, text)
	m.must(t, v, abi.CallCopy, id, 0x1_0fff, 0x30_0123, uint64(len(text)))
	for i, want := range text {
		if got := m.byteAt(t, child, 0x1_0fff+uint64(i), false)[0]; got != want {
			t.Fatalf("byte %d: got %c, want %c", i, got, want)
		}
	}
	attached := child.attached
	for _, c := range []struct {
		name        string
		to, from, n uint64
		want        abi.Errno
	}{
		{"nothing", 0x1000, 0x1000, 0, 0},
		{"too much", 0x1000, 0x1000, abi.CopyMax + 1, abi.EINVAL},
		{"to page 0", 0, 0x30_0000, 1, abi.EFAULT},
		{"to the event page", abi.EventPageAddr, 0x30_0000, 1, abi.EFAULT},
		{"to the price page", abi.PricePageAddr, 0x30_0000, 1, abi.EFAULT},
		{"beyond the limit", 103*page - 1, 0x30_0000, 2, abi.EFAULT},
		{"to wraps", ^uint64(0), 0x30_0000, 2, abi.EFAULT},
		{"from wraps", 0x1000, ^uint64(0), 2, abi.EFAULT},
		{"from page 0", 0x1000, 0, 2, abi.EFAULT},
		{"from host memory", 0x1000, hostGPA, 2, 0},
	} {
		if _, err := abi.Result(m.call(v, abi.CallCopy, id, c.to, c.from, c.n)); c.want == 0 && err != nil || c.want != 0 && err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		m.check(t)
	}
	for gpa := uint64(0x4000); gpa < 103*page; gpa += page { // all of it can be filled
		m.must(t, v, abi.CallCopy, id, gpa, 0x30_0000, 8)
	}
	if child.attached <= attached || child.attached < 98 {
		t.Errorf("attached %d of 100", child.attached)
	}
	m.start(t, child)
	m.fails(t, abi.EBUSY, v, abi.CallCopy, id, 0x1_0000, 0x30_0000, 8)
}

func TestLend(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	child := m.create(t, m.root, "child", 1, 100, 1<<20)
	id := uint64(child.ID)
	m.must(t, v, abi.CallCopy, id, 0x1_0000, 0x30_0000, 8)
	m.must(t, v, abi.CallLend, id, abi.ConsoleAddr, 0x30_0000, abi.ConsolePages, abi.LendWrite)
	if child.limit != 106 || child.lent != 3 {
		t.Errorf("limit %d, lent %d, want 106 and 3", child.limit, child.lent)
	}
	m.must(t, v, abi.CallLend, id, 106*page, hostGPA, 5, abi.LendRead)
	for _, c := range []struct {
		name                  string
		to, from, pages, prot uint64
		want                  abi.Errno
	}{
		{"nothing", 0x8000, 0x30_0000, 0, 1, abi.EINVAL},
		{"too much", 0x8000, 0x30_0000, abi.LendMax + 1, 1, abi.EINVAL},
		{"protection", 0x8000, 0x30_0000, 1, 2, abi.EINVAL},
		{"from unaligned", 0x8000, 0x30_0001, 1, 1, abi.EINVAL},
		{"to unaligned", 0x8001, 0x30_0000, 1, 1, abi.EINVAL},
		{"over page 0", 0, 0x30_0000, 1, 1, abi.EBUSY},
		{"over the event page", 0x2000, 0x30_0000, 1, 1, abi.EBUSY},
		{"over the console", 0x6000, 0x30_0000, 1, 1, abi.EBUSY},
		{"over a copy", 0xf000, 0x30_0000, 2, 1, abi.EBUSY},
		{"beyond the limit", 112 * page, 0x30_0000, 1, 1, abi.EINVAL},
		{"more than the address space", 111 * page, 0x30_0000, 146, 1, abi.EINVAL},
		{"to wraps", ^uint64(0xfff), 0x30_0000, 2, 1, abi.EINVAL},
		{"from wraps", 0x8000, ^uint64(0xfff), 2, 1, abi.EFAULT},
		{"from page 0", 0x8000, 0, 1, 1, abi.EFAULT},
		{"from the event page", 0x8000, 0x2000, 1, 1, abi.EFAULT},
		{"from the price page", 0x8000, 0x3000, 1, 1, abi.EFAULT},
		{"host memory writable", 0x8000, hostGPA, 1, 3, abi.EFAULT},
		{"last of the address space", 111 * page, 0x30_0000, 145, 1, 0},
	} {
		if _, err := abi.Result(m.call(v, abi.CallLend, id, c.to, c.from, c.pages, c.prot)); c.want == 0 && err != nil || c.want != 0 && err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		m.check(t)
	}
	m.poke(t, child, abi.ConsoleAddr+5, uint8(9))
	if got := m.byteAt(t, m.root, 0x30_0005, false)[0]; got != 9 {
		t.Errorf("root reads %d from the console, want 9", got)
	}
	m.must(t, v, abi.CallKill, id)
	m.drain()
	m.check(t)
	if pa, _, _ := m.root.Tables.Translate(0x30_0000); m.k.frames.Shares(pa) != 0 {
		t.Error("still lent to the dead")
	}
}

func TestLendOn(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 2000, 64<<20)
	m.must(t, m.root.VCPUs[0], abi.CallLend, uint64(a.ID), 0x20_0000, hostGPA, 1024, abi.LendRead)
	if e, size := a.Tables.Lookup(0x20_0000); size != npt.Size2M || e.Writable() || e&npt.Lent == 0 {
		t.Errorf("aligned host memory is lent as %#x of size %#x", e, size)
	}
	m.must(t, m.root.VCPUs[0], abi.CallLend, uint64(a.ID), 0x4000, 0x30_0000, 3, abi.LendWrite)
	m.start(t, a)
	b := m.create(t, a, "b", 1, 100, 16<<20)
	m.must(t, a.VCPUs[0], abi.CallLend, uint64(b.ID), 0x1_0000, 0x20_3000, 3, abi.LendRead)
	m.must(t, a.VCPUs[0], abi.CallLend, uint64(b.ID), 0x2_0000, 0x5000, 1, abi.LendRead)
	m.fails(t, abi.EFAULT, a.VCPUs[0], abi.CallLend, uint64(b.ID), 0x4_0000, 0x20_3000, 1, abi.LendWrite)
	m.poke(t, m.root, 0x30_1000, uint8(7))
	if got := m.byteAt(t, b, 0x2_0000, false)[0]; got != 7 {
		t.Errorf("the grandchild reads %d, want 7", got)
	}
	m.must(t, m.root.VCPUs[0], abi.CallKill, uint64(a.ID))
	m.drain()
	m.check(t)
}

func TestReturnAndGrant(t *testing.T) {
	m := boot(t)
	v := m.root.VCPUs[0]
	child := m.create(t, m.root, "child", 1, 2000, 64<<20)
	id := uint64(child.ID)
	m.start(t, child)
	w := child.VCPUs[0]
	m.poke(t, child, 0x10_0000, uint64(42))
	before := m.root.given
	m.must(t, w, abi.CallReturnPages, 0x10_0000, 3)
	m.must(t, w, abi.CallReturnPages, 0x20_0000, 1)
	if child.granted != 1996 || m.root.given != before-4 || child.limit != 2003 {
		t.Errorf("granted %d, limit %d, root gave %d less", child.granted, child.limit, before-m.root.given)
	}
	for _, c := range []struct {
		name   string
		gpa, n uint64
		want   abi.Errno
	}{
		{"nothing", 0x30_0000, 0, abi.EINVAL},
		{"too much", 0x30_0000, abi.ReturnMax + 1, abi.EINVAL},
		{"unaligned", 0x30_0001, 1, abi.EINVAL},
		{"page 0", 0, 1, abi.EFAULT},
		{"event page", 0x1000, 2, abi.EFAULT},
		{"twice", 0x20_0000, 1, abi.EFAULT},
		{"limit", 2002 * page, 2, abi.EFAULT},
		{"wraps", ^uint64(0xfff), 2, abi.EFAULT},
	} {
		if _, err := abi.Result(m.call(w, abi.CallReturnPages, c.gpa, c.n)); err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		m.check(t)
	}
	m.fails(t, abi.EINVAL, v, abi.CallReturnPages, 0x10_0000, 1) // root has no parent

	m.must(t, v, abi.CallGrantPages, id, 2) // the last hole, and the last page of the first return
	for _, c := range []struct {
		gpa  uint64
		hole bool
	}{{0x20_0000, false}, {0x10_2000, false}, {0x10_1000, true}, {0x10_0000, true}} {
		if e, _ := child.Tables.Lookup(c.gpa); isHole(e) != c.hole {
			t.Errorf("%#x: hole %v, want %v", c.gpa, isHole(e), c.hole)
		}
	}
	m.must(t, v, abi.CallGrantPages, id, 5)
	if child.limit != 2006 || child.holes != 0 {
		t.Errorf("limit %d with %d holes, want 2006 without", child.limit, child.holes)
	}
	if got := m.byteAt(t, child, 0x10_0000, false)[0]; got != 0 {
		t.Errorf("a returned page comes back with %d in it", got)
	}
	m.fails(t, abi.EINVAL, v, abi.CallGrantPages, id, 0)
	m.fails(t, abi.EINVAL, v, abi.CallGrantPages, id, 64<<20/page)
	m.fails(t, abi.EINVAL, v, abi.CallGrantPages, id, ^uint64(0))
	m.fails(t, abi.ENOENT, v, abi.CallGrantPages, id+1, 1)
	m.fails(t, abi.ENOMEM, v, abi.CallGrantPages, id, 64<<20/page-2006)
}

// TestManyHolesComeBack: more than one step's worth is put back when it is touched.
func TestManyHolesComeBack(t *testing.T) {
	m := boot(t)
	child := m.create(t, m.root, "child", 1, 6000, 64<<20)
	m.start(t, child)
	w := child.VCPUs[0]
	m.must(t, w, abi.CallReturnPages, 0x10_0000, abi.ReturnMax)
	m.must(t, w, abi.CallReturnPages, 0x110_0000, 1000)
	m.must(t, m.root.VCPUs[0], abi.CallGrantPages, uint64(child.ID), abi.ReturnMax+1000)
	if child.restore != 1000 || child.granted != 6000 {
		t.Fatalf("%d holes wait, %d granted, want 1000 and 6000", child.restore, child.granted)
	}
	m.fails(t, abi.EAGAIN, w, abi.CallReturnPages, 0x10_0000, 1)
	m.byteAt(t, child, 0x10_0000, true)
	m.check(t)
	if child.restore != 0 || child.holes != 0 {
		t.Errorf("%d of %d holes wait", child.restore, child.holes)
	}
}

func TestReturnLentAndGiven(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 200, 16<<20)
	m.start(t, a)
	v := a.VCPUs[0]
	b := m.create(t, a, "b", 1, 20, 1<<20)
	m.must(t, v, abi.CallLend, uint64(b.ID), 0x4000, 0x3_0000, 1, abi.LendRead)
	m.fails(t, abi.EBUSY, v, abi.CallReturnPages, 0x2_f000, 2)
	m.must(t, v, abi.CallGrantPages, uint64(b.ID), a.available()-1)
	m.fails(t, abi.ENOMEM, v, abi.CallReturnPages, 190*page, 2)
	m.must(t, v, abi.CallReturnPages, 190*page, 1)
	m.must(t, v, abi.CallReturnPages, 0x3_1000, 1) // attached: takes no quantity from the child
	m.must(t, v, abi.CallKill, uint64(b.ID))
	m.drain()
	m.must(t, v, abi.CallReturnPages, 0x2_f000, 2)
}

func TestCopyTo(t *testing.T) {
	m := boot(t)
	text := bytes.Repeat([]byte("x"), abi.CopyMax+page)
	if err := m.k.CopyTo(m.root, 0x50_0000, text); err != nil {
		t.Fatal(err)
	}
	if got := m.byteAt(t, m.root, 0x50_0000+abi.CopyMax+page-1, false)[0]; got != 'x' {
		t.Errorf("got %q", got)
	}
	if err := m.k.CopyTo(m.root, hostGPA, text); err == nil {
		t.Error("copied into host memory")
	}
	for _, c := range []struct{ gpa, pa, pages uint64 }{
		{0x50_0000, hostBase, 1}, {0x50_0001, hostBase, 1}, {0x90_0000, hostBase + 1, 1}, {m.root.limit*page + page, hostBase, 1},
		{0x3_0000, hostBase, 1 << 51}, {0x3_0000, hostBase, ^uint64(0)}, {0x3_0000, hostBase, ^uint64(0) - m.root.limit + 1},
	} {
		if err := m.k.LendHost(m.root, c.gpa, c.pa, c.pages); err == nil {
			t.Errorf("lent host memory %#x at %#x", c.pa, c.gpa)
		}
		m.check(t)
	}
}

// TestSteadyState: what containers do often allocates nothing.
func TestSteadyState(t *testing.T) {
	m := boot(t)
	child := m.create(t, m.root, "child", 1, 5000, 64<<20)
	m.start(t, child)
	v := child.VCPUs[0]
	gpa := uint64(0x10_0000)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"fault and return", func() {
			m.k.PageFault(v, gpa, faultWrite)
			m.k.Hypercall(v, abi.CallReturnPages, [6]uint64{gpa, 16})
			m.k.Hypercall(m.root.VCPUs[0], abi.CallGrantPages, [6]uint64{uint64(child.ID), 16})
		}},
		{"notify", func() { m.k.Hypercall(v, abi.CallNotify, [6]uint64{0, abi.ConsoleBit}) }},
		{"status", func() { m.k.Hypercall(v, abi.CallStatus, [6]uint64{0, 0x2_0000}) }},
		{"tick", func() { m.k.Tick(m.f.now) }},
		{"step", func() { m.k.Step() }},
	} {
		c.f()
		if got := testing.AllocsPerRun(50, c.f); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", c.name, got)
		}
	}
}

// TestLendFromBigFrames: parts of a big frame are lent, and the whole as a whole.
func TestLendFromBigFrames(t *testing.T) {
	m := boot(t)
	a := m.create(t, m.root, "a", 1, 6500, 32<<20)
	m.start(t, a)
	v := a.VCPUs[0]
	b := m.create(t, a, "b", 1, 4000, 32<<20)
	id := uint64(b.ID)
	m.poke(t, a, 0x60_0000, uint8(5))
	if _, size := a.Tables.Lookup(0x60_0000); size != npt.Size2M {
		t.Fatalf("attached %#x bytes", size)
	}
	m.must(t, v, abi.CallLend, id, 0x4000, 0x60_3000, 3, abi.LendWrite)
	m.must(t, v, abi.CallLend, id, 0x20_0000, 0x60_0000, 512+5, abi.LendRead)
	if _, size := b.Tables.Lookup(0x20_0000); size != npt.Size2M {
		t.Errorf("a big frame is lent in pieces of %#x bytes", size)
	}
	m.must(t, v, abi.CallLend, id, 0xc0_0000, 0x60_0000, 511, abi.LendRead)
	m.must(t, v, abi.CallLend, id, 0x1_0000, 0x80_0000, 2, abi.LendRead)    // a further big frame
	m.must(t, v, abi.CallLend, id, 0x60_1000, 0x60_0000, 512, abi.LendRead) // aligned in one of the two spaces only
	m.must(t, v, abi.CallLend, id, 0xa0_0000, 0x60_1000, 512, abi.LendRead)
	m.fails(t, abi.EBUSY, v, abi.CallReturnPages, 0x60_3000, 1)
	m.fails(t, abi.EBUSY, v, abi.CallReturnPages, 0x80_1000, 1)
	m.must(t, v, abi.CallReturnPages, 0x80_8000, 1)
	m.must(t, m.root.VCPUs[0], abi.CallReclaimPages, uint64(a.ID), a.granted-a.given, 0)
	for m.k.Step() {
		m.check(t)
	}
	if b.alive() {
		t.Error("b still has what was taken from a")
	}
}

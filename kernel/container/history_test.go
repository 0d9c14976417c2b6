package container

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
)

// draw makes the arguments of calls; half of them make sense.
type draw interface{ n(limit int) int }

type rapidDraw struct{ t *rapid.T }

func (d rapidDraw) n(limit int) int { return rapid.IntRange(0, limit-1).Draw(d.t, "n") }

type randDraw struct{ r *rand.Rand }

func (d randDraw) n(limit int) int { return d.r.IntN(limit) }

// bytesDraw takes its choices from a fuzzer's input.
type bytesDraw struct{ b []byte }

func (d *bytesDraw) n(limit int) int {
	x := 0
	for limit := limit - 1; limit > 0 && len(d.b) > 0; limit >>= 8 {
		x = x<<8 | int(d.b[0])
		d.b = d.b[1:]
	}
	return x % limit
}

func pick[T any](d draw, list []T) T { return list[d.n(len(list))] }

// hostile is a number that likes to break things.
func hostile(d draw) uint64 {
	return pick(d, []uint64{
		0, 1, 2, 15, 16, 0xfff, 0x1000, 0x2000, 0x3000, 0x8000, 0xffff, 0x1_0000, abi.CopyMax, abi.LendMax, abi.ReturnMax,
		1 << 20, 1 << 31, 1 << 32, 1<<40 - 0x1000, 1 << 40, 1 << 47, 1 << 48, 1 << 51, 1 << 52, 1 << 63, 1<<63 - 1, ^uint64(0), ^uint64(0xfff), ^uint64(0) - 1,
	}) + uint64(d.n(3)) - 1
}

// life is a random history of one machine.
type life struct {
	*machine
	ft fataler
	d  draw
	hw *fakeDevices
}

// devicesOfLife is how many devices the machine of a life has.
const devicesOfLife = 3

func newLife(t fataler, d draw) *life {
	l := &life{machine: boot(t), ft: t, d: d, hw: newFakeDevices()}
	var list []*Device
	for i := range uint32(devicesOfLife) {
		list = append(list, &Device{ID: i, Kind: abi.DeviceIGBVF, BAR: 0xd000_0000 + uint64(i)*4*abi.PageSize, BARSize: 4 * abi.PageSize, Vectors: 3})
	}
	l.k.AddDevices(l.hw, list)
	return l
}

// check holds the invariants, and that devices reach the memory of their holders alone.
func (l *life) check(t fataler) {
	t.Helper()
	l.machine.check(t)
	for d, c := range l.hw.attached {
		if d.holder != c || c.phase == 0 && !l.hw.memory[c].same(c) {
			t.Fatalf("device %d reaches other pages than those of container %d", d.ID, c.ID)
		}
	}
}

// someone is a container that is not ending, and one of its vCPUs.
func (l *life) someone() *VCPU {
	var alive []*Container
	for _, c := range l.k.all {
		if c.alive() {
			alive = append(alive, c)
		}
	}
	return pick(l.d, pick(l.d, alive).VCPUs)
}

func (l *life) gpa(c *Container) uint64 {
	switch l.d.n(8) {
	case 0:
		return hostile(l.d)
	case 1:
		return c.limit*abi.PageSize - uint64(l.d.n(5*abi.PageSize)) + abi.PageSize
	case 2:
		return uint64(l.d.n(16)) * abi.PageSize
	case 3:
		return scratch
	case 4:
		if c == l.root && l.d.n(2) == 0 {
			return hostGPA + uint64(l.d.n(64))*0x2_0000
		}
		return bigFrom + uint64(l.d.n(8))*0x8_0000 + uint64(l.d.n(2))*0x3000
	default:
		return uint64(l.d.n(int(c.limit))) * abi.PageSize
	}
}

func (l *life) id(c *Container) uint64 {
	if len(c.children) == 0 || l.d.n(10) == 0 {
		return uint64(l.d.n(4))
	}
	return uint64(pick(l.d, c.children).ID)
}

func (l *life) pages() uint64 {
	return pick(l.d, []uint64{1, 1, 2, 3, 17, 100, 600, 5000, uint64(l.d.n(300))})
}

// write puts x into the memory of c at scratch, if it has memory there.
func (l *life) write(c *Container, x any) bool {
	if _, err := l.k.view(c, scratch, 1, true); err != 0 {
		return false
	}
	l.poke(l.ft, c, scratch, x)
	return true
}

// step is one random act of one random container.
func (l *life) step() {
	v := l.someone()
	c := v.Container
	d := l.d
	args := [6]uint64{}
	call := abi.Call(d.n(int(abi.NumCalls) + 2))
	switch call {
	case abi.CallExit:
		if d.n(8) != 0 || c == l.root {
			return
		}
	case abi.CallCreate:
		vcpus, pages := uint32(1+d.n(3)), 1+uint64(d.n(3000))
		memory := (pages + uint64(d.n(2000)) + abi.ReservedPages) * abi.PageSize
		if d.n(3) == 0 {
			memory += bigFrom
		}
		if c.available() > 0 && l.write(c, specFor("x", vcpus, pages, memory)) {
			args[0] = scratch
		}
		l.f.refuseVCPU = d.n(10) == 0
	case abi.CallCopy, abi.CallLend:
		args = [6]uint64{l.id(c), 0, l.gpa(c), l.pages(), pick(d, []uint64{1, 3, 1, 3, 2})}
		args[1] = l.gpa(c)
		if child, err := c.child(args[0]); err == 0 {
			args[1] = l.gpa(child)
		}
		if call == abi.CallCopy {
			args[3] *= uint64(d.n(2000))
		}
	case abi.CallStart, abi.CallStartVCPU:
		args[0], args[1] = l.id(c), scratch
		if c.available() > 0 {
			l.write(c, abi.VCPUState{RIP: uint64(d.n(100))})
		}
	case abi.CallGrantPages:
		args = [6]uint64{l.id(c), l.pages()}
	case abi.CallReclaimPages:
		args = [6]uint64{l.id(c), l.pages(), uint64(d.n(3) * d.n(1000))}
		if child, err := c.child(args[0]); err == 0 && d.n(4) == 0 {
			args[1] = child.granted - uint64(d.n(10))
		}
	case abi.CallReturnPages:
		args = [6]uint64{l.gpa(c) &^ (abi.PageSize - 1), l.pages()}
	case abi.CallGrantCore:
		args = [6]uint64{l.id(c), uint64(d.n(3)), uint64(d.n(cores)), uint64(d.n(1 << 16))}
		if d.n(3) > 0 && args[2] < cores { // something that it has
			n := args[2]
			args[3] &= uint64(c.slots[n] &^ c.slotsLent[n])
		}
	case abi.CallReclaimCore:
		args = [6]uint64{l.id(c), uint64(d.n(3)), uint64(d.n(1 << 16)), uint64(d.n(3) * d.n(1000))}
		if child, err := c.child(args[0]); err == 0 && d.n(4) > 0 {
			v := pick(d, child.VCPUs)
			if args[1] = uint64(v.Index); v.home >= 0 {
				args[2] &= uint64(child.slots[v.home])
			}
		}
	case abi.CallReturnCore:
		args = [6]uint64{uint64(v.Index), uint64(v.slots) & uint64(d.n(1<<16))}
	case abi.CallNotify:
		args = [6]uint64{l.id(c), uint64(d.n(1<<30)) << 32}
	case abi.CallGrantPorts:
		args = [6]uint64{l.id(c), uint64(d.n(0x400)), uint64(d.n(64))}
	case abi.CallLimitDevice:
		args = [6]uint64{l.id(c), uint64(d.n(devicesOfLife)), uint64(d.n(1000)), 0, uint64(d.n(1000))}
	case abi.CallDeviceStatus:
		args = [6]uint64{l.id(c) * uint64(d.n(2)), uint64(d.n(devicesOfLife)), l.gpa(c)}
	case abi.CallGrantDevice:
		args = [6]uint64{l.id(c), uint64(d.n(devicesOfLife + 1)), l.gpa(c)}
		if child, err := c.child(args[0]); err == 0 && d.n(4) > 0 {
			args[2] = child.limit*abi.PageSize + uint64(d.n(3))*abi.PageSize
		}
		l.hw.refuse = d.n(10) == 0
	default:
		args[0], args[1] = l.id(c), l.gpa(c)
	}
	if d.n(4) == 0 {
		args[d.n(6)] = hostile(d)
	}
	if call == abi.CallExit && c == l.root {
		return
	}
	r := l.k.Hypercall(v, call, args)
	l.f.refuseVCPU, l.hw.refuse = false, false
	if r.Exit != !c.alive() {
		l.ft.Fatalf("call %d: exit %v, alive %v", call, r.Exit, c.alive())
	}
}

func (l *life) fault() {
	v := l.someone()
	gpa := l.gpa(v.Container)
	if v.Container == l.root && (gpa/abi.PageSize >= l.root.limit || l.root.available() == 0 || gpa < 0x4000 && gpa&^0xfff != 0x1000) {
		return // root would end, and the history with it
	}
	code := uint64(l.d.n(4))
	if v.Container == l.root {
		code = 0 // not all that it can read can be written
	}
	l.k.PageFault(v, gpa, code)
}

func (l *life) pass() {
	l.f.now += uint64(l.d.n(2_000_000))
	l.k.Tick(l.f.now)
}

// endAll ends all children of root, and then root: everything must come back.
func (l *life) endAll() {
	for _, c := range l.root.children {
		l.call(l.root.VCPUs[0], abi.CallKill, uint64(c.ID))
	}
	l.drain()
	l.check(l.ft)
	if l.root.alive() && (l.root.given != 0 || l.root.granted != l.root.available()+l.root.attached) {
		l.ft.Fatalf("root has %d pages: %d attached, %d given, and no child lives", l.root.granted, l.root.attached, l.root.given)
	}
	for core := range cores {
		if l.root.alive() && l.root.slotsLent[core] != 0 {
			l.ft.Fatalf("slots %#x of core %d did not come back", l.root.slotsLent[core], core)
		}
	}
	l.k.End(l.root, abi.EndExit, 0, 0)
	l.drain()
	l.check(l.ft)
	if total, free := l.k.Memory(); total != free || len(l.f.vcpus) != 0 || len(l.hw.memory) != 0 {
		l.ft.Fatalf("%d of %d pages are free, %d vCPUs are left", free, total, len(l.f.vcpus))
	}
}

func (l *life) any() {
	switch l.d.n(16) {
	case 0, 1, 2, 3:
		l.fault()
	case 4:
		l.pass()
	case 5, 6:
		l.k.Step()
	case 7:
		l.k.Scrub(l.d.n(600))
	default:
		l.step()
	}
}

// TestHistories: whatever containers do, the invariants hold, and when they have ended everything is back.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t, rapidDraw{t})
		t.Repeat(map[string]func(*rapid.T){
			"":    func(t *rapid.T) { l.check(t) },
			"any": func(t *rapid.T) { l.any() },
		})
		l.endAll()
	})
}

// TestLongHistories goes on for longer than rapid does, and looks seldom.
func TestLongHistories(t *testing.T) {
	seeds, steps := uint64(8), 6000
	if testing.Short() {
		seeds, steps = 2, 2000
	}
	for seed := range seeds {
		l := newLife(t, randDraw{rand.New(rand.NewPCG(seed, 1))})
		for i := range steps {
			l.any()
			if i%50 == 0 {
				l.check(t)
			}
		}
		l.endAll()
	}
}

// FuzzHistory lets the fuzzer choose what containers do.
func FuzzHistory(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			t.Skip() // longer ones find nothing more, slowly
		}
		d := &bytesDraw{b}
		l := newLife(t, d)
		for len(d.b) > 0 {
			l.any()
		}
		l.check(t)
		l.endAll()
	})
}

// FuzzHypercall issues raw calls: number and arguments as they come.
func FuzzHypercall(f *testing.F) {
	f.Add(uint64(abi.CallCreate), uint64(scratch), uint64(0), uint64(0), uint64(0), uint64(0), uint8(1))
	f.Add(uint64(abi.CallLend), uint64(1), uint64(0x4000), uint64(scratch), uint64(3), uint64(3), uint8(0))
	f.Add(uint64(abi.CallCopy), uint64(1), ^uint64(0), ^uint64(0)-4, uint64(9), uint64(3), uint8(0))
	f.Add(uint64(abi.CallReturnPages), ^uint64(0xfff), uint64(4096), uint64(0), uint64(9), uint64(3), uint8(1))
	m := boot(f)
	a := m.create(f, m.root, "a", 2, 2000, 16<<20)
	m.start(f, a)
	f.Fuzz(func(t *testing.T, call, a0, a1, a2, a3, a4 uint64, who uint8) {
		if call == uint64(abi.CallExit) || len(m.k.all) > 100 {
			t.Skip()
		}
		v := m.k.all[int(who)%len(m.k.all)].VCPUs[0]
		m.k.Hypercall(v, abi.Call(call), [6]uint64{a0, a1, a2, a3, a4})
		m.drain()
		m.check(t)
	})
}

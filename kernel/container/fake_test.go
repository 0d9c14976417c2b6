package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

const (
	ramBase  = 16 << 20
	ramSize  = 40 << 20
	hostBase = 2 << 20 // host memory, not managed
	hostSize = 8 << 20
	hostGPA  = 8 << 20 // where root sees it
	bigFrom  = 4 << 20
	tscHz    = 1_000_000_000
	cores    = 3
)

// fake is a machine without processors. It remembers what translations a vCPU may still have cached.
type fake struct {
	ram   []byte
	now   uint64
	stale map[*Container]map[uint64]npt.Entry

	refuseVCPU bool
	vcpus      map[*VCPU]bool
	interrupts map[*VCPU]int
	kicked     map[*VCPU]int
	stopped    map[*Container]bool // no vCPU of it can be in the guest any more
	ended      []string
	printed    bytes.Buffer
}

func newFake() *fake {
	return &fake{
		ram:        make([]byte, ramSize+hostSize),
		stale:      make(map[*Container]map[uint64]npt.Entry),
		vcpus:      make(map[*VCPU]bool),
		interrupts: make(map[*VCPU]int),
		kicked:     make(map[*VCPU]int),
		stopped:    make(map[*Container]bool),
	}
}

func (f *fake) Phys(pa, n uint64) []byte {
	if pa >= hostBase && pa+n <= hostBase+hostSize {
		off := pa - hostBase + ramSize
		return f.ram[off : off+n : off+n]
	}
	if pa < ramBase || pa+n > ramBase+ramSize {
		panic(fmt.Sprintf("no memory at %#x+%#x", pa, n))
	}
	return f.ram[pa-ramBase : pa-ramBase+n : pa-ramBase+n]
}

var errRefused = errors.New("the test refuses vCPUs")

func (f *fake) NewVCPU(v *VCPU) error {
	if f.refuseVCPU {
		return errRefused
	}
	f.vcpus[v] = true
	return nil
}

func (f *fake) FreeVCPU(v *VCPU) {
	if !f.vcpus[v] {
		panic("free of a vCPU that does not exist")
	}
	if v.Container.State() != abi.StateCreated && !f.stopped[v.Container] {
		panic("free of a vCPU that may still run")
	}
	delete(f.vcpus, v)
}

func (f *fake) Kick(v *VCPU) { f.kicked[v]++ }
func (f *fake) Shootdown(c *Container) {
	delete(f.stale, c)
	f.stopped[c] = c.Ending()
}

func (f *fake) Interrupt(v *VCPU, vector uint8)   { f.interrupts[v]++ }
func (f *fake) Retime(core int)                   {}
func (f *fake) Ports(c *Container)                {}
func (f *fake) Ended(c *Container)                { f.ended = append(f.ended, c.Name) }
func (f *fake) DebugWrite(c *Container, b []byte) { fmt.Fprintf(&f.printed, "%s: %s", c.Name, b) }
func (f *fake) Now() uint64                       { return f.now }

// machine is the kernel on a fake, with its root container.
type machine struct {
	f    *fake
	k    *Kernel
	root *Container
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func boot(t fataler) *machine {
	t.Helper()
	return bootRoom(t, 0)
}

// bootRoom is boot with room for devices of root's own.
func bootRoom(t fataler, room uint64) *machine {
	t.Helper()
	f := newFake()
	k, err := New(Config{
		Machine:        pager{f, nil},
		Memory:         []abi.Range{{Addr: ramBase, Size: ramSize}},
		Cores:          cores,
		TSCHz:          tscHz,
		BigFrom:        bigFrom,
		VCPUPages:      3,
		ContainerPages: 4,
		DMAPages:       npt.Pages,
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	k.m = pager{f, k}
	root, err := k.NewRoot(RootSpec{Name: "root", VCPUs: 2, Lent: hostSize / abi.PageSize, Room: room})
	if err != nil {
		t.Fatalf("%v", err)
	}
	m := &machine{f: f, k: k, root: root}
	if err := k.LendHost(root, hostGPA, hostBase, hostSize/abi.PageSize); err != nil {
		t.Fatalf("%v", err)
	}
	if err := k.Start(root, abi.VCPUState{RIP: 0x1000}); err != nil {
		t.Fatalf("%v", err)
	}
	m.check(t)
	return m
}

// pager is a fake whose vCPUs take pages, as a real backend's do.
type pager struct {
	*fake
	k *Kernel
}

func (p pager) NewVCPU(v *VCPU) error {
	if p.k == nil {
		return p.fake.NewVCPU(v)
	}
	if v.Index == 0 {
		if _, ok := p.k.AllocPages(v.Container, 4); !ok {
			return errRefused
		}
	}
	for _, n := range []int{1, 2} {
		if _, ok := p.k.AllocPages(v.Container, n); !ok {
			return errRefused
		}
	}
	return p.fake.NewVCPU(v)
}

// check holds all invariants, and that no vCPU could still use a translation that was taken away.
func (m *machine) check(t fataler) {
	t.Helper()
	if err := m.k.Invariants(); err != nil {
		t.Fatalf("%v", err)
	}
	for _, c := range m.k.all {
		if c.phase > 0 {
			delete(m.f.stale, c)
			continue
		}
		now := make(map[uint64]npt.Entry)
		c.Tables.Visit(func(gpa uint64, e npt.Entry, size uint64) {
			if e.Present() {
				for off := uint64(0); off < size; off += abi.PageSize {
					now[gpa+off] = npt.Entry(e.Addr()+off) | e&npt.W
				}
			}
		})
		for gpa, e := range m.f.stale[c] {
			if now[gpa].Addr() != e.Addr() || e&^now[gpa]&npt.W != 0 {
				t.Fatalf("container %d: %#x was %#x, is %#x, and there was no shootdown", c.ID, gpa, e, now[gpa])
			}
		}
		m.f.stale[c] = now
	}
}

// drain lets Reaper do all it can.
func (m *machine) drain() {
	for m.k.Step() {
	}
}

func (m *machine) call(v *VCPU, call abi.Call, args ...uint64) uint64 {
	var a [6]uint64
	copy(a[:], args)
	return m.k.Hypercall(v, call, a).RAX
}

// must is a call that succeeds.
func (m *machine) must(t fataler, v *VCPU, call abi.Call, args ...uint64) uint64 {
	t.Helper()
	rax := m.call(v, call, args...)
	if _, err := abi.Result(rax); err != nil {
		t.Fatalf("call %d %#x: %v", call, args, err)
	}
	m.check(t)
	return rax
}

// fails is a call that fails with want and changes nothing that the invariants hold.
func (m *machine) fails(t fataler, want abi.Errno, v *VCPU, call abi.Call, args ...uint64) {
	t.Helper()
	if _, err := abi.Result(m.call(v, call, args...)); err != want {
		t.Fatalf("call %d %#x: got %v, want %v", call, args, err, want)
	}
	m.check(t)
}

// poke writes into a container's memory as its program would.
func (m *machine) poke(t fataler, c *Container, gpa uint64, x any) {
	t.Helper()
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, x)
	for i, x := range b.Bytes() {
		m.byteAt(t, c, gpa+uint64(i), true)[0] = x
	}
}

// byteAt is a byte of a container's memory, attached by a page fault where needed.
func (m *machine) byteAt(t fataler, c *Container, gpa uint64, write bool) []byte {
	t.Helper()
	code := uint64(0)
	if write {
		code = faultWrite
	}
	for range 10 {
		pa, e, ok := c.Tables.Translate(gpa)
		if ok && (!write || e.Writable()) {
			return m.f.Phys(pa, 1)
		}
		if m.k.PageFault(c.VCPUs[0], gpa, code) == ActionEnd {
			t.Fatalf("container %d ended at %#x", c.ID, gpa)
		}
	}
	t.Fatalf("container %d faults at %#x for ever", c.ID, gpa)
	return nil
}

// scratch is where tests put the arguments of root's calls.
const scratch = 0x2_0000

func specFor(name string, vcpus uint32, pages, memory uint64) abi.ContainerSpec {
	s := abi.ContainerSpec{Version: abi.Version, VCPUs: vcpus, Pages: pages, Memory: memory}
	copy(s.Name[:], name)
	return s
}

// create makes a child of c.
func (m *machine) create(t fataler, c *Container, name string, vcpus uint32, pages, memory uint64) *Container {
	t.Helper()
	m.poke(t, c, scratch, specFor(name, vcpus, pages, memory))
	id := m.must(t, c.VCPUs[0], abi.CallCreate, scratch)
	child, err := c.child(id)
	if err != 0 {
		t.Fatalf("no child %d: %v", id, err)
	}
	return child
}

// start starts a child of c.
func (m *machine) start(t fataler, child *Container) {
	t.Helper()
	c := child.Parent
	m.poke(t, c, scratch, abi.VCPUState{RIP: 0x40_0000, RSP: 0x50_0000, CR3: 0x8000})
	m.must(t, c.VCPUs[0], abi.CallStart, uint64(child.ID), scratch)
}

func (m *machine) status(t fataler, c *Container, id uint64) (s abi.Status) {
	t.Helper()
	m.must(t, c.VCPUs[0], abi.CallStatus, id, scratch+256)
	b := make([]byte, statusSize)
	for i := range b {
		b[i] = m.byteAt(t, c, scratch+256+uint64(i), false)[0]
	}
	binary.Read(bytes.NewReader(b), binary.LittleEndian, &s)
	return s
}

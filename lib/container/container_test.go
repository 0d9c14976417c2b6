package container

import (
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/layout/layouttest"
	"nom.dev/nom/metal"
)

func TestEncodeSpec(t *testing.T) {
	raw, err := encodeSpec(Spec{Name: "child", VCPUs: 2, Pages: 512, Memory: 4 << 20})
	if err != nil || len(raw) != 128 {
		t.Fatalf("got %d bytes, %v; want 128", len(raw), err)
	}
	le := binary.LittleEndian
	if le.Uint32(raw) != abi.Version || le.Uint32(raw[4:]) != 2 || le.Uint64(raw[8:]) != 512 || le.Uint64(raw[16:]) != 4<<20 || string(raw[64:70]) != "child\x00" {
		t.Errorf("got % x", raw)
	}
	var back abi.ContainerSpec
	decode(raw, &back)
	if back.Pages != 512 || back.Name[0] != 'c' {
		t.Errorf("got %+v back", back)
	}
}

func TestEncodeSpecErrors(t *testing.T) {
	good := Spec{Name: "x", VCPUs: 1, Pages: 1, Memory: 1 << 20}
	for _, c := range []struct {
		name   string
		change func(*Spec)
	}{
		{"no name", func(s *Spec) { s.Name = "" }},
		{"long name", func(s *Spec) { s.Name = strings.Repeat("n", abi.NameLen) }},
		{"control character", func(s *Spec) { s.Name = "a\n" }},
		{"no vCPU", func(s *Spec) { s.VCPUs = 0 }},
		{"many vCPUs", func(s *Spec) { s.VCPUs = abi.MaxVCPUs + 1 }},
		{"no pages", func(s *Spec) { s.Pages = 0 }},
		{"part of a page", func(s *Spec) { s.Memory++ }},
		{"endless", func(s *Spec) { s.Memory = abi.MaxMemory + abi.PageSize }},
	} {
		s := good
		c.change(&s)
		if _, err := encodeSpec(s); err == nil {
			t.Errorf("%s: got no error", c.name)
		}
	}
	if _, err := encodeSpec(good); err != nil {
		t.Errorf("got error %v for a good one", err)
	}
}

// All structures that cross the boundary have the sizes that the contract says.
func TestWireSizes(t *testing.T) {
	for _, c := range []struct {
		v    any
		want int
	}{{&abi.ContainerSpec{}, 128}, {&abi.VCPUState{}, 64}, {&abi.Status{}, 256}} {
		if got := binary.Size(c.v); got != c.want {
			t.Errorf("%T: got %d bytes, want %d", c.v, got, c.want)
		}
	}
	st := abi.Status{ID: 7, Limit: 9, Exits: [16]uint64{3}}
	raw := make([]byte, 256)
	encode(raw, &st)
	var back abi.Status
	if decode(raw, &back); back != st {
		t.Errorf("got %+v back, want %+v", back, st)
	}
}

func TestCountVCPUs(t *testing.T) {
	for _, c := range []struct {
		cores []Slots
		want  int
		bad   bool
	}{
		{nil, 0, true},
		{[]Slots{{0, 0, 1}}, 1, false},
		{[]Slots{{0, 0, 1}, {1, 1, abi.AllSlots}, {0, 0, 2}}, 2, false},
		{[]Slots{{1, 0, 1}}, 0, true},
		{[]Slots{{0, 0, 1}, {0, 1, 1}}, 0, true},
		{[]Slots{{0, 0, 0}}, 0, true},
		{[]Slots{{0, 0, 1 << 16}}, 0, true},
		{[]Slots{{-1, 0, 1}}, 0, true},
		{[]Slots{{abi.MaxVCPUs, 0, 1}}, 0, true},
	} {
		got, err := countVCPUs(c.cores)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%v: got %d, %v; want %d, error %t", c.cores, got, err, c.want, c.bad)
		}
	}
}

func TestDispatcher(t *testing.T) {
	var d dispatcher
	child, grant := d.add(abi.EventChild|abi.ConsoleBit), d.add(abi.EventGrant)
	d.deliver(abi.EventChild)
	d.deliver(abi.ConsoleBit | abi.EventKill) // two events, one value on C
	<-child.C
	if got, want := child.Take(), uint64(abi.EventChild|abi.ConsoleBit); got != want {
		t.Errorf("got bits %#x, want %#x", got, want)
	}
	select {
	case <-child.C:
		t.Error("got a second value, want none")
	case <-grant.C:
		t.Error("the other watcher was woken")
	default:
	}
	if child.Take() != 0 || grant.Take() != 0 {
		t.Error("bits were left over")
	}
	child.Close()
	d.deliver(abi.EventChild)
	if child.Take() != 0 {
		t.Error("a closed watcher got bits")
	}
}

func TestShortage(t *testing.T) {
	for _, c := range []struct {
		name string
		a    account
		need uint64
		want uint64
	}{
		{"root knows little of what it has", account{granted: 1000, pool: 100}, 900, 0},
		{"a little too much", account{granted: 1000, pool: 100}, 950, 50},
		{"all is in the pool", account{granted: 1000, pool: 1000}, 300, 300},
		{"some is withheld", account{granted: 1000, given: 200, pool: 1000, withheld: 250}, 300, 250},
		{"more is withheld than needed", account{granted: 900, pool: 1000, withheld: 200}, 10, 0},
		{"nonsense", account{granted: 1, given: 5, pool: 7, withheld: 9}, 3, 7},
	} {
		if got := c.a.shortage(c.need); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// What is withheld is enough: afterwards the program cannot use more than it keeps.
func TestShortageProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) uint64 { return rapid.Uint64Range(0, 1<<20).Draw(t, name) }
		a := account{granted: n("granted"), given: n("given"), pool: n("pool"), withheld: n("withheld")}
		need := n("need")
		short := a.shortage(need)
		use := a.pool - min(a.pool, a.withheld+short)
		if a.pool >= a.withheld+short && use+a.given+need > a.granted {
			t.Fatalf("%+v: %d withheld for %d, and it can still use %d", a, short, need, use)
		}
	})
}

func TestImagePages(t *testing.T) {
	b := &abi.BootPage{NumFree: 2}
	b.Free[0] = abi.Range{Addr: 0x10000, Size: 0x1000}
	b.Free[1] = abi.Range{Addr: 0x20000, Size: 0x10000}
	if got, want := imagePages(b, 8), uint64(0x30-1-0x10-8-abi.ReservedPages); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	b.NumFree = 1 << 30
	if got := imagePages(b, 1<<40); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
}

// The head and the files in whole pages behind it are a bundle.
func TestNestHead(t *testing.T) {
	platform, program := layouttest.Bytes(5000, 1), layouttest.Bytes(4096, 2)
	whole, err := nestHead(platform, program)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{platform, program} {
		whole = append(whole, part...)
		whole = append(whole, make([]byte, int(pageUp(uint64(len(whole))))-len(whole))...)
	}
	b, err := bundle.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{bundle.Metal: platform, Self: program} {
		if got, _, ok := b.File(name); !ok || string(got) != string(want) {
			t.Errorf("%s: got %d bytes, %t; want %d", name, len(got), ok, len(want))
		}
	}
}

func TestReadGrant(t *testing.T) {
	p := &abi.EventPage{Generation: 3, Pages: 5, ReclaimPages: 2, ReclaimDeadline: 9, KillDeadline: 11}
	p.Slots[1], p.Core[1], p.ReclaimSlots[1], p.ReclaimSlotsTSC = 0xff, 4, 0x0f, 10
	want := Grant{Pages: 5, ReclaimPages: 2, ReclaimDeadline: 9, KillDeadline: 11, ReclaimSlotsTSC: 10}
	want.Slots[1], want.Core[1], want.ReclaimSlots[1] = 0xff, 4, 0x0f
	if got := readGrant(p); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEndName(t *testing.T) {
	for end, want := range map[uint32]string{abi.EndExit: "exit", abi.EndParent: "parent", 0: "unknown-0", 99: "unknown-99"} {
		if got := EndName(end); got != want {
			t.Errorf("%d: got %s, want %s", end, got, want)
		}
	}
}

// On Linux everything says that it is not nom.
func TestNotRunning(t *testing.T) {
	_, create := Create(Spec{Name: "x", VCPUs: 1, Pages: 1, Memory: 1 << 20})
	_, launch := Launch(Config{Name: "x"})
	_, watch := Watch(1)
	_, _, images := Images()
	_, own := Own()
	_, st := OwnStatus()
	for name, err := range map[string]error{"create": create, "launch": launch, "watch": watch, "images": images, "own": own, "status": st,
		"notify": NotifyParent(1 << 40)} {
		if !errors.Is(err, metal.ErrNotRunning) {
			t.Errorf("%s: got error %v, want %v", name, err, metal.ErrNotRunning)
		}
	}
}

// This test was linked with Images, a program without it was not.
func TestCanNest(t *testing.T) {
	if CanNest(layouttest.Program()) || !CanNest([]byte("..."+mark+"...")) {
		t.Error("the mark is not what makes a program one that can nest")
	}
}

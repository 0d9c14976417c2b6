package timetable

import (
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
)

func always(int) bool { return true }

func TestPick(t *testing.T) {
	tab := New[int](2)
	tab.Set(0, 0x00ff, 1)
	tab.Set(0, 0x0f00, 2)
	tab.Set(0, 0x7000, 3)
	for _, c := range []struct {
		name string
		core int
		slot uint64
		halt []int
		want int
	}{
		{"owner", 0, 0, nil, 1},
		{"owner, next frame", 0, 16 + 8, nil, 2},
		{"nobody's: first turn", 0, 15, nil, 1},
		{"nobody's: second turn", 0, 15, nil, 2},
		{"nobody's: third turn", 0, 15, nil, 3},
		{"halted owner: first turn", 0, 8, []int{2}, 1},
		{"halted owner: next runnable", 0, 8, []int{2}, 3},
		{"two halted", 0, 8, []int{1, 2}, 3},
		{"all halted", 0, 8, []int{1, 2, 3}, 0},
		{"empty core", 1, 0, nil, 0},
	} {
		got := tab.Pick(c.core, c.slot, func(v int) bool { return !contains(c.halt, v) })
		if got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestDedicated(t *testing.T) {
	tab := New[int](1)
	for _, c := range []struct {
		mask   uint32
		holder int
		want   int
	}{
		{0x7fff, 1, 0}, {0x8000, 1, 1}, {1, 2, 0}, {0xfffe, 2, 2}, {4, 0, 0},
	} {
		tab.Set(0, c.mask, c.holder)
		if got := tab.Dedicated(0); got != c.want {
			t.Errorf("after %#x to %d: got %d, want %d", c.mask, c.holder, got, c.want)
		}
	}
}

func TestMoveRefuses(t *testing.T) {
	tab := New[int](1)
	tab.Set(0, 0xff, 1)
	mine := func(v int) bool { return v == 1 }
	for _, c := range []struct {
		core int
		mask uint32
		ok   bool
	}{
		{0, 0x101, false}, {0, 0, false}, {0, 1 << 16, false}, {1, 1, false}, {-1, 1, false}, {0, 0x81, true}, {0, 0x80, false},
	} {
		if err := tab.Move(c.core, c.mask, mine, 2); (err == nil) != c.ok {
			t.Errorf("move %#x of core %d: %v, want ok %v", c.mask, c.core, err, c.ok)
		}
	}
	if got := tab.Mask(0, 2); got != 0x81 {
		t.Errorf("got %#x, want 0x81", got)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	tab := New[int](1)
	tab.Set(0, 0xff, 1)
	tab.Set(0, 0xff00, 2)
	slot := uint64(0)
	if got := testing.AllocsPerRun(100, func() { slot++; tab.Pick(0, slot, always) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

// TestHistories: who runs holds slots of the core; an owner is never kept from its slot; no core idles beside a runnable
// holder; spare slots are spread evenly.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := New[int](3)
		var model [3][abi.FrameSlots]int
		runnable := [6]bool{false, true, true, true, true, true}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				core, v := rapid.IntRange(0, 2).Draw(t, "core"), rapid.IntRange(0, 5).Draw(t, "vcpu")
				mask := rapid.Uint32().Draw(t, "mask")
				tab.Set(core, mask, v)
				for s := range model[core] {
					if mask>>s&1 != 0 {
						model[core][s] = v
					}
				}
			},
			"move": func(t *rapid.T) {
				core, from, to := rapid.IntRange(0, 2).Draw(t, "core"), rapid.IntRange(1, 5).Draw(t, "from"), rapid.IntRange(1, 5).Draw(t, "to")
				mask := rapid.Uint32Range(1, abi.AllSlots).Draw(t, "mask")
				ok := true
				for s, v := range model[core] {
					ok = ok && (mask>>s&1 == 0 || v == from)
				}
				if err := tab.Move(core, mask, func(v int) bool { return v == from }, to); (err == nil) != ok {
					t.Fatalf("move %#x from %d: %v, want ok %v", mask, from, err, ok)
				}
				for s := range model[core] {
					if ok && mask>>s&1 != 0 {
						model[core][s] = to
					}
				}
			},
			"halt": func(t *rapid.T) {
				v := rapid.IntRange(1, 5).Draw(t, "vcpu")
				runnable[v] = !runnable[v]
			},
			"frame": func(t *rapid.T) {
				core := rapid.IntRange(0, 2).Draw(t, "core")
				var spare [6]int
				candidates := 0
				for v := 1; v < 6; v++ {
					if runnable[v] && contains(model[core][:], v) {
						candidates++
					}
				}
				for s, owner := range model[core] {
					got := tab.Pick(core, uint64(s), func(v int) bool { return runnable[v] })
					switch {
					case runnable[owner] && got != owner:
						t.Fatalf("slot %d of runnable %d went to %d", s, owner, got)
					case got != 0 && (!runnable[got] || !contains(model[core][:], got)):
						t.Fatalf("slot %d went to %d, which is halted or a stranger", s, got)
					case got == 0 && candidates > 0:
						t.Fatalf("slot %d idles beside %d runnable vCPUs", s, candidates)
					case got != owner:
						spare[got]++
					}
				}
				least, most := abi.FrameSlots, 0
				for v := 1; v < 6; v++ {
					if runnable[v] && contains(model[core][:], v) {
						least, most = min(least, spare[v]), max(most, spare[v])
					}
				}
				if candidates > 0 && most-least > 1 {
					t.Fatalf("spare slots are spread unevenly: %v", spare)
				}
			},
			"": func(t *rapid.T) {
				for core := range model {
					if tab.Frame(core).Slots != model[core] {
						t.Fatalf("core %d: got %v, want %v", core, tab.Frame(core).Slots, model[core])
					}
				}
			},
		})
	})
}

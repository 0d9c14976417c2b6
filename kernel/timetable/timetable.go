// Package timetable says which vCPU a core runs in each slot of its repeating frame (abi.FrameSlots slots of
// abi.SlotMicros each).
//
// A slot belongs to one vCPU, or to nobody. When its owner has nothing to run, the slot goes round-robin to the other
// vCPUs that hold slots on the same core, so that a core idles only when none of them has work: work conserving, and no
// vCPU ever runs on a core where it holds nothing.
//
// Changes need a lock of the caller's. Pick, Dedicated and Frame need none and allocate nothing: they read an immutable
// picture that each change replaces, so a core can ask at any time, whoever holds the lock. The package must never
// decide who gets slots.
package timetable

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"nom.dev/nom/abi"
)

// Frame is the picture of one core's frame; it never changes.
type Frame[T comparable] struct {
	Slots   [abi.FrameSlots]T // the zero T is nobody
	holders []T               // each once, in order of first slot
}

type core[T comparable] struct {
	frame atomic.Pointer[Frame[T]]
	turn  atomic.Uint32 // how many spare slots were given away, for round-robin
}

// Table is the timetable of all cores, for holders T: *VCPU in the nonkernel.
type Table[T comparable] struct{ cores []core[T] }

// New makes a table in which nobody holds anything.
func New[T comparable](cores int) *Table[T] {
	t := &Table[T]{cores: make([]core[T], cores)}
	for i := range t.cores {
		t.cores[i].frame.Store(&Frame[T]{})
	}
	return t
}

// Cores is how many cores there are.
func (t *Table[T]) Cores() int { return len(t.cores) }

// Frame is the present picture of a core.
func (t *Table[T]) Frame(core int) *Frame[T] { return t.cores[core].frame.Load() }

// Set gives the slots in mask to holder, whoever had them; the zero T takes them away.
func (t *Table[T]) Set(core int, mask uint32, holder T) {
	c := &t.cores[core]
	next := &Frame[T]{Slots: c.frame.Load().Slots}
	for m := mask & abi.AllSlots; m != 0; m &= m - 1 {
		next.Slots[bits.TrailingZeros32(m)] = holder
	}
	var nobody T
	for _, h := range next.Slots {
		if h != nobody && !contains(next.holders, h) {
			next.holders = append(next.holders, h)
		}
	}
	c.frame.Store(next)
}

func contains[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// Move gives the slots in mask to another holder. Unless held says yes to the holder of each of them, it refuses and
// changes nothing.
func (t *Table[T]) Move(core int, mask uint32, held func(T) bool, to T) error {
	if core < 0 || core >= len(t.cores) || mask == 0 || mask&^abi.AllSlots != 0 {
		return fmt.Errorf("timetable: no slots %#x of core %d", mask, core)
	}
	f := t.Frame(core)
	for m := mask; m != 0; m &= m - 1 {
		if s := bits.TrailingZeros32(m); !held(f.Slots[s]) {
			return fmt.Errorf("timetable: slot %d of core %d is somebody else's", s, core)
		}
	}
	t.Set(core, mask, to)
	return nil
}

// Mask is the set of slots that holder has on a core.
func (t *Table[T]) Mask(core int, holder T) (mask uint32) {
	for s, h := range t.Frame(core).Slots {
		if h == holder {
			mask |= 1 << s
		}
	}
	return mask
}

// Dedicated is the vCPU that holds all slots of a core, or the zero T.
func (t *Table[T]) Dedicated(core int) T {
	f := t.Frame(core)
	if len(f.holders) == 1 && f.holders[0] == f.Slots[0] {
		for _, h := range f.Slots {
			if h != f.Slots[0] {
				var nobody T
				return nobody
			}
		}
		return f.Slots[0]
	}
	var nobody T
	return nobody
}

// Pick says who runs on a core in a slot (taken modulo the frame's length): the owner when runnable says so, else the
// next runnable holder of slots of this core in turn, else the zero T. It allocates nothing as long as runnable is not
// made anew for each call. One core must not be asked by two at a time, or turns may be skipped.
func (t *Table[T]) Pick(core int, slot uint64, runnable func(T) bool) T {
	c := &t.cores[core]
	f := c.frame.Load()
	var nobody T
	if owner := f.Slots[slot%abi.FrameSlots]; owner != nobody && runnable(owner) {
		return owner
	}
	n := uint32(len(f.holders))
	turn := c.turn.Load()
	for i := range n {
		if h := f.holders[(turn+i)%n]; runnable(h) {
			c.turn.Store((turn + i + 1) % n)
			return h
		}
	}
	return nobody
}

// Holders are those who have slots in the frame, each once. The caller must not change it.
func (f *Frame[T]) Holders() []T { return f.holders }

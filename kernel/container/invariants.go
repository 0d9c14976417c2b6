package container

import (
	"errors"
	"fmt"
	"math/bits"

	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/npt"
)

// Invariants checks everything that must always hold, for tests and test builds: it visits every page of the machine.
func (k *Kernel) Invariants() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.frames.Check(); err != nil {
		return err
	}
	spaces := make(map[*Container]*space)
	slots := make(map[int]bool)
	for _, c := range k.all {
		if slots[c.Slot] || !k.taken[c.Slot] {
			return fmt.Errorf("container %d (%q) has slot %d, which is free or another's", c.ID, c.Name, c.Slot)
		}
		slots[c.Slot] = true
		s, err := k.survey(c)
		if err != nil {
			return fmt.Errorf("container %d (%q): %w", c.ID, c.Name, err)
		}
		spaces[c] = s
	}
	if err := k.checkSharing(spaces); err != nil {
		return err
	}
	for _, c := range k.all {
		for _, check := range []func(*Container) error{k.checkQuantities, k.checkSlots, checkPorts} {
			if err := check(c); err != nil {
				return fmt.Errorf("container %d (%q): %w", c.ID, c.Name, err)
			}
		}
	}
	if err := k.checkMachine(); err != nil {
		return err
	}
	if err := k.checkDevices(); err != nil {
		return err
	}
	return k.checkTimetable()
}

// space is what the page tables of a container say.
type space struct {
	own, lent map[uint64]bool // by frame: writable
	lentCount map[uint64]int
	holes     uint64
	pages     uint64 // lent
}

// survey reads the tables of c and compares them with its counts.
func (k *Kernel) survey(c *Container) (*space, error) {
	s := &space{own: make(map[uint64]bool), lent: make(map[uint64]bool), lentCount: make(map[uint64]int)}
	var err error
	fail := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	if c.Tables != nil && c.Tables.Root != 0 {
		c.Tables.Visit(func(gpa uint64, e npt.Entry, size uint64) { k.surveyEntry(c, s, gpa, e, size, fail) })
	}
	if uint64(len(s.own)) != c.attached || s.pages != c.lent {
		fail("maps %d pages of its own and %d lent, the counts say %d and %d", len(s.own), s.pages, c.attached, c.lent)
	}
	if c.phase == 0 {
		k.checkHoles(c, s, fail)
	}
	return s, err
}

func (k *Kernel) surveyEntry(c *Container, s *space, gpa uint64, e npt.Entry, size uint64, fail func(string, ...any)) {
	page := gpa / abi.PageSize
	switch {
	case gpa == 0:
		if e != neverMapped {
			fail("page 0 has entry %#x", e)
		}
		return
	case e.Present() && e&npt.Reserved != 0:
		want := map[uint64]uint64{abi.EventPageAddr: c.EventPA, abi.PricePageAddr: c.PricePA}[gpa]
		if e.Addr() != want || e.Writable() != (gpa == abi.EventPageAddr) {
			fail("reserved page at %#x has entry %#x, its frame is %#x", gpa, e, want)
		}
		return
	case e.Present() && e&npt.Device != 0:
		if page < c.memory {
			fail("registers of a device at %#x, among its memory", gpa)
		}
		return
	case page+size/abi.PageSize > c.limit:
		fail("entry %#x at %#x lies beyond the limit, page %#x", e, gpa, c.limit)
	case isHole(e):
		s.holes++
		return
	case !e.Present():
		fail("entry %#x at %#x", e, gpa)
		return
	}
	for off := uint64(0); off < size; off += abi.PageSize {
		pa := e.Addr() + off
		if e&npt.Lent != 0 {
			s.lent[pa] = s.lent[pa] || e.Writable()
			s.lentCount[pa]++
			s.pages++
			continue
		}
		if owner, ok := k.frames.Owner(pa); !ok || owner != c.owner() || s.own[pa] || !e.Writable() {
			fail("%#x maps frame %#x of owner %d", gpa+off, pa, owner)
		}
		s.own[pa] = true
	}
}

func (k *Kernel) checkHoles(c *Container, s *space, fail func(string, ...any)) {
	n := uint64(0)
	for page := c.lastHole; page != noHole && n <= s.holes; n++ {
		e, _ := c.Tables.Lookup(page * abi.PageSize)
		if !isHole(e) {
			fail("hole %#x has entry %#x", page, e)
		}
		page = e.Addr() / abi.PageSize
	}
	if n != s.holes || n != c.holes || c.restore > c.holes {
		fail("%d holes are linked, %d exist, the count says %d; %d to come back", n, s.holes, c.holes, c.restore)
	}
	if want := c.granted - c.restore + c.lent + c.holes + abi.ReservedPages; c.limit != want || want > c.memory {
		fail("limit is %d, want %d of at most %d", c.limit, want, c.memory)
	}
}

// checkSharing: who maps a lent page has it from its parent, with no more rights; owners know how often theirs are lent.
func (k *Kernel) checkSharing(spaces map[*Container]*space) error {
	shares := make(map[uint64]int)
	for c, s := range spaces {
		for pa, write := range s.lent {
			shares[pa] += s.lentCount[pa]
			if c.Parent == nil {
				if !k.isHost(pa) || write {
					return fmt.Errorf("root borrows %#x, writable %v, which is not host memory", pa, write)
				}
				continue
			}
			up := spaces[c.Parent]
			parentWrite, own := up.own[pa]
			if !own {
				var lent bool
				if parentWrite, lent = up.lent[pa]; !lent {
					return fmt.Errorf("container %d borrows %#x, which its parent does not have", c.ID, pa)
				}
			}
			if write && !parentWrite {
				return fmt.Errorf("container %d may write %#x, its parent may not", c.ID, pa)
			}
		}
	}
	for _, s := range spaces {
		for pa := range s.own {
			if got := k.frames.Shares(pa); got != shares[pa] {
				return fmt.Errorf("frame %#x is lent %d times, its count says %d", pa, shares[pa], got)
			}
		}
	}
	return nil
}

func (k *Kernel) isHost(pa uint64) bool {
	for _, r := range k.host {
		if pa-r.Addr < r.Size {
			return true
		}
	}
	return false
}

// checkQuantities: what c has is what it attached, gave and has left, and covers what its children have.
func (k *Kernel) checkQuantities(c *Container) error {
	owned := k.frames.Owned(c.owner())
	if c.State() == abi.StateEnded {
		if owned != 0 || len(c.children) != 0 || c.ports != nil || c.lent != 0 {
			return fmt.Errorf("ended with %d pages, %d children", owned, len(c.children))
		}
		return nil
	}
	given := uint64(0)
	for _, child := range c.children {
		if child.State() != abi.StateEnded {
			given += child.granted + child.overhead
		}
		if child.Parent != c || !c.alive() && child.alive() {
			return fmt.Errorf("child %d has parent %d, or outlives it", child.ID, child.Parent.ID)
		}
	}
	if given != c.given || c.attached+c.given > c.granted {
		return fmt.Errorf("gave %d pages, the count says %d; attached %d of %d", given, c.given, c.attached, c.granted)
	}
	if c.used > c.overhead || owned != c.attached+c.used {
		return fmt.Errorf("owns %d pages: %d attached, %d of %d overhead", owned, c.attached, c.used, c.overhead)
	}
	if c.dmaUsed > c.dmaPages || c.dmaPages > c.overhead || c.dma == nil && c.dmaUsed != 0 || c.dma != nil && k.cfg.DMAPages != nil && c.dmaPages == 0 {
		return fmt.Errorf("tables of its devices take %d of %d pages, in an overhead of %d; has devices: %v", c.dmaUsed, c.dmaPages, c.overhead, c.dma != nil)
	}
	return nil
}

func (k *Kernel) checkMachine() error {
	if k.root == nil || k.root.State() == abi.StateEnded {
		if free := k.frames.Available(); free != k.frames.Total() {
			return fmt.Errorf("without root, %d of %d pages are free", free, k.frames.Total())
		}
		return nil
	}
	if got := k.root.granted + k.root.overhead; got != k.frames.Total() {
		return fmt.Errorf("root has %d pages, the machine %d", got, k.frames.Total())
	}
	for core, mask := range k.root.slots {
		if mask != abi.AllSlots {
			return fmt.Errorf("root has slots %#x of core %d", mask, core)
		}
	}
	return nil
}

// checkSlots: what c gave is what its children have, each slot once.
func (k *Kernel) checkSlots(c *Container) error {
	for core, mask := range c.slots {
		given := uint32(0)
		for _, child := range c.children {
			if given&child.slots[core] != 0 {
				return fmt.Errorf("slots %#x of core %d were given twice", given&child.slots[core], core)
			}
			given |= child.slots[core]
		}
		if given != c.slotsLent[core] || given&^mask != 0 {
			return fmt.Errorf("core %d: has slots %#x, gave %#x, its children have %#x", core, mask, c.slotsLent[core], given)
		}
		left := mask &^ given
		for _, v := range c.VCPUs {
			if v.core != core {
				continue
			}
			if v.slots == 0 || v.slots&^left != 0 || v.slots != k.timetable.Mask(core, v) {
				return fmt.Errorf("vCPU %d has slots %#x of core %d, left are %#x", v.Index, v.slots, core, left)
			}
			left &^= v.slots
		}
		if left&^k.timetable.Mask(core, nil) != 0 {
			return fmt.Errorf("unassigned slots %#x of core %d are in the timetable", left, core)
		}
	}
	return nil
}

// checkTimetable: who is in the timetable knows it.
func (k *Kernel) checkTimetable() error {
	for core := range k.cfg.Cores {
		for slot, v := range k.timetable.Frame(core).Slots {
			if v != nil && (v.core != core || v.slots>>slot&1 == 0 || v.Container.slots[core]>>slot&1 == 0) {
				return fmt.Errorf("slot %d of core %d names vCPU %d of container %d, which has slots %#x of core %d",
					slot, core, v.Index, v.Container.ID, v.slots, v.core)
			}
		}
	}
	return nil
}

var errPorts = errors.New("a port has two holders or none")

// checkPorts: c and its children hold each port once. (That none is lost is checked at the top.)
func checkPorts(c *Container) error {
	if c.Parent != nil || c.ports == nil {
		return nil
	}
	seen, total := *c.ports, 0
	var walk func(c *Container) error
	walk = func(c *Container) error {
		for _, child := range c.children {
			for i := range seen {
				if child.ports == nil {
					break
				}
				if seen[i]&child.ports[i] != 0 {
					return errPorts
				}
				seen[i] |= child.ports[i]
			}
			if err := walk(child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(c); err != nil {
		return err
	}
	for _, w := range seen {
		total += bits.OnesCount64(w)
	}
	if c.alive() && total != c.portTotal {
		return errPorts
	}
	return nil
}

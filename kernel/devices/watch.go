package devices

import (
	"fmt"
	"time"

	"nom.dev/nom/kernel/iommu"
)

// How often Watch looks: for its chores, and at the counters of functions that have a limit.
const (
	choresEvery = 100 * time.Millisecond
	policeEvery = 10 * time.Millisecond
)

// Watch does the card's chores, holds functions to their limits, and prints what was blocked and what holders did that none should; it
// never returns. It takes no lock of the kernel's.
func (s *Set) Watch() {
	timer := time.NewTimer(choresEvery)
	for due := time.Since(start); ; {
		if now := time.Since(start); now >= due {
			due = now + choresEvery
			s.chores()
		}
		if s.card.Police() {
			timer.Reset(policeEvery)
		} else {
			timer.Reset(choresEvery)
		}
		select {
		case <-timer.C:
		case <-s.limited:
		}
	}
}

func (s *Set) chores() {
	e := s.card.Poll()
	if e.LinkChanged {
		fmt.Printf("nom: network link up: %v, %d Mbit/s\n", e.Link.Up, e.Link.Mbit)
	}
	s.tell(e.Closed, "it was reset too often and stays off for a while")
	s.tell(e.Foreign, "its holder sent its interrupts to others; they are off now")
	s.blocked()
	for _, line := range s.journal.take() {
		fmt.Printf("nom: %s\n", line)
	}
}

// blocked notes what the IOMMU has blocked since the last time.
func (s *Set) blocked() {
	s.unit.Faults(func(f iommu.Fault) {
		name := ""
		if f.Domain != nil {
			name = f.Domain.Name
		}
		n := s.number(f.RID)
		s.journal.count(n, &f)
		s.journal.note(n, name, f.String(), time.Since(start))
	})
}

// tell notes something of functions, by their bits.
func (s *Set) tell(functions uint32, what string) {
	for _, f := range s.functions {
		if functions>>f.number&1 == 0 {
			continue
		}
		name := ""
		if d := s.unit.Owner(f.pci.RID); d != nil {
			name = d.Name
		}
		s.journal.note(f.number, name, fmt.Sprintf("%v, which belongs to %q: %s", f.pci, name, what), time.Since(start))
	}
}

// number is a function's, or that which all unknown ones share.
func (s *Set) number(rid iommu.RID) int {
	for _, f := range s.functions {
		if f.pci.RID == rid {
			return f.number
		}
	}
	return unknown
}

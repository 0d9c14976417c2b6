// Package backend says what the nonkernel asks of a processor's virtualization: a backend makes worlds, the virtual CPUs as who
// enters them sees them, and tells in neutral terms why a guest came back. kernel/svm is one, for AMD's SVM.
//
// Package core runs whatever backend it was given and knows none by name; package main of the nonkernel chooses. What is frequent and
// needs no decision is answered below all this, in the platform. A backend decides nothing: which memory, ports and cores a
// container has is told to it. It must never trust what a guest left in registers.
package backend

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/call"
)

// Host is what a backend needs of the machine.
type Host interface {
	Phys(pa, n uint64) []byte                   // host memory
	Pages(n int) (pa uint64, err error)         // contiguous, zeroed, for ever
	CPUID(leaf, sub uint32) (a, b, c, d uint32) // of the core it is called on
}

// Open prepares a backend, once for the machine.
type Open func(Host) (Backend, error)

// Backend is one kind of virtualization, on all cores.
type Backend interface {
	// Overhead is how many pages of host memory it takes for each vCPU, and for the ports of each container.
	Overhead() (vcpu, ports uint64)
	// NewWorld builds vCPU index in the zeroed pages at pa, on nested tables (package npt) with that root, without ports. What it
	// keeps there goes with the container: only who is inside may touch it.
	NewWorld(pa, tables uint64, index int) World
	// FillPorts makes the pages at pa an I/O permission map: a port for which has says no reads as ones. The map may be in use:
	// what is said of a port that stays as it was never changes meanwhile.
	FillPorts(pa uint64, has func(port uint16) bool)
}

// World is a vCPU. Platform, Raise, SetPorts and Alarm may come at any time; what Alarm answers while somebody is inside may be old.
// The other methods need nobody else inside.
type World interface {
	// Platform is what the platform runs, and where it counts. It outlives the container, as interrupts may be raised at any time.
	Platform() *call.World
	// Start puts the vCPU into 64-bit mode at s, with flat segments and interrupts off.
	Start(s abi.VCPUState)
	// Return finishes a hypercall.
	Return(rax uint64)
	// Prepare comes before each entry. direct: the core and its local APIC are the guest's. flush: older translations must not be
	// used; that holds until the guest was really entered.
	Prepare(direct, flush bool)
	// Exit reads why the guest came back, and answers what needs nobody else.
	Exit() Exit
	// Raise makes vector pending. Vectors of exceptions are ignored.
	Raise(vector uint8)
	// Waiting says that a halted guest would take an interrupt now.
	Waiting(now uint64) bool
	// Alarm is the TSC at which its timer wakes a halted guest; 0 = never.
	Alarm() uint64
	// SetPorts makes what FillPorts wrote at pa the I/O permission map, from the next entry on.
	SetPorts(pa uint64)
}

// Kind is why a guest came back.
type Kind int

// Kinds of exits. Those without a comment need nothing but to go on.
const (
	KindInterrupt Kind = iota // an interrupt for the host, or a kick
	KindNMI                   // the core is wanted back
	KindHypercall             // Call and Args; answer with Return
	KindPageFault             // GPA and Code, which is as that of a page fault
	KindHalt
	KindResume   // answered by the backend; Reason says what it was
	KindIPI      // the guest sends Vector to the vCPUs that Target, All and AndSelf select
	KindShutdown // triple fault
	KindIllegal  // Code is the processor's, for people
)

// Exit describes one exit, taken out of the world so that it can be handled after the world is let go.
type Exit struct {
	Kind    Kind
	Reason  int // abi.ExitHypercall and so on, for the count
	Call    abi.Call
	Args    [6]uint64
	GPA     uint64
	Code    uint64
	Vector  uint8
	Target  uint32 // KindIPI: the destination vCPU, without All
	All     bool   // KindIPI: all vCPUs but the sender
	AndSelf bool   // KindIPI: the sender
}

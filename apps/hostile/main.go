// Hostile attacks what it runs on, in one way for each name. It is both a test of the isolation and a list of what a
// container may try.
//
//	nom boot ./apps/hostile -- list           the attacks and how each must end
//	nom boot ./apps/hostile -- msrs           one attack, by the container itself
//	nom boot ./apps/hostile -- all            all of them, each in a child container, with a judge
//
// The judge makes a container for each attack inside its own, looks how it ends, and counts that all it gave comes back.
// Meanwhile it does work of its own whose result must be right. It exits with 0 when every attack ended as it must.
//
// On Linux the program refuses to run: it could attack nobody but itself.
package main

import (
	"fmt"
	"os"
	"time"

	"nom.dev/nom/metal"
)

// attack is one thing to try.
type attack struct {
	name, what string
	do         func() error
	ends       []string      // how its container may end: the name of a reason, for exit with the code
	after      time.Duration // kill it then; 0 = it ends by itself
}

// Ways to end.
const (
	survives = "exit 0"
	gives    = "exit 2" // Go's own end: out of memory, or a fault
	memory   = "memory"
	shutdown = "shutdown"
	illegal  = "illegal"
	killed   = "killed"
	exits    = "exit" // with any code
)

// ltrNullName is an attack that a processor answers with an exception, and that ends QEMU 10.0.2 itself without hardware
// virtualisation ("fatal: invalid tss"): the judge leaves it out.
const ltrNullName = "ltr-null"

// anyEnd is for what harms the attacker in a way that depends on the processor.
var anyEnd = []string{exits, memory, shutdown, illegal, killed}

var attacks []attack // filled by init: judge refers to it

func init() {
	ends := func(e ...string) []string { return e }
	attacks = []attack{
		{"page-0", "read guest-physical page 0", touchFixed(0, false), ends(memory), 0},
		{"read-limit", "read the first page beyond the memory", touchLimit(0, false), ends(memory), 0},
		{"write-limit", "write the first page beyond the memory", touchLimit(0, true), ends(memory), 0},
		{"read-far", "read 1 GiB beyond the memory", touchLimit(1<<18, false), ends(memory), 0},
		{"read-apic", "read the local APIC's page of other systems", touchFixed(0xfee0_0020, false), ends(memory), 0},
		{"write-ioapic", "write to the I/O APIC", touchFixed(0xfec0_0000, true), ends(memory), 0},
		{"read-pci", "read PCI configuration space", touchFixed(0xb000_0000, false), ends(memory), 0},
		{"read-256g", "read at 256 GiB", touchFixed(1<<38, false), ends(memory), 0},
		{"write-price", "write the price page", touchFixed(0x3000, true), ends(memory), 0},
		{"write-lent", "write to memory lent for reading", writeLent, ends(memory), 0},
		{"read-hole", "read a page that was returned", touchHole(false), ends(memory), 0},
		{"write-hole", "write a page that was returned", touchHole(true), ends(memory), 0},
		{"tables-nowhere", "page tables where there is no memory", tablesNowhere, ends(memory, shutdown), 0},
		{"touch-everything", "use every page of the grant", touchEverything, ends(survives), 0},
		{"exhaust", "allocate without end", exhaustHeap, ends(gives), 0},
		{"scribble", "garbage in all shared pages", scribble, ends(survives), 0},
		{"instructions", "every privileged instruction", tryInstructions, ends(survives), 0},
		{"paging-off", "switch paging off", breakMode(pagingOff), ends(survives), 0},
		{"pae-off", "switch PAE off", breakMode(paeOff), anyEnd, 5 * time.Second},
		{"cr0-ones", "set every bit of CR0", breakMode(cr0Ones), ends(survives), 0},
		{"cr4-ones", "set every bit of CR4", breakMode(cr4Ones), anyEnd, 5 * time.Second},
		{"vmx-on", "switch the other maker's virtual machines on", breakMode(vmxOn), anyEnd, 5 * time.Second},
		{ltrNullName, "load a null task register", breakMode(ltrNull), anyEnd, 5 * time.Second},
		{"msrs", "read and write every model-specific register", tryMSRs, ends(survives), 0},
		{"ports", "read and write every I/O port", tryPorts, ends(survives), 0},
		{"ipis", "interrupts of every kind to everybody", tryIPIs, ends(survives), 0},
		{"self-ipis", "every vector pending at once", trySelfIPIs, ends(survives), 0},
		{"apic", "nonsense in the timer and the priorities", tryAPIC, ends(survives), 0},
		{"spin", "spin with interrupts off", func() error { spinOff(); return nil }, ends(killed), 2 * time.Second},
		{"spin-exit", "spin on all CPUs but one, end on that", spinAndExit, ends(survives), 0},
		{"halt", "halt with interrupts off", func() error { haltOff(); return nil }, ends(killed), 2 * time.Second},
		{"triple-fault", "an exception without an interrupt table", func() error { tripleFault(); return nil }, ends(shutdown), 0},
		{"calls", "hypercalls with random arguments", fuzz(true), ends(survives), 0},
		{"calls-wild", "the same, those that hurt the caller included", fuzz(false), anyEnd, 20 * time.Second},
		{"shout", "fill the nonkernel's console", shout, ends(survives), 0},
		{"many", "make containers until it is refused", makeMany, ends(survives), 0},
		{"forkbomb", "children that have children that have children", forkBomb, ends(killed), 5 * time.Second},
		{"die-returning", "end in the middle of a page return", dieReturning, ends(survives), 0},
		{"die-with-child", "end while a child runs", dieWithChild, ends(survives), 0},
	}
}

func main() {
	if len(os.Args) != 2 {
		fail("give the name of one attack, \"all\" or \"list\"")
	}
	name := os.Args[1]
	switch {
	case name == "list":
		for _, a := range attacks {
			fmt.Printf("%-16s %-46s ends: %s\n", a.name, a.what, a.endings())
		}
		return
	case !metal.InContainer():
		fail("not on nom: here it could attack nobody but itself")
	case name == "all":
		if err := judge(); err != nil {
			fail(err.Error())
		}
		return
	}
	for _, a := range attacks {
		if a.name != name {
			continue
		}
		if err := a.do(); err != nil {
			fmt.Println("hostile:", err)
			os.Exit(1)
		}
		return
	}
	fail("there is no attack " + name + ": \"list\" has their names")
}

// endings are the ways to end in words.
func (a *attack) endings() string {
	s := ""
	for i, e := range a.ends {
		if i > 0 {
			s += " or "
		}
		s += e
	}
	if a.after > 0 {
		s += fmt.Sprintf(" (after %v)", a.after)
	}
	return s
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "hostile:", why)
	os.Exit(1)
}

package main

import "nom.dev/nom/abi"

// What the platform says when it, or the program below any handler, fails: registers, the return addresses on the stack, the last system
// calls. `nom` turns the addresses into names.

var dying bool

func dump(f *frame) {
	dying = true
	print0("\nnom: trap ")
	printDecimal(f.Trap)
	if f.inPlatform() {
		print0(" in the platform")
	}
	if !host {
		print0(" in container ")
		for _, b := range bootPage.Name {
			if b != 0 {
				printByte(b)
			}
		}
	}
	print0("\n")
	field("pc", f.IP)
	field("err", f.Err)
	field("cr2", getCR2())
	field("sp", f.SP)
	field("flags", f.Flags)
	field("cpu", cpu().id)
	if t := cpu().current; t != nil {
		field("thread", t.id)
	}
	print0("\n")
	field("ax", f.AX)
	field("bx", f.BX)
	field("cx", f.CX)
	field("dx", f.DX)
	field("si", f.SI)
	field("di", f.DI)
	field("bp", f.BP)
	field("r8", f.R8)
	field("r9", f.R9)
	field("r10", f.R10)
	field("r12", f.R12)
	field("r14", f.R14)
	print0("\n")
	dumpStack(f.SP)
	dumpEvents(cpu())
}

// event is a system call with its first argument, or an exception with its address.
type event struct{ what, arg uint64 }

const eventTrap = 1 << 32

// note remembers an event on this CPU.
func (c *cpuState) note(what, arg uint64) {
	e := &c.events[c.nevents%uint64(len(c.events))]
	e.what, e.arg = what, arg
	c.nevents++
}

// dumpEvents prints the last events of a CPU, the newest last.
func dumpEvents(c *cpuState) {
	print0("last events:")
	n := uint64(len(c.events))
	for i := max(c.nevents, n) - n; i < c.nevents; i++ {
		e := &c.events[i%n]
		if e.what&eventTrap != 0 {
			field("trap", e.what&^eventTrap)
		} else {
			field("call", e.what)
		}
		print0("(")
		printHex(e.arg)
		print0(")")
	}
	print0("\n")
}

func field(name string, v uint64) {
	print0(" ")
	print0(name)
	print0(" ")
	printHex(v)
}

// dumpStack prints the words of the stack that look like code addresses.
func dumpStack(sp uint64) {
	print0("stack:\n")
	n := 0
	for a := sp &^ 7; a < sp+4096 && n < 24; a += 8 {
		if _, ok := translate(a); !ok {
			break
		}
		if v := load64(a); isCode(v) {
			field("pc", v)
			print0("\n")
			n++
		}
	}
}

func isCode(v uint64) bool {
	for i := uint32(0); i < bootPage.NumSegments; i++ {
		s := &bootPage.Segments[i]
		if s.Prot&abi.ProtExec != 0 && v >= s.VA && v < s.VA+s.Size {
			return true
		}
	}
	return false
}

// fatal ends this machine or container because the platform cannot go on.
func fatal(why string) {
	dying = true
	print0("\nnom: platform: ")
	print0(why)
	print0("\n")
	stop(125)
}

// endProgram is exit_group. The container ends with its program; one whose companion ends could not reach anybody any more.
func endProgram(code uint64) {
	if cpu().current.program == programCompanion {
		fatal("the program that connects the sockets to the network ended: it says above why")
	}
	stop(code & 0xff)
}

const debugExitPort = 0xf4

// stop ends the machine or the container.
func stop(code uint64) {
	if !host && bootPage != nil {
		vmmcall(uint64(abi.CallExit), code, 0, 0, 0, 0, 0)
	}
	outl(debugExitPort, code)
	powerOffACPI()
	for {
		halt()
	}
}

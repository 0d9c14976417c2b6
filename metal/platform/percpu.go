package main

import "nom.dev/nom/metal/call"

const maxCPUs = 16

// cpuState is what each CPU keeps; GS base points at it. The first three fields are known to assembly.
type cpuState struct {
	self    uint64 // address of this struct
	kstack  uint64 // top of the current thread's kernel stack, where SYSCALL lands
	scratch uint64 // the program's SP during SYSCALL entry

	id     uint64
	apicID uint64
	online uint32
	lazy   uint32 // see flushTLBs
	tlbSeq uint64

	current *thread
	idle    *thread
	queue   threadQueue
	sleep   sleepList
	timer   uint64 // nanotime the local timer is armed for; never = not armed
	repeats bool   // it fires again until it was taken: see armRepeating

	sampleAt uint64 // of busy time: see samples

	kicked  uint32 // somebody wants this CPU's runner to look up: see kick
	inWorld uint32 // worldShared or worldDirect while a guest runs here
	waiter  *thread

	direct  *call.World // the guest that owns this core
	swallow [4]uint64   // vectors that were pending when it left, see saveAPIC

	routes *routeTable // bare machine: where interrupts lead

	hostVMCB uint64 // where VMSAVE keeps the host's FS, GS, TR, LDTR and SYSCALL MSRs
	nmis     uint64
	events   [16]event // the last ones, for dump
	nevents  uint64
	parked   bool   // off line because its core is given back
	away     uint32 // parked and idle: its interrupts take no lock, it may stop at any time

	since     uint64 // nanotime at which current began to run: see account
	busy      uint64 // nanoseconds that threads have run here
	profileAt uint64 // of busy: when the next SIGPROF is due
	known     knownRange

	gdt  [8]uint64
	gdtr [16]byte
	tss  [112]byte
}

const never = ^uint64(0)

var (
	cpus [maxCPUs]cpuState
	ncpu uint64 = 1
)

func cpu() *cpuState { return at[cpuState](thisCPU()) }

// Selectors of the GDT that every CPU loads.
const (
	selCode = 0x08
	selData = 0x10
	selTSS  = 0x18
)

// Interrupt stack table entries, APM vol. 2 section 8.9.4. Every vector has one: goroutine stacks have no room for a frame.
const (
	istThread = 1 // the current thread's kernel stack; rewritten at each thread switch
	istFault  = 2 // #PF: may happen while a thread is on its kernel stack
	istNMI    = 3 // NMI, #DF, #MC: may happen anywhere
)

// setStack makes top the stack for SYSCALL and for traps of the program on this CPU.
func (c *cpuState) setStack(top uint64) {
	c.kstack = top
	store64(addressOf(&c.tss)+36+8*(istThread-1), top)
}

// initTables builds this CPU's descriptor tables and loads them. stacks is the page count of the fault stacks.
func (c *cpuState) initTables() {
	c.self = addressOf(c)
	c.gdt[selCode/8] = 0x00af_9b00_0000_ffff
	c.gdt[selData/8] = 0x00cf_9300_0000_ffff
	t := addressOf(&c.tss)
	c.gdt[selTSS/8] = 103 | (t&0xff_ffff)<<16 | 0x89<<40 | (t>>24&0xff)<<56
	c.gdt[selTSS/8+1] = t >> 32
	store64(t+36+8*(istFault-1), stackFor(stackOfFault+c.id))
	store64(t+36+8*(istNMI-1), stackFor(stackOfNMI+c.id))
	*at[uint16](t + 102) = 104
	g := addressOf(&c.gdtr)
	*at[uint16](g) = uint16(len(c.gdt)*8 - 1)
	store64(g+2, addressOf(&c.gdt))
	loadTables(g, addressOf(&idtr), selTSS)
	wrmsr(msrGSBase, c.self)
}

// IDT: 256 vectors, each through its stub in stubs_amd64.s.
var (
	idt  [512]uint64
	idtr [16]byte
)

func initIDT() {
	_, stubs, _, _, _, _ := labels()
	for v := uint64(0); v < 256; v++ {
		stub := stubs + v*16
		ist := uint64(istThread)
		switch v {
		case vecPageFault:
			ist = istFault
		case vecNMI, vecDoubleFault, vecMachineCheck:
			ist = istNMI
		}
		idt[v*2] = stub&0xffff | selCode<<16 | ist<<32 | 0x8e<<40 | (stub>>16&0xffff)<<48
		idt[v*2+1] = stub >> 32
	}
	*at[uint16](addressOf(&idtr)) = 4095
	store64(addressOf(&idtr)+2, addressOf(&idt))
}

// Kernel stacks lie in a region of their own with an unmapped page below each.
const (
	stackRegion  = 0xffff_c000_0000_0000
	stackSpacing = 64 << 10
	stackSize    = 16 << 10
	stackOfFault = 0
	stackOfNMI   = stackOfFault + maxCPUs
	stackOfFirst = stackOfNMI + maxCPUs // of threads
)

// stackFor returns the top of stack n, mapped, or 0 when there is no memory.
func stackFor(n uint64) uint64 {
	top := uint64(stackRegion) + (n+1)*stackSpacing
	for va := top - stackSize; va < top; va += pageSize {
		if e := entryAt(va, 1, false); e != nil && *e&pteP != 0 {
			continue
		}
		f := pool.frame()
		if f == 0 || !mapPage(va, f, pteW|pteNX) {
			return 0
		}
	}
	return top
}

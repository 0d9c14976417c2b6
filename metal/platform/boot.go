package main

import "nom.dev/nom/abi"

var (
	bootPage *abi.BootPage
	host     bool // the platform owns the machine
)

// boot runs on the first CPU with the entry page tables, in which the first GiB is mapped at 0 and at abi.DirectMap.
func boot(bootPA uint64) {
	bootPage = at[abi.BootPage](direct(bootPA))
	b := bootPage
	if b.Magic != abi.BootMagic {
		bootPage = nil
		host = true
		fatal("the boot page was laid out for another version of nom")
	}
	host = b.Flags&abi.BootHost != 0
	if !host {
		debugBuffer = b.Args.Addr // until there is a page pool: the arguments are read later, faults before that are rare
	}
	checkCPU()
	enableCPU()
	if host {
		findMemory(b)
	}
	pool.clean = !host
	for i := uint32(0); i < b.NumFree; i++ {
		pool.add(b.Free[i])
	}
	if !host {
		debugBuffer = pool.frame()
	}
	randomState = load64(addressOf(&b.Seed)) ^ rdtsc() | 1
	buildTables(b)
	if !host {
		initHoldings(b)
	}
	initIDT()
	c := &cpus[0]
	c.initTables()
	if host {
		readFirmware(b)
		measureClock(b)
	}
	initAPIC(c)
	startClock(b)
	initVDSO()
	initDescriptors()
	c.start()
	if host {
		initWorlds(c)
	}
	startCPUs(b)
	startProgram(c, b)
}

// start makes c's idle thread and puts the CPU on line.
func (c *cpuState) start() {
	c.idle = idleThread(c)
	c.current = c.idle
	c.idle.state = threadRunning
	c.setStack(c.idle.top)
	c.online = 1
}

func idleThread(c *cpuState) *thread {
	t := newThread()
	if t == nil {
		fatal("no memory for an idle thread")
	}
	memLock.lock()
	stack := pool.frame()
	memLock.unlock()
	_, _, _, idle, _, _ := labels()
	t.daemon = true
	t.mask = 1 << c.id
	t.cpu = c
	t.prepare(&frame{IP: idle, CS: selCode, SS: selData, Flags: flagIF | 2, SP: direct(stack) + pageSize})
	return t
}

const (
	stackTop    = 0x7fff_ffff_0000
	mainStack   = 8 << 20
	auxSysInfo  = 33
	auxPageSize = 6
	auxRandom   = 25
	auxSecure   = 23
)

// startProgram makes the program's first thread, with the stack that the System V ABI describes, and runs it.
func startProgram(c *cpuState, b *abi.BootPage) {
	kernelLock.lock() // other CPUs are at work already
	t := newThread()
	if t == nil {
		fatal("no memory for the first thread")
	}
	vmas.insert(stackTop-mainStack, stackTop, protRead|protWrite)
	sp := pushArguments(b)
	t.prepare(&frame{IP: b.Entry, CS: selCode, SS: selData, Flags: flagIF | 2, SP: sp})
	c.idle.state = threadRunnable
	t.state = threadRunning
	t.cpu = c
	c.current = t
	c.setStack(t.top)
	startThread(t.sp + 16)
}

// pushArguments copies the strings to the top of the stack and builds argc, argv, envp and the auxiliary vector below.
func pushArguments(b *abi.BootPage) uint64 {
	strings := stackTop - pageUp(b.Args.Size+64)
	random := uint64(stackTop - 32)
	words := uint64(b.NumArgs) + uint64(b.NumEnv) + 16
	sp := (strings - words*8) &^ 63
	if !prefault(sp, stackTop-sp) {
		fatal("no first stack")
	}
	src := bytesAt(direct(b.Args.Addr), b.Args.Size)
	copy(bytesAt(strings, b.Args.Size), src)
	randomBytes(random, 16)
	p, next := sp, strings
	push := func(v uint64) {
		store64(p, v)
		p += 8
	}
	push(uint64(b.NumArgs))
	for i := uint32(0); i < b.NumArgs; i++ {
		push(next)
		next = afterNUL(next)
	}
	push(0)
	for i := uint32(0); i < b.NumEnv; i++ {
		push(next)
		next = afterNUL(next)
	}
	push(0)
	push(auxSysInfo)
	push(addressOf(&vdso))
	push(auxPageSize)
	push(pageSize)
	push(auxRandom)
	push(random)
	push(auxSecure)
	push(0)
	push(0)
	push(0)
	return sp
}

func afterNUL(a uint64) uint64 {
	for *at[byte](a) != 0 {
		a++
	}
	return a + 1
}

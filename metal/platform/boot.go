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
	seedRandom(&b.Seed)
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
	if !host {
		initNet(b)
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
	if !c.parked { // its core may have been asked for already
		c.online = 1
	}
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
	stackTop  = 0x7fff_ffff_0000
	mainStack = 8 << 20
	// The companion's stack lies this far below the program's.
	stackDistance = 1 << 30
	auxSysInfo    = 33
	auxPageSize   = 6
	auxRandom     = 25
	auxSecure     = 23
)

// startProgram makes the program's first thread and runs it. With a companion, that runs first: see startMain.
func startProgram(c *cpuState, b *abi.BootPage) {
	kernelLock.lock() // other CPUs are at work already
	t := firstThread(b, programMain, b.Entry)
	if b.Companion != 0 {
		waitingMain = t
		t = firstThread(b, programCompanion, b.Companion)
	}
	if awaitLease(t) {
		goLazy(c)
		startThread(c.idle.sp + 16)
	}
	c.idle.state = threadRunnable
	t.state = threadRunning
	t.cpu = c
	c.current = t
	c.since = nanotime()
	c.setStack(t.top)
	startThread(t.sp + 16)
}

// firstThread makes the first thread of a program, with the stack that the System V ABI describes.
func firstThread(b *abi.BootPage, program, entry uint64) *thread {
	t := newThread()
	if t == nil {
		fatal("no memory for the first thread")
	}
	t.program = program
	top := stackTop - program*stackDistance
	vmas.insert(top-mainStack, top, protRead|protWrite)
	t.prepare(&frame{IP: entry, CS: selCode, SS: selData, Flags: flagIF | 2, SP: pushArguments(b, top)})
	return t
}

// pushArguments copies the strings to the top of the stack and builds argc, argv, envp and the auxiliary vector below.
func pushArguments(b *abi.BootPage, top uint64) uint64 {
	strings := top - pageUp(b.Args.Size+64)
	random := top - 32
	words := uint64(b.NumArgs) + uint64(b.NumEnv) + 16
	sp := (strings - words*8) &^ 63
	if !prefault(sp, top-sp) {
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
	for _, v := range auxiliary(top) {
		push(v)
	}
	return sp
}

// auxiliary is the auxiliary vector of a program with the given top of its stack: 16 random bytes lie below that.
func auxiliary(top uint64) [10]uint64 {
	return [...]uint64{
		auxSysInfo, addressOf(&vdso),
		auxPageSize, pageSize,
		auxRandom, top - 32,
		auxSecure, 0,
		0, 0,
	}
}

func afterNUL(a uint64) uint64 {
	for *at[byte](a) != 0 {
		a++
	}
	return a + 1
}

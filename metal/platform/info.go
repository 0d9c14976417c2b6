package main

// Calls that tell a program about its machine.

// Calls beyond those of syscall.go.
const (
	sysGetrusage   = 98
	sysTimes       = 100
	sysGetpgrp     = 111
	sysGetgroups   = 115
	sysGetresuid   = 118
	sysGetresgid   = 120
	sysGetpgid     = 121
	sysGetsid      = 124
	sysTimerCreate = 222
	sysTimerDelete = 226
	sysWait4       = 61
	sysWaitid      = 247
	sysGetcpu      = 309
	sysPidfdSignal = 424
	sysPidfdOpen   = 434
)

const eCHILD = 10

func infoCall(n, a, b, c, d uint64) (uint64, bool) {
	switch n {
	case sysGetrusage:
		return getrusage(b), true
	case sysTimes:
		return times(a), true
	case sysGetgroups:
		return 0, true
	case sysGetpgrp, sysGetpgid, sysGetsid:
		return 1, true
	case sysGetresuid, sysGetresgid:
		return zeroIDs(a, b, c), true
	case sysWait4, sysWaitid: // a program has no children
		return errno(eCHILD), true
	case sysPidfdSignal, sysPidfdOpen:
		return errno(eNOSYS), true
	case sysGetcpu:
		return getcpu(a, b), true
	case sysSetitimer, sysTimerCreate, sysTimerCreate + 1, sysTimerCreate + 2, sysTimerCreate + 3, sysTimerDelete:
		return errno(eNOSYS), true // CPU profiles stay empty
	case sysUname:
		return uname(a), true
	case sysPrlimit64:
		if d != 0 {
			writeLimit(d, b)
		}
		return 0, true
	case sysGetrlimit:
		writeLimit(b, a)
		return 0, true
	case sysSysinfo:
		return sysinfo(a), true
	case sysGettimeofday:
		ns := nanotime() + wallBase
		store64(a, ns/nanos)
		store64(a+8, ns%nanos/1000)
		return 0, true
	case sysClockGetres:
		if b != 0 {
			store64(b, 0)
			store64(b+8, 1)
		}
		return 0, true
	}
	return 0, false
}

const rlimitNofile = 7

func writeLimit(p, resource uint64) {
	v := never
	if resource == rlimitNofile {
		v = maxDescriptors
	}
	store64(p, v)
	store64(p+8, v)
}

func uname(p uint64) uint64 {
	const field = 65
	b := bytesAt(p, 6*field)
	clear(b)
	copy(b, "Linux")
	copy(b[field:2*field-1], bootPage.Name[:])
	copy(b[2*field:], "6.1.0-nom")
	copy(b[3*field:], "nom")
	copy(b[4*field:], "x86_64")
	copy(b[5*field:], "(none)")
	return 0
}

// sysinfo fills struct sysinfo: uptime, totalram and freeram in bytes, procs.
func sysinfo(p uint64) uint64 {
	clear(bytesAt(p, 112))
	store64(p, nanotime()/nanos)
	store64(p+32, pool.total*pageSize)
	store64(p+40, pool.nfree*pageSize)
	*at[uint16](p + 80) = uint16(liveThreads)
	store32(p+104, 1)
	return 0
}

// getrusage fills struct rusage: the time since the start counts as time of the program.
func getrusage(p uint64) uint64 {
	if !userRange(p, 144, true) {
		return errno(eFAULT)
	}
	clear(bytesAt(p, 144))
	ns := nanotime()
	store64(p, ns/nanos)
	store64(p+8, ns%nanos/1000)
	store64(p+32, (pool.total-min(pool.nfree, pool.total))*(pageSize/1024)) // ru_maxrss, KiB
	return 0
}

// times fills struct tms and returns the time since the start, in hundredths of a second.
func times(p uint64) uint64 {
	ticks := nanotime() / (nanos / 100)
	if p != 0 {
		if !userRange(p, 32, true) {
			return errno(eFAULT)
		}
		clear(bytesAt(p, 32))
		store64(p, ticks)
	}
	return ticks
}

// zeroIDs is getresuid(2): everything is root's.
func zeroIDs(a, b, c uint64) uint64 {
	for _, p := range [3]uint64{a, b, c} {
		if !userRange(p, 4, true) {
			return errno(eFAULT)
		}
		store32(p, 0)
	}
	return 0
}

func getcpu(p, node uint64) uint64 {
	if p != 0 && userRange(p, 4, true) {
		store32(p, uint32(cpu().id))
	}
	if node != 0 && userRange(node, 4, true) {
		store32(node, 0)
	}
	return 0
}

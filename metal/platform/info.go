package main

// Calls that tell a program about its machine.

// Calls beyond those of syscall.go.
const (
	sysGetrusage   = 98
	sysTimes       = 100
	sysGetpgrp     = 111
	sysSetrlimit   = 160
	sysInotifyInit = 253
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

	sysInotifyInit1 = 294
)

const eCHILD = 10

func infoCall(n, a, b, c, d uint64) (uint64, bool) {
	switch n {
	case sysGetrusage:
		return getrusage(a, b), true
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
	case sysSetitimer:
		return setitimer(a, b, c), true
	case sysClockGettime:
		return cpuClock(a, b), true
	case sysTimerCreate, sysTimerCreate + 1, sysTimerCreate + 2, sysTimerCreate + 3, sysTimerDelete:
		return errno(eNOSYS), true // Go profiles by setitimer then
	case sysInotifyInit, sysInotifyInit1:
		return errno(eNOSYS), true
	case sysSetrlimit:
		return giveLimit(0, a, false), true
	case sysUname:
		return uname(a), true
	case sysPrlimit64:
		if c != 0 && !userWords(c, 16, false) {
			return errno(eFAULT), true
		}
		return giveLimit(d, b, d != 0), true
	case sysGetrlimit:
		return giveLimit(b, a, true), true
	case sysSysinfo:
		return sysinfo(a), true
	case sysGettimeofday:
		return timeOfDay(a, b), true
	case sysClockGetres:
		if b == 0 {
			return 0, true
		}
		return storeWords(b, 0, 1), true
	}
	return 0, false
}

// timeOfDay is gettimeofday(2). The time zone that nobody uses is UTC.
func timeOfDay(p, zone uint64) uint64 {
	ns := nanotime() + wallBase
	if p != 0 {
		if e := storeWords(p, ns/nanos, ns%nanos/1000); e != 0 {
			return e
		}
	}
	if zone != 0 {
		return storeWords(zone, 0)
	}
	return 0
}

const rlimitNofile = 7

const numLimits = 16

// giveLimit writes a limit, the soft and the hard one, to p if that is wanted.
func giveLimit(p, resource uint64, wanted bool) uint64 {
	v := never
	switch {
	case uint32(resource) >= numLimits:
		return errno(eINVAL)
	case !wanted:
		return 0
	case uint32(resource) == rlimitNofile:
		v = maxDescriptors
	}
	return storeWords(p, v, v)
}

func uname(p uint64) uint64 {
	const field = 65
	if !userRange(p, 6*field, true) {
		return errno(eFAULT)
	}
	b := bytesAt(p, 6*field)
	clear(b)
	copy(b, osType)
	copy(b[field:2*field-1], bootPage.Name[:])
	copy(b[2*field:], osRelease)
	copy(b[3*field:], osVersion)
	copy(b[4*field:], "x86_64")
	copy(b[5*field:], "(none)")
	return 0
}

// sysinfo fills struct sysinfo: uptime, totalram and freeram in bytes, procs.
func sysinfo(p uint64) uint64 {
	if !userRange(p, 112, true) {
		return errno(eFAULT)
	}
	clear(bytesAt(p, 112))
	store64(p, nanotime()/nanos)
	store64(p+32, pool.total*pageSize)
	store64(p+40, pool.nfree*pageSize)
	*at[uint16](p + 80) = uint16(liveThreads)
	store32(p+104, 1)
	return 0
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
	if p != 0 && !userWords(p, 4, true) || node != 0 && !userWords(node, 4, true) {
		return errno(eFAULT)
	}
	if p != 0 {
		store32(p, uint32(cpu().id))
	}
	if node != 0 {
		store32(node, 0)
	}
	return 0
}

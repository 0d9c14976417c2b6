package main

// Calls that tell a program about its machine.

func infoCall(n, a, b, c, d uint64) (uint64, bool) {
	switch n {
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

package main

// Profiling: setitimer(ITIMER_PROF), by which Go's runtime/pprof samples a program. Each CPU sends SIGPROF to the thread that
// it runs whenever threads have run on it for an interval more. kernelLock is held.

const (
	itimerProf = 2
	sigPROF    = 27

	// shortestProfile bounds the interval: signals must not take all the time there is.
	shortestProfile = 100_000
)

// profileEvery is the interval of each program, in nanoseconds; 0 = none. The companion beside a program has its own.
var profileEvery [numPrograms]uint64

// profiled tells whether anybody has ever asked for samples or signals: until then no timer is looked at for them.
var profiled bool

// setitimer knows ITIMER_PROF only. The first signal comes after an interval, as every other.
func setitimer(which, value, old uint64) uint64 {
	if which != itimerProf {
		return errno(eNOSYS)
	}
	every := &profileEvery[cpu().current.program]
	before := *every
	if value != 0 {
		if !userWords(value, 32, false) {
			return errno(eFAULT)
		}
		s, us := load64(value), load64(value+8)
		if int64(s) < 0 || us >= 1_000_000 {
			return errno(eINVAL)
		}
		*every = min(s, longest/nanos)*nanos + us*1000
		if *every != 0 {
			*every = max(*every, shortestProfile)
			profiled = true
		}
		restartProfiles()
	}
	if old == 0 {
		return 0
	}
	return storeWords(old, before/nanos, before%nanos/1000, before/nanos, before%nanos/1000)
}

// restartProfiles makes every CPU look at its timer again.
func restartProfiles() {
	now := nanotime()
	for i := range cpus[:ncpu] {
		c := &cpus[i]
		c.profileAt = c.busyUntil(now)
		if every := c.profiling(); every != 0 {
			c.profileAt += every
		}
		if c != cpu() && c.current != c.idle && c.online != 0 {
			sendIPI(c.apicID, vecWake)
		}
	}
}

// profiling is the interval that holds for what runs on c, or 0.
func (c *cpuState) profiling() uint64 {
	if c.current == nil || c.current.daemon {
		return 0
	}
	return profileEvery[c.current.program&(numPrograms-1)]
}

// profileDue is when the next signal is due on c if its thread goes on, or never.
func (c *cpuState) profileDue() uint64 {
	if c.profiling() == 0 {
		return never
	}
	now := nanotime()
	if busy := c.busyUntil(now); busy < c.profileAt {
		return now + c.profileAt - busy
	}
	return now
}

// profile sends the signal that is due.
func (c *cpuState) profile() {
	every := c.profiling()
	if every == 0 {
		return
	}
	if busy := c.busyUntil(nanotime()); busy >= c.profileAt {
		c.profileAt = busy + every
		c.current.profiled = true
		kill(c.current, sigPROF)
	}
}

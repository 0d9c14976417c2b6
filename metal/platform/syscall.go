package main

import "sync/atomic"

// The system calls that Go's runtime and standard library issue, numbers of Linux x86-64. What is not here is answered with
// ENOSYS and named once on standard error, so that no program gets a silent wrong answer.

const (
	sysRead           = 0
	sysWrite          = 1
	sysOpen           = 2
	sysClose          = 3
	sysStat           = 4
	sysFstat          = 5
	sysLstat          = 6
	sysLseek          = 8
	sysMMAP           = 9
	sysMPROTECT       = 10
	sysMUNMAP         = 11
	sysBrk            = 12
	sysSIGACTION      = 13
	sysSIGPROCMASK    = 14
	sysSIGRETURN      = 15
	sysIoctl          = 16
	sysPread64        = 17
	sysPwrite64       = 18
	sysReadv          = 19
	sysWritev         = 20
	sysAccess         = 21
	sysSchedYield     = 24
	sysMincore        = 27
	sysMADVISE        = 28
	sysDup            = 32
	sysPause          = 34
	sysNanosleep      = 35
	sysSetitimer      = 38
	sysGetpid         = 39
	sysClone          = 56
	sysExit           = 60
	sysKill           = 62
	sysUname          = 63
	sysFcntl          = 72
	sysFlock          = 73
	sysFsync          = 74
	sysFdatasync      = 75
	sysFtruncate      = 77
	sysGetcwd         = 79
	sysChdir          = 80
	sysFchdir         = 81
	sysRename         = 82
	sysMkdir          = 83
	sysRmdir          = 84
	sysUnlink         = 87
	sysReadlink       = 89
	sysChmod          = 90
	sysUmask          = 95
	sysGettimeofday   = 96
	sysGetrlimit      = 97
	sysSysinfo        = 99
	sysGetuid         = 102
	sysGetgid         = 104
	sysGeteuid        = 107
	sysGetegid        = 108
	sysGetppid        = 110
	sysSIGALTSTACK    = 131
	sysPrctl          = 157
	sysArchPrctl      = 158
	sysGettid         = 186
	sysTkill          = 200
	sysFutex          = 202
	sysSetaffinity    = 203
	sysGetaffinity    = 204
	sysEpollCreate    = 213
	sysGetdents64     = 217
	sysSetTIDAddress  = 218
	sysClockGettime   = 228
	sysClockGetres    = 229
	sysClockNanosleep = 230
	sysExitGroup      = 231
	sysEpollWait      = 232
	sysEpollCtl       = 233
	sysTgkill         = 234
	sysOpenat         = 257
	sysMkdirat        = 258
	sysNewfstatat     = 262
	sysUnlinkat       = 263
	sysRenameat       = 264
	sysReadlinkat     = 267
	sysFaccessat      = 269
	sysEpollPwait     = 281
	sysFallocate      = 285
	sysEventfd2       = 290
	sysEpollCreate1   = 291
	sysPipe2          = 293
	sysPrlimit64      = 302
	sysGetrandom      = 318
	sysFaccessat2     = 439
	sysEpollPwait2    = 441
	numSyscalls       = 512
	archSetFS         = 0x1002
	prSetVMA          = 0x53564d41
)

const (
	ePERM        = 1
	eNOENT       = 2
	eINTR        = 4
	eBADF        = 9
	eAGAIN       = 11
	eNOMEM       = 12
	eFAULT       = 14
	eEXIST       = 17
	eNODEV       = 19
	eNOTDIR      = 20
	eISDIR       = 21
	eINVAL       = 22
	eMFILE       = 24
	eNOTTY       = 25
	eNOSPC       = 28
	eSPIPE       = 29
	eROFS        = 30
	eDOM         = 33
	eNOSYS       = 38
	eNOTEMPTY    = 39
	eTIMEDOUT    = 110
	eNAMETOOLONG = 36
)

// eINTRonce is EINTR of a call that is not made again: it may wait for so long only.
const eINTRonce = 513

func errno(e uint64) uint64 { return -e }

// stats are counts that tests and reports read.
var stats struct {
	ticks, switches, signals, faults, hugeFaults, shootdowns uint64

	spurious uint64 // interrupts with a vector that nobody uses
	calls    [numPrograms][numSyscalls]uint64
	missing  [numSyscalls]bool // answered with ENOSYS
}

// syscallEnter handles one SYSCALL. Calls that need no lock come first.
func syscallEnter(f *frame) {
	n := f.AX
	if n >= callFirst {
		privateCall(f)
		return
	}
	c := cpu()
	if n < numSyscalls {
		stats.calls[c.current.program&(numPrograms-1)][n]++
	}
	c.note(n, f.DI)
	switch n {
	case sysClockGettime:
		if f.DI == clockProcess || f.DI == clockThread {
			break // needs kernelLock
		}
		f.AX = clockGettime(f.DI, f.SI)
		return
	case sysSIGRETURN:
		sigreturn(f)
		if atomic.LoadUint64(&waitingSignals) != 0 {
			kernelLock.lock()
			takeWaiting(cpu().current)
			leave()
		}
		if cpu().current.pending != 0 {
			deliverSaved(f)
		}
		return
	case sysMMAP:
		f.AX = sysMmap(f.DI, f.SI, f.DX, f.R10)
		return
	case sysMPROTECT:
		f.AX = sysMprotect(f.DI, f.SI, f.DX)
		return
	case sysMUNMAP:
		f.AX = sysMunmap(f.DI, f.SI)
		return
	case sysMADVISE:
		f.AX = sysMadvise(f.DI, f.SI, f.DX)
		return
	case sysSendto, sysRecvfrom: // a server of datagrams makes no others
		datagramEnter(c, f)
		return
	case sysExitGroup:
		endProgram(f.DI)
	case sysGetrandom:
		f.AX = errno(eFAULT)
		if userRange(f.DI, min(f.SI, maxRandom), true) {
			f.AX = randomBytes(f.DI, min(f.SI, maxRandom))
		}
		return
	}
	if (n == sysWrite || n == sysWritev) && isConsole(f.DI) {
		f.AX = errno(eFAULT)
		if outputRange(n, f.SI, f.DX) {
			f.AX = writeConsole(n, f.DI, f.SI, f.DX)
		}
	} else {
		kernelLock.lock()
		f.AX = dispatch(f, n)
		leave()
		if f.AX == errno(eNOSYS) && n < numSyscalls {
			stats.missing[n] = true
		}
	}
	finishCall(f, n)
}

// finishCall makes a call that was interrupted again after the handler, and delivers signals.
func finishCall(f *frame, n uint64) {
	switch f.AX {
	case errno(eINTR):
		if restarts(n) {
			f.AX = n
			f.IP -= syscallSize
		}
	case errno(eINTRonce):
		f.AX = errno(eINTR)
	}
	if t := cpu().current; t.pending&^t.sigmask != 0 {
		deliver(f, 0)
		t.unmask()
	}
}

// syscallSize is the length of a SYSCALL instruction.
const syscallSize = 2

// restarts tells whether a call that a signal interrupts is made again after the handler. Go installs all of its handlers with
// SA_RESTART.
func restarts(n uint64) bool {
	switch n {
	case sysRead, sysWrite, sysReadv, sysWritev, sysConnect, sysAccept, sysAccept4, sysSendto, sysRecvfrom, sysSendmsg, sysRecvmsg:
		return true
	}
	return false
}

// deliverSaved handles a signal that became deliverable by sigreturn: the FPU state stays in the frame that is being left.
func deliverSaved(f *frame) {
	if f.Trap == returnFPU {
		area := f.Err
		deliver(f, area)
		if f.Trap == returnIRET {
			return
		}
		f.Trap, f.Err = returnFPU, area
		return
	}
	deliver(f, 0)
}

// dispatch runs with kernelLock held.
func dispatch(f *frame, n uint64) uint64 {
	a, b, c, d := f.DI, f.SI, f.DX, f.R10
	if n <= sysWrite && a < usedDescriptors && descriptors[a].kind == fdSocket { // what servers do most
		return socketTransfer(a, &message{p: b, n: min(c, maxIO), count: 1}, n == sysWrite)
	}
	t := cpu().current
	switch n {
	case sysFutex:
		return futex(a, b, c, d, f.R9)
	case sysNanosleep:
		return nanosleep(a)
	case sysClockNanosleep:
		return clockNanosleep(a, b, c)
	case sysSchedYield:
		yield()
		return 0
	case sysEpollPwait, sysEpollWait:
		return epollWait(a, b, c, timeoutMillis(d))
	case sysEpollCtl:
		return epollCtl(a, b, c, d)
	case sysTgkill:
		return tgkill(b, c)
	case sysTkill:
		return tgkill(a, b)
	case sysKill:
		return tgkill(0, b)
	case sysSIGACTION:
		return sysSigaction(a, b, c, d)
	case sysSIGPROCMASK:
		return sysSigprocmask(t, a, b, c, d)
	case sysSIGALTSTACK:
		return sysSigaltstack(t, a, b)
	case sysClone:
		return clone(f)
	case sysExit:
		return exitThread(t)
	case sysGettid:
		return t.id
	case sysGetpid:
		return 1
	case sysGetppid, sysGetuid, sysGetgid, sysGeteuid, sysGetegid:
		return 0
	case sysArchPrctl:
		if a != archSetFS {
			return errno(eINVAL)
		}
		if !userAddress(b) {
			return errno(ePERM)
		}
		f.FS = b
		return 0
	case sysPrctl:
		return errno(eINVAL)
	case sysGetaffinity:
		return getAffinity(b, c)
	case sysSetaffinity:
		return setAffinity(a, b, c)
	case sysSetTIDAddress:
		t.clearTID = a
		return t.id
	case sysBrk:
		return 0
	case sysMincore:
		return errno(eNOMEM)
	}
	if r, ok := descriptorCall(f, n); ok {
		return r
	}
	if r, ok := infoCall(n, a, b, c, d); ok {
		return r
	}
	unknownCall(n)
	return errno(eNOSYS)
}

var namedCalls [numSyscalls]bool

// unknownCall names a missing call once.
func unknownCall(n uint64) {
	if n < numSyscalls {
		if namedCalls[n] {
			return
		}
		namedCalls[n] = true
	}
	print0("nom: system call ")
	printDecimal(n)
	print0(" is not there yet: answered with ENOSYS\n")
}

func clockGettime(clock, ts uint64) uint64 {
	ns := nanotime()
	if clock == 0 || clock == 5 || clock == 11 {
		ns += wallBase
	}
	return storeWords(ts, ns/nanos, ns%nanos)
}

// timespec reads a time of the program. What no clock ever reaches is cut off.
func timespec(p uint64) (ns, e uint64) {
	if !userWords(p, 16, false) {
		return 0, eFAULT
	}
	s, n := load64(p), load64(p+8)
	switch {
	case int64(s) < 0 || n >= nanos:
		return 0, eINVAL
	case s >= longest/nanos:
		return longest, 0
	}
	return s*nanos + n, 0
}

const longest = 1 << 62 // nanoseconds

// after is now plus ns, never 0 and never overflowing.
func after(ns uint64) uint64 {
	d := nanotime() + ns
	if d < ns || int64(ns) < 0 {
		return never - 1
	}
	return d + 1
}

func nanosleep(ts uint64) uint64 {
	ns, e := timespec(ts)
	if e != 0 {
		return errno(e)
	}
	if _, interrupted := block(waitNone, 0, after(ns)); interrupted {
		return errno(eINTR)
	}
	return 0
}

func clockNanosleep(clock, flags, ts uint64) uint64 {
	d, e := timespec(ts)
	if e != 0 {
		return errno(e)
	}
	if flags&1 == 0 {
		d = after(d)
	} else if clock == 0 {
		d -= min(d, wallBase)
	}
	if d <= nanotime() {
		return 0
	}
	if _, interrupted := block(waitNone, 0, d); interrupted {
		return errno(eINTR)
	}
	return 0
}

// cloneThread in the flags of clone: a thread of this program, the only thing there can be.
const cloneThread = 0x1_0000

func clone(f *frame) uint64 {
	if f.DI&cloneThread == 0 {
		return errno(eNOSYS)
	}
	if !userAddress(f.R8) {
		return errno(ePERM)
	}
	n := newThread()
	if n == nil {
		return errno(eAGAIN)
	}
	me := cpu().current
	r := n.prepare(f)
	r.AX = 0
	r.SP = f.SI
	r.FS = f.R8
	n.sigmask = me.sigmask
	n.mask = me.mask
	n.program = me.program
	ready(n)
	return n.id
}

func exitThread(t *thread) uint64 {
	liveThreads--
	t.state = threadFree
	// The stack stays in use until the switch; kernelLock keeps others from taking it before.
	t.next = freeThreads
	freeThreads = t
	schedule()
	return 0
}

func tgkill(tid, sig uint64) uint64 {
	if sig > 64 {
		return errno(eINVAL)
	}
	t := cpu().current
	if tid != 0 {
		if tid >= threadsMade || threads[tid] == nil || threads[tid].state == threadFree {
			return errno(3) // ESRCH
		}
		t = threads[tid]
	}
	if sig != 0 {
		kill(t, sig)
	}
	return 0
}

func getAffinity(n, p uint64) uint64 {
	if n < 8 {
		return errno(eINVAL)
	}
	if e := storeWords(p, programCPUs()); e != 0 {
		return e
	}
	return 8
}

func setAffinity(tid, n, p uint64) uint64 {
	if n >= 8 && !userWords(p, 8, false) {
		return errno(eFAULT)
	}
	t := cpu().current
	if tid != 0 {
		if tid >= threadsMade {
			return errno(3)
		}
		t = threads[tid]
	}
	if n < 8 || !onLine(load64(p)) {
		return errno(eINVAL)
	}
	t.mask = load64(p)
	if t == cpu().current && t.mask>>cpu().id&1 == 0 {
		t.state = threadBlocked
		ready(t)
		schedule()
	}
	return 0
}

// maxRandom is how much one call of getrandom gives.
const maxRandom = 1 << 20

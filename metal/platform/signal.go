package main

// Signals as Linux delivers them (signal(7), arch/x86 rt_sigframe as read from Go's runtime/defs_linux_amd64.go): enough for nil
// dereferences, asynchronous preemption, tracebacks and signal.Notify.

const (
	sigILL  = 4
	sigTRAP = 5
	sigABRT = 6
	sigFPE  = 8
	sigKILL = 9
	sigSEGV = 11
	sigTERM = 15
	sigCHLD = 17
	sigCONT = 18
	sigURG  = 23
	sigWINC = 28

	segvMapErr = 1
	siTKill    = ^uint64(5) // SI_TKILL = -6

	ssDisable = 2
)

type sigaction struct{ handler, flags, restorer, mask uint64 }

var sigactions [65]sigaction

// Layout of the signal frame: return address, ucontext, siginfo, XSAVE area; offsets in struct ucontext.
const (
	ucAltSP    = 16
	ucMContext = 40
	ucSigmask  = 296
	ucInfo     = 640 // where siginfo goes, behind the ucontext
	ucSize     = 1024
	mcFPState  = 184
)

// fault turns an exception into a signal, or stops the program when nobody can handle it.
func fault(f *frame, area, sig, code, address uint64) {
	t := cpu().current
	if f.inPlatform() {
		dump(f)
		fatal("fault in the platform")
	}
	if sigactions[sig].handler < 2 || t.sigmask>>(sig-1)&1 != 0 || t.altFlags&ssDisable != 0 {
		dump(f)
		fatal("fault with no signal handler")
	}
	pushSignal(f, t, sig, code, address, area)
}

// deliver runs the handler of one pending signal when f returns to the program.
func deliver(f *frame, area uint64) {
	t := cpu().current
	for s := uint64(1); t.pending&^t.sigmask != 0 && s <= 64; s++ {
		if (t.pending&^t.sigmask)>>(s-1)&1 == 0 {
			continue
		}
		kernelLock.lock()
		t.pending &^= 1 << (s - 1)
		kernelLock.unlock()
		h := sigactions[s].handler
		if h == 1 || h == 0 && ignoredByDefault(s) {
			continue
		}
		if h == 0 {
			endProgram(128 + s)
		}
		stats.signals++
		pushSignal(f, t, s, siTKill, 0, area)
		return
	}
}

func ignoredByDefault(s uint64) bool {
	return s == sigURG || s == sigCHLD || s == sigCONT || s == sigWINC
}

// pushSignal rewrites f so that it returns into the handler of sig, with the interrupted state on the signal stack.
func pushSignal(f *frame, t *thread, sig, code, address, area uint64) {
	a := &sigactions[sig]
	sp := f.SP - 128
	if onAlt := f.SP > t.altSP && f.SP <= t.altSP+t.altSize; !onAlt && t.altFlags&ssDisable == 0 {
		sp = t.altSP + t.altSize
	}
	fp := (sp - xsaveSize) &^ 63
	uc := fp - ucSize
	prefault(uc-8, ucSize+xsaveSize+8)
	clear(bytesAt(uc, ucSize))
	if area != 0 {
		copy(bytesAt(fp, xsaveSize), bytesAt(area, xsaveSize))
	}
	store64(uc+ucAltSP, t.altSP)
	store32(uc+ucAltSP+8, uint32(t.altFlags))
	store64(uc+ucAltSP+16, t.altSize)
	m := at[mcontext](uc + ucMContext)
	m.save(f)
	m.CR2 = address
	if area != 0 {
		m.FPState = fp
	}
	store64(uc+ucSigmask, t.sigmask)
	info := uc + ucInfo
	store32(info, uint32(sig))
	store32(info+8, uint32(code))
	store64(info+16, address)
	t.sigmask |= a.mask | 1<<(sig-1)
	store64(uc-8, a.restorer)
	f.SP = uc - 8
	f.IP = a.handler
	f.DI, f.SI, f.DX, f.AX = sig, info, uc, 0
	f.Flags &^= flagDF
	f.Trap = returnIRET
}

// sigreturn restores what pushSignal saved; SP points at the ucontext.
func sigreturn(f *frame) {
	uc := f.SP
	m := at[mcontext](uc + ucMContext)
	fp := m.FPState
	m.restore(f)
	cpu().current.sigmask = load64(uc + ucSigmask)
	f.Trap = returnIRET
	if fp != 0 {
		f.Trap, f.Err = returnFPU, fp
	}
}

// mcontext is struct sigcontext of x86-64.
type mcontext struct {
	R8, R9, R10, R11, R12, R13, R14, R15, DI, SI, BP, BX, DX, AX, CX, SP, IP, Flags uint64
	CS, Err, TrapNo, OldMask, CR2, FPState                                          uint64
}

func (m *mcontext) save(f *frame) {
	m.R8, m.R9, m.R10, m.R11 = f.R8, f.R9, f.R10, f.R11
	m.R12, m.R13, m.R14, m.R15 = f.R12, f.R13, f.R14, f.R15
	m.DI, m.SI, m.BP, m.BX = f.DI, f.SI, f.BP, f.BX
	m.DX, m.AX, m.CX, m.SP = f.DX, f.AX, f.CX, f.SP
	m.IP, m.Flags, m.CS = f.IP, f.Flags, f.CS
	m.Err, m.TrapNo = f.Err, f.Trap
}

func (m *mcontext) restore(f *frame) {
	f.R8, f.R9, f.R10, f.R11 = m.R8, m.R9, m.R10, m.R11
	f.R12, f.R13, f.R14, f.R15 = m.R12, m.R13, m.R14, m.R15
	f.DI, f.SI, f.BP, f.BX = m.DI, m.SI, m.BP, m.BX
	f.DX, f.AX, f.CX, f.SP = m.DX, m.AX, m.CX, m.SP
	f.IP = m.IP
	f.Flags = m.Flags&0xcd5 | flagIF | 2 // arithmetic flags and DF only
}

// kill makes sig pending at t and sees to it that t notices.
func kill(t *thread, sig uint64) {
	t.pending |= 1 << (sig - 1)
	if t.sigmask>>(sig-1)&1 != 0 {
		return
	}
	if t.state == threadBlocked && t.wait != waitKick {
		t.broken = true
		ready(t)
		return
	}
	if t.state == threadRunning && t.cpu != cpu() {
		sendIPI(t.cpu.apicID, vecWake)
	}
}

func sysSigaction(sig, act, old uint64) uint64 {
	if sig == 0 || sig > 64 || act != 0 && (sig == sigKILL || sig == 19) {
		return errno(eINVAL)
	}
	s := &sigactions[sig]
	if old != 0 {
		*at[sigaction](old) = *s
	}
	if act != 0 {
		*s = *at[sigaction](act)
	}
	return 0
}

func sysSigprocmask(t *thread, how, set, old uint64) uint64 {
	if old != 0 {
		store64(old, t.sigmask)
	}
	if set == 0 {
		return 0
	}
	v := load64(set)
	switch how {
	case 0:
		t.sigmask |= v
	case 1:
		t.sigmask &^= v
	case 2:
		t.sigmask = v
	default:
		return errno(eINVAL)
	}
	return 0
}

func sysSigaltstack(t *thread, ss, old uint64) uint64 {
	if old != 0 {
		store64(old, t.altSP)
		store64(old+8, t.altFlags)
		store64(old+16, t.altSize)
	}
	if ss != 0 {
		t.altSP, t.altFlags, t.altSize = load64(ss), uint64(load32(ss+8)), load64(ss+16)
	}
	return 0
}

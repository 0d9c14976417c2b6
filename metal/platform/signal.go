package main

import "sync/atomic"

// Signals as Linux delivers them (signal(7), arch/x86 rt_sigframe as read from Go's runtime/defs_linux_amd64.go): enough for nil
// dereferences, asynchronous preemption, tracebacks and signal.Notify.

const (
	sigINT  = 2
	sigILL  = 4
	sigTRAP = 5
	sigABRT = 6
	sigFPE  = 8
	sigKILL = 9
	sigSEGV = 11
	sigTERM = 15
	sigCHLD = 17
	sigCONT = 18
	sigSTOP = 19
	sigTSTP = 20
	sigTTIN = 21
	sigTTOU = 22
	sigURG  = 23
	sigWINC = 28

	segvMapErr = 1
	siTKill    = ^uint64(5) // SI_TKILL = -6
	siKernel   = 0x80

	ssDisable = 2
)

type sigaction struct{ handler, flags, restorer, mask uint64 }

// sigactions are those of each of the programs.
var sigactions [numPrograms][65]sigaction

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
	if t.actions()[sig].handler < 2 || t.sigmask>>(sig-1)&1 != 0 || t.altFlags&ssDisable != 0 {
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
		h := t.actions()[s].handler
		if h == 1 || h == 0 && ignoredByDefault(s) {
			continue
		}
		if h == 0 {
			endProgram(128 + s)
		}
		stats.signals++
		code := siTKill
		if s == sigPROF && t.profiled {
			t.profiled = false
			code = siKernel
		}
		pushSignal(f, t, s, code, 0, area)
		return
	}
}

// ignoredByDefault: signals that Linux ignores unless they are handled, and those by which it stops a process: nothing can
// make a program go on again here.
func ignoredByDefault(s uint64) bool {
	switch s {
	case sigURG, sigCHLD, sigCONT, sigWINC, sigTSTP, sigTTIN, sigTTOU:
		return true
	}
	return false
}

// pushSignal rewrites f so that it returns into the handler of sig, with the interrupted state on the signal stack.
func pushSignal(f *frame, t *thread, sig, code, address, area uint64) {
	a := &t.actions()[sig]
	sp := f.SP - 128
	if onAlt := f.SP > t.altSP && f.SP <= t.altSP+t.altSize; !onAlt && t.altFlags&ssDisable == 0 {
		sp = t.altSP + t.altSize
	}
	fp := (sp - xsaveSize) &^ 63
	uc := fp - ucSize
	if !prefault(uc-8, ucSize+xsaveSize+8) {
		noSignalStack(f)
		return
	}
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
	if t.masked { // the handler interrupts a call with a mask of its own
		t.masked = false
		store64(uc+ucSigmask, t.oldMask)
	}
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

// noSignalStack ends a program whose signal handler cannot be called, as Linux does.
func noSignalStack(f *frame) {
	dump(f)
	print0("nom: no room for a signal frame: the stack pointer or the signal stack is wild\n")
	endProgram(128 + sigSEGV)
}

// sigreturn restores what pushSignal saved; SP points at the ucontext. A frame that cannot be restored is a SIGSEGV.
func sigreturn(f *frame) {
	uc := f.SP
	if !userRange(uc, ucSigmask+8, false) {
		fault(f, 0, sigSEGV, siKernel, 0)
		return
	}
	m := at[mcontext](uc + ucMContext)
	ip, fp := m.IP, m.FPState
	if fp != 0 {
		fp = fetchFPU(fp)
	}
	if fp == badFPU || int64(ip<<16)>>16 != int64(ip) {
		fault(f, 0, sigSEGV, siKernel, 0)
		return
	}
	m.restore(f)
	f.IP = ip
	// Without kernelLock: kill and signalProgram make a signal pending and then look at the mask, the caller looks for signals after this.
	// So each must see what the other wrote before, for which a plain store may come too late.
	atomic.StoreUint64(&cpu().current.sigmask, load64(uc+ucSigmask))
	f.Trap = returnIRET
	if fp != 0 {
		f.Trap, f.Err = returnFPU, fp
	}
}

// fpuCopies hold what a CPU is about to restore: interrupts are off from the check until then, and no other thread of the
// program can change it.
var fpuCopies [maxCPUs][xsaveSize + 64]byte

const badFPU = never

// fetchFPU copies the program's XSAVE area at p and returns where to, or badFPU when XRSTOR would refuse it (APM vol. 2
// section 11.5.2: only known components, not compacted, the rest of the header and MXCSR's reserved bits 0).
func fetchFPU(p uint64) uint64 {
	if !userRange(p, xsaveSize, false) {
		return badFPU
	}
	a := (addressOf(&fpuCopies[cpu().id&(maxCPUs-1)]) + 63) &^ 63
	copy(bytesAt(a, xsaveSize), bytesAt(p, xsaveSize))
	rest := load64(a+512) &^ 7
	for o := uint64(520); o < 576; o += 8 {
		rest |= load64(a + o)
	}
	if rest != 0 || load32(a+24)>>16 != 0 {
		return badFPU
	}
	return a
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
	atomic.OrUint64(&t.pending, 1<<(sig-1)) // before the look at the mask: see sigreturn
	if atomic.LoadUint64(&t.sigmask)>>(sig-1)&1 != 0 {
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

// sigsetSize is what the calls on signals must be given as the size of a set.
const sigsetSize = 8

// The three calls below do as Linux does with pointers: the new value is read first, and when the old one cannot be written,
// the new one holds already.

func sysSigaction(sig, act, old, size uint64) uint64 {
	if size != sigsetSize {
		return errno(eINVAL)
	}
	if act != 0 && !userWords(act, 32, false) {
		return errno(eFAULT)
	}
	if sig == 0 || sig > 64 || act != 0 && (sig == sigKILL || sig == sigSTOP) {
		return errno(eINVAL)
	}
	s := &cpu().current.actions()[sig]
	before := *s
	if act != 0 {
		*s = *at[sigaction](act)
	}
	if old != 0 {
		if !userWords(old, 32, true) {
			return errno(eFAULT)
		}
		*at[sigaction](old) = before
	}
	return 0
}

func sysSigprocmask(t *thread, how, set, old, size uint64) uint64 {
	if size != sigsetSize {
		return errno(eINVAL)
	}
	before := t.sigmask
	if set != 0 {
		if !userWords(set, sigsetSize, false) {
			return errno(eFAULT)
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
		takeWaiting(t)
	}
	if old == 0 {
		return 0
	}
	return storeWords(old, before)
}

func sysSigaltstack(t *thread, ss, old uint64) uint64 {
	sp, flags, size := t.altSP, t.altFlags, t.altSize
	if ss != 0 {
		if !userWords(ss, 24, false) {
			return errno(eFAULT)
		}
		t.altSP, t.altFlags, t.altSize = load64(ss), uint64(load32(ss+8)), load64(ss+16)
	}
	if old == 0 {
		return 0
	}
	return storeWords(old, sp, flags, size)
}

package svm

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/hw/cpu"
	"nom.dev/nom/hw/svm"
	"nom.dev/nom/hw/x2apic"
	"nom.dev/nom/kernel/backend"
)

// Indices of World.gp.
const (
	gpRBX = iota
	gpRCX
	gpRDX
	gpRSI
	gpRDI
	gpRBP
	gpR8
	gpR9
	gpR10
)

// Exit reads why the guest came back, and answers what needs nobody else.
func (w *World) Exit() backend.Exit {
	c, s := &w.vmcb.Control, &w.vmcb.Save
	code := svm.Code(c.ExitCode)
	w.interruptible = s.RFLAGS>>9&1 != 0
	w.virq = c.IntControl&svm.IntVIRQ != 0
	c.EventInj = interrupted(svm.Event(c.ExitIntInfo))
	switch code {
	case svm.ExitINTR:
		return backend.Exit{Kind: backend.KindInterrupt, Reason: abi.ExitInterrupt}
	case svm.ExitNMI:
		return backend.Exit{Kind: backend.KindNMI, Reason: abi.ExitNMI}
	case svm.ExitVMMCALL:
		return w.hypercall()
	case svm.ExitNPF:
		return backend.Exit{Kind: backend.KindPageFault, Reason: abi.ExitPageFault, GPA: c.ExitInfo2, Code: c.ExitInfo1}
	case svm.ExitHLT:
		w.skip(1)
		return backend.Exit{Kind: backend.KindHalt, Reason: abi.ExitHalt}
	case svm.ExitMSR:
		return w.msr()
	case svm.ExitIOIO:
		return w.port()
	case svm.ExitCPUID:
		return w.answerCPUID()
	case svm.ExitXSETBV:
		return w.xsetbv()
	case svm.ExitCR0SelWrite: // a guest starts in the mode that it stays in, and has no say in caches and the x87 unit's interrupt
		return w.fault()
	case svm.ExitWBINVD, svm.ExitINVD:
		w.skip(2)
		return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitOther}
	case svm.ExitShutdown:
		return backend.Exit{Kind: backend.KindShutdown, Reason: abi.ExitOther}
	case svm.ExitSMI, svm.ExitVINTR:
		return backend.Exit{Kind: backend.KindInterrupt, Reason: abi.ExitInterrupt}
	}
	return w.trap(code)
}

// interrupted is what to inject again because an exit came in the middle of its delivery; 0 = nothing. INTn, INT3 and INTO
// happen again by themselves, as RIP is still in front of them: injected, they would return there. QEMU calls an external
// interrupt an exception there: no exception has such a vector.
func interrupted(e svm.Event) uint64 {
	switch {
	case !e.Valid(), e.Type() == svm.EventSoftware:
		return 0
	case e.Type() != svm.EventException:
		return uint64(e)
	case e.Vector() >= 32:
		return uint64(svm.Interrupt(e.Vector()))
	case e.Vector() == vectorBP || e.Vector() == vectorOF:
		return 0
	}
	return uint64(e)
}

// Exceptions. APM vol. 2, table 8-1.
const (
	vectorDB = 1
	vectorBP = 3
	vectorOF = 4
	vectorUD = 6
	vectorGP = 13
	vectorAC = 17
	vectorMC = 18
)

// trap answers what a container may not do with the exception that hardware without the feature would raise.
func (w *World) trap(code uint64) backend.Exit {
	switch {
	case code == svm.ExitException+vectorDB:
		w.vmcb.Control.EventInj = uint64(svm.Exception(vectorDB))
	case code == svm.ExitException+vectorAC:
		w.vmcb.Control.EventInj = uint64(svm.ExceptionCode(vectorAC, 0))
	case code >= svm.ExitCRRead && code < svm.ExitException,
		code >= svm.ExitVMRUN && code <= svm.ExitRDPRU, code == svm.ExitINVLPGA, code == svm.ExitRSM,
		code == svm.ExitRDPMC, code == svm.ExitMCOMMIT:
		w.vmcb.Control.EventInj = uint64(svm.Exception(vectorUD))
	default:
		return backend.Exit{Kind: backend.KindIllegal, Reason: abi.ExitOther, Code: code}
	}
	return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitOther}
}

func (w *World) hypercall() backend.Exit {
	s := &w.vmcb.Save
	if s.SS.Attrib>>5&3 != 0 { // CPL is SS.DPL
		w.vmcb.Control.EventInj = uint64(svm.Exception(vectorUD))
		return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitHypercall}
	}
	return backend.Exit{
		Kind: backend.KindHypercall, Reason: abi.ExitHypercall, Call: abi.Call(s.RAX),
		Args: [6]uint64{w.gp[gpRDI], w.gp[gpRSI], w.gp[gpRDX], w.gp[gpR10], w.gp[gpR8], w.gp[gpR9]},
	}
}

// Return finishes a hypercall.
func (w *World) Return(rax uint64) {
	w.vmcb.Save.RAX = rax
	w.skip(3)
}

// skip steps over an instruction of n bytes: SVM without NRIPS gives no length.
func (w *World) skip(n uint64) {
	w.vmcb.Save.RIP += n
	w.vmcb.Control.IntState &^= svm.IntShadow
}

func (w *World) fault() backend.Exit {
	w.vmcb.Control.EventInj = uint64(svm.ExceptionCode(vectorGP, 0))
	return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitOther}
}

func (w *World) answerCPUID() backend.Exit {
	s := &w.vmcb.Save
	leaf := uint32(s.RAX)
	r := Filter(w.cpuid, leaf, uint32(w.gp[gpRCX]), uint32(w.Call.APICID))
	if leaf == 1 && s.CR4&cpu.CR4OSXSAVE != 0 {
		r[2] |= osxsave
	}
	s.RAX, w.gp[gpRBX], w.gp[gpRCX], w.gp[gpRDX] = uint64(r[0]), uint64(r[1]), uint64(r[2]), uint64(r[3])
	w.skip(2)
	return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitCPUID}
}

// port: a port that is not the container's reads as ones and swallows writes, as on a machine where nothing is there.
func (w *World) port() backend.Exit {
	info := svm.IOInfo(w.vmcb.Control.ExitInfo1)
	if info.IsString() {
		e := w.fault()
		e.Reason = abi.ExitPort
		return e
	}
	if info.In() {
		mask := uint64(1)<<(info.Bytes()*8) - 1
		w.vmcb.Save.RAX |= mask
		if info.Bytes() == 4 {
			w.vmcb.Save.RAX = mask
		}
	}
	w.vmcb.Save.RIP = w.vmcb.Control.ExitInfo2
	w.vmcb.Control.IntState &^= svm.IntShadow
	return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitPort}
}

// xsetbv: XCR0 is the same for everybody, so that it need not be switched.
func (w *World) xsetbv() backend.Exit {
	if w.gp[gpRCX]&0xffff_ffff != 0 || w.vmcb.Save.RAX&0xffff_ffff != XCR0 || w.gp[gpRDX]&0xffff_ffff != 0 {
		return w.fault()
	}
	w.skip(3)
	return backend.Exit{Kind: backend.KindResume, Reason: abi.ExitOther}
}

// ipi turns a write of the interrupt command register into an exit for the runner.
func ipi(c x2apic.Command) backend.Exit {
	e := backend.Exit{Kind: backend.KindResume, Reason: abi.ExitMSR}
	if c.Mode() != x2apic.ModeFixed { // NMI, INIT, SIPI and the like reach nobody
		return e
	}
	e.Kind = backend.KindIPI
	e.Vector = c.Vector()
	e.Target = nobody // the destination means nothing beside a shorthand
	switch c.Shorthand() {
	case x2apic.ShortNone:
		e.Target = c.Dest()
		e.All = e.Target == x2apic.Broadcast
		e.AndSelf = e.All
	case x2apic.ShortSelf:
		e.AndSelf = true
	case x2apic.ShortAll:
		e.All, e.AndSelf = true, true
	case x2apic.ShortAllButOne:
		e.All = true
	}
	return e
}

// nobody is an Exit.Target that no vCPU has as its index.
const nobody = x2apic.Broadcast

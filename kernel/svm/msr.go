package svm

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/hw/cpu"
	"nom.dev/nom/hw/x2apic"
	"nom.dev/nom/kernel/backend"
)

const (
	efer    = cpu.EFERSVME | cpu.EFERLMA | cpu.EFERLME
	guestOf = cpu.EFERSCE | cpu.EFERNXE // the bits of EFER that a guest may change
	msrTSC  = cpu.MSRTSC

	// XCR0 is x87, SSE and AVX for the nonkernel and every guest.
	XCR0 = 7
)

// switched are the MSRs that VMLOAD and VMSAVE switch: the guest's own.
var switched = []uint32{
	cpu.MSRSTAR, cpu.MSRLSTAR, cpu.MSRCSTAR, cpu.MSRSFMASK, cpu.MSRFSBase, cpu.MSRGSBase, cpu.MSRKernelGSBase,
	cpu.MSRSysenterCS, cpu.MSRSysenterESP, cpu.MSRSysenterEIP,
}

// msr answers RDMSR and WRMSR. A register that a container does not have raises #GP, as on hardware.
func (w *World) msr() backend.Exit {
	n := uint32(w.gp[gpRCX])
	s := &w.vmcb.Save
	exit := backend.Exit{Kind: backend.KindResume, Reason: abi.ExitMSR}
	if w.vmcb.Control.ExitInfo1 == 0 {
		v, ok := w.readMSR(n)
		if !ok {
			exit = w.fault()
			exit.Reason = abi.ExitMSR
			return exit
		}
		s.RAX, w.gp[gpRDX] = v&0xffff_ffff, v>>32
		w.skip(2)
		return exit
	}
	v := s.RAX&0xffff_ffff | w.gp[gpRDX]<<32
	if n == x2apic.ICR {
		w.skip(2)
		return ipi(x2apic.Command(v))
	}
	if !w.writeMSR(n, v) {
		exit = w.fault()
		exit.Reason = abi.ExitMSR
		return exit
	}
	w.skip(2)
	return exit
}

func (w *World) readMSR(n uint32) (uint64, bool) {
	switch n {
	case cpu.MSREFER:
		return w.vmcb.Save.EFER &^ cpu.EFERSVME, true
	case cpu.MSRPAT:
		return w.vmcb.Save.GPAT, true
	case cpu.MSRAPICBase:
		return x2apic.DefaultBase | x2apic.BaseEnable | x2apic.BaseExtended, true
	case x2apic.ID:
		return w.Call.APICID, true
	case x2apic.Version:
		return 0x5_0014, true
	case x2apic.SVR:
		return x2apic.SVREnable | 0xff, true
	case x2apic.LVTTimer:
		return w.Call.LVTT, true
	case x2apic.DivideConfig:
		return divideByOne, true
	case x2apic.TPR:
		return w.Call.TPR, true
	}
	if n >= x2apic.ISR0 && n <= x2apic.ESR || n >= x2apic.LVTThermal && n <= x2apic.LVTError {
		return 0, true
	}
	return 0, false
}

const (
	divideByOne    = 0xb
	firstInterrupt = 32
)

func (w *World) writeMSR(n uint32, v uint64) bool {
	switch n {
	case cpu.MSREFER:
		if v&^(guestOf|cpu.EFERLME|cpu.EFERLMA) != 0 {
			return false
		}
		w.vmcb.Save.EFER = w.vmcb.Save.EFER&^guestOf | v&guestOf
	case cpu.MSRPAT:
		if !validPAT(v) {
			return false
		}
		w.vmcb.Save.GPAT = v
	case x2apic.LVTTimer:
		w.Call.LVTT = v & (x2apic.LVTMasked | x2apic.LVTVector)
		if v&x2apic.LVTVector < firstInterrupt {
			w.Call.LVTT |= x2apic.LVTMasked
		}
	case x2apic.InitialCount: // 0 to switch off; others are answered below the nonkernel
		w.Call.TimerTSC = 0
	case x2apic.DivideConfig:
		return v == divideByOne
	case x2apic.TPR:
		w.Call.TPR = v & 0xff
	case x2apic.SelfIPI:
		w.Raise(uint8(v))
	case x2apic.EOI, x2apic.SVR, x2apic.ESR, cpu.MSRAPICBase:
	default:
		return n >= x2apic.LVTThermal && n <= x2apic.LVTError
	}
	return true
}

func validPAT(v uint64) bool {
	for ; v != 0; v >>= 8 {
		if t := v & 0xff; t > 7 || t == 2 || t == 3 {
			return false
		}
	}
	return true
}

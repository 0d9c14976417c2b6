package svm

// names are the exit codes as appendix C of APM vol. 2 spells them, without VMEXIT_.
var names = [...]string{
	ExitINTR: "INTR", ExitNMI: "NMI", ExitSMI: "SMI", ExitINIT: "INIT", ExitVINTR: "VINTR", ExitCR0SelWrite: "CR0_SEL_WRITE",
	ExitIDTRRead: "IDTR_READ", ExitGDTRRead: "GDTR_READ", ExitLDTRRead: "LDTR_READ", ExitTRRead: "TR_READ",
	ExitIDTRWrite: "IDTR_WRITE", ExitGDTRWrite: "GDTR_WRITE", ExitLDTRWrite: "LDTR_WRITE", ExitTRWrite: "TR_WRITE",
	ExitRDTSC: "RDTSC", ExitRDPMC: "RDPMC", ExitPUSHF: "PUSHF", ExitPOPF: "POPF", ExitCPUID: "CPUID", ExitRSM: "RSM",
	ExitIRET: "IRET", ExitSWINT: "SWINT", ExitINVD: "INVD", ExitPAUSE: "PAUSE", ExitHLT: "HLT", ExitINVLPG: "INVLPG",
	ExitINVLPGA: "INVLPGA", ExitIOIO: "IOIO", ExitMSR: "MSR", ExitTaskSwitch: "TASK_SWITCH", ExitFERRFreeze: "FERR_FREEZE",
	ExitShutdown: "SHUTDOWN", ExitVMRUN: "VMRUN", ExitVMMCALL: "VMMCALL", ExitVMLOAD: "VMLOAD", ExitVMSAVE: "VMSAVE",
	ExitSTGI: "STGI", ExitCLGI: "CLGI", ExitSKINIT: "SKINIT", ExitRDTSCP: "RDTSCP", ExitICEBP: "ICEBP", ExitWBINVD: "WBINVD",
	ExitMONITOR: "MONITOR", ExitMWAIT: "MWAIT", ExitMWAITCond: "MWAIT_CONDITIONAL", ExitXSETBV: "XSETBV", ExitRDPRU: "RDPRU",
	ExitEFERTrap: "EFER_WRITE_TRAP", ExitINVLPGB: "INVLPGB", ExitINVLPGBIll: "INVLPGB_ILLEGAL", ExitINVPCID: "INVPCID",
	ExitMCOMMIT: "MCOMMIT", ExitTLBSYNC: "TLBSYNC", ExitBusLock: "BUSLOCK", ExitIdleHLT: "IDLE_HLT",
}

// CodeName names an exit code as the manual does, without VMEXIT_: "NPF", "CR3_WRITE", "EXCP14". Codes without a name give
// their number. For reports: it may allocate.
func CodeName(exitCode uint64) string {
	code := Code(exitCode)
	switch code {
	case ExitNPF:
		return "NPF"
	case ExitAVICIPI:
		return "AVIC_INCOMPLETE_IPI"
	case ExitAVICNoAccel:
		return "AVIC_NOACCEL"
	case ExitVMGEXIT:
		return "VMGEXIT"
	case ExitInvalid:
		return "INVALID"
	case ExitBusy:
		return "BUSY"
	case ExitIdleRequired:
		return "IDLE_REQUIRED"
	case ExitInvalidPMC:
		return "INVALID_PMC"
	}
	switch {
	case code < ExitCRWrite:
		return "CR" + decimal(code) + "_READ"
	case code < ExitDRRead:
		return "CR" + decimal(code-ExitCRWrite) + "_WRITE"
	case code < ExitDRWrite:
		return "DR" + decimal(code-ExitDRRead) + "_READ"
	case code < ExitException:
		return "DR" + decimal(code-ExitDRWrite) + "_WRITE"
	case code < ExitINTR:
		return "EXCP" + decimal(code-ExitException)
	case code >= ExitCRTrap && code < ExitCRTrap+16:
		return "CR" + decimal(code-ExitCRTrap) + "_WRITE_TRAP"
	case code < uint64(len(names)) && names[code] != "":
		return names[code]
	}
	return "exit " + hexadecimal(code)
}

func decimal(n uint64) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + string(rune('0'+n%10))
}

func hexadecimal(n uint64) string {
	const digits = "0123456789abcdef"
	s := ""
	for {
		s = digits[n&15:n&15+1] + s
		if n >>= 4; n == 0 {
			return "0x" + s
		}
	}
}

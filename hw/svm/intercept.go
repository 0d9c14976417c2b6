package svm

// Bits of Intercept3, the dword at 0x00c. APM vol. 2, table B-1.
const (
	Intercept3INTR        = 1 << 0 // physical interrupts
	Intercept3NMI         = 1 << 1
	Intercept3SMI         = 1 << 2
	Intercept3INIT        = 1 << 3
	Intercept3VINTR       = 1 << 4
	Intercept3CR0Sel      = 1 << 5 // CR0 writes that change more than TS and MP
	Intercept3IDTRRead    = 1 << 6
	Intercept3GDTRRead    = 1 << 7
	Intercept3LDTRRead    = 1 << 8
	Intercept3TRRead      = 1 << 9
	Intercept3IDTRWrite   = 1 << 10
	Intercept3GDTRWrite   = 1 << 11
	Intercept3LDTRWrite   = 1 << 12
	Intercept3TRWrite     = 1 << 13
	Intercept3RDTSC       = 1 << 14
	Intercept3RDPMC       = 1 << 15
	Intercept3PUSHF       = 1 << 16
	Intercept3POPF        = 1 << 17
	Intercept3CPUID       = 1 << 18
	Intercept3RSM         = 1 << 19
	Intercept3IRET        = 1 << 20
	Intercept3INTn        = 1 << 21
	Intercept3INVD        = 1 << 22
	Intercept3PAUSE       = 1 << 23
	Intercept3HLT         = 1 << 24
	Intercept3INVLPG      = 1 << 25
	Intercept3INVLPGA     = 1 << 26
	Intercept3IOIO        = 1 << 27 // ports, as IOPMBase says
	Intercept3MSR         = 1 << 28 // MSRs, as MSRPMBase says
	Intercept3TaskSwitch  = 1 << 29
	Intercept3FERRFreeze  = 1 << 30
	Intercept3Shutdown    = 1 << 31
	Intercept3Descriptors = Intercept3IDTRRead | Intercept3GDTRRead | Intercept3LDTRRead | Intercept3TRRead |
		Intercept3IDTRWrite | Intercept3GDTRWrite | Intercept3LDTRWrite | Intercept3TRWrite
)

// Bits of Intercept4, the dword at 0x010. VMRUN refuses a VMCB without Intercept4VMRUN. APM vol. 2, table B-1.
const (
	Intercept4VMRUN     = 1 << 0
	Intercept4VMMCALL   = 1 << 1
	Intercept4VMLOAD    = 1 << 2
	Intercept4VMSAVE    = 1 << 3
	Intercept4STGI      = 1 << 4
	Intercept4CLGI      = 1 << 5
	Intercept4SKINIT    = 1 << 6
	Intercept4RDTSCP    = 1 << 7
	Intercept4ICEBP     = 1 << 8
	Intercept4WBINVD    = 1 << 9 // and WBNOINVD
	Intercept4MONITOR   = 1 << 10
	Intercept4MWAIT     = 1 << 11
	Intercept4MWAITCond = 1 << 12 // only when the monitor hardware is armed
	Intercept4XSETBV    = 1 << 13
	Intercept4RDPRU     = 1 << 14
	Intercept4EFERTrap  = 1 << 15 // writes of EFER, after they happened
	Intercept4CRTrap    = 1 << 16 // writes of CR0, after they happened; bit 16+N for CRN

	// Intercept4SVM is every SVM instruction except VMMCALL: a guest that may not run guests of its own.
	Intercept4SVM = Intercept4VMRUN | Intercept4VMLOAD | Intercept4VMSAVE | Intercept4STGI | Intercept4CLGI | Intercept4SKINIT
)

// Bits of Intercept5, the dword at 0x014. APM vol. 2, table B-1.
const (
	Intercept5INVLPGB        = 1 << 0
	Intercept5INVLPGBIllegal = 1 << 1
	Intercept5INVPCID        = 1 << 2
	Intercept5MCOMMIT        = 1 << 3
	Intercept5TLBSYNC        = 1 << 4
	Intercept5BusLock        = 1 << 5
	Intercept5IdleHLT        = 1 << 6
)

// Exit codes, ExitCode of the control area. APM vol. 2, appendix C.
const (
	ExitCRRead       = 0x000 // + N
	ExitCRWrite      = 0x010 // + N
	ExitDRRead       = 0x020 // + N
	ExitDRWrite      = 0x030 // + N
	ExitException    = 0x040 // + vector; ExitInfo1 is the error code, of a page fault ExitInfo2 the address
	ExitINTR         = 0x060
	ExitNMI          = 0x061
	ExitSMI          = 0x062
	ExitINIT         = 0x063
	ExitVINTR        = 0x064
	ExitCR0SelWrite  = 0x065
	ExitIDTRRead     = 0x066
	ExitGDTRRead     = 0x067
	ExitLDTRRead     = 0x068
	ExitTRRead       = 0x069
	ExitIDTRWrite    = 0x06a
	ExitGDTRWrite    = 0x06b
	ExitLDTRWrite    = 0x06c
	ExitTRWrite      = 0x06d
	ExitRDTSC        = 0x06e
	ExitRDPMC        = 0x06f
	ExitPUSHF        = 0x070
	ExitPOPF         = 0x071
	ExitCPUID        = 0x072
	ExitRSM          = 0x073
	ExitIRET         = 0x074
	ExitSWINT        = 0x075
	ExitINVD         = 0x076
	ExitPAUSE        = 0x077
	ExitHLT          = 0x078
	ExitINVLPG       = 0x079
	ExitINVLPGA      = 0x07a
	ExitIOIO         = 0x07b // ExitInfo1 is an IOInfo, ExitInfo2 the next RIP
	ExitMSR          = 0x07c // ExitInfo1 is 0 for RDMSR, 1 for WRMSR
	ExitTaskSwitch   = 0x07d
	ExitFERRFreeze   = 0x07e
	ExitShutdown     = 0x07f
	ExitVMRUN        = 0x080
	ExitVMMCALL      = 0x081
	ExitVMLOAD       = 0x082
	ExitVMSAVE       = 0x083
	ExitSTGI         = 0x084
	ExitCLGI         = 0x085
	ExitSKINIT       = 0x086
	ExitRDTSCP       = 0x087
	ExitICEBP        = 0x088
	ExitWBINVD       = 0x089
	ExitMONITOR      = 0x08a
	ExitMWAIT        = 0x08b
	ExitMWAITCond    = 0x08c
	ExitXSETBV       = 0x08d
	ExitRDPRU        = 0x08e
	ExitEFERTrap     = 0x08f
	ExitCRTrap       = 0x090 // + N
	ExitINVLPGB      = 0x0a0
	ExitINVLPGBIll   = 0x0a1
	ExitINVPCID      = 0x0a2
	ExitMCOMMIT      = 0x0a3
	ExitTLBSYNC      = 0x0a4
	ExitBusLock      = 0x0a5
	ExitIdleHLT      = 0x0a6
	ExitNPF          = 0x400 // ExitInfo1 is an NPFInfo, ExitInfo2 the guest-physical address
	ExitAVICIPI      = 0x401
	ExitAVICNoAccel  = 0x402
	ExitVMGEXIT      = 0x403
	ExitInvalid      = 0xffff_ffff_ffff_ffff // the VMCB was refused; the save area is then meaningless
	ExitBusy         = 0xffff_ffff_ffff_fffe
	ExitIdleRequired = 0xffff_ffff_ffff_fffd
	ExitInvalidPMC   = 0xffff_ffff_ffff_fffc
)

// Code is ExitCode in its full width. Some implementations (QEMU 10.0.2) store the negative codes zero-extended from 32
// bits; Code makes them what the manual says, so that they compare equal to ExitInvalid.
func Code(exitCode uint64) uint64 {
	if exitCode>>32 == 0 && exitCode >= 0xffff_fff0 {
		return exitCode | 0xffff_ffff<<32
	}
	return exitCode
}

// Lengths of instructions whose exit leaves RIP in front of them, for processors without FeatureNRIPS. They hold for the
// encodings without prefixes, the only ones a compiler emits.
const (
	LengthHLT     = 1
	LengthCPUID   = 2
	LengthMSR     = 2 // RDMSR, WRMSR
	LengthVMMCALL = 3
	LengthXSETBV  = 3
)

// Features of SVM, CPUID 8000_000A EDX. APM vol. 3, appendix E.4.9.
const (
	FeatureNP             = 1 << 0
	FeatureLBRVirt        = 1 << 1
	FeatureLock           = 1 << 2
	FeatureNRIPS          = 1 << 3
	FeatureTSCRate        = 1 << 4
	FeatureVMCBClean      = 1 << 5
	FeatureFlushByASID    = 1 << 6
	FeatureDecodeAssists  = 1 << 7
	FeaturePauseFilter    = 1 << 10
	FeaturePauseThreshold = 1 << 12
	FeatureAVIC           = 1 << 13
	FeatureVMSAVEVirt     = 1 << 15
	FeatureVGIF           = 1 << 16
	FeatureGMET           = 1 << 17
	FeatureX2AVIC         = 1 << 18
	FeatureSSSCheck       = 1 << 19
	FeatureSpecCtrl       = 1 << 20
	FeatureROGPT          = 1 << 21
	FeatureTLBICtl        = 1 << 24
	FeatureVNMI           = 1 << 25
	FeatureIBSVirt        = 1 << 26
	FeatureAddrCheck      = 1 << 28 // VMRUN and friends check their physical address
	FeatureBusLock        = 1 << 29
	FeatureIdleHLT        = 1 << 30
)

// MSRs of SVM. APM vol. 2, 15.30.
const (
	MSRVMCR    = 0xc001_0114
	MSRIGNNE   = 0xc001_0115
	MSRSMMCtl  = 0xc001_0116
	MSRHSavePA = 0xc001_0117 // physical address of a page for the host's state; set it before VMRUN
	MSRKey     = 0xc001_0118
	MSRTSCRate = 0xc000_0104
)

// Bits of VM_CR. APM vol. 2, 15.30.1.
const (
	VMCRDPD      = 1 << 0
	VMCRRInit    = 1 << 1 // INIT becomes #SX
	VMCRDisA20M  = 1 << 2
	VMCRLock     = 1 << 3
	VMCRDisabled = 1 << 4 // SVMDIS: EFER.SVME cannot be set; cleared by firmware only, when VMCRLock is set too
)

package cpu

// MSR numbers. APM vol. 2, appendix A.
const (
	MSRTSC            = 0x10
	MSRAPICBase       = 0x1b // hw/x2apic has the bits
	MSRSpecCtrl       = 0x48
	MSRPredCmd        = 0x49
	MSRMTRRCap        = 0xfe
	MSRSysenterCS     = 0x174
	MSRSysenterESP    = 0x175
	MSRSysenterEIP    = 0x176
	MSRMCGCap         = 0x179
	MSRMCGStatus      = 0x17a
	MSRDebugCtl       = 0x1d9
	MSRMTRRBase0      = 0x200
	MSRMTRRFix64K     = 0x250
	MSRPAT            = 0x277
	MSRMTRRDefType    = 0x2ff
	MSRTSCDeadline    = 0x6e0
	MSRXSS            = 0xda0
	MSREFER           = 0xc000_0080
	MSRSTAR           = 0xc000_0081
	MSRLSTAR          = 0xc000_0082
	MSRCSTAR          = 0xc000_0083
	MSRSFMASK         = 0xc000_0084
	MSRFSBase         = 0xc000_0100
	MSRGSBase         = 0xc000_0101
	MSRKernelGSBase   = 0xc000_0102
	MSRTSCAux         = 0xc000_0103
	MSRSYSCFG         = 0xc001_0010
	MSRHWCR           = 0xc001_0015
	MSRVMCR           = 0xc001_0114 // hw/svm has the bits
	MSRVMHSavePA      = 0xc001_0117
	MSRPATReset       = 0x0007_0406_0007_0406 // value of MSRPAT after reset
	PATWriteBack      = 6
	PATWriteThrough   = 4
	PATWriteCombining = 1
	PATUncached       = 0
)

// STAR packs the selectors that SYSCALL and SYSRET load: SYSCALL takes CS = kernel, SS = kernel+8; SYSRET to 64-bit code takes
// CS = user+16, SS = user+8. APM vol. 2, 6.1.1.
func STAR(kernel, user uint16) uint64 { return uint64(user)<<48 | uint64(kernel)<<32 }

// Bits of CR0. APM vol. 2, 3.1.1.
const (
	CR0PE = 1 << 0
	CR0MP = 1 << 1
	CR0EM = 1 << 2
	CR0TS = 1 << 3
	CR0ET = 1 << 4
	CR0NE = 1 << 5
	CR0WP = 1 << 16
	CR0AM = 1 << 18
	CR0NW = 1 << 29
	CR0CD = 1 << 30
	CR0PG = 1 << 31
)

// Bits of CR4. APM vol. 2, 3.1.3.
const (
	CR4VME        = 1 << 0
	CR4PVI        = 1 << 1
	CR4TSD        = 1 << 2
	CR4DE         = 1 << 3
	CR4PSE        = 1 << 4
	CR4PAE        = 1 << 5
	CR4MCE        = 1 << 6
	CR4PGE        = 1 << 7
	CR4PCE        = 1 << 8
	CR4OSFXSR     = 1 << 9
	CR4OSXMMEXCPT = 1 << 10
	CR4UMIP       = 1 << 11
	CR4LA57       = 1 << 12
	CR4VMXE       = 1 << 13
	CR4FSGSBASE   = 1 << 16
	CR4PCIDE      = 1 << 17
	CR4OSXSAVE    = 1 << 18
	CR4SMEP       = 1 << 20
	CR4SMAP       = 1 << 21
	CR4PKE        = 1 << 22
	CR4CET        = 1 << 23
)

// Bits of EFER. APM vol. 2, 3.1.7.
const (
	EFERSCE   = 1 << 0
	EFERLME   = 1 << 8
	EFERLMA   = 1 << 10
	EFERNXE   = 1 << 11
	EFERSVME  = 1 << 12
	EFERLMSLE = 1 << 13
	EFERFFXSR = 1 << 14
	EFERTCE   = 1 << 15
)

// Bits of XCR0. APM vol. 2, 11.5.2.
const (
	XCR0X87       = 1 << 0 // always set
	XCR0SSE       = 1 << 1
	XCR0AVX       = 1 << 2 // YMM_Hi128
	XCR0MPX       = 3 << 3
	XCR0OpMask    = 1 << 5 // AVX-512, all three together
	XCR0ZMMHi256  = 1 << 6
	XCR0HiZMM     = 1 << 7
	XCR0PKRU      = 1 << 9
	XCR0AVX512    = XCR0OpMask | XCR0ZMMHi256 | XCR0HiZMM
	FXSAVESize    = 512
	XSAVEHeader   = 64 // follows; zero it before the first XSAVE or XRSTOR
	MXCSRDefault  = 0x1f80
	FCWDefault    = 0x037f
	OffsetFCW     = 0  // in an FXSAVE image
	OffsetMXCSR   = 24 // in an FXSAVE image
	OffsetXSTATBV = 512
)

// Bits of RFLAGS. APM vol. 2, 3.1.6.
const (
	FlagCF       = 1 << 0
	FlagReserved = 1 << 1 // always set
	FlagPF       = 1 << 2
	FlagAF       = 1 << 4
	FlagZF       = 1 << 6
	FlagSF       = 1 << 7
	FlagTF       = 1 << 8
	FlagIF       = 1 << 9
	FlagDF       = 1 << 10
	FlagOF       = 1 << 11
	FlagIOPL     = 3 << 12
	FlagNT       = 1 << 14
	FlagRF       = 1 << 16
	FlagVM       = 1 << 17
	FlagAC       = 1 << 18
	FlagVIF      = 1 << 19
	FlagVIP      = 1 << 20
	FlagID       = 1 << 21
)

// Vectors of exceptions. APM vol. 2, table 8-1.
const (
	VectorDE = 0
	VectorDB = 1
	VectorNM = 7
	VectorBP = 3
	VectorOF = 4
	VectorBR = 5
	VectorUD = 6
	VectorDF = 8
	VectorTS = 10
	VectorNP = 11
	VectorSS = 12
	VectorGP = 13
	VectorPF = 14
	VectorMF = 16
	VectorAC = 17
	VectorMC = 18
	VectorXF = 19
	VectorCP = 21
	VectorHV = 28
	VectorVC = 29
	VectorSX = 30

	VectorNMI       = 2
	VectorFirstFree = 32 // vectors below belong to exceptions
)

// HasErrorCode says whether the processor pushes an error code with an exception. APM vol. 2, table 8-1.
func HasErrorCode(vector uint8) bool {
	const with = 1<<VectorDF | 1<<VectorTS | 1<<VectorNP | 1<<VectorSS | 1<<VectorGP | 1<<VectorPF | 1<<VectorAC |
		1<<VectorCP | 1<<VectorVC | 1<<VectorSX
	return vector < 32 && uint32(with)>>vector&1 != 0
}

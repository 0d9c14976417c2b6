// Package svm holds AMD's secure virtual machine (SVM) as the manual defines it: the virtual machine control block, intercepts,
// exit codes, event injection, and the permission maps.
//
// It follows the AMD64 Architecture Programmer's Manual (APM) volume 2, chapter 15 and appendices B (VMCB layout) and C (exit
// codes). The package runs without a Go runtime: plain functions on integers and fixed arrays. Names of exit codes, for
// reports, are in names.go and allocate only for codes without a name. It never executes an SVM instruction.
package svm

// Sizes. APM vol. 2, appendix B.
const (
	VMCBSize    = 4096
	ControlSize = 0x400
	SaveSize    = VMCBSize - ControlSize
)

// VMCB is the virtual machine control block, one page-aligned page.
type VMCB struct {
	Control ControlArea
	Save    SaveArea
}

// ControlArea is the first 1024 bytes of the VMCB. APM vol. 2, table B-1.
type ControlArea struct {
	InterceptCR        uint32 // reads of CR0-15 in bits 15:0, writes in 31:16
	InterceptDR        uint32 // reads of DR0-15 in bits 15:0, writes in 31:16
	InterceptException uint32 // bit = vector
	Intercept3         uint32 // Intercept3INTR and so on
	Intercept4         uint32 // Intercept4VMRUN and so on
	Intercept5         uint32 // Intercept5INVLPGB and so on
	_                  [0x3c - 0x18]byte
	PauseThreshold     uint16
	PauseCount         uint16
	IOPMBase           uint64 // physical address of IOPMSize bytes
	MSRPMBase          uint64 // physical address of MSRPMSize bytes
	TSCOffset          uint64 // added to the TSC the guest reads
	ASID               uint32 // not 0: that is the host's
	TLBControl         uint8  // TLBNothing and so on
	_                  [3]byte
	IntControl         uint32 // IntVIRQ and so on
	IntVector          uint32 // bits 7:0, vector of the virtual interrupt
	IntState           uint64 // IntShadow, IntGuestMask
	ExitCode           uint64
	ExitInfo1          uint64
	ExitInfo2          uint64
	ExitIntInfo        uint64 // an Event whose delivery the exit interrupted; look at EventValid only
	NestedControl      uint64 // NestedPaging and so on
	AVICBar            uint64
	GHCB               uint64
	EventInj           uint64 // an Event to deliver at entry
	NestedCR3          uint64 // physical address of the nested page table's root
	VirtExt            uint64 // VirtLBR, VirtVMSAVE
	Clean              uint32 // CleanIntercepts and so on; only with FeatureVMCBClean
	_                  uint32
	NextRIP            uint64 // only with FeatureNRIPS
	FetchedBytes       uint8
	Fetched            [15]byte // only with FeatureDecodeAssists
	AVICBackingPage    uint64
	_                  uint64
	AVICLogicalTable   uint64
	AVICPhysicalTable  uint64
	_                  uint64
	VMSA               uint64
	_                  [0x120 - 0x110]byte
	BusLockCounter     uint16
	_                  [ControlSize - 0x122]byte
}

// Segment is a segment register in the save area. Attrib is packed as Attrib does. GDTR and IDTR use Limit and Base only.
type Segment struct {
	Selector uint16
	Attrib   uint16
	Limit    uint32
	Base     uint64
}

// SaveArea is the guest's state. VMRUN and #VMEXIT switch part of it; VMLOAD and VMSAVE switch FS, GS, TR, LDTR,
// KernelGSBase, STAR, LSTAR, CSTAR, SFMASK and SYSENTER_*. APM vol. 2, table B-2.
type SaveArea struct {
	ES, CS, SS, DS, FS, GS  Segment
	GDTR, LDTR, IDTR, TR    Segment
	_                       [0xcb - 0xa0]byte
	CPL                     uint8
	_                       uint32
	EFER                    uint64
	_                       [0x148 - 0xd8]byte
	CR4, CR3, CR0, DR7, DR6 uint64
	RFLAGS, RIP             uint64
	_                       [0x1d8 - 0x180]byte
	RSP                     uint64
	SCET, SSP, ISSTAddr     uint64
	RAX                     uint64
	STAR, LSTAR, CSTAR      uint64
	SFMASK, KernelGSBase    uint64
	SysenterCS              uint64
	SysenterESP             uint64
	SysenterEIP             uint64
	CR2                     uint64
	_                       [0x268 - 0x248]byte
	GPAT                    uint64 // used with nested paging
	DBGCTL, BRFrom, BRTo    uint64
	LastExcpFrom            uint64
	LastExcpTo              uint64
	DBGEXTNCFG              uint64
	_                       [0x2e0 - 0x2a0]byte
	SpecCtrl                uint64
	_                       [SaveSize - 0x2e8]byte
}

// Offsets from the start of the VMCB, for assembly and for code that has only an address. APM vol. 2, appendix B.
const (
	OffInterceptCR        = 0x000
	OffInterceptDR        = 0x004
	OffInterceptException = 0x008
	OffIntercept3         = 0x00c
	OffIntercept4         = 0x010
	OffIntercept5         = 0x014
	OffIOPMBase           = 0x040
	OffMSRPMBase          = 0x048
	OffTSCOffset          = 0x050
	OffASID               = 0x058
	OffTLBControl         = 0x05c
	OffIntControl         = 0x060
	OffIntVector          = 0x064
	OffIntState           = 0x068
	OffExitCode           = 0x070
	OffExitInfo1          = 0x078
	OffExitInfo2          = 0x080
	OffExitIntInfo        = 0x088
	OffNestedControl      = 0x090
	OffEventInj           = 0x0a8
	OffNestedCR3          = 0x0b0
	OffVirtExt            = 0x0b8
	OffClean              = 0x0c0
	OffNextRIP            = 0x0c8
	OffFetchedBytes       = 0x0d0

	OffES           = 0x400
	OffCS           = 0x410
	OffSS           = 0x420
	OffDS           = 0x430
	OffFS           = 0x440
	OffGS           = 0x450
	OffGDTR         = 0x460
	OffLDTR         = 0x470
	OffIDTR         = 0x480
	OffTR           = 0x490
	OffCPL          = 0x4cb
	OffEFER         = 0x4d0
	OffCR4          = 0x548
	OffCR3          = 0x550
	OffCR0          = 0x558
	OffDR7          = 0x560
	OffDR6          = 0x568
	OffRFLAGS       = 0x570
	OffRIP          = 0x578
	OffRSP          = 0x5d8
	OffRAX          = 0x5f8
	OffSTAR         = 0x600
	OffLSTAR        = 0x608
	OffCSTAR        = 0x610
	OffSFMASK       = 0x618
	OffKernelGSBase = 0x620
	OffCR2          = 0x640
	OffGPAT         = 0x668
	OffSpecCtrl     = 0x6e0
)

// Values of TLBControl. APM vol. 2, 15.16.2. TLBFlushGuest and TLBFlushLocal need FeatureFlushByASID.
const (
	TLBNothing    = 0
	TLBFlushAll   = 1 // every ASID
	TLBFlushGuest = 3 // this ASID
	TLBFlushLocal = 7 // this ASID, without global pages
)

// Bits of IntControl. APM vol. 2, 15.21 and 15.29.
const (
	IntVTPR         = 0xff
	IntVIRQ         = 1 << 8  // a virtual interrupt waits
	IntVGIF         = 1 << 9  // value of the virtual GIF
	IntVNMI         = 1 << 11 // a virtual NMI waits
	IntVNMIMask     = 1 << 12
	IntPriority     = 0xf << 16
	IntIgnoreTPR    = 1 << 20
	IntMasking      = 1 << 24 // the host's IF governs physical interrupts, the guest's IF and TPR are virtual
	IntVGIFEnable   = 1 << 25
	IntVNMIEnable   = 1 << 26
	IntX2AVICEnable = 1 << 30
	IntAVICEnable   = 1 << 31

	IntPriorityShift = 16
)

// Bits of IntState. APM vol. 2, 15.21.5.
const (
	IntShadow    = 1 << 0 // after STI or MOV SS
	IntGuestMask = 1 << 1 // SEV-ES: the guest's IF
)

// Bits of NestedControl. APM vol. 2, 15.25 and table B-1.
const (
	NestedPaging = 1 << 0
	NestedSEV    = 1 << 1
	NestedSEVES  = 1 << 2
	NestedGMET   = 1 << 3
	NestedSSS    = 1 << 4
	NestedVTE    = 1 << 5
	NestedROGPT  = 1 << 6
	NestedTLBI   = 1 << 7 // INVLPGB and TLBSYNC in the guest
)

// Bits of VirtExt. APM vol. 2, 15.23 and 15.33.
const (
	VirtLBR    = 1 << 0
	VirtVMSAVE = 1 << 1
	VirtIBS    = 1 << 2
)

// Bits of Clean: this part of the VMCB is as the processor left it. APM vol. 2, 15.15.3.
const (
	CleanIntercepts = 1 << 0
	CleanIOPM       = 1 << 1 // IOPMBase, MSRPMBase
	CleanASID       = 1 << 2
	CleanTPR        = 1 << 3 // IntControl, IntVector
	CleanNP         = 1 << 4
	CleanCR         = 1 << 5 // CR0, CR3, CR4, EFER
	CleanDR         = 1 << 6
	CleanDT         = 1 << 7 // GDT, IDT
	CleanSeg        = 1 << 8 // CS, DS, SS, ES, CPL
	CleanCR2        = 1 << 9
	CleanLBR        = 1 << 10
	CleanAVIC       = 1 << 11
	CleanCET        = 1 << 12
)

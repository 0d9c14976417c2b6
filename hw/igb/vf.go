package igb

// Sizes of a virtual function's BARs. BAR3 holds the MSI-X table and stays with the nonkernel.
const (
	VFSize      = 16 << 10
	VFMSIXSize  = 16 << 10
	VFMSIXTable = 3 // its BAR
)

// Registers of a virtual function in its BAR0. What is not here reads as 0. Chapter 8, virtual function registers.
const (
	VTCTRL      = 0x0000 // CTRL_RST alone
	VTSTATUS    = 0x0008
	VMBMEM0     = 0x0800
	V2PMAILBOX  = 0x0c40
	VFPSRTYPE   = 0x0f0c
	VFGPRC      = 0x0f10 // frames received
	VFGPTC      = 0x0f14 // frames sent
	VFGORC      = 0x0f18
	VFGOTC      = 0x0f34
	VFMPRC      = 0x0f3c
	VTFRTIMER   = 0x1048
	VTEICS      = 0x1520
	VTEIMS      = 0x1524
	VTEIMC      = 0x1528
	VTEIAC      = 0x152c // without it there is one interrupt until VTEICR is cleared
	VTEIAM      = 0x1530 // the emulation does nothing with it
	VTEICR      = 0x1580 // write 1 to clear; the emulation always reads 0
	VTEITR0     = 0x1680 // three, 4 bytes apart
	VTIVAR      = 0x1700
	VTIVAR_MISC = 0x1740
)

// Registers of a receive queue, from VFRxQueue in a virtual function or RxQueue in the physical one.
const (
	RDBAL  = 0x00
	RDBAH  = 0x04
	RDLEN  = 0x08 // in bytes, a multiple of 128
	SRRCTL = 0x0c
	RDH    = 0x10
	RXCTL  = 0x14
	RDT    = 0x18
	RXDCTL = 0x28
	RQDPC  = 0x30 // frames dropped because the queue was full; reading clears
)

// Registers of a transmit queue, from VFTxQueue or TxQueue.
const (
	TDBAL  = 0x00
	TDBAH  = 0x04
	TDLEN  = 0x08
	TDH    = 0x10
	TXCTL  = 0x14
	TDT    = 0x18
	TXDCTL = 0x28
	TDWBAL = 0x38 // bit 0: write TDH to memory instead of DD to descriptors
	TDWBAH = 0x3c
)

// Where the registers of a queue begin: a virtual function has 2 of each, the physical function sees all 16.
func VFRxQueue(n uint32) uint32 { return 0x2800 + 0x100*n }
func VFTxQueue(n uint32) uint32 { return 0x3800 + 0x100*n }
func RxQueue(n uint32) uint32   { return 0xc000 + 0x40*n }
func TxQueue(n uint32) uint32   { return 0xe000 + 0x40*n }

// Queue is the number that queue n (0 or 1) of a virtual function has in the physical one. 7.10.
func Queue(vf, n uint32) uint32 { return vf + NumVFs*n }

// Cause is the bit that MSI-X vector n (0 to 2) of a virtual function has in the physical function's EICR, EIMS and so on: from
// bit 22 downwards by function.
func Cause(vf, n uint32) uint32 { return 1 << (22 - 3*(vf&7) + n) }

// Causes are all three of them.
func Causes(vf uint32) uint32 { return 7 << (22 - 3*(vf&7)) }

// QueueEnable is bit 25 of RXDCTL and TXDCTL.
const QueueEnable = 1 << 25

// Bits of SRRCTL; 6:0 is the size of the buffers in KiB, 13:8 that of header buffers in 64 bytes.
const (
	SRRCTL_ADV_ONEBUF   = 1 << 25
	SRRCTL_HDR_SPLIT    = 2 << 25 // header and payload apart where a header ends
	SRRCTL_SPLIT_ALWAYS = 5 << 25
	SRRCTL_DROP_EN      = 1 << 31
	SRRCTL_KiB          = 1
	SRRCTL_Header64     = 1 << 8
)

// IVARValid and a vector are a byte of VTIVAR (receive queue 0 in 7:0, transmit queue 0 in 15:8, queue 1 above) and VTIVAR_MISC
// (mailbox). The emulation sets bits there and never clears one, and ignores queue 1.
const IVARValid = 0x80

// OwnCauses says that an IVAR of the physical function sends the queues of a virtual function to its own interrupts alone. The emulation
// lets a function name also those of the functions before it.
func OwnCauses(vf, ivar uint32) bool {
	for i := uint32(0); i < 32; i += 8 {
		entry := ivar >> i & 0xff
		if entry&IVARValid != 0 && Causes(vf)>>(entry&0x1f)&1 == 0 {
			return false
		}
	}
	return true
}

package cpu

// Descriptors of the GDT for flat 64-bit code. APM vol. 2, 4.8.
const (
	DescriptorCode64 = 0x00af_9b00_0000_ffff // ring 0, 64-bit, execute and read, accessed
	DescriptorData   = 0x00cf_9300_0000_ffff // ring 0, read and write, accessed
	DescriptorUser64 = 0x00af_fb00_0000_ffff // ring 3 code
	DescriptorUData  = 0x00cf_f300_0000_ffff // ring 3 data
	DescriptorCode32 = 0x00cf_9b00_0000_ffff // ring 0, 32-bit
	DescriptorDPL    = 3 << 45
)

// Types of system descriptors. APM vol. 2, table 4-6.
const (
	TypeLDT       = 0x2
	TypeTSS       = 0x9 // available
	TypeTSSBusy   = 0xb
	TypeInterrupt = 0xe // gate that clears IF
	TypeTrap      = 0xf // gate that leaves IF
)

// TSSDescriptor is the 16-byte descriptor of an available 64-bit TSS with the given limit (size - 1). APM vol. 2, 4.8.3.
func TSSDescriptor(base uint64, limit uint32) (low, high uint64) {
	low = uint64(limit&0xffff) | base&0xff_ffff<<16 | (1<<7|TypeTSS)<<40 | uint64(limit>>16&0xf)<<48 | base>>24&0xff<<56
	return low, base >> 32
}

// Gate is the 16-byte IDT entry of an interrupt or trap gate. ist is 0 for "keep the stack" or 1 to 7, dpl the least privileged
// ring that may use INT with it. APM vol. 2, 4.8.4.
func Gate(offset uint64, selector uint16, ist, kind, dpl uint8) (low, high uint64) {
	low = offset&0xffff | uint64(selector)<<16 | uint64(ist&7)<<32 | uint64(kind&0xf)<<40 | uint64(dpl&3)<<45 | 1<<47 |
		offset>>16&0xffff<<48
	return low, offset >> 32
}

// GateOffset is the handler's address in an IDT entry.
func GateOffset(low, high uint64) uint64 {
	return low&0xffff | low>>48<<16 | high<<32
}

// Sizes of tables.
const (
	GateSize = 16
	IDTSize  = 256 * GateSize
	TSSSize  = 104
)

// Offsets in the 64-bit TSS. None of its 64-bit fields is aligned. APM vol. 2, figure 12-8.
const (
	TSSRSP0   = 4
	TSSRSP1   = 12
	TSSRSP2   = 20
	TSSIST1   = 36 // IST N is at TSSIST1 + 8*(N-1)
	TSSIOMap  = 102
	TSSWords  = TSSSize / 4
	tssRSP    = TSSRSP0 / 4
	tssIST    = TSSIST1 / 4
	tssIOWord = 25
)

// TSS is a 64-bit task state segment.
type TSS [TSSWords]uint32

// SetRSP sets the stack for entries into ring 0, 1 or 2 from a less privileged one.
func (t *TSS) SetRSP(ring uint, stack uint64) {
	if ring > 2 {
		return
	}
	t[tssRSP+2*ring], t[tssRSP+2*ring+1] = uint32(stack), uint32(stack>>32)
}

// SetIST sets one of the seven stacks that a Gate can name.
func (t *TSS) SetIST(n uint, stack uint64) {
	if n < 1 || n > 7 {
		return
	}
	t[tssIST+2*(n-1)], t[tssIST+2*(n-1)+1] = uint32(stack), uint32(stack>>32)
}

// IST reads back what SetIST set.
func (t *TSS) IST(n uint) uint64 {
	if n < 1 || n > 7 {
		return 0
	}
	return uint64(t[tssIST+2*(n-1)]) | uint64(t[tssIST+2*(n-1)+1])<<32
}

// NoIOMap says that the TSS has no I/O permission bitmap: ring 3 may use no port.
func (t *TSS) NoIOMap() { t[tssIOWord] = t[tssIOWord]&0xffff | TSSSize<<16 }

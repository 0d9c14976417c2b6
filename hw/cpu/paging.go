package cpu

// Bits of a page table entry, at every level of ordinary and of nested paging. APM vol. 2, 5.4.
const (
	PageP   = 1 << 0 // present
	PageW   = 1 << 1 // writable
	PageU   = 1 << 2 // user; set it in every nested entry, or the guest cannot use it
	PagePWT = 1 << 3
	PagePCD = 1 << 4 // uncached, with the reset value of PAT
	PageA   = 1 << 5
	PageD   = 1 << 6  // in the entry that maps the page
	PagePS  = 1 << 7  // in levels 2 and 3: this entry maps the page
	PagePAT = 1 << 7  // in level 1
	PageG   = 1 << 8  // in the entry that maps the page
	PageNX  = 1 << 63 // needs EFER.NXE; in nested tables, that of the host

	PageLargePAT = 1 << 12 // where PagePS is set
	PageIgnored  = 7 << 9  // free for software
	PageAddress  = 0x000f_ffff_ffff_f000
	PagePKShift  = 59 // protection key, bits 62:59, with CR4.PKE
	PagePK       = 0xf << PagePKShift
)

// Page sizes by the level of the entry that maps the page.
const (
	PageShift    = 12
	PageSize     = 1 << PageShift
	LargeSize    = 2 << 20
	HugeSize     = 1 << 30
	TableEntries = 512
	tableBits    = 9
)

// Span is how many bytes one entry of a level covers: 1 is the level of 4 KiB pages, 4 the root of 4-level paging.
func Span(level uint) uint64 { return 1 << (PageShift + tableBits*(level-1)) }

// Index is the number of the entry in the table of a level that translates an address.
func Index(address uint64, level uint) uint64 {
	return address >> (PageShift + tableBits*(level-1)) & (TableEntries - 1)
}

// LeafAddress is the physical address that an entry of a level maps; the large-page PAT bit is not part of it.
func LeafAddress(entry uint64, level uint) uint64 {
	return entry & PageAddress &^ (Span(level) - 1)
}

// Canonical says whether bits 63:47 of a linear address are all equal, as 4-level paging demands.
func Canonical(address uint64) bool {
	top := int64(address) >> 47
	return top == 0 || top == -1
}

// Bits of a page fault's error code. APM vol. 2, 8.4.2.
const (
	FaultP   = 1 << 0 // the page was present: a violation of its rights
	FaultW   = 1 << 1
	FaultU   = 1 << 2
	FaultRSV = 1 << 3
	FaultI   = 1 << 4 // instruction fetch
	FaultPK  = 1 << 5
	FaultSS  = 1 << 6
	FaultRMP = 1 << 31
)

// Bits of CR3. APM vol. 2, 3.1.2.
const (
	CR3PWT     = 1 << 3
	CR3PCD     = 1 << 4
	CR3PCID    = 0xfff // with CR4.PCIDE
	CR3Keep    = 1 << 63
	CR3Address = PageAddress
)

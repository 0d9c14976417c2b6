// Package igb holds Intel's 82576 network controller: the registers of its physical function and of its virtual functions, their
// bits, which queue and which interrupt belongs to whom, and the descriptors in memory.
//
// It follows the 82576 Gigabit Ethernet Controller Datasheet, chapters 7 (functions, descriptors) and 8 (registers), whose names it
// uses; what is said of the emulation was seen in QEMU's igb 10.0. The package runs without a Go runtime: constants and plain
// functions on integers. It never touches a device.
package igb

// Ids of functions in PCI configuration space. A virtual function's own register reads as ffff.
const (
	Vendor   = 0x8086
	Device   = 0x10c9
	DeviceVF = 0x10ca
)

// What the controller has.
const (
	NumVFs    = 8
	NumQueues = 16 // two for each function: n and n+8
	NumRA     = 24 // addresses it can filter by
	NumVLVF   = 32 // VLANs
	VFVectors = 3  // MSI-X vectors of a virtual function
)

// Registers of the physical function in its BAR0: 32 bits each. Chapter 8.
const (
	CTRL      = 0x0000
	STATUS    = 0x0008
	CTRL_EXT  = 0x0018
	MDIC      = 0x0020
	ICR       = 0x00c0 // reading clears
	IMS       = 0x00d0
	IMC       = 0x00d8
	RCTL      = 0x0100
	TCTL      = 0x0400
	MBVFICR   = 0x0c80 // mailbox events: requests 7:0, acknowledgements 23:16; write 1 to clear
	MBVFIMR   = 0x0c84
	VFLRE     = 0x0c88 // functions that were reset; write 1 to clear
	VFRE      = 0x0c8c // functions that may receive
	VFTE      = 0x0c90 // functions that may transmit
	GPIE      = 0x1514
	EICS      = 0x1520
	EIMS      = 0x1524
	EIMC      = 0x1528
	EIAC      = 0x152c
	EIAM      = 0x1530
	EICR      = 0x1580
	IVAR_MISC = 0x1740
	QDE       = 0x2408 // queues that drop when they are full
	DTXSWC    = 0x3500
	WVBR      = 0x3554 // functions that were caught misbehaving
	RTTDQSEL  = 0x3604 // the queue that the next two are about
	RTTBCNRM  = 0x3690
	RTTBCNRC  = 0x36b0
	RXCSUM    = 0x5000
	RLPML     = 0x5004
	MRQC      = 0x5818
	VT_CTL    = 0x581c
	RPLOLR    = 0x5af0
	PBACLR    = 0x5b68
	TXSWC     = 0x5acc
	MPC       = 0x4010 // statistics, reading clears: frames missed for want of room
	GPRC      = 0x4074 // frames received
	GPTC      = 0x4080 // frames sent
	RNBC      = 0x40a0 // frames that found no descriptor
)

// Registers of which there are many.
func RAL(n uint32) uint32        { return ra(n) }
func RAH(n uint32) uint32        { return ra(n) + 4 }
func MTA(n uint32) uint32        { return 0x5200 + 4*n } // 128: multicast hash
func UTA(n uint32) uint32        { return 0xa000 + 4*n } // 128: unicast hash
func VFTA(n uint32) uint32       { return 0x5600 + 4*n } // 128: a bit for each VLAN
func VLVF(n uint32) uint32       { return 0x5d00 + 4*n }
func VMOLR(pool uint32) uint32   { return 0x5ad0 + 4*pool }
func VMVIR(pool uint32) uint32   { return 0x3700 + 4*pool }
func PSRTYPE(pool uint32) uint32 { return 0x5480 + 4*pool }
func RETA(n uint32) uint32       { return 0x5c00 + 4*n } // 32: 128 entries of a byte
func RSSRK(n uint32) uint32      { return 0x5c80 + 4*n } // 10: the key
func EITR(n uint32) uint32       { return 0x1680 + 4*n } // 25: by interrupt
func IVAR(n uint32) uint32       { return 0x1700 + 4*n } // 8: queue n's and n+8's vectors

func ra(n uint32) uint32 {
	if n < 16 {
		return 0x5400 + 8*n
	}
	return 0x54e0 + 8*(n-16)
}

// Mailbox of a function as the physical function sees it, and the 16 words that both share.
func P2VMAILBOX(vf uint32) uint32   { return 0x0c00 + 4*vf }
func VMBMEM(vf, word uint32) uint32 { return 0x0800 + 64*vf + 4*(word&15) }

// Mirrors of a virtual function's registers in the physical function.
func PVTCTRL(vf uint32) uint32   { return 0x10000 + 0x100*vf }
func PVTEIMC(vf uint32) uint32   { return 0x10028 + 0x100*vf }
func PVTEIAC(vf uint32) uint32   { return 0x1002c + 0x100*vf }
func PVTEICR(vf uint32) uint32   { return 0x10080 + 0x100*vf }
func PVFGPRC(vf uint32) uint32   { return 0x10010 + 0x100*vf } // frames received; all counters wrap
func PVFGPTC(vf uint32) uint32   { return 0x10014 + 0x100*vf } // frames sent
func PVFGORC(vf uint32) uint32   { return 0x10018 + 0x100*vf } // bytes received
func PVFGOTC(vf uint32) uint32   { return 0x10034 + 0x100*vf } // bytes sent
func PVFMPRC(vf uint32) uint32   { return 0x1003c + 0x100*vf } // multicasts received
func PVFGPRLBC(vf uint32) uint32 { return 0x10040 + 0x100*vf } // of these from other functions of the controller,
func PVFGPTLBC(vf uint32) uint32 { return 0x10044 + 0x100*vf } // and to them,
func PVFGORLBC(vf uint32) uint32 { return 0x10048 + 0x100*vf } // in bytes
func PVFGOTLBC(vf uint32) uint32 { return 0x10050 + 0x100*vf }

// Bits of CTRL.
const (
	CTRL_SLU = 1 << 6  // set link up
	CTRL_RST = 1 << 26 // reset; SR-IOV's configuration survives, nothing else
)

// Bits of STATUS.
const (
	STATUS_FD          = 1 << 0
	STATUS_LU          = 1 << 1 // the link is up
	STATUS_SPEED       = 3 << 6
	STATUS_SPEED_10    = 0 << 6
	STATUS_SPEED_100   = 1 << 6
	STATUS_SPEED_1000  = 2 << 6 // and 3 << 6
	STATUS_NumVFsShift = 14
	STATUS_IOV         = 1 << 18
)

// CTRL_EXT_PFRSTD tells the virtual functions that the physical function is done with its reset.
const CTRL_EXT_PFRSTD = 1 << 14

// MDIC reaches the PHY's registers.
const (
	MDIC_OP_WRITE = 1 << 26
	MDIC_OP_READ  = 2 << 26
	MDIC_READY    = 1 << 28
	MDIC_ERROR    = 1 << 30
	MDIC_DATA     = 0xffff
)

// MDICWrite and MDICRead are commands to PHY 1, the only one; BMCR is its register 0, of IEEE 802.3, 22.2.4.1.
func MDICWrite(register uint32, v uint16) uint32 {
	return MDIC_OP_WRITE | 1<<21 | register&31<<16 | uint32(v)
}
func MDICRead(register uint32) uint32 { return MDIC_OP_READ | 1<<21 | register&31<<16 }

// Registers and bits of the PHY.
const (
	PHY_BMCR       = 0
	BMCR_1000      = 1 << 6
	BMCR_FD        = 1 << 8
	BMCR_ANRESTART = 1 << 9
	BMCR_AUTOEN    = 1 << 12
)

// Bits of ICR and IMS.
const (
	ICR_LSC  = 1 << 2 // link status changed
	ICR_VMMB = 1 << 8 // mailbox, or a function was reset
)

// Bits of RCTL and TCTL.
const (
	RCTL_EN    = 1 << 1
	RCTL_LPE   = 1 << 5 // long frames; with virtualization VMOLR_LPE decides
	RCTL_BAM   = 1 << 15
	RCTL_VFE   = 1 << 18 // filter by VLAN
	RCTL_SECRC = 1 << 26
	TCTL_EN    = 1 << 1
	TCTL_PSP   = 1 << 3 // pad short frames
)

// Bits of RAH: the filter is valid, and the first pool that gets its frames; pool n is RAH_POOL0 << n.
const (
	RAH_POOL0 = 1 << 18
	RAH_AV    = 1 << 31
)

// Address is RAL, and RAH without its bits, for an Ethernet address.
func Address(mac [6]byte) (low, high uint32) {
	return uint32(mac[0]) | uint32(mac[1])<<8 | uint32(mac[2])<<16 | uint32(mac[3])<<24, uint32(mac[4]) | uint32(mac[5])<<8
}

// Bits of VMOLR: what a pool accepts.
const (
	VMOLR_RLPML   = 0x3fff  // longest frame, with VLAN tag and FCS; counts with VMOLR_LPE
	VMOLR_LPE     = 1 << 16 // long frames
	VMOLR_RSSE    = 1 << 17 // spread over both queues
	VMOLR_AUPE    = 1 << 24 // untagged frames
	VMOLR_ROMPE   = 1 << 25 // multicasts that MTA has
	VMOLR_ROPE    = 1 << 26 // unicasts that the UTA has
	VMOLR_BAM     = 1 << 27 // broadcasts
	VMOLR_MPME    = 1 << 28 // all multicasts; the emulation does not
	VMOLR_STRVLAN = 1 << 30 // strip the VLAN tag
	VMOLR_STRCRC  = 1 << 31 // strip the FCS
)

// Bits of VMVIR: what is done to frames that a pool sends. 15:0 is the tag.
const (
	VMVIR_DEFAULT = 1 << 30 // always this tag
	VMVIR_NEVER   = 2 << 30 // never a tag
)

// Bits of VLVF; pool n is VLVF_POOL0 << n.
const (
	VLVF_ID    = 0xfff
	VLVF_POOL0 = 1 << 12
	VLVF_VIEN  = 1 << 31
)

// Bits of RXCSUM: checksums are checked, and descriptors have the RSS hash in the place of a raw checksum.
const (
	RXCSUM_IPOFL = 1 << 8
	RXCSUM_TUOFL = 1 << 9
	RXCSUM_PCSD  = 1 << 13
)

// Bits of MRQC, VT_CTL, RPLOLR, DTXSWC and GPIE.
const (
	MRQC_VMDQ     = 3 // queues by pool
	MRQC_VMDQ_RSS = 5 // and both queues of it; the emulation has no RSS then
	MRQC_TCPIPv4  = 1 << 16
	MRQC_IPv4     = 1 << 17
	MRQC_IPv6     = 1 << 20
	MRQC_TCPIPv6  = 1 << 21
	MRQC_UDPIPv4  = 1 << 22
	MRQC_UDPIPv6  = 1 << 23

	VT_CTL_DIS_DEF_POOL = 1 << 29 // what no filter knows is dropped
	VT_CTL_REPL_EN      = 1 << 30 // broadcasts go to all pools

	RPLOLR_STRCRC = 1 << 31

	DTXSWC_MAC_SPOOF0  = 1 << 0  // pool n's source address is checked; the emulation does not
	DTXSWC_VLAN_SPOOF0 = 1 << 8  // pool n's VLAN; the emulation does not
	DTXSWC_LOOPBACK    = 1 << 31 // frames from pool to pool stay inside

	GPIE_NSICR     = 1 << 0 // ICR is cleared by reading whatever is masked
	GPIE_MSIX_MODE = 1 << 4 // without it a virtual function has no interrupts
	GPIE_EIAME     = 1 << 30
	GPIE_PBA       = 1 << 31
)

// Bits of RTTBCNRC: the rate of a queue is the link's divided by a number with 14 bits behind the point. The emulation has no limit.
const (
	RTTBCNRC_RS_ENA = 1 << 31
	RTTBCNRM_JUMBO  = 0x14 // compensation time when frames have up to 9728 bytes
	rateShift       = 14
	maxRateDivisor  = 1<<28 - 1
)

// RateLimit is RTTBCNRC for a rate, both in Mbit/s; 0 for no limit.
func RateLimit(link, rate uint32) uint32 {
	if rate == 0 || rate >= link {
		return 0
	}
	return RTTBCNRC_RS_ENA | uint32(min(uint64(link)<<rateShift/uint64(rate), maxRateDivisor))
}

// Bits of P2VMAILBOX and V2PMAILBOX, and of the first word of a message.
const (
	P2V_STS  = 1 << 0 // a message for the function
	P2V_ACK  = 1 << 1 // the function's was read
	P2V_PFU  = 1 << 3 // the physical function holds the words
	P2V_RVFU = 1 << 4 // take them from a function that is stuck

	V2P_REQ   = 1 << 0
	V2P_ACK   = 1 << 1
	V2P_VFU   = 1 << 2
	V2P_PFU   = 1 << 3
	V2P_PFSTS = 1 << 4
	V2P_PFACK = 1 << 5
	V2P_RSTI  = 1 << 6 // the physical function is being reset
	V2P_RSTD  = 1 << 7 // and is done; reading clears

	MailboxWords = 16
	VF_RESET     = 1 // the reply to it has the address in the two words after the first
	VF_SET_LPE   = 5 // the word after the first is the longest frame that the function is to receive, with FCS and a tag
	VT_ACK       = 1 << 31
	VT_NACK      = 1 << 30
	VT_CTS       = 1 << 29 // the function may ask
)

package igb

// DescriptorSize is the size of each descriptor: two words of 64 bits, here called first and second. A ring of N holds N-1: head
// equal to tail means empty. 7.1.5, 7.2.2.
const DescriptorSize = 16

// A receive descriptor gives the buffer's address first and that of the header's buffer, or 0, second. The controller overwrites
// both; these are bits of the second word then.
const (
	RxDone    = 1 << 0 // DD
	RxEnd     = 1 << 1 // EOP: the frame's last descriptor, which has all that is said of it
	RxVLAN    = 1 << 3 // VP: the tag was stripped
	RxUDP     = 1 << 4 // UDPCS: a UDP checksum was checked
	RxTCP     = 1 << 5 // TCPCS: or one of TCP, or UDP
	RxIP      = 1 << 6 // IPCS: IPv4's was checked
	RxIPID    = 1 << 9
	RxL4Error = 1 << 29 // it was wrong
	RxIPError = 1 << 30
	RxError   = 1 << 31
)

// RxLength is the length of the buffer's contents, from the second word.
func RxLength(second uint64) uint32 { return uint32(second>>32) & 0xffff }

// RxTag is the VLAN tag that was stripped.
func RxTag(second uint64) uint16 { return uint16(second >> 48) }

// Bits of the first word: what the frame is.
const (
	RxIsIPv4 = 1 << 4
	RxIsIPv6 = 4 << 4
	RxIsTCP  = 0x10 << 4
	RxIsUDP  = 0x20 << 4
	RxIsSCTP = 0x40 << 4
	RxSplit  = 1 << 31 // SPH: the header is in its own buffer
)

// RxHeaderLength is how long the header is, from the first word.
func RxHeaderLength(first uint64) uint32 { return uint32(first>>21) & 0x3ff }

// RxHash is the RSS hash.
func RxHash(first uint64) uint32 { return uint32(first >> 32) }

// A transmit data descriptor gives the buffer's address first; these are bits of the second word.
const (
	TxEnd       = 1 << 24 // EOP
	TxFCS       = 1 << 25 // IFCS: append the checksum
	TxReport    = 1 << 27 // RS: set TxDone when done
	TxExtended  = 1 << 29 // DEXT
	TxVLAN      = 1 << 30 // VLE: insert the context's tag
	TxSegment   = 1 << 31 // TSE
	TxDone      = 1 << 32 // DD
	TxIP        = 1 << 40 // IXSM: fill in IPv4's checksum
	TxL4        = 1 << 41 // TXSM: that of TCP or UDP
	txData      = 3 << 20
	txContext   = 2 << 20
	txIPv4      = 1 << 10
	txTCP       = 1 << 11
	MaxTxLength = 1<<16 - 1
)

// TxFrame is the second word for a frame of n bytes in one buffer, sent as it is and reported when done.
func TxFrame(n uint32) uint64 {
	return TxData(n, n, TxEnd|TxFCS|TxReport)
}

// TxData is the second word for a buffer of n bytes. payload is the length of all that its frame carries: the whole frame, or with
// TxSegment what follows the headers. flags are TxEnd and so on.
func TxData(n, payload uint32, flags uint64) uint64 {
	return uint64(n&0xffff) | txData | TxExtended | flags | uint64(payload&0x3ffff)<<46
}

// TxUse picks one of two contexts for a data descriptor.
func TxUse(context uint32) uint64 { return uint64(context&1) << 36 }

// Context is what the controller must know of frames to insert tags and checksums, or to cut segments. 7.2.2.2.
type Context struct {
	Index   uint32 // 0 or 1
	MACLen  uint32 // of the Ethernet header
	IPLen   uint32 // of the IP header
	L4Len   uint32 // of the TCP header; only to cut segments
	Segment uint32 // MSS: payload of a segment
	VLAN    uint16
	IPv4    bool
	TCP     bool // else UDP
}

// Encode is the context as a descriptor of its own.
func (c Context) Encode() (first, second uint64) {
	first = uint64(c.VLAN)<<16 | uint64(c.MACLen&0x7f)<<9 | uint64(c.IPLen&0x1ff)
	second = txContext | TxExtended | uint64(c.Index&1)<<36 | uint64(c.L4Len&0xff)<<40 | uint64(c.Segment&0xffff)<<48
	if c.IPv4 {
		second |= txIPv4
	}
	if c.TCP {
		second |= txTCP
	}
	return first, second
}

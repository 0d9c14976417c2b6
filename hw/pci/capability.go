package pci

// Config reads the 32-bit register at an offset of a function's configuration space. This package asks only for multiples of 4 below
// ConfigSize.
type Config func(offset uint32) uint32

// Ids of capabilities. PCI Code and ID Assignment specification, 2 and 3.
const (
	CapPower   = 0x01
	CapMSI     = 0x05
	CapExpress = 0x10
	CapMSIX    = 0x11

	ExtAER   = 0x0001
	ExtACS   = 0x000d
	ExtARI   = 0x000e
	ExtSRIOV = 0x0010
)

// Capability is an entry of one of the two lists of a function. The zero Capability stands before the first.
type Capability struct {
	Offset uint32 // of its header; a multiple of 4
	ID     uint16
	header uint32
	steps  uint32
}

// No list can have more entries than there is room for: a capability takes 4 bytes or more.
const (
	firstCapability = 0x40
	maxCapabilities = (ExtendedStart - firstCapability) / 4
	maxExtended     = (ConfigSize - ExtendedStart) / 4
)

// Next is the capability after c in the list that every function has; false at the end, and where the list leaves its bounds or
// turns out to be longer than there is room for. 7.5.1.1.11.
func Next(read Config, c Capability) (Capability, bool) {
	at := c.header >> 8 & 0xfc
	if c.steps == 0 {
		if read(RegCommand)&StatusCapability == 0 {
			return Capability{}, false
		}
		at = read(RegCapabilities) & 0xfc
	}
	if at < firstCapability || c.steps >= maxCapabilities {
		return Capability{}, false
	}
	header := read(at)
	if header == Absent {
		return Capability{}, false
	}
	return Capability{at, uint16(header & 0xff), header, c.steps + 1}, true
}

// NextExtended is the capability after c in the list of PCI Express. 7.6.3.
func NextExtended(read Config, c Capability) (Capability, bool) {
	at := c.header >> 20 & 0xffc
	if c.steps == 0 {
		at = ExtendedStart
	}
	if at < ExtendedStart || c.steps >= maxExtended {
		return Capability{}, false
	}
	header := read(at)
	if header == 0 || header == Absent {
		return Capability{}, false
	}
	return Capability{at, uint16(header), header, c.steps + 1}, true
}

// Find is the offset of the first capability with an id that has room for size bytes.
func Find(read Config, id uint16, size uint32) (offset uint32, ok bool) {
	for c, more := Next(read, Capability{}); more; c, more = Next(read, c) {
		if c.ID == id && c.Offset+size <= ExtendedStart {
			return c.Offset, true
		}
	}
	return 0, false
}

// FindExtended is the offset of the first extended capability with an id that has room for size bytes.
func FindExtended(read Config, id uint16, size uint32) (offset uint32, ok bool) {
	for c, more := NextExtended(read, Capability{}); more; c, more = NextExtended(read, c) {
		if c.ID == id && c.Offset+size <= ConfigSize {
			return c.Offset, true
		}
	}
	return 0, false
}

// The PCI Express capability: offsets from its header, and bits. 7.5.3.
const (
	ExpressSize       = 0x3c
	ExpressCaps       = 0x00 // 31:16: the capabilities register beside the header
	ExpressDevCap     = 0x04
	ExpressDevCtl     = 0x08 // control 15:0, status 31:16
	ExpressDevCap2    = 0x24
	ExpressDevCtl2    = 0x28
	DevCapFLR         = 1 << 28
	DevCtlFLR         = 1 << 15 // writing it resets the function; it reads as 0
	DevCtlMask        = 0xffff
	DevStaPending     = 1 << 21 // of the 32 bits at ExpressDevCtl: transactions are pending
	DevCap2ARI        = 1 << 5  // a port can forward to functions above 7
	DevCtl2ARI        = 1 << 5
	ExpressRootPort   = 4
	ExpressEndpoint   = 0
	ExpressUpstream   = 5
	ExpressDownstream = 6
)

// FLRMillis is how long after its reset a function must be left alone, at most. 6.6.2.
const FLRMillis = 100

// ExpressType takes the type of device or port out of the 32 bits at ExpressCaps.
func ExpressType(caps uint32) uint8 { return uint8(caps>>20) & 15 }

// The MSI-X capability: offsets and bits. 7.7.2.
const (
	MSIXSize    = 0x0c
	MSIXControl = 0x00 // 31:16 of the header
	MSIXTable   = 0x04
	MSIXPending = 0x08
	MSIXEnable  = 1 << 31 // of the 32 bits at MSIXControl
	MSIXMask    = 1 << 30 // masks all vectors
)

// MSIXVectors is how many entries the table has, from the 32 bits at MSIXControl.
func MSIXVectors(control uint32) uint32 { return control>>16&0x7ff + 1 }

// MSIXPlace says where a table is, from the 32 bits at MSIXTable or MSIXPending.
func MSIXPlace(v uint32) (bar, offset uint32) { return v & 7, v &^ 7 }

// An entry of an MSI-X table: 16 bytes. 7.7.2.5 and on. Change address and data only while the vector is masked.
const (
	EntrySize    = 16
	EntryAddress = 0x00
	EntryUpper   = 0x04
	EntryData    = 0x08
	EntryControl = 0x0c
	EntryMasked  = 1 << 0 // of EntryControl
)

// Message is what an interrupt writes where.
type Message struct {
	Address uint64
	Data    uint32
}

package nic

// Status says what the device found out about a received frame.
type Status uint32

// IPv4OK says that the device checked the header checksum of IPv4 and found it right.
func (s Status) IPv4OK() bool { return s&(rxIPCS|rxIPE) == rxIPCS }

// IPv4Bad says that the header checksum of IPv4 is wrong.
func (s Status) IPv4Bad() bool { return s&(rxIPCS|rxIPE) == rxIPCS|rxIPE }

// TransportOK says that the device checked the checksum of UDP or TCP and found it right.
func (s Status) TransportOK() bool { return s&(rxUDPCS|rxTCPCS) != 0 && s&rxL4E == 0 }

// TransportBad says that the checksum of UDP or TCP is wrong.
func (s Status) TransportBad() bool { return s&(rxUDPCS|rxTCPCS) != 0 && s&rxL4E != 0 }

// UDPOK says IPv4OK and TransportOK of a UDP datagram in one comparison.
func (s Status) UDPOK() bool { return s&(rxIPCS|rxIPE|rxUDPCS|rxL4E) == rxIPCS|rxUDPCS }

// Offload says what the device shall compute in a frame that it transmits: an Ethernet header of 14 bytes, an IPv4 header of 20,
// then UDP or TCP.
type Offload uint8

const (
	// Plain transmits the frame as it is.
	Plain Offload = iota
	// IPv4 computes the header checksum, whose field must be 0.
	IPv4
	// UDP computes that and the checksum of UDP, whose field must hold the sum of the pseudo header, folded, not complemented.
	UDP
	// TCP likewise.
	TCP
	numOffloads
)

// Contexts of a queue: what the device remembers about the headers of frames.
const (
	contextUDP = 0
	contextTCP = 1
)

// commands are the second quadwords of transmit descriptors without lengths.
var commands = [4]uint64{
	Plain: txDTypData | txDEXT | txEOP | txIFCS,
	IPv4:  txDTypData | txDEXT | txEOP | txIFCS | txIXSM | contextUDP<<txIDXShift,
	UDP:   txDTypData | txDEXT | txEOP | txIFCS | txIXSM | txTXSM | contextUDP<<txIDXShift,
	TCP:   txDTypData | txDEXT | txEOP | txIFCS | txIXSM | txTXSM | contextTCP<<txIDXShift,
}

func (o Offload) command() uint64 { return commands[o&(numOffloads-1)] }

// postContexts puts the two contexts into the transmit ring. The device keeps them until the queue is reset.
func (q *Queue) postContexts() {
	for index, l4 := range [2]uint64{contextUDP: 0, contextTCP: ctxTCP} {
		d := &q.tx[q.tail]
		d.lo = headerLen<<ctxMACShift | 20
		d.hi = txDTypContext | txDEXT | ctxIPv4 | l4 | uint64(index)<<txIDXShift
		q.tail++
	}
	q.reclaim()
}

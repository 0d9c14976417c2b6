package nic

import "nom.dev/nom/hw/igb"

// Status says what the device found out about a received frame.
type Status uint32

// IPv4OK says that the device checked the header checksum of IPv4 and found it right.
func (s Status) IPv4OK() bool { return s&(igb.RxIP|igb.RxIPError) == igb.RxIP }

// IPv4Bad says that the header checksum of IPv4 is wrong.
func (s Status) IPv4Bad() bool { return s&(igb.RxIP|igb.RxIPError) == igb.RxIP|igb.RxIPError }

// TransportOK says that the device checked the checksum of UDP or TCP and found it right.
func (s Status) TransportOK() bool { return s&(igb.RxUDP|igb.RxTCP) != 0 && s&igb.RxL4Error == 0 }

// TransportBad says that the checksum of UDP or TCP is wrong.
func (s Status) TransportBad() bool { return s&(igb.RxUDP|igb.RxTCP) != 0 && s&igb.RxL4Error != 0 }

// UDPOK says IPv4OK and TransportOK of a UDP datagram in one comparison.
func (s Status) UDPOK() bool {
	return s&(igb.RxIP|igb.RxIPError|igb.RxUDP|igb.RxL4Error) == igb.RxIP|igb.RxUDP
}

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

// commands are the second words of descriptors for frames of no length. A descriptor holds a length twice, as that of the buffer and
// of the frame: see lengths.
var commands = [numOffloads]uint64{
	Plain: igb.TxData(0, 0, igb.TxEnd|igb.TxFCS),
	IPv4:  igb.TxData(0, 0, igb.TxEnd|igb.TxFCS|igb.TxIP|igb.TxUse(contextUDP)),
	UDP:   igb.TxData(0, 0, igb.TxEnd|igb.TxFCS|igb.TxIP|igb.TxL4|igb.TxUse(contextUDP)),
	TCP:   igb.TxData(0, 0, igb.TxEnd|igb.TxFCS|igb.TxIP|igb.TxL4|igb.TxUse(contextTCP)),
}

// lengths times a length is what it adds to a descriptor.
const lengths = 1 | 1<<46

func (o Offload) command() uint64 { return commands[o%numOffloads] }

// What the contexts are for Offload. SendTCP leaves others behind in that of TCP: see Queue.stale.
var (
	offloadUDP = igb.Context{Index: contextUDP, MACLen: headerLen, IPLen: ipv4Len, IPv4: true}
	offloadTCP = igb.Context{Index: contextTCP, MACLen: headerLen, IPLen: ipv4Len, IPv4: true, TCP: true}
)

// postContexts puts both contexts into the transmit ring. The device keeps them until the queue is reset.
func (q *Queue) postContexts() {
	q.putContext(offloadUDP)
	q.putContext(offloadTCP)
	q.reclaim()
}

// putContext fills the next transmit slot with a context.
func (q *Queue) putContext(c igb.Context) {
	d := &q.tx[q.tail]
	d.lo, d.hi = c.Encode()
	q.tail++
}

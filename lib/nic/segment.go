package nic

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nom.dev/nom/hw/igb"
)

// TCP segmentation: the device cuts one long packet of TCP into segments. Datasheet sections 7.2.2.2 (context descriptor) and 7.2.4.

// Limits of SendTCP. The datasheet allows 256 KiB and any number of descriptors; QEMU's igb sends nothing of what has more.
const (
	// LongestTCP is the longest packet with its Ethernet header: one of IP can have no more.
	LongestTCP = headerLen + 1<<16 - 1
	// MaxParts is how many parts it may have.
	MaxParts = 60
)

// ErrFull says that the transmit ring has no room for the packet now: try again when the device has transmitted.
var ErrFull = errors.New("nic: no room in the transmit ring for the packet and its context: try again when the device has transmitted, see Room")

// Part is the buffer for part i of a packet to transmit with SendTCP, counted from 0; nil when the transmit ring has no room for that many;
// then Run, instead of sleeping until an interrupt, polls again soon. It is the same one until something is transmitted or Buffer is asked for.
//
// Preconditions: i is 0 to MaxParts - 1.
func (q *Queue) Part(i int) []byte {
	if !q.has(i + 2) {
		return nil
	}
	return q.buffer(q.part(i), q.size)
}

// part is where the buffer of part i is. A context goes before the parts into the ring, and leaves the buffer of its slot alone.
func (q *Queue) part(i int) uint32 { return q.txBuffer[q.tail+1+uint8(i)] }

// PartsFor is how many parts a packet of n bytes has whose parts are full, but for the last.
func (q *Queue) PartsFor(n int) int { return (n + int(q.size) - 1) / int(q.size) }

// SendTCP transmits one packet of TCP, which the device cuts into segments of mss bytes of payload, the last of the rest. lengths says how
// many bytes of each Part it has. It takes as many transmit slots as it has parts, and one.
//
// The packet begins with an Ethernet header of 14 bytes and the headers of IPv4 or of IPv6 without extensions, and of TCP, all in part
// 0. Lengths of IP and checksums need not be filled in: SendTCP writes there what the device wants. The device counts on the identification
// of IPv4 and the sequence number, and leaves PSH to the last segment (QEMU's igb leaves it out).
//
// The error is ErrFull when there is no room. Others say what is wrong with the packet; nothing was changed then.
func (q *Queue) SendTCP(lengths []int, mss int) error {
	total, err := q.checkParts(lengths)
	if err != nil {
		q.TxLength++
		return err
	}
	if !q.has(len(lengths) + 1) {
		return ErrFull
	}
	first := q.part(0)
	c, err := tcpContext(q.buffer(first, uint32(lengths[0])))
	if err == nil {
		err = q.checkSegments(&c, total, mss)
	}
	if err != nil {
		q.TxLength++
		return err
	}
	prepare(q.buffer(first, uint32(lengths[0])), &c)
	payload := total - headers(&c)
	q.postParts(lengths, c, payload)
	q.TxFrames++
	q.TxBytes += uint64(total)
	q.TxCut++
	q.TxSegments += uint64((payload + mss - 1) / mss)
	return nil
}

// has says whether there are n free transmit slots.
func (q *Queue) has(n int) bool {
	if int(q.room) < n && int(q.free()) < n {
		q.TxFull++
		q.wanted = max(q.wanted, min(n, mostRoom))
		return false
	}
	return true
}

// mostRoom is what Room says at most for certain when the device has transmitted all.
const mostRoom = RingSize - 2

// RoomFor says whether Room is at least n; if it is not, Run, instead of sleeping until an interrupt, polls again soon.
func (q *Queue) RoomFor(n int) bool {
	if q.Room() >= n {
		return true
	}
	q.TxFull++
	q.wanted = max(q.wanted, min(n, mostRoom))
	return false
}

// checkParts finds out how long a packet is.
func (q *Queue) checkParts(lengths []int) (total int, err error) {
	if n := len(lengths); n < 1 || n > MaxParts {
		return 0, fmt.Errorf("nic: a packet of %d parts: give 1 to %d", n, MaxParts)
	}
	for i, n := range lengths {
		if n < 1 || n > int(q.size) {
			return 0, fmt.Errorf("nic: part %d has %d bytes: give 1 to %d, and leave out parts that are empty", i, n, q.size)
		}
		total += n
	}
	if total > LongestTCP {
		return 0, fmt.Errorf("nic: a packet of %d bytes: give at most %d, the longest that IP has", total, LongestTCP)
	}
	return total, nil
}

// checkSegments completes the context with the size of segments.
func (q *Queue) checkSegments(c *igb.Context, total, mss int) error {
	head, longest := headers(c), q.wait.function.MaxFrame
	switch {
	case mss < 1 || mss > longest-head:
		return fmt.Errorf("nic: segments of %d bytes: give 1 to %d, what frames of %d bytes hold besides %d bytes of headers", mss, longest-head, longest, head)
	case total == head:
		return fmt.Errorf("nic: %d bytes of headers without payload: use Send", head)
	}
	c.Segment = uint32(mss)
	return nil
}

// Places and values in headers.
const (
	etherTypeAt  = 12
	etherIPv4    = 0x0800
	etherIPv6    = 0x86dd
	ipv4Len      = 20
	ipv6Len      = 40
	tcpLen       = 20
	protocolTCP  = 6
	tcpSumAt     = 16
	notCut       = 1<<0 | 1<<1 | 1<<2 | 1<<5 // FIN, SYN, RST, URG
	fragmentBits = 0x3fff
)

// tcpContext is what the device must know of the headers that part 0 begins with.
func tcpContext(b []byte) (igb.Context, error) {
	c := igb.Context{Index: contextTCP, MACLen: headerLen, TCP: true}
	if len(b) < headerLen+ipv4Len {
		return c, fmt.Errorf("nic: part 0 has %d bytes: the headers of Ethernet, IP and TCP belong there", len(b))
	}
	ip, protocol := b[headerLen:], byte(0)
	switch kind := binary.BigEndian.Uint16(b[etherTypeAt:]); {
	case kind == etherIPv4 && ip[0]>>4 == 4:
		c.IPv4, c.IPLen, protocol = true, uint32(ip[0]&15)*4, ip[9]
		if c.IPLen < ipv4Len || binary.BigEndian.Uint16(ip[6:])&fragmentBits != 0 {
			return c, errors.New("nic: the device cuts whole packets of IPv4 only: this one is a fragment, or its header has less than 20 bytes")
		}
	case kind == etherIPv6 && ip[0]>>4 == 6:
		c.IPLen, protocol = ipv6Len, ip[6]
	default:
		return c, fmt.Errorf("nic: a frame of type %#04x with IP of version %d: the device cuts IPv4 and IPv6, without a VLAN's tag in the frame", kind, ip[0]>>4)
	}
	if protocol != protocolTCP {
		return c, fmt.Errorf("nic: protocol %d behind the header of IP: the device cuts TCP only, without IPv6's extension headers: use Send", protocol)
	}
	at := headerLen + int(c.IPLen)
	if len(b) < at+tcpLen {
		return c, fmt.Errorf("nic: part 0 has %d bytes: %d of headers at least belong there", len(b), at+tcpLen)
	}
	c.L4Len = uint32(b[at+12]>>4) * 4
	switch {
	case c.L4Len < tcpLen || len(b) < headers(&c):
		return c, fmt.Errorf("nic: part 0 has %d bytes, the header of TCP %d: it has 20 at least, and belongs wholly into part 0", len(b), c.L4Len)
	case b[at+13]&notCut != 0:
		return c, fmt.Errorf("nic: flags %#x of TCP: segments with FIN, SYN, RST or URG are not to be cut (QEMU's igb loses FIN): use Send", b[at+13])
	}
	return c, nil
}

// headers is the length of all of them.
func headers(c *igb.Context) int { return int(c.MACLen + c.IPLen + c.L4Len) }

// prepare writes into headers what the device wants where it fills in lengths and checksums: zeros, and for TCP the sum of the pseudo header
// without a length.
func prepare(b []byte, c *igb.Context) {
	ip, tcp := b[headerLen:headerLen+c.IPLen], b[headerLen+c.IPLen:]
	addresses := ip[8:]
	if c.IPv4 {
		binary.BigEndian.PutUint16(ip[2:], 0)
		binary.BigEndian.PutUint16(ip[10:], 0)
		addresses = ip[12:ipv4Len]
	} else {
		binary.BigEndian.PutUint16(ip[4:], 0)
	}
	sum := uint32(protocolTCP)
	for ; len(addresses) > 1; addresses = addresses[2:] {
		sum += uint32(binary.BigEndian.Uint16(addresses))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(tcp[tcpSumAt:], uint16(sum>>16+sum))
}

// postParts fills the slots of a packet: its context, then its parts.
func (q *Queue) postParts(lengths []int, c igb.Context, payload int) {
	q.putContext(c)
	command := igb.TxData(0, uint32(payload), igb.TxFCS|igb.TxL4|igb.TxSegment|igb.TxUse(contextTCP))
	if c.IPv4 {
		command |= igb.TxIP
	}
	for _, n := range lengths {
		d := &q.tx[q.tail]
		d.lo = q.address + uint64(q.txBuffer[q.tail])
		d.hi = command | uint64(n)
		q.tail++
	}
	q.tx[q.tail-1].hi |= igb.TxEnd
	q.stale = !c.IPv4 || c.IPLen != ipv4Len
	q.room = 0 // what follows asks anew
}

// renewTCP posts the context that Offload TCP means, after one of SendTCP for other headers, if there is room for it and a frame behind it.
func (q *Queue) renewTCP() {
	if q.room < 2 {
		q.room = 0
		return
	}
	q.putContext(offloadTCP)
	q.stale = false
	q.room--
}

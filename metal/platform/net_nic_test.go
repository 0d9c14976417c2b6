package main

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// Where the container and its peer are in the tests' network, and their Ethernet addresses.
const (
	ownIP  = 0x0a00_0001
	peerIP = 0x0a00_0002

	peerMAC = 0x0200_0000_0002
)

var (
	ownMAC = [6]byte{2, 0, 0, 0, 0, 1}

	peerHost = []byte{10, 0, 0, 2}
	anyHost  = []byte{0, 0, 0, 0}
)

// wire is a model of the container's network function, whose registers are memory, and of the Ethernet behind it: it does what was
// written to the registers when the test looks.
type wire struct {
	t        testing.TB
	regs     uint64
	unsure   bool // the function checks no checksums
	contexts [2]context
	part     []byte // what was sent of a frame that has not ended
	long     int    // frames that were cut
	any      bool   // the container's address is not ownIP
	before   held
	again    [][]byte // left before
}

// newWire is a machine with a network function, a second and some after its start.
func newWire(t testing.TB, frames int) *wire {
	t.Helper()
	w := newFunction(t, frames)
	setPlace(ip{0, mapped | ownIP}, 0xffff_ffff_ffff_ff00, ip{})
	w.start()
	announce()
	if f := w.take(); len(f) != 1 || inet.Be16(f[0][12:]) != inet.TypeARP {
		t.Fatalf("got %x, want an announcement", f)
	}
	w.meet()
	w.before = holding()
	return w
}

// newFunction is a machine with a network function that nobody uses yet.
func newFunction(t testing.TB, frames int) *wire {
	t.Helper()
	fakeMachine(t, frames, nil)
	base, mult := clockBase, clockMult
	t.Cleanup(func() {
		clockBase, clockMult = base, mult
		zero(&net)
	})
	clockMult = 1 << 22 // a tick is 1/1024 ns: time passes when the test says so, nearly
	clockBase = rdtsc()
	w := &wire{t: t, regs: physical(alignedBytes(t, 16<<10))}
	w.skip(100 * time.Second)
	net.key = inet.Key{1, 2}
	if !nicTake(&abi.DeviceGrant{BAR: abi.Range{Addr: w.regs}, MAC: ownMAC}) {
		t.Fatal("no memory for the function")
	}
	return w
}

// start is the rest of initNet.
func (w *wire) start() {
	w.t.Helper()
	net.up, net.deadline = true, 0
	net6.asked = solicitations // there are no routers
	prepareFiles()
	if !preparePorts() || !prepareFragments() {
		w.t.Fatal("no memory")
	}
	connHeads = direct(fileFrame())
}

// meet has the peer ask who the container is.
func (w *wire) meet() {
	w.t.Helper()
	w.give(arpFrame(arpRequest, peerMAC, peerIP, ownIP))
	if f := w.take(); len(f) != 1 || inet.Be16(f[0][12:]) != inet.TypeARP || macOf(f[0]) != peerMAC {
		w.t.Fatalf("got %x, want the answer to a request", f)
	}
}

// held is what is in use: it must be again what it was.
type held struct{ frames, sockets, connections, waiting, halfOpen, inWheel uint64 }

func holding() held {
	h := held{frames: pool.total - pool.nfree, halfOpen: netCount.halfOpen}
	for _, t := range []*table{&sockets, &connections, &inodes, &entries, &openFiles} {
		h.frames -= framesOf(t)
	}
	h.sockets, h.connections = inUse(&sockets), inUse(&connections)
	for i := range neighbours {
		if neighbours[i].waiting != 0 {
			h.waiting++
		}
	}
	for _, n := range wheel.heads {
		for ; n != 0; n = connectionAt(n).later {
			h.inWheel++
		}
	}
	return h
}

// framesOf is how many frames a table has: those it keeps.
func framesOf(t *table) uint64 {
	n := uint64(0)
	for _, f := range t.index {
		if f == 0 {
			continue
		}
		n++
		for o := uint64(0); o < pageSize; o += 8 {
			if load64(direct(f)+o) != 0 {
				n++
			}
		}
	}
	return n
}

func inUse(t *table) uint64 {
	n := uint64(max(t.made, 1) - 1)
	for i := t.free; i != 0; i = load32(t.at(i)) {
		n--
	}
	return n
}

// ended fails the test when something is left of what happened.
func (w *wire) ended() {
	w.t.Helper()
	for fd := uint64(3); fd < usedDescriptors; fd++ {
		if descriptors[fd].kind != fdFree {
			must(w.t, "close", sysClose, fd)
		}
	}
	for range 400 { // no connection lasts longer without anybody who answers
		w.take()
		w.pass(time.Second)
	}
	w.take()
	if got := holding(); got != w.before {
		w.t.Errorf("left over: got %+v, want %+v", got, w.before)
	}
}

// skip lets time pass without anything that happens.
func (w *wire) skip(d time.Duration) { clockBase -= uint64(d) << 10 }

// pass lets time pass, and does what the time has come for.
func (w *wire) pass(d time.Duration) {
	w.skip(d)
	netTimer(nanotime())
}

func (w *wire) register(r uint32) *uint32 { return at[uint32](direct(w.regs) + uint64(r)) }

// give delivers frames, and has the platform look.
func (w *wire) give(frames ...[]byte) {
	for _, f := range frames {
		if !w.deliver(f) {
			w.t.Error("the receive ring is full")
		}
	}
	netPoll()
}

// deliver is a frame that arrives: it lies in the ring afterwards, if there is room.
func (w *wire) deliver(frame []byte) bool {
	return w.deliverAs(frame, uint64(len(frame))<<32|igb.RxDone|igb.RxEnd|w.verdict(frame))
}

// deliverAs writes what the function says into the descriptor.
func (w *wire) deliverAs(frame []byte, hi uint64) bool {
	rx := igb.VFRxQueue(0)
	slot := *w.register(rx + igb.RDH)
	if slot == *w.register(rx + igb.RDT) {
		return false
	}
	ring := uint64(*w.register(rx + igb.RDBAH))<<32 | uint64(*w.register(rx + igb.RDBAL))
	d := direct(ring) + uint64(slot)*igb.DescriptorSize
	copy(bytesAt(direct(load64(d)), nicBufferSize), frame)
	store64(d+8, hi)
	*w.register(rx + igb.RDH) = (slot + 1) % nicSlots
	return true
}

// verdict is what the function says of a frame's checksums.
func (w *wire) verdict(frame []byte) uint64 {
	if w.unsure || len(frame) < frameHead || inet.Be16(frame[12:]) != inet.TypeIPv4 {
		return 0
	}
	b := frame[inet.EthernetLen:]
	var p inet.IPv4
	if !inet.ParseIPv4(b, true, &p) {
		return 0
	}
	hi := uint64(igb.RxIP)
	if inet.Checksum(0, b[:int(b[0]&15)*4]) != 0 {
		hi |= igb.RxIPError
	}
	if p.More || p.Fragment != 0 {
		return hi
	}
	sum := inet.Checksum(inet.PseudoIPv4(p.From, p.To, p.Proto, len(p.Payload)), p.Payload)
	switch {
	case p.Proto == inet.ProtoUDP && len(p.Payload) >= inet.UDPLen && inet.Be16(p.Payload[6:]) != 0:
		hi |= igb.RxUDP | igb.RxTCP
	case p.Proto == inet.ProtoTCP && len(p.Payload) >= inet.TCPLen:
		hi |= igb.RxTCP
	default:
		return hi
	}
	if sum != 0 {
		hi |= igb.RxL4Error
	}
	return hi
}

// take returns the frames that left since it was called last, as they are on the wire.
func (w *wire) take() [][]byte { return w.takeSome(nicSlots) }

// takeSome is take for a function that has looked at so many descriptors only.
func (w *wire) takeSome(most int) [][]byte {
	w.t.Helper()
	tx := igb.VFTxQueue(0)
	ring := uint64(*w.register(tx + igb.TDBAH))<<32 | uint64(*w.register(tx + igb.TDBAL))
	frames := w.again
	w.again = nil
	head, tail := *w.register(tx + igb.TDH), *w.register(tx + igb.TDT)
	for ; head != tail && most > 0; head, most = (head+1)%nicSlots, most-1 {
		d := direct(ring) + uint64(head)*igb.DescriptorSize
		lo, hi := load64(d), load64(d+8)
		if hi>>20&15 == 2 { // a context
			w.contexts[hi>>36&1] = context{ip: lo & 0x1ff, mac: lo >> 9 & 0x7f, four: hi&(1<<10) != 0, tcp: hi&(1<<11) != 0, l4: hi >> 40 & 0xff, cut: hi >> 48}
			continue
		}
		n := hi & 0xffff
		const plain = igb.TxFCS | igb.TxExtended | 3<<20
		if hi&plain != plain || hi>>37&7 != 0 || n == 0 || n > nicBufferSize {
			w.t.Fatalf("descriptor %x %x is no frame", lo, hi)
		}
		w.part = append(w.part, bytesAt(direct(lo), n)...)
		if hi&igb.TxEnd == 0 {
			continue
		}
		f := w.part
		w.part = nil
		if hi&igb.TxSegment != 0 {
			frames = append(frames, w.cut(f, hi)...)
			continue
		}
		if hi>>46 != uint64(len(f)) || len(f) < frameHead || len(f) > frameHead+mtu-inet.IPv4Len {
			w.t.Fatalf("descriptor %x %x of %d bytes is no frame", lo, hi, len(f))
		}
		w.insertSums(f, hi)
		frames = append(frames, f)
	}
	*w.register(tx + igb.TDH) = head
	store64(direct(uint64(*w.register(tx + igb.TDWBAH))<<32|uint64(*w.register(tx + igb.TDWBAL)&^3)), uint64(head))
	return frames
}

// context is what the function remembers about headers.
type context struct {
	mac, ip, l4, cut uint64
	four, tcp        bool
}

// cut makes the frames of a long one (7.2.4). It gives the end and the push bit to none of them, as QEMU does: what relies on them is wrong.
func (w *wire) cut(f []byte, hi uint64) (frames [][]byte) {
	w.t.Helper()
	c := w.contexts[hi>>36&1]
	headers := int(c.mac + c.ip + c.l4)
	if hi&igb.TxL4 == 0 || !c.tcp || c.cut == 0 || len(f) > longestFrame || int(hi>>46) != len(f)-headers || f[c.mac+c.ip+12]>>4 != byte(c.l4/4) {
		w.t.Fatalf("%d bytes with context %+v and descriptor %x cannot be cut", len(f), c, hi)
	}
	if f[c.mac+c.ip+13]&inet.FIN != 0 {
		w.t.Fatal("the end of a connection is in a frame that is cut")
	}
	head, data := f[:headers], f[headers:]
	for i := 0; len(data) != 0; i++ {
		k := min(len(data), int(c.cut))
		b := append(slices.Clone(head), data[:k]...)
		data = data[k:]
		ip := b[c.mac:]
		size := int(c.ip+c.l4) + k
		if c.four {
			if inet.Be16(ip[2:]) != 0 {
				w.t.Fatal("a packet that is to be cut says how long it is")
			}
			inet.PutBe16(ip[2:], uint16(size))
			inet.PutBe16(ip[4:], inet.Be16(ip[4:])+uint16(i))
		} else {
			inet.PutBe16(ip[4:], uint16(size-inet.IPv6Len))
		}
		tcp := ip[c.ip:]
		inet.PutBe32(tcp[4:], inet.Be32(tcp[4:])+uint32(i)*uint32(c.cut))
		tcp[13] &^= inet.PSH
		inet.PutBe16(tcp[16:], inet.Fold(uint64(inet.Be16(tcp[16:]))+uint64(len(tcp))))
		w.insertSums(b, hi)
		frames = append(frames, b)
	}
	w.long++
	return frames
}

// insertSums does what the function is asked for, and checks that the frame is right then.
func (w *wire) insertSums(f []byte, hi uint64) {
	w.t.Helper()
	b := f[inet.EthernetLen:]
	if hi&igb.TxIP != 0 {
		inet.PutBe16(b[10:], inet.Checksum(0, b[:inet.IPv4Len]))
	}
	four := inet.Be16(f[12:]) == inet.TypeIPv4
	length, proto := uint64(inet.IPv6Len), b[6]
	if four {
		length, proto = inet.IPv4Len, b[9]
	}
	l4 := b[min(length, uint64(len(b))):]
	if hi&igb.TxL4 != 0 {
		at, context := 6, w.contexts[hi>>36&1]
		if proto == inet.ProtoTCP {
			at = 16
		}
		if context.tcp != (at == 16) || context.ip != length || context.four != four || context.mac != inet.EthernetLen {
			w.t.Fatalf("a frame of protocol %d with context %+v", proto, context)
		}
		inet.PutBe16(l4[at:], inet.Checksum(0, l4))
	}
	if !four {
		return
	}
	var p inet.IPv4
	if !inet.ParseIPv4(b, false, &p) || p.From != ownIP && !w.any && !(dhcp.on && p.From == 0) || len(p.Payload) != len(l4) {
		w.t.Fatalf("% x is no packet of ours", f)
	}
	noSum := p.Proto == inet.ProtoICMP || p.More || p.Fragment != 0 || p.Proto == inet.ProtoUDP && inet.Be16(l4[6:]) == 0
	if !noSum && inet.Checksum(inet.PseudoIPv4(p.From, p.To, p.Proto, len(l4)), l4) != 0 {
		w.t.Fatalf("% x has a wrong checksum", f)
	}
}

func arpFrame(op uint16, mac uint64, from, to uint32) []byte {
	b := make([]byte, 60)
	putMAC(b, 0xffff_ffff_ffff)
	putMAC(b[6:], mac)
	inet.PutBe16(b[12:], inet.TypeARP)
	p := b[inet.EthernetLen:]
	inet.PutBe32(p, 1<<16|inet.TypeIPv4)
	inet.PutBe32(p[4:], 6<<24|4<<16|uint32(op))
	putMAC(p[8:], mac)
	inet.PutBe32(p[14:], from)
	inet.PutBe32(p[24:], to)
	return b
}

// ipFrame is a packet from one address to the container.
func ipFrame(from uint32, proto uint8, payload []byte) []byte {
	b := make([]byte, frameHead, frameHead+len(payload))
	putMAC(b, uint64(binary.BigEndian.Uint16(ownMAC[:]))<<32|uint64(binary.BigEndian.Uint32(ownMAC[2:])))
	putMAC(b[6:], peerMAC)
	inet.PutBe16(b[12:], inet.TypeIPv4)
	inet.PutIPv4(b[inet.EthernetLen:], from, ownIP, proto, 0, len(payload))
	inet.PutBe16(b[inet.EthernetLen+10:], inet.Checksum(0, b[inet.EthernetLen:]))
	return append(b, payload...)
}

func udpFrame(from uint32, fromPort, port uint16, data []byte) []byte {
	u := append(make([]byte, inet.UDPLen), data...)
	inet.PutUDP(u, fromPort, port, len(data), 0)
	inet.PutBe16(u[6:], inet.Checksum(inet.PseudoIPv4(from, ownIP, inet.ProtoUDP, len(u)), u))
	return ipFrame(from, inet.ProtoUDP, u)
}

func tcpFrame(from uint32, s inet.Segment, data []byte) []byte {
	b := append(make([]byte, s.HeaderLen()), data...)
	s.Put(b[:s.HeaderLen()], 0)
	inet.PutBe16(b[16:], inet.Checksum(inet.PseudoIPv4(from, ownIP, inet.ProtoTCP, len(b)), b))
	return ipFrame(from, inet.ProtoTCP, b)
}

// icmpFrame is a message whose second word and rest are given.
func icmpFrame(from uint32, kind, code byte, rest uint32, data []byte) []byte {
	b := append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, data...)
	inet.PutBe32(b[4:], rest)
	inet.PutBe16(b[2:], inet.Checksum(0, b))
	return ipFrame(from, inet.ProtoICMP, b)
}

// departed is a packet that left, read.
type departed struct {
	inet.IPv4
	mac  uint64 // to which it went
	seg  inet.Segment
	data []byte
}

// packets are those of IPv4 among frames that left.
func packets(t testing.TB, frames [][]byte) []departed {
	t.Helper()
	var all []departed
	for _, f := range frames {
		var p departed
		if inet.Be16(f[12:]) != inet.TypeIPv4 || !inet.ParseIPv4(f[inet.EthernetLen:], false, &p.IPv4) {
			continue
		}
		p.mac = macOf(f)
		if p.Proto == inet.ProtoTCP {
			data, ok := inet.ParseTCP(p.Payload, &p.seg)
			if !ok {
				t.Fatalf("% x is no segment", f)
			}
			p.data = data
		}
		all = append(all, p)
	}
	return all
}

// only is the one packet that left.
func (w *wire) only() departed {
	w.t.Helper()
	all := packets(w.t, w.take())
	if len(all) != 1 {
		w.t.Fatalf("got %d packets, want 1: %+v", len(all), all)
	}
	return all[0]
}

package main

// The gateway: how sockets reach what is outside of the container. Some sockets of the program itself, made by a package that
// drives a network card, stand for the outside. The other sockets of the program know nothing of that.
//
//   - A stream with IP_TRANSPARENT may be bound to any address and port of others, and connect from there to any address but
//     those of loopback: what listens on the port at that address, or at any, gets a connection from outside. It is not in the
//     table of ports: others may use any port.
//   - The gateway of streams is a stream with IP_TRANSPARENT that listens without a port. What connects to an address of others
//     waits in its queue. An accepted socket's own address is the one that is wanted. It decides with SO_ERROR: setting 0
//     completes the connection, an errno fails it, and closing it undecided refuses it.
//   - The gateway of datagrams is a raw socket for UDP with IP_TRANSPARENT. It reads what is sent to addresses of others, and
//     writes what comes from them, both as packets of IPv4 (RFC 791) and UDP (RFC 768) without options and fragments. Checksums
//     that are read are 0, and those that are written are not looked at. Nobody there is ECONNREFUSED.
//   - ipOwnAddresses on a socket with IP_TRANSPARENT sets the container's addresses outside, as long as that socket exists.

// ipOwnAddresses is an option of nom's own, at the level of IP: up to mostOwn addresses of IPv4, each of four bytes.
const (
	ipOwnAddresses = levelIP<<8 | 200
	mostOwn        = 8
)

// ipPeerGone, to be read only, is 1 when nobody holds the other end of a stream any more. Its end of data alone does not say so.
const ipPeerGone = levelIP<<8 | 201

const (
	sockRaw = 3

	inetHead   = 20 // bytes of a header of IPv4 without options
	udpHead    = 8
	packetHead = inetHead + udpHead
)

// gateway has the numbers of the sockets that stand for the outside, 0 where there is none, and the container's addresses.
var gateway struct {
	stream, datagram uint32
	addressed        uint32 // who set the addresses
	count            uint32
	own              [mostOwn]ip
}

// isOwn tells whether a is one of the container's addresses outside.
func (a ip) isOwn() bool {
	if !a.is4() {
		return a.isOwn6()
	}
	if net.up {
		return a.lo == net.address.lo
	}
	for k := range min(gateway.count, mostOwn) {
		if gateway.own[k].equal(a) {
			return true
		}
	}
	return false
}

// isHere tells whether what is sent to a stays in the container.
func (a ip) isHere() bool { return a.isLoopback() || a.isOwn() }

// sourceFor is the address from which an unbound socket reaches a.
func sourceFor(a ip) ip {
	switch {
	case !a.is4():
		return sourceFor6(a)
	case a.isLoopback() || gateway.count == 0:
		return loopback4
	case a.isOwn():
		return a
	}
	return gateway.own[0]
}

// hasGateway tells whether sockets like s reach addresses of others.
func (s *socket) hasGateway() bool {
	if gateway.count == 0 || net.up {
		return gateway.count != 0
	}
	if s.kind == sockDatagram {
		return gateway.datagram != 0
	}
	return gateway.stream != 0 && socketAt(uint64(gateway.stream)).state == sockListening
}

// leaveGateway is called when socket i ends.
func leaveGateway(i uint32) {
	if gateway.stream == i {
		gateway.stream = 0
	}
	if gateway.datagram == i {
		gateway.datagram = 0
	}
	if gateway.addressed == i {
		gateway.addressed, gateway.count = 0, 0
	}
}

// isPortless tells whether s would be a gateway if it listened.
func (s *socket) isPortless() bool {
	return s.kind == sockStream && s.options&optTransparent != 0 && s.localPort == 0 && s.local.isAny()
}

// listenOutside makes s, number i, the gateway of streams.
func (s *socket) listenOutside(i, backlog uint32) uint64 {
	if g := gateway.stream; g != 0 && g != i && socketAt(uint64(g)).state == sockListening {
		return errno(eADDRINUSE)
	}
	gateway.stream = i
	s.state = sockListening
	s.backlog = uint16(min(backlog, mostQueued))
	return 0
}

// listenerFor is who gets a connection from s to an address that s.route gave. 0: nobody.
func (s *socket) listenerFor(to ip, port uint16) uint32 {
	if s.options&optForeign != 0 || to.isHere() {
		return findReceiver(sockStream, to, port, ip{}, 0)
	}
	if port == 0 {
		return 0
	}
	return gateway.stream
}

// setGatewayOption is setsockopt(2) for the options that concern gateways. False: it is none of them.
func (s *socket) setGatewayOption(i uint32, option, p, n uint64) (uint64, bool) {
	switch option {
	case soError:
		if s.options&optUndecided == 0 {
			return 0, false
		}
		if n != 4 {
			return errno(eINVAL), true
		}
		if !userRange(p, n, false) {
			return errno(eFAULT), true
		}
		return s.decide(i, load32(p)), true
	case ipOwnAddresses:
		if s.options&optTransparent == 0 {
			return 0, false
		}
		return setOwnAddresses(i, p, n), true
	}
	return 0, false
}

// decide says what becomes of the connection for which s was accepted by the gateway.
func (s *socket) decide(i, e uint32) uint64 {
	switch e {
	case 0, eADDRNOTAVAIL, eNETUNREACH, eCONNRESET, eTIMEDOUT, eCONNREFUSED, eHOSTUNREACH:
	default:
		return errno(eINVAL)
	}
	s.options &^= optUndecided
	if s.peer == 0 { // it gave up
		return errno(eCONNRESET)
	}
	to := s.peer
	o := socketAt(uint64(to))
	if e == 0 {
		o.state = sockConnected
		socketEvent(to)
		return 0
	}
	o.refuse(to, e)
	s.peer, s.state = 0, sockClosed
	s.shut |= shutIn | shutOut
	socketEvent(i)
	return 0
}

// refuse ends the attempt of s, number i, to connect.
func (s *socket) refuse(i, e uint32) {
	s.err = e
	s.unbind(i)
	s.peer, s.state = 0, sockNew
	socketEvent(i)
}

func setOwnAddresses(i uint32, p, n uint64) uint64 {
	if n%4 != 0 || n > mostOwn*4 {
		return errno(eINVAL)
	}
	if !userRange(p, n, false) {
		return errno(eFAULT)
	}
	var all [mostOwn]ip
	for k := range n / 4 {
		a := fromNetwork(load32(p + k*4))
		if !isUnicast(a) {
			return errno(eINVAL)
		}
		all[k] = a
	}
	gateway.own = all
	gateway.count, gateway.addressed = uint32(n/4), i
	return 0
}

// isUnicast tells whether a, of IPv4, may be an address of one computer outside.
func isUnicast(a ip) bool {
	first := a.lo >> 24 & 0xff
	return first != 0 && first != 127 && first < 224
}

// becomeDatagramGateway is what IP_TRANSPARENT does to a raw socket.
func (s *socket) becomeDatagramGateway(i uint32, on bool) uint64 {
	if !on {
		if gateway.datagram == i {
			gateway.datagram = 0
		}
		return 0
	}
	if gateway.datagram != 0 && gateway.datagram != i {
		return errno(eADDRINUSE)
	}
	gateway.datagram = i
	return 0
}

// sendOutside puts a datagram into the gateway's queue. What finds no room is lost.
func sendOutside(m *message, n uint64, from ip, fromPort uint16, to ip, port uint16) uint64 {
	g := gateway.datagram
	o := socketAt(uint64(g))
	if n > mostDatagram || o.in.room() < packetHead+n {
		return n
	}
	var h [packetHead]byte
	h[0] = 0x45 // version 4, five words
	put16(h[2:], uint16(packetHead+n))
	h[6] = 0x40 // do not fragment
	h[8] = 64   // time to live
	h[9] = protoUDP
	put32(h[12:], uint32(from.lo))
	put32(h[16:], uint32(to.lo))
	put16(h[20:], fromPort)
	put16(h[22:], port)
	put16(h[24:], uint16(udpHead+n))
	if e := o.in.putMessage(h[:], m, n); e != 0 {
		return errno(e)
	}
	socketEvent(g)
	return n
}

// receivePacket is read(2) on the gateway of datagrams.
func (s *socket) receivePacket(i uint64, m *message) uint64 {
	for s.in.used() == 0 {
		if e := s.await(i, m); e != 0 {
			return errno(e)
		}
	}
	var h [packetHead]byte
	s.in.copyOut(h[:], 0)
	n := uint64(get16(h[2:]))
	want := min(n, m.size())
	done := s.scatter(m, 0, want, 0)
	if m.flags&msgPeek == 0 {
		s.in.drop(n)
	}
	if done < want {
		return errno(eFAULT)
	}
	if m.name != 0 {
		size, e := putAddress(afInet, ip{0, mapped | uint64(get32(h[12:]))}, 0, m.name, m.nameSize)
		if e != 0 {
			return errno(e)
		}
		m.nameSize = size
	}
	if done < n {
		m.result |= msgTrunc
	}
	return done
}

// sendPacket is write(2) on the gateway of datagrams. The header lies in the first buffer, and the payload behind it or in the
// next buffers.
func (s *socket) sendPacket(i uint32, m *message) uint64 {
	if gateway.datagram != i {
		return errno(ePERM)
	}
	total := m.size()
	if m.count == 0 || total < packetHead || total > 0xffff {
		return errno(eINVAL)
	}
	p, first := m.part(0)
	if first < packetHead || first != packetHead && m.count != 1 {
		return errno(eINVAL)
	}
	if !userRange(p, first, false) {
		return errno(eFAULT)
	}
	var h [packetHead]byte
	for k := range h { // once: the program may write there meanwhile
		h[k] = *at[byte](p + uint64(k))
	}
	if !packetValid(&h, total) {
		return errno(eINVAL)
	}
	from, to := ip{0, mapped | uint64(get32(h[12:]))}, ip{0, mapped | uint64(get32(h[16:]))}
	if from.isHere() || from.isAny() || to.isLoopback() || to.isAny() {
		return errno(eINVAL)
	}
	payload := message{p: p + packetHead, n: first - packetHead, count: 1}
	if m.count > 1 {
		payload = message{vectors: m.vectors + 16, count: m.count - 1}
	}
	fromPort := get16(h[20:])
	r := findReceiver(sockDatagram, to, get16(h[22:]), from, fromPort)
	if r == 0 {
		return errno(eCONNREFUSED)
	}
	if e := socketAt(uint64(r)).deliver(r, &payload, total-packetHead, from, fromPort); e != 0 {
		return errno(e)
	}
	return total
}

// packetValid tells whether a header is that of a whole datagram, in n bytes of packet, without options.
func packetValid(h *[packetHead]byte, n uint64) bool {
	const fragment = 0x3fff // more follow, or some went before
	return h[0] == 0x45 && h[9] == protoUDP && uint64(get16(h[2:])) == n && get16(h[6:])&fragment == 0 &&
		uint64(get16(h[24:])) == n-inetHead
}

// Numbers in network byte order.

func fromNetwork(v uint32) ip {
	return ip{0, mapped | uint64(v>>24|v>>8&0xff00|v<<8&0xff_0000|v<<24)}
}

func get16(b []byte) uint16    { return uint16(b[0])<<8 | uint16(b[1]) }
func get32(b []byte) uint32    { return uint32(get16(b))<<16 | uint32(get16(b[2:])) }
func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }
func put32(b []byte, v uint32) { put16(b, uint16(v>>16)); put16(b[2:], uint16(v)) }

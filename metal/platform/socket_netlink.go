package main

import "math/bits"

// Sockets of rtnetlink(7), as far as net.Interfaces asks: dumps of links and addresses. There is lo, and eth0 when the container
// is in a network. Behind a gateway, which does not know how large that is, each of its addresses is alone in its own.

const (
	afNetlink = 16

	netlinkHead  = 16 // struct nlmsghdr
	netlinkAsk   = netlinkHead + 1
	netlinkDone  = 3
	netlinkError = 2

	rtmNewLink = 16
	rtmGetLink = 18
	rtmNewAddr = 20
	rtmGetAddr = 22

	flagMulti = 2
)

// Interfaces: their numbers, and what IFF_UP, IFF_BROADCAST, IFF_LOOPBACK, IFF_RUNNING say.
const (
	linkLo   = 1
	linkEth  = 2
	flagsLo  = 1 | 8 | 0x40
	flagsEth = 1 | 2 | 0x40

	arphrdEther    = 1
	arphrdLoopback = 772
)

// netlinkReply is one datagram of answers to socket pid's request seq.
type netlinkReply struct {
	pid, seq uint32
	n        uint64 // bytes
	start    uint64 // of the message that is being written
	b        [768]byte
}

func (r *netlinkReply) put(v uint32, size uint64) {
	for k := range size {
		if r.n < uint64(len(r.b)) {
			r.b[r.n] = byte(v >> (8 * k))
			r.n++
		}
	}
}

func (r *netlinkReply) begin(kind uint32) {
	r.start = r.n
	r.put(0, 4)
	r.put(kind, 2)
	r.put(flagMulti, 2)
	r.put(r.seq, 4)
	r.put(r.pid, 4)
}

// end aligns the message and writes how long it is.
func (r *netlinkReply) end() {
	for r.n%4 != 0 {
		r.put(0, 1)
	}
	n := r.n
	r.n = r.start
	r.put(uint32(n-r.start), 4)
	r.n = n
}

func (r *netlinkReply) link(index, kind, flags, name uint32) {
	r.begin(rtmNewLink)
	r.put(kind<<16, 4) // family, padding, type
	r.put(index, 4)
	r.put(flags, 4)
	r.put(0, 4)
	size := uint64(2)
	if name>>24 != 0 {
		size = 4
	}
	r.put(uint32(size+5)|3<<16, 4) // IFLA_IFNAME, with a NUL
	r.put(name, size)
	r.put(0, 4-size%4) // what follows is aligned
	r.put(8|4<<16, 4)  // IFLA_MTU
	mtu := uint32(1500)
	if index == linkLo {
		mtu = 65536
	}
	r.put(mtu, 4)
	r.end()
}

func (r *netlinkReply) address(index uint32, a ip, prefix, scope uint32) {
	family, size := uint32(afInet), uint64(4)
	if !a.is4() {
		family, size = afInet6, 16
	}
	r.begin(rtmNewAddr)
	r.put(family|prefix<<8|scope<<24, 4)
	r.put(index, 4)
	for _, kind := range [2]uint32{1, 2} { // IFA_ADDRESS, IFA_LOCAL
		r.put(uint32(size+4)|kind<<16, 4)
		for k := range size {
			v := a.lo
			if k+8 < size {
				v = a.hi
			}
			r.put(uint32(v>>(8*((size-1-k)%8)))&0xff, 1)
		}
	}
	r.end()
}

// ownBits is how large the network is that the addresses of IPv4 are in.
func ownBits() uint32 {
	if !net.up {
		return 32
	}
	return 32 - uint32(bits.TrailingZeros64(net.mask))
}

// answer writes all that a dump of the given kind has for a family, 0 being each.
func (r *netlinkReply) answer(kind, family uint32) {
	const scopeHost, scopeLink = 254, 253
	switch kind {
	case rtmGetLink:
		r.link(linkLo, arphrdLoopback, flagsLo, 'l'|'o'<<8)
		if gateway.count != 0 || net.up {
			r.link(linkEth, arphrdEther, flagsEth, 'e'|'t'<<8|'h'<<16|'0'<<24)
		}
	case rtmGetAddr:
		if family != afInet6 {
			r.address(linkLo, loopback4, 8, scopeHost)
			for k := range min(gateway.count, mostOwn) {
				r.address(linkEth, gateway.own[k], ownBits(), 0)
			}
		}
		if family != afInet {
			r.address(linkLo, loopback6, 128, scopeHost)
			if net.up {
				r.address(linkEth, net6.link, 64, scopeLink)
			}
			if net.up && net6.global.hi != 0 {
				r.address(linkEth, net6.global, 64, 0)
			}
		}
	default:
		r.begin(netlinkError)
		r.put(uint32(errno(eOPNOTSUPP)), 4)
		r.end()
		return
	}
	r.begin(netlinkDone)
	r.put(0, 4)
	r.end()
}

// askNetlink is sendto(2): one request. The answers lie behind their length in the ring.
func (s *socket) askNetlink(i uint64, m *message) uint64 {
	n := m.size()
	if m.count != 1 || n < netlinkHead {
		return errno(eINVAL)
	}
	p, _ := m.part(0)
	if !userRange(p, n, false) {
		return errno(eFAULT)
	}
	family := uint32(0)
	if n >= netlinkAsk {
		family = uint32(*at[byte](p + netlinkHead))
	}
	r := netlinkReply{pid: uint32(i), seq: load32(p + 8)}
	r.put(0, 4)
	r.answer(uint32(*at[uint16](p + 4)), family)
	size := r.n
	r.n = 0
	r.put(uint32(size-4), 4)
	if s.in.room() < size {
		return errno(eNOBUFS)
	}
	old := s.in.head
	if !s.in.putAll(r.b[:size]) {
		s.in.head = old
		return errno(eNOBUFS)
	}
	socketEvent(uint32(i))
	return n
}

// receiveNetlink is recvfrom(2): the answers to one request.
func (s *socket) receiveNetlink(i uint64, m *message) uint64 {
	for s.in.used() == 0 {
		if e := s.await(i, m); e != 0 {
			return errno(e)
		}
	}
	var head [4]byte
	s.in.copyOut(head[:], 0)
	n := uint64(head[0]) | uint64(head[1])<<8
	want := min(n, m.size())
	done := s.scatter(m, 0, want, uint64(len(head)))
	if m.flags&msgPeek == 0 {
		s.in.drop(n + uint64(len(head)))
	}
	m.nameSize = 0
	if done < want {
		return errno(eFAULT)
	}
	if done < n {
		m.result |= msgTrunc
		if m.flags&msgTrunc != 0 {
			return n
		}
	}
	return done
}

// onNetlink handles the calls on a socket of rtnetlink that are not the same for all.
func (s *socket) onNetlink(f *frame, n, i uint64) (uint64, bool) {
	switch n {
	case sysSendto, sysSendmsg, sysRecvfrom, sysRecvmsg:
		return 0, false
	case sysBind:
		return 0, true
	case sysGetsockname:
		return errno(storeAddress(afNetlink, ip{0, i}, 0, f.SI, f.DX)), true
	}
	return errno(eOPNOTSUPP), true
}

package main

// UDP (udp(7)): a datagram lies in the receiver's ring behind its length and the sender's address. What finds no room is lost.

const (
	datagramHead = 20
	mostDatagram = 65507
)

// connectDatagram is connect(2): it sets where datagrams go to, and from where they may come.
func (s *socket) connectDatagram(i uint32, p, n uint64) uint64 {
	if n >= 2 && userRange(p, 2, false) && *at[uint16](p) == afUnspec {
		s.state, s.remotePort = sockNew, 0
		return 0
	}
	to, port, e := fetchAddress(s.domain, p, n)
	if e == 0 {
		to, e = s.route(to)
	}
	if e != 0 {
		return errno(e)
	}
	if !s.bindForPeer(i, to) {
		return errno(eAGAIN)
	}
	s.remote, s.remotePort = to, port
	s.state = sockConnected
	return 0
}

// destination is where a message goes.
func (s *socket) destination(m *message) (to ip, port uint16, e uint64) {
	if m.name == 0 {
		if s.state != sockConnected {
			return ip{}, 0, eDESTADDRREQ
		}
		return s.remote, s.remotePort, 0
	}
	to, port, e = fetchAddress(s.domain, m.name, m.nameSize)
	if e == 0 && port == 0 {
		e = eINVAL
	}
	if e == 0 {
		to, e = s.route(to)
	}
	return to, port, e
}

func (s *socket) sendDatagram(i uint64, m *message) uint64 {
	n := m.size()
	to, port, e := s.destination(m)
	switch {
	case n > mostDatagram:
		e = eMSGSIZE
	case e != 0:
	case s.shut&shutOut != 0:
		e = ePIPE
		if m.flags&msgNoSignal == 0 {
			kill(cpu().current, sigPIPE)
		}
	case s.err != 0:
		e = s.takeError()
	case s.localPort == 0 && !s.choosePort(uint32(i)):
		e = eAGAIN
	}
	if e != 0 {
		return errno(e)
	}
	from := s.local
	if !m.local.isAny() {
		from = m.local
	}
	if from.isAny() {
		from = sourceFor(to)
	}
	if net.up && !to.isHere() {
		return sendUDPOutside(m, n, from, s.localPort, to, port)
	}
	if !to.isHere() {
		return sendOutside(m, n, from, s.localPort, to, port)
	}
	r := findReceiver(sockDatagram, to, port, from, s.localPort)
	if r == 0 {
		if s.state == sockConnected {
			s.err = eCONNREFUSED
			socketEvent(uint32(i))
		}
		return n
	}
	if e := socketAt(uint64(r)).deliver(r, m, n, from, s.localPort); e != 0 {
		return errno(e)
	}
	return n
}

// deliver puts a datagram into what s, number i, received, unless there is no room.
func (s *socket) deliver(i uint32, m *message, n uint64, from ip, port uint16) uint64 {
	if s.in.room() < datagramHead+n || s.shut&shutIn != 0 {
		return 0
	}
	head := datagramHeader(from, port, n)
	if e := s.in.putMessage(head[:], m, n); e != 0 {
		return e
	}
	socketEvent(i)
	return 0
}

// datagramHeader is what lies before a datagram of n bytes in a ring.
func datagramHeader(from ip, port uint16, n uint64) (h [datagramHead]byte) {
	a := addressOf(&h)
	store64(a, from.hi)
	store64(a+8, from.lo)
	store32(a+16, uint32(port)|uint32(n)<<16)
	return h
}

// putMessage puts a head and a message of n bytes, for which there is room, or nothing.
func (r *ring) putMessage(head []byte, m *message, n uint64) uint64 {
	old := r.head
	if !r.putAll(head) {
		r.head = old
		return eNOBUFS
	}
	left := n
	for i := uint64(0); i < m.count && left != 0; i++ {
		p, k := m.part(i)
		k = min(k, left)
		e := uint64(0)
		if !userRange(p, k, false) {
			e = eFAULT
		} else if !r.putAll(bytesAt(p, k)) {
			e = eNOBUFS
		}
		if e != 0 {
			r.head = old
			return e
		}
		left -= k
	}
	if left != 0 { // the program changed the message meanwhile
		r.head = old
		return eFAULT
	}
	return 0
}

func (s *socket) receiveDatagram(i uint64, m *message) uint64 {
	if s.in.used() == 0 {
		netPoll()
	}
	for s.in.used() == 0 {
		if s.err != 0 {
			return errno(s.takeError())
		}
		if s.shut&shutIn != 0 {
			return 0
		}
		if e := s.await(i, m); e != 0 {
			return errno(e)
		}
	}
	if s.err != 0 {
		return errno(s.takeError())
	}
	var head [datagramHead]byte
	s.in.copyOut(head[:], 0)
	a := addressOf(&head)
	from := ip{load64(a), load64(a + 8)}
	port := uint16(load32(a + 16))
	n := uint64(load32(a+16) >> 16)
	if s.options&optPacketInfo != 0 {
		m.local = s.local
		if m.local.isAny() { // what it was sent to is not kept; this is the one of ours that the sender reaches
			m.local = sourceFor(from)
		}
	}
	want := min(n, m.size())
	done := s.scatter(m, 0, want, datagramHead)
	if m.flags&msgPeek == 0 {
		s.in.drop(datagramHead + n)
	}
	if done < want {
		return errno(eFAULT)
	}
	if m.name != 0 {
		size, e := putAddress(s.domain, from, port, m.name, m.nameSize)
		if e != 0 {
			return errno(e)
		}
		m.nameSize = size
	}
	if done < n {
		m.result |= msgTrunc
		if m.flags&msgTrunc != 0 {
			return n
		}
	}
	return done
}

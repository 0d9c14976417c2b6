package main

// Connections: tcp(7) without segments, and connected pairs (unix(7)).

// mostQueued bounds listen's backlog, as net.core.somaxconn does.
const mostQueued = 4096

// listen is listen(2).
func (s *socket) listen(i uint32, backlog uint64) uint64 {
	if s.kind != sockStream || s.domain == afUnix {
		return errno(eOPNOTSUPP)
	}
	if s.state != sockNew && s.state != sockListening {
		return errno(eINVAL)
	}
	if s.options&optForeign != 0 {
		return errno(eINVAL)
	}
	if s.isPortless() {
		return s.listenOutside(i, uint32(backlog))
	}
	was := s.state
	s.state = sockListening
	if s.localPort == 0 && !s.choosePort(i) || was == sockNew && s.conflict(i, s.localPort) {
		s.state = was
		return errno(eADDRINUSE)
	}
	s.backlog = uint16(min(uint32(backlog), mostQueued))
	s.advance()
	return 0
}

// connectStream is connect(2) on a stream.
func (s *socket) connectStream(i uint32, p, n uint64) uint64 {
	to, port, e := fetchAddress(s.domain, p, n)
	if e != 0 {
		return errno(e)
	}
	switch s.state {
	case sockConnecting:
		if s.flags&oNonblock != 0 {
			return errno(eALREADY)
		}
		return s.waitConnected(i, eALREADY)
	case sockNew:
	default:
		return errno(eISCONN)
	}
	if to, e = s.route(to); e != 0 {
		return errno(e)
	}
	if s.state != sockNew { // route may have waited
		return errno(eALREADY)
	}
	if net.up && !to.isHere() {
		return s.connectOutside(i, to, port)
	}
	l := s.listenerFor(to, port)
	if l == 0 {
		return errno(eCONNREFUSED)
	}
	if !s.bindForPeer(i, to) {
		return errno(eADDRNOTAVAIL)
	}
	s.remote, s.remotePort = to, port
	child := socketAt(uint64(l)).enqueue(l, s, i)
	if child == 0 {
		return errno(eNOBUFS)
	}
	s.peer = child
	s.shut = 0
	if s.state == sockConnecting {
		if s.flags&oNonblock != 0 {
			return errno(eINPROGRESS)
		}
		return s.waitConnected(i, eINPROGRESS)
	}
	return 0
}

// waitConnected waits for the end of the attempt to connect. late is what it says when that takes longer than it may.
func (s *socket) waitConnected(i uint32, late uint64) uint64 {
	until := s.timeLimit(sending)
	for s.state == sockConnecting {
		switch e := s.wait(uint64(i), until); e {
		case 0:
		case eAGAIN:
			return errno(late)
		default:
			return errno(e)
		}
	}
	if e := s.takeError(); e != 0 {
		return errno(e)
	}
	return 0
}

// enqueue makes the other end of a connection from s to the listener, and puts it into the queue. It returns its number, or 0.
func (l *socket) enqueue(li uint32, s *socket, i uint32) uint32 {
	n := newSocket(l.domain, sockStream)
	if n == 0 {
		return 0
	}
	c := socketAt(n)
	c.state, c.peer = sockConnected, i
	c.inherit(l)
	c.local, c.localPort = s.remote, s.remotePort
	c.remote, c.remotePort = s.local, s.localPort
	l.append(li, c, uint32(n))
	s.state = sockConnected
	if l.queued > uint32(l.backlog)+1 {
		s.state = sockConnecting
	}
	if li == gateway.stream {
		c.options |= optUndecided
		s.state = sockConnecting
	}
	socketEvent(li)
	return uint32(n)
}

// dequeue removes the first connection.
func (l *socket) dequeue() uint32 {
	n := l.first
	c := socketAt(uint64(n))
	l.first = c.next
	if l.first == 0 {
		l.last = 0
	}
	c.next, c.first = 0, 0
	l.queued--
	if l.queued > uint32(l.backlog) {
		l.advance()
	}
	return n
}

// advance completes the connections that the queue has room for now: one more than the backlog, as on Linux.
func (l *socket) advance() {
	n := l.first
	for k := uint32(0); k <= uint32(l.backlog) && n != 0; k++ {
		c := socketAt(uint64(n))
		if i := c.peer; i != 0 && socketAt(uint64(i)).state == sockConnecting && c.options&optUndecided == 0 {
			socketAt(uint64(i)).state = sockConnected
			socketEvent(i)
		}
		n = c.next
	}
}

// accept is accept4(2).
func (s *socket) accept(i, p, lenp, flags uint64) uint64 {
	if flags&^(oNonblock|oCloexec) != 0 {
		return errno(eINVAL)
	}
	if s.kind != sockStream || s.domain == afUnix {
		return errno(eOPNOTSUPP)
	}
	polled := false
	until := s.timeLimit(receiving)
	for {
		switch {
		case s.state != sockListening:
			return errno(eINVAL)
		case s.queued != 0:
			fd := openSocket(uint64(s.first), flags)
			if int64(fd) < 0 {
				return fd
			}
			c := socketAt(uint64(s.dequeue()))
			if p != 0 {
				if e := storeAddress(c.domain, c.remote, c.remotePort, p, lenp); e != 0 {
					closeDescriptor(&descriptors[fd])
					return errno(e)
				}
			}
			return fd
		case !polled:
			polled = true
			netPoll()
		case s.flags&oNonblock != 0:
			return errno(eAGAIN)
		default:
			if e := s.wait(i, until); e != 0 {
				return errno(e)
			}
		}
	}
}

// stopListening resets what nobody accepted.
func (s *socket) stopListening() {
	for s.first != 0 {
		n := s.first
		c := socketAt(uint64(n))
		s.first = c.next
		if i := c.peer; i != 0 {
			socketAt(uint64(i)).reset(i)
		}
		if c.conn != 0 {
			abortConnection(c.conn, nanotime())
		}
		c.peer, c.state = 0, sockClosed
		releaseSocket(uint64(n))
	}
	nicFlush()
	s.last, s.queued = 0, 0
	s.state = sockNew
}

// giveUp takes s, which is connecting, from the listener's queue, or from the gateway that accepted it and did not decide.
func (s *socket) giveUp(i uint32) {
	n := s.peer
	c := socketAt(uint64(n))
	if c.first == 0 {
		s.peer, s.state = 0, sockClosed
		c.reset(n)
		return
	}
	l := socketAt(uint64(c.first))
	before := uint32(0)
	for p := l.first; p != n; p = socketAt(uint64(p)).next {
		before = p
	}
	if before == 0 {
		l.first = c.next
	} else {
		socketAt(uint64(before)).next = c.next
	}
	if l.last == n {
		l.last = before
	}
	l.queued--
	s.peer, s.state = 0, sockClosed
	c.peer, c.state = 0, sockClosed
	releaseSocket(uint64(n))
}

// hangUp is what the peer sees when s is closed: the end of the data, or a reset when s did not read all of what came.
func (s *socket) hangUp() {
	if s.peer == 0 {
		return
	}
	i := s.peer
	p := socketAt(uint64(i))
	s.peer = 0
	abort := p.state == sockConnecting || s.in.used() != 0 || s.options&optLinger != 0 && s.linger == 0 && s.domain != afUnix
	if abort {
		p.reset(i)
		return
	}
	if s.shut&shutOut == 0 {
		p.receiveEnd(i)
	}
	p.peer = 0
	if p.domain == afUnix {
		p.shut |= shutOut
	}
	socketEvent(i)
}

// reset breaks the connection of socket s, number i.
func (s *socket) reset(i uint32) {
	switch {
	case s.state == sockConnecting:
		s.refuse(i, eCONNREFUSED)
		return
	case s.shut&doneIn != 0 && s.domain != afUnix:
		s.err = ePIPE
	default:
		s.err = eCONNRESET
	}
	s.peer = 0
	s.state = sockClosed
	s.shut |= shutIn | shutOut
	socketEvent(i)
}

// receiveEnd tells socket s, number i, that its peer sends no more.
func (s *socket) receiveEnd(i uint32) {
	s.shut |= shutIn | doneIn
	s.checkClosed()
	socketEvent(i)
}

// checkClosed ends a connection of which both ends said that they send no more.
func (s *socket) checkClosed() {
	if s.domain != afUnix && s.shut&(shutOut|doneIn) == shutOut|doneIn {
		s.state = sockClosed
		s.peer = 0
	}
}

// shutdown is shutdown(2).
func (s *socket) shutdown(i uint32, how uint64) uint64 {
	how = uint64(uint32(how))
	if how > 2 {
		return errno(eINVAL)
	}
	bits := uint8(how) + 1 // shutIn, shutOut
	if s.state == sockListening {
		if bits&shutIn != 0 {
			s.stopListening()
			socketEvent(i)
		}
		return 0
	}
	if s.state != sockConnected {
		if s.state == sockClosed || s.kind == sockDatagram {
			s.shut |= bits
			socketEvent(i)
		}
		return errno(eNOTCONN)
	}
	fresh := bits &^ s.shut
	s.shut |= bits
	if s.kind == sockStream {
		p := s.peer
		if fresh&shutOut != 0 && s.conn != 0 {
			s.endOutside()
		}
		if fresh&shutOut != 0 && p != 0 {
			socketAt(uint64(p)).receiveEnd(p)
		}
		if s.domain == afUnix && fresh&shutIn != 0 && p != 0 {
			socketAt(uint64(p)).shut |= shutOut
			socketEvent(p)
		}
		s.checkClosed()
	}
	socketEvent(i)
	return 0
}

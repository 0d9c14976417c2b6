package main

// Reading and writing sockets.

// Flags of sendto(2) and recvfrom(2).
const (
	msgOOB      = 1
	msgPeek     = 2
	msgTrunc    = 0x20
	msgDontWait = 0x40
	msgWaitAll  = 0x100
	msgNoSignal = 0x4000
)

// message is what a call reads or writes: one buffer of the program, or several.
type message struct {
	p, n    uint64 // one; or
	vectors uint64 // address of an array of struct iovec
	count   uint64 // of buffers
	flags   uint64

	name, nameSize uint64 // where an address is, or goes to: 0 is nowhere
	result         uint32 // msg_flags
	direction      uint64 // sending, receiving
	until          uint64 // when it gives up; 0: it did not wait yet
	local          ip     // of a datagram: our address, if it is to be told
}

func (m *message) part(i uint64) (p, n uint64) {
	if m.vectors == 0 {
		return m.p, min(m.n, maxIO)
	}
	return load64(m.vectors + i*16), min(load64(m.vectors+i*16+8), maxIO)
}

// size is how many bytes there are, or go there.
func (m *message) size() uint64 {
	if m.vectors == 0 {
		return min(m.n, maxIO)
	}
	total := uint64(0)
	for i := range m.count {
		_, n := m.part(i)
		total += n
	}
	return min(total, maxIO)
}

// socketTransfer is read(2), write(2), send(2), recv(2) on socket descriptor fd.
func socketTransfer(fd uint64, m *message, write bool) uint64 {
	i := descriptors[fd].index
	s := socketAt(i)
	s.refs++ // somebody may close the descriptor meanwhile
	r := s.transfer(i, m, write)
	if s.refs > 1 {
		s.refs--
	} else {
		releaseSocket(i)
	}
	return r
}

// transfer reads or writes a socket, number i, that the caller holds.
func (s *socket) transfer(i uint64, m *message, write bool) (r uint64) {
	if m.vectors != 0 && !userRange(m.vectors, m.count*16, false) {
		return errno(eFAULT)
	}
	if write {
		m.direction = sending
	}
	switch {
	case m.flags&msgOOB != 0:
		r = errno(eINVAL)
	case s.domain == afNetlink && write:
		r = s.askNetlink(i, m)
	case s.domain == afNetlink:
		r = s.receiveNetlink(i, m)
	case s.kind == sockDatagram && write:
		r = s.sendDatagram(i, m)
	case s.kind == sockDatagram:
		r = s.receiveDatagram(i, m)
	case s.kind == sockRaw && write:
		r = s.sendPacket(uint32(i), m)
	case s.kind == sockRaw:
		r = s.receivePacket(i, m)
	case write:
		r = s.sendStream(i, m)
	default:
		r = s.receiveStream(i, m)
	}
	return r
}

func (s *socket) blocks(m *message) bool { return (s.flags&oNonblock) == 0 && m.flags&msgDontWait == 0 }

// takeError returns the error that waits to be reported.
func (s *socket) takeError() uint64 {
	e := s.err
	s.err = 0
	return uint64(e)
}

func (s *socket) sendStream(i uint64, m *message) uint64 {
	done := uint64(0)
	for k := range m.count {
		p, n := m.part(k)
		r, e := s.sendPart(i, m, p, n)
		done += r
		if e == 0 {
			continue
		}
		if done != 0 {
			break
		}
		if s.err != 0 && e == ePIPE && s.domain != afUnix {
			e = s.takeError()
		}
		if e == ePIPE && m.flags&msgNoSignal == 0 {
			kill(cpu().current, sigPIPE)
		}
		return errno(e)
	}
	return done
}

// sendPart returns how much it sent, and why not all.
func (s *socket) sendPart(i uint64, m *message, p, n uint64) (done, e uint64) {
	for {
		switch {
		case s.err != 0 || s.shut&shutOut != 0:
			return done, ePIPE
		case s.state == sockConnecting:
			if e := s.await(i, m); e != 0 {
				return done, e
			}
			continue
		case s.state != sockConnected:
			return done, ePIPE
		case done == n:
			return done, 0
		case s.conn != 0:
			return s.sendOutsideStream(i, m, p, n)
		case s.peer == 0: // it hung up, and answers with a reset
			s.reset(uint32(i))
			return n, 0
		}
		to := s.peer
		o := socketAt(uint64(to))
		if o.shut&(shutIn|shutOut) == shutIn|shutOut && o.domain != afUnix {
			o.reset(to)
			s.reset(uint32(i))
			return n, 0
		}
		room := o.in.room()
		if room == 0 {
			o.noRoom = true
			if e := s.await(i, m); e != 0 {
				return done, e
			}
			continue
		}
		k, e := o.in.putFrom(p+done, min(room, n-done))
		done += k
		if done == n || e != 0 || o.in.room() == 0 {
			socketEvent(to)
		}
		if e != 0 {
			return done, e
		}
	}
}

// putFrom puts bytes of the program, for which there is room, up to the end of a frame.
func (r *ring) putFrom(p, n uint64) (done, e uint64) {
	if !userRange(p, n, false) {
		return 0, eFAULT
	}
	if done = r.put(bytesAt(p, n)); done == 0 {
		return 0, eNOBUFS
	}
	return done, 0
}

// await waits for something to happen to s, or says why not.
func (s *socket) await(i uint64, m *message) uint64 {
	switch {
	case !s.blocks(m):
		return eAGAIN
	case m.until == 0:
		m.until = max(s.timeLimit(m.direction), 1)
	}
	return s.wait(i, m.until)
}

func (s *socket) receiveStream(i uint64, m *message) uint64 {
	if m.name != 0 { // of a stream the peer's address is not told
		m.nameSize = 0
	}
	total := m.size()
	if total == 0 {
		return 0
	}
	if s.in.used() == 0 && s.conn != 0 {
		netPoll()
	}
	done := uint64(0)
	for {
		for s.in.used() == 0 {
			if done != 0 && m.flags&msgWaitAll == 0 {
				return done
			}
			end, e := s.nothingToRead(i, m)
			switch {
			case done != 0 && (end || e != 0):
				return done
			case e != 0:
				return errno(e)
			case end:
				return 0
			}
		}
		n := min(s.in.used(), total-done)
		k := s.scatter(m, done, n, 0)
		if m.flags&msgPeek == 0 {
			s.taken(k)
		}
		done += k
		if k < n && done == 0 {
			return errno(eFAULT)
		}
		if k < n || done == total || m.flags&(msgPeek|msgWaitAll) != msgWaitAll {
			return done
		}
	}
}

// nothingToRead waits until there may be something, or tells that the end is reached, or what is wrong.
func (s *socket) nothingToRead(i uint64, m *message) (end bool, e uint64) {
	switch {
	case s.shut&doneIn != 0 && s.domain != afUnix:
		return true, 0
	case s.err != 0:
		return false, s.takeError()
	case s.shut&shutIn != 0:
		return true, 0
	case s.state == sockNew || s.state == sockListening:
		return false, eNOTCONN
	}
	return false, s.await(i, m)
}

// taken removes n bytes from what was received, and tells the peer when it waits for that.
func (s *socket) taken(n uint64) {
	if s.holds {
		s.in.pass(n)
	} else {
		s.in.drop(n)
	}
	if s.conn != 0 && n != 0 {
		s.takenOutside(n)
		return
	}
	if s.noRoom && s.in.room() >= enoughRoom {
		s.noRoom = false
		if s.peer != 0 {
			socketEvent(s.peer)
		}
	}
}

// scatter copies n received bytes, from the given distance on, to where the program wants them: behind the first bytes of the
// message. It returns how many.
func (s *socket) scatter(m *message, skip, n, distance uint64) uint64 {
	if m.vectors == 0 && skip == 0 && n <= m.n {
		if !userRange(m.p, n, true) {
			return 0
		}
		s.in.copyOut(bytesAt(m.p, n), distance)
		return n
	}
	done := uint64(0)
	for k := uint64(0); k < m.count && done < n; k++ {
		p, room := m.part(k)
		if skip >= room {
			skip -= room
			continue
		}
		p, room = p+skip, room-skip
		skip = 0
		room = min(room, n-done)
		if !userRange(p, room, true) {
			return done
		}
		s.in.copyOut(bytesAt(p, room), distance+done)
		done += room
	}
	return done
}

package main

import "nom.dev/nom/metal/inet"

// How sockets use connections with others. A stream with one has no peer among the sockets; its conn is not 0 as long as
// there is something to send or to hear.

// connectOutside begins a connection.
func (s *socket) connectOutside(i uint32, to ip, port uint16) uint64 {
	if port == 0 {
		return errno(eCONNREFUSED)
	}
	if !s.bindForPeer(i, to) {
		return errno(eADDRNOTAVAIL)
	}
	now := nanotime()
	if old := findConnection(s.local, s.localPort, to, port); old != 0 {
		if connectionAt(old).State() != inet.TimeWait {
			return errno(eADDRNOTAVAIL)
		}
		freeConnection(old)
	}
	n := newConnection(s.local, s.localPort, to, port)
	if n == 0 {
		return errno(eNOBUFS)
	}
	c := connectionAt(n)
	t := tuple(s.local, s.localPort, to, port)
	c.Connect(net.key.ISS(&t, now), ownMSSFor(to))
	c.socket = i
	s.conn, s.remote, s.remotePort, s.state, s.shut = n, to, port, sockConnecting, 0
	s.tuneBuffers(c)
	s.tune(c, now)
	outputTCP(n, now)
	nicFlush()
	if s.flags&oNonblock != 0 {
		return errno(eINPROGRESS)
	}
	return s.waitConnected(i, eINPROGRESS)
}

// tune tells a connection what its socket's options are.
func (s *socket) tune(c *connection, now uint64) {
	c.NoDelay = s.options&optNoDelay != 0
	c.Cork = s.options&optCork != 0
	idle := uint64(0)
	if s.options&optKeepAlive != 0 {
		idle = uint64(s.keep[0]) * nanos
	}
	c.SetKeepAlive(idle, uint64(s.keep[1])*nanos, s.probes, now)
}

// optionChanged is called when an option of a socket with a connection was set.
func (s *socket) optionChanged() {
	if s.conn == 0 {
		return
	}
	now := nanotime()
	s.tune(connectionAt(s.conn), now)
	outputTCP(s.conn, now)
	nicFlush()
}

// inherit is what an accepted socket has from its listener.
func (s *socket) inherit(l *socket) {
	s.options, s.linger, s.keep, s.probes = l.options&^(optBound|optShared|optTransparent), l.linger, l.keep, l.probes
	s.timeouts = l.timeouts
}

// append puts s, number n, into the queue of l, number li.
func (l *socket) append(li uint32, s *socket, n uint32) {
	s.first = li
	if l.last != 0 {
		socketAt(uint64(l.last)).next = n
	} else {
		l.first = n
	}
	l.last = n
	l.queued++
}

// connectionEvents is what happened to the connection of s, number i.
func (s *socket) connectionEvents(i uint32, c *connection, e inet.Events, now uint64) {
	if e&inet.Connected != 0 {
		if s.descriptorless() {
			c.settle()
			s.tune(c, now)
			if !s.established(i) {
				e |= inet.Reset
				var r inet.Segment
				if c.Abort(&r) {
					r.From, r.To = c.localPort, c.remotePort
					sendBare(&r, c.local, c.remote, now)
				}
			}
		} else {
			s.state = sockConnected
			socketEvent(i)
		}
	}
	if e&inet.Ended != 0 && !s.descriptorless() {
		s.receiveEnd(i)
	}
	if e&(inet.Refused|inet.Reset|inet.TimedOut) == 0 {
		return
	}
	s.conn, c.socket = 0, 0
	if s.descriptorless() {
		releaseSocket(uint64(i)) // it was never accepted
		return
	}
	switch {
	case e&inet.TimedOut != 0 && s.state == sockConnecting:
		s.refuse(i, eTIMEDOUT)
	case e&inet.TimedOut != 0:
		s.reset(i)
		s.err = eTIMEDOUT
	default:
		s.reset(i)
	}
}

// descriptorless tells whether s waits for its connection to be completed, and nobody has it yet.
func (s *socket) descriptorless() bool {
	return s.options&optEmbryo != 0
}

// sendOutsideStream queues bytes of the program. It returns how many, and why not all.
func (s *socket) sendOutsideStream(i uint64, m *message, p, n uint64) (done, e uint64) {
	for done < n {
		c := connectionAt(s.conn)
		room := uint64(c.Room())
		if room < n-done {
			s.growSend(c)
			room = uint64(c.Room())
		}
		if room == 0 {
			c.wantRoom = true
			s.pushOut()
			if e = s.await(i, m); e != 0 {
				return done, e
			}
			if s.err != 0 || s.conn == 0 || s.shut&shutOut != 0 {
				return done, ePIPE
			}
			continue
		}
		k, e := c.out.putFrom(p+done, min(room, n-done))
		c.Write(uint32(k))
		done += k
		if e != 0 {
			s.pushOut()
			return done, e
		}
	}
	s.pushOut()
	return done, 0
}

// pushOut sends what the connection has to send.
func (s *socket) pushOut() {
	outputTCP(s.conn, nanotime())
	nicFlush()
}

// takenOutside tells the connection that n bytes were read.
func (s *socket) takenOutside(n uint64) {
	c := connectionAt(s.conn)
	tell := c.Read(uint32(n))
	if c.ReadMuch() {
		s.growReceive(c, nanotime())
	}
	if tell {
		s.pushOut()
	}
}

// endOutside sends the end behind what is queued.
func (s *socket) endOutside() {
	connectionAt(s.conn).Close()
	s.pushOut()
}

// leaveOutside is what closing does to a connection: it ends, or is reset when not everything that came was read.
func (s *socket) leaveOutside() {
	n, now := s.conn, nanotime()
	c := connectionAt(n)
	s.conn, c.socket = 0, 0
	if s.state == sockConnecting || s.in.used() != 0 || s.options&optLinger != 0 && s.linger == 0 {
		abortConnection(n, now)
		nicFlush()
		return
	}
	c.Close()
	c.Orphan(now)
	if c.State() == inet.Closed {
		freeConnection(n)
		return
	}
	outputTCP(n, now)
	nicFlush()
}

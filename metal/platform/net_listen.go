package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// Connections that others begin. So many may be half open; beyond that the answer to a SYN is a cookie (RFC 4987), for which
// nothing is kept, so a flood of SYNs costs nobody else a connection.

const mostHalfOpen = 256

// tuple names a connection for the keyed hash.
func tuple(local ip, localPort uint16, remote ip, remotePort uint16) inet.Tuple {
	return inet.Tuple{Hi: remote.hi, Lo: remote.lo, OwnLo: local.lo ^ local.hi, Ports: uint32(localPort)<<16 | uint32(remotePort)}
}

// inputUnknown handles a segment of no connection. It returns the connection that the segment completes, or 0.
func inputUnknown(from, to ip, s *inet.Segment, now uint64) uint32 {
	l := findReceiver(sockStream, to, s.To, from, s.From)
	switch {
	case l == 0:
		drop(abi.DropNoSocket)
	case s.Flags&(inet.SYN|inet.ACK|inet.RST) == inet.SYN:
		inputSYN(l, from, to, s, now)
		return 0
	case s.Flags&(inet.SYN|inet.ACK|inet.RST) == inet.ACK:
		if n := acceptCookie(l, from, to, s, now); n != 0 {
			return n
		}
	}
	if s.Refusal() && mayTell(now) {
		sendBare(s, to, from, now)
	}
	return 0
}

// inputSYN begins a connection to listener l.
func inputSYN(l uint32, from, to ip, s *inet.Segment, now uint64) {
	listener := socketAt(uint64(l))
	if listener.queued > uint32(listener.backlog) {
		drop(abi.DropFull)
		return // it comes again, and finds room or not
	}
	t := tuple(to, s.To, from, s.From)
	if netCount.halfOpen >= mostHalfOpen {
		netCount.cookies++
		answer := inet.Segment{From: s.To, To: s.From, Seq: net.key.Cookie(&t, s, now), Ack: s.Seq + 1,
			Flags: inet.SYN | inet.ACK, Window: 0xffff, MSS: uint16(ownMSSFor(to))}
		sendBare(&answer, to, from, now)
		return
	}
	n := openConnection(listener, from, to, s)
	if n == 0 {
		return
	}
	c := connectionAt(n)
	c.Accept(s, net.key.ISS(&t, now), ownMSSFor(to), now)
	socketAt(uint64(c.socket)).tuneBuffers(c)
	c.halfOpen = true
	netCount.halfOpen++
	outputTCP(n, now)
}

// acceptCookie makes the connection that an answer to a cookie completes, or returns 0.
func acceptCookie(l uint32, from, to ip, s *inet.Segment, now uint64) uint32 {
	if netCount.cookies == 0 {
		return 0
	}
	var fresh inet.Conn
	t := tuple(to, s.To, from, s.From)
	if !fresh.FromCookie(&net.key, &t, s, ownMSSFor(to), now) {
		return 0
	}
	listener := socketAt(uint64(l))
	if listener.queued > uint32(listener.backlog) {
		drop(abi.DropFull)
		return 0
	}
	n := openConnection(listener, from, to, s)
	if n != 0 {
		c := connectionAt(n)
		c.Conn = fresh
		socketAt(uint64(c.socket)).tuneBuffers(c)
	}
	return n
}

// openConnection makes a connection and the socket that will be accepted, or returns 0.
func openConnection(l *socket, from, to ip, s *inet.Segment) uint32 {
	n := newConnection(to, s.To, from, s.From)
	if n == 0 {
		return 0
	}
	i := newSocket(l.domain, sockStream)
	if i == 0 {
		freeConnection(n)
		return 0
	}
	o := socketAt(i)
	o.inherit(l)
	o.local, o.localPort, o.remote, o.remotePort = to, s.To, from, s.From
	o.conn, o.state = n, sockConnecting
	o.options |= optEmbryo
	connectionAt(n).socket = uint32(i)
	return n
}

// established puts the socket of a connection that others began into the queue of the listener. False: there is none any more.
func (s *socket) established(i uint32) bool {
	l := findReceiver(sockStream, s.local, s.localPort, s.remote, s.remotePort)
	if l == 0 {
		return false
	}
	s.state = sockConnected
	s.options &^= optEmbryo
	socketAt(uint64(l)).append(l, s, i)
	socketEvent(l)
	return true
}

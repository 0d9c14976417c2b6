package main

import (
	"math/bits"

	"nom.dev/nom/metal/inet"
)

// How much connections with others hold. Each direction begins with 64 KiB. It grows, while it is used, when more of it would make the
// connection faster; or has the size that the program asks for. Frames come with the bytes in any case. What peers may fill beyond the
// 64 KiB is bounded for all connections together: a sixteenth of the container's memory.

// grown is how many bytes all buffers together were allowed beyond inet.BufferSize.
var grown uint64

func mostGrown() uint64 { return pool.total * pageSize / 16 }

// beyond is by how much a buffer has grown.
func beyond(n uint32) uint64 { return uint64(max(n, inet.BufferSize) - inet.BufferSize) }

// setBuffers changes the sizes of a connection's buffers, unless too much would be allowed.
func (c *connection) setBuffers(send, receive uint32) bool {
	oldSend, oldReceive := c.Buffers()
	total := grown - beyond(oldSend) - beyond(oldReceive) + beyond(send) + beyond(receive)
	if total > mostGrown() && total > grown {
		return false
	}
	c.SetBuffers(send, receive)
	send, receive = c.Buffers() // a peer without window scale gets no large one
	grown += beyond(send) + beyond(receive) - beyond(oldSend) - beyond(oldReceive)
	return true
}

// leaveBuffers takes back what was allowed to a connection that ends.
func (c *connection) leaveBuffers() {
	send, receive := c.Buffers()
	grown -= beyond(send) + beyond(receive)
}

// growSend makes the buffer of what is sent larger, if that helps.
func (s *socket) growSend(c *connection) {
	if send, receive := c.Buffers(); s.asked(0) == 0 && c.SendsMore() {
		c.setBuffers(2*send, receive)
	}
}

// growReceive makes the buffer of what is received larger, if that helps. A program has read a buffer full.
func (s *socket) growReceive(c *connection, now uint64) {
	if send, receive := c.Buffers(); c.ReadsMore(now) && s.asked(1) == 0 {
		c.setBuffers(send, 2*max(receive, inet.BufferSize))
	}
}

// Sizes that a program may ask for, as powers of 2.
const (
	leastBuffer = 12
	mostBuffer  = 20 // inet.MostBuffer
)

// asked is the size of SO_SNDBUF or SO_RCVBUF (which 0 or 1) as a power of 2, 0: as the connection needs. The socket's options have it.
func (s *socket) asked(which int) uint32 {
	n := s.options >> (optBuffers + 4*which) & 15
	if n != 0 {
		n += leastBuffer - 1
	}
	return n
}

// askBuffer is SO_SNDBUF or SO_RCVBUF (which 0 or 1): the size is the next power of 2.
func (s *socket) askBuffer(which int, n uint32) {
	k := uint32(min(max(bits.Len32(max(n, 1)-1), leastBuffer), mostBuffer)) - leastBuffer + 1
	s.options = s.options&^(15<<(optBuffers+4*which)) | k<<(optBuffers+4*which)
	if s.conn != 0 {
		s.tuneBuffers(connectionAt(s.conn))
	}
}

// tuneBuffers gives a connection the buffers that the program asked for, as far as it may.
func (s *socket) tuneBuffers(c *connection) {
	for which := range 2 {
		if s.asked(which) == 0 {
			continue
		}
		send, receive := c.Buffers()
		if n := uint32(1) << s.asked(which); which == 0 {
			send = n
		} else {
			receive = n
		}
		c.setBuffers(send, receive)
	}
}

// bufferSize is what a program is told of them.
func (s *socket) bufferSize(which int) uint32 {
	switch {
	case s.conn != 0:
		send, receive := connectionAt(s.conn).Buffers()
		if which == 0 {
			return send
		}
		return (receive + 1) &^ 1 // 65535 is the largest window without scale
	case s.asked(which) != 0 && s.kind == sockStream:
		return 1 << s.asked(which)
	}
	return ringCapacity
}

package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/metal/inet"
)

// Connections with others. What a segment means is decided by inet.Conn; here are the table, the buffers, and the socket to which
// a connection belongs. It may outlive its socket, to send what is left and to wait for late segments.

// connection is 1024 bytes.
type connection struct {
	inet.Conn
	out                   ring
	local, remote         ip
	localPort, remotePort uint16
	halfOpen              bool // counted in halfOpen
	wantRoom              bool // the poller was told that there is no room
	stuck                 bool // the transmit ring was full
	due                   bool // is in due
	tell                  bool // the socket is to be told at the end of the batch
	slot                  uint8
	inWheel               bool
	socket                uint32 // 0: closed by the program
	next                  uint32 // in its hash chain
	later, earlier        uint32 // in its slot of the wheel
	wheelTime             uint64
	_                     [126]byte
}

var connections table

func connectionAt(i uint32) *connection { return at[connection](connections.at(i)) }

// connHeads is the address of a frame of chain heads.
var connHeads uint64

const connChains = pageSize / 4

func connChain(localPort uint16, remote ip, remotePort uint16) *uint32 {
	h := remote.hi ^ remote.lo ^ uint64(remotePort)<<16 ^ uint64(localPort)
	h *= 0x9e37_79b9_7f4a_7c15
	return at[uint32](connHeads + h>>54%connChains*4)
}

// findConnection is the number of a connection, 0: there is none.
func findConnection(local ip, localPort uint16, remote ip, remotePort uint16) uint32 {
	if connHeads == 0 {
		return 0
	}
	for n := *connChain(localPort, remote, remotePort); n != 0; {
		c := connectionAt(n)
		if c.localPort == localPort && c.remotePort == remotePort && c.remote.equal(remote) && c.local.equal(local) {
			return n
		}
		n = c.next
	}
	return 0
}

// newConnection is a closed connection in the table, or 0.
func newConnection(local ip, localPort uint16, remote ip, remotePort uint16) uint32 {
	if connHeads == 0 {
		pa := fileFrame()
		if pa == 0 {
			return 0
		}
		connHeads = direct(pa)
	}
	n := connections.take()
	if n == 0 {
		return 0
	}
	c := connectionAt(n)
	*c = connection{local: local, localPort: localPort, remote: remote, remotePort: remotePort}
	head := connChain(localPort, remote, remotePort)
	c.next, *head = *head, n
	return n
}

// freeConnection forgets a connection that is closed.
func freeConnection(n uint32) {
	c := connectionAt(n)
	c.settle()
	for p := connChain(c.localPort, c.remote, c.remotePort); *p != 0; p = &connectionAt(*p).next {
		if *p == n {
			*p = c.next
			break
		}
	}
	leaveWheel(n)
	c.out.release()
	c.leaveBuffers()
	if c.socket != 0 {
		socketAt(uint64(c.socket)).conn = 0
		if c.tell {
			socketEvent(c.socket)
		}
	}
	c.due, c.tell = false, false
	connections.put(n)
}

// enough is how much a peer must take before a full connection can be written again.
func (c *connection) enough() uint32 {
	send, _ := c.Buffers()
	return send / 4
}

// settle ends the time in which a connection counts as half open.
func (c *connection) settle() {
	if c.halfOpen {
		c.halfOpen = false
		netCount.halfOpen--
	}
}

// inputTCP handles a segment.
func inputTCP(from, to ip, b []byte, now uint64) {
	var s inet.Segment
	data, ok := inet.ParseTCP(b, &s)
	if !ok || s.From == 0 || s.To == 0 {
		drop(abi.DropMalformed)
		return
	}
	n := findConnection(to, s.To, from, s.From)
	if n != 0 && connectionAt(n).Reusable(&s) {
		freeConnection(n)
		n = 0
	}
	if n == 0 {
		if n = inputUnknown(from, to, &s, now); n == 0 {
			return
		}
	}
	inputSegment(n, &s, data, now)
}

// inputSegment hands a segment to its connection, and its data to the socket.
func inputSegment(n uint32, s *inet.Segment, data []byte, now uint64) {
	c := connectionAt(n)
	skip, distance, k := c.Place(s)
	if k != 0 {
		if c.socket == 0 { // nobody will read it
			abortConnection(n, now)
			return
		}
		in := &socketAt(uint64(c.socket)).in
		if stored := in.putAhead(uint64(distance), data[skip:skip+k]); stored < k {
			drop(abi.DropFull)
			s.Len = skip + stored
			s.Flags &^= inet.FIN
		}
	}
	ahead := distance != 0
	if ahead && c.due { // acknowledgements of what is beyond a gap must be known from those of what was before it
		c.due = false
		outputTCP(n, now)
	}
	var o inet.Outcome
	c.Input(s, now, &o)
	if o.Answer {
		answer := *s
		sendBare(&answer, c.local, c.remote, now)
	}
	if o.Acked != 0 {
		c.out.drop(uint64(o.Acked))
	}
	if c.socket != 0 {
		c.tellSocket(n, &o, now)
	}
	if c.State() == inet.Closed {
		freeConnection(n)
		return
	}
	if ahead { // the peer counts how often it hears that (RFC 5681, 3.2)
		outputTCP(n, now)
		return
	}
	c.sendLater(n)
}

// due are the connections of which segments were found in a batch: they answer all of them together at its end.
var due struct {
	list [pollBatch]uint32
	n    int
}

// sendLater has connection n send what it has to send at the end of the batch.
func (c *connection) sendLater(n uint32) {
	if !c.due {
		c.due = true
		due.list[due.n%pollBatch] = n
		due.n++
	}
}

// outputDue ends a batch.
func outputDue(now uint64) {
	for i := range due.n {
		n := due.list[i%pollBatch]
		c := connectionAt(n)
		if !c.due { // closed meanwhile, or it was done
			continue
		}
		c.due = false
		if c.tell && c.socket != 0 {
			socketEvent(c.socket)
		}
		c.tell = false
		outputTCP(n, now)
	}
	due.n = 0
}

// tellSocket is what a segment changes for the socket.
func (c *connection) tellSocket(n uint32, o *inet.Outcome, now uint64) {
	i := c.socket
	s := socketAt(uint64(i))
	s.holds = c.Holds()
	if o.Arrive != 0 {
		s.in.head += uint64(o.Arrive)
		if s.shut&shutIn != 0 && s.shut&doneIn == 0 {
			s.taken(s.in.used()) // shutdown(SHUT_RD): what arrives is thrown away
		}
	}
	if o.Events != 0 {
		s.connectionEvents(i, c, o.Events, now)
	}
	if o.Arrive != 0 || o.Acked != 0 && c.wantRoom && c.Room() >= c.enough() {
		c.wantRoom = false
		c.tell = true
	}
}

// shortQueue is for how much data it is not worth to have the device cut them.
const shortQueue = 2 * mtu

// longestData is how much data surely fits a frame of n bytes, whatever its headers are.
func longestData(n uint64) uint32 {
	return uint32(max(n, frameHead6+longestTCP)) - frameHead6 - longestTCP
}

const longestTCP = 60

// outputTCP sends what a connection has to send, and sets its time-out.
func outputTCP(n uint32, now uint64) {
	c := connectionAt(n)
	var s inet.Segment
	for {
		if nicBuffer() == 0 {
			c.stuck = true
			break
		}
		if c.Burst = 0; c.Queued() > shortQueue {
			c.Burst = longestData(nicLongest())
		}
		if !c.Next(&s, now) {
			break
		}
		sendSegment(c, &s, now)
	}
	setTimeout(n, now)
}

// abortConnection breaks a connection and tells the peer.
func abortConnection(n uint32, now uint64) {
	c := connectionAt(n)
	var s inet.Segment
	if c.Abort(&s) {
		s.From, s.To = c.localPort, c.remotePort
		sendBare(&s, c.local, c.remote, now)
	}
	freeConnection(n)
}

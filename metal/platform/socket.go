package main

// Sockets (socket(7)) as on a Linux whose only interface is lo: a program reaches itself, and what its gateway reaches.
//
//	socket.go           this overview, making and closing, what the poller sees
//	socket_call.go      the calls
//	socket_address.go   addresses
//	socket_port.go      ports, bind
//	socket_stream.go    listen, connect, accept, shutdown: TCP
//	socket_io.go        reading and writing streams
//	socket_datagram.go  UDP
//	socket_direct.go    UDP by the shortest way
//	socket_option.go    options
//	socket_buffer.go    how much connections hold
//	socket_outside.go   what is outside, on the container's own network function (net.go)
//	socket_gateway.go   what is outside, through a companion
//	socket_netlink.go   what interfaces there are
//
// Each socket has a ring of what it received and did not read yet; writing puts bytes into the peer's. There are no segments
// and no timers: what TCP would send arrives at once. Guarded by kernelLock. TestSocketsLikeLinux compares with Linux.

const (
	afUnspec = 0
	afUnix   = 1
	afInet   = 2
	afInet6  = 10

	sockStream   = 1
	sockDatagram = 2

	protoTCP = 6
	protoUDP = 17
)

type socketState uint8

const (
	sockNew        socketState = iota
	sockListening              // a queue of connections
	sockConnecting             // the listener's queue is full, or the gateway did not decide yet
	sockConnected              // has a remote address
	sockClosed                 // was connected: both directions are shut, or it was reset
)

// What a socket's shut says.
const (
	shutIn  = 1 << iota // nothing more comes
	shutOut             // nothing more goes
	doneIn              // the peer said that nothing more comes
)

// Events beyond those of descriptor.go.
const epollRDHup = 0x2000

// waitSocket is what a thread waits for; waitAddr is the socket's number.
const waitSocket = 17

// socket is 256 bytes.
type socket struct {
	domain  uint32 // not 0 while it is in use
	refs    uint32 // descriptors, calls at work, and the queue that it waits in to be accepted
	waiting uint32 // threads
	conn    uint32 // the connection with somebody outside, or 0

	kind   uint8 // sockStream, sockDatagram, sockRaw
	state  socketState
	shut   uint8
	noRoom bool // the peer waits until there is room again

	options uint32
	err     uint32 // errno that the next call reports
	linger  uint32 // seconds
	watch   uint16 // the descriptor that the poller was given
	flags   uint16 // oNonblock

	peer     uint32 // 0: closed, or outside
	next     uint32 // in a queue
	portNext uint32 // in the table of ports

	first, last uint32 // of the queue. While it waits in one itself: first is the listener
	queued      uint32

	timeouts              [2]uint32 // SO_RCVTIMEO, SO_SNDTIMEO: see timeLimit
	keep                  [2]uint16 // TCP_KEEPIDLE, TCP_KEEPINTVL
	localPort, remotePort uint16
	backlog               uint16
	probes                uint8 // TCP_KEEPCNT
	holds                 bool  // bytes from outside lie beyond a gap in what was received
	local, remote         ip

	in ring
}

var sockets table

func socketAt(i uint64) *socket { return at[socket](sockets.at(uint32(i))) }

// newSocket returns the number of a new socket that one holds, or 0.
func newSocket(domain uint32, kind uint8) uint64 {
	prepareFiles()
	if !preparePorts() {
		return 0
	}
	i := sockets.take()
	if i == 0 {
		return 0
	}
	s := socketAt(uint64(i))
	*s = socket{domain: domain, kind: kind, refs: 1, keep: [2]uint16{7200, 75}, probes: 9}
	if domain != afInet6 {
		s.local, s.remote = any4, any4
	}
	return uint64(i)
}

// releaseSocket takes one hold away.
func releaseSocket(i uint64) {
	s := socketAt(i)
	s.refs--
	if s.refs != 0 {
		return
	}
	switch {
	case s.conn != 0:
		s.leaveOutside()
	case s.state == sockListening:
		s.stopListening()
	case s.state == sockConnecting && s.peer != 0:
		s.giveUp(uint32(i))
	case s.state == sockConnected && s.kind == sockStream:
		s.hangUp()
	}
	leaveGateway(uint32(i))
	s.unbind(uint32(i))
	s.in.release()
	s.domain = 0
	sockets.put(uint32(i))
}

// openSocket makes a descriptor for socket i; it takes over one hold.
func openSocket(i, flags uint64) uint64 {
	fd := newDescriptor(0, fdSocket)
	if fd == maxDescriptors {
		return errno(eMFILE)
	}
	descriptors[fd].index = i
	descriptors[fd].cloexec = flags&oCloexec != 0
	socketAt(i).flags = uint16(flags) & oNonblock
	return fd
}

// socketEvent tells who waits for socket i, or polls it, that something changed.
func socketEvent(i uint32) {
	s := socketAt(uint64(i))
	tellAny()
	if s.waiting != 0 {
		for id := uint64(1); id < threadsMade; id++ {
			if t := threads[id]; t != nil && t.state == threadBlocked && t.wait == waitSocket && t.waitAddr == uint64(i) {
				ready(t)
			}
		}
	}
	if s.options&optShared == 0 {
		tellPollerOf(uint64(s.watch), i)
		return
	}
	for fd := range usedDescriptors {
		tellPollerOf(fd, i)
	}
}

// tellPollerOf is tellPoller, if descriptor fd stands for socket i.
func tellPollerOf(fd uint64, i uint32) {
	if fd >= usedDescriptors {
		return
	}
	if d := &descriptors[fd]; d.kind == fdSocket && d.polled && d.index == uint64(i) {
		tellPoller(fd)
	}
}

// wait blocks until something happens to socket i, or until a time, or says why not.
func (s *socket) wait(i, until uint64) uint64 {
	deadline := uint64(0)
	if until != never {
		if deadline = until; until <= nanotime() {
			return eAGAIN
		}
	}
	if netSleep() {
		return 0
	}
	s.waiting++
	_, interrupted := block(waitSocket, i, deadline)
	s.waiting--
	switch {
	case !interrupted:
		return 0
	case deadline != 0:
		return eINTRonce
	}
	return eINTR
}

// Directions of a socket, and values of its time-outs beside milliseconds.
const (
	receiving, sending = 0, 1

	noTimeout, noWait = 0, ^uint32(0)
)

// timeLimit is when a call that begins to wait gives up.
func (s *socket) timeLimit(direction uint64) uint64 {
	switch v := s.timeouts[direction]; v {
	case noTimeout:
		return never
	case noWait:
		return 0
	default:
		return after(uint64(v) * 1_000_000)
	}
}

// enoughRoom is how much a peer must take before a stream that was full can be written again.
const enoughRoom = ringCapacity / 4

// socketReady is what epoll reports of a socket.
func socketReady(s *socket) uint32 {
	events := uint32(0)
	if s.err != 0 {
		events |= epollErr
	}
	if s.kind == sockStream {
		events |= s.streamReady()
	} else {
		events |= epollOut
	}
	if s.shut&shutIn != 0 {
		events |= epollIn | epollRDHup
		if s.shut&shutOut != 0 {
			events |= epollHup
		}
	}
	if s.in.used() != 0 {
		events |= epollIn
	}
	return events
}

func (s *socket) streamReady() uint32 {
	switch s.state {
	case sockNew:
		return epollOut | epollHup
	case sockListening:
		if s.queued != 0 {
			return epollIn
		}
		return 0
	case sockConnecting:
		return 0
	case sockClosed:
		return epollOut | epollHup
	}
	if s.conn != 0 && s.shut&shutOut == 0 {
		c := connectionAt(s.conn)
		if c.Room() < c.enough() {
			c.wantRoom = true
			return 0
		}
		return epollOut
	}
	if s.shut&shutOut != 0 || s.peer == 0 {
		return epollOut
	}
	if p := socketAt(uint64(s.peer)); p.in.room() < enoughRoom {
		p.noRoom = true
		return 0
	}
	return epollOut
}

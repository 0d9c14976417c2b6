package main

// Ports: who is bound where. Sockets hang in chains by port. Connections that a listener accepted share its port and are not
// there.

// Ports that the platform chooses, as Linux does.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

var (
	portHeads uint64 // address of a frame of chain heads
	lastPort  uint16 = lastEphemeral
)

const portChains = pageSize / 4

func preparePorts() bool {
	if portHeads == 0 {
		if pa := fileFrame(); pa != 0 {
			portHeads = direct(pa)
		}
	}
	return portHeads != 0
}

func chainOf(port uint16) *uint32 { return at[uint32](portHeads + uint64(port)%portChains*4) }

func (s *socket) bindTo(i uint32, port uint16) {
	s.localPort = port
	s.options |= optBound
	head := chainOf(port)
	s.portNext, *head = *head, i
}

func (s *socket) unbind(i uint32) {
	if s.options&optBound == 0 {
		return
	}
	s.options &^= optBound
	for p := chainOf(s.localPort); *p != 0; p = &socketAt(uint64(*p)).portNext {
		if *p == i {
			*p = s.portNext
			break
		}
	}
	s.localPort = 0
}

// covers tells whether a socket bound to s.local receives what is sent to a.
func (s *socket) covers(a ip) bool {
	switch {
	case s.local.equal(a):
		return true
	case !s.local.isAny():
		return false
	case s.local.is4():
		return a.is4()
	}
	return !a.is4() || s.options&optV6Only == 0
}

// conflict tells whether another socket forbids s, which is number i, to have port.
func (s *socket) conflict(i uint32, port uint16) bool {
	for n := *chainOf(port); n != 0; {
		o := socketAt(uint64(n))
		if n != i && o.kind == s.kind && o.localPort == port && (o.covers(s.local) || s.covers(o.local)) {
			both := o.options & s.options
			share := both&optReusePort != 0 ||
				both&optReuseAddr != 0 && (s.kind == sockDatagram || o.state != sockListening && s.state != sockListening)
			if !share {
				return true
			}
		}
		n = o.portNext
	}
	return false
}

// choosePort binds s to a port that nobody has.
func (s *socket) choosePort(i uint32) bool {
	for range lastEphemeral - firstEphemeral + 1 {
		lastPort++
		if lastPort > lastEphemeral {
			lastPort = firstEphemeral
		}
		taken := false
		for n := *chainOf(lastPort); n != 0; n = socketAt(uint64(n)).portNext {
			o := socketAt(uint64(n))
			taken = taken || o.kind == s.kind && o.localPort == lastPort
		}
		if !taken {
			s.bindTo(i, lastPort)
			return true
		}
	}
	return false
}

// findReceiver is the socket that gets what is sent to an address: a listener, or a UDP socket. 0: nobody.
func findReceiver(kind uint8, to ip, port uint16, from ip, fromPort uint16) uint32 {
	if portHeads == 0 { // nobody has made a socket
		return 0
	}
	if n := *chainOf(port); n != 0 {
		if o := socketAt(uint64(n)); o.portNext == 0 && o.kind == kind && kind == sockDatagram && o.state != sockConnected &&
			o.localPort == port && o.covers(to) {
			return n // it is alone, as nearly always
		}
	}
	best, score := uint32(0), 0
	for n := *chainOf(port); n != 0; n = socketAt(uint64(n)).portNext {
		o := socketAt(uint64(n))
		if o.kind != kind || o.localPort != port || !o.covers(to) || kind == sockStream && o.state != sockListening {
			continue
		}
		k := 1
		if o.local.is4() {
			k++
		}
		if !o.local.isAny() {
			k += 2
		}
		if o.state == sockConnected {
			if o.remotePort != fromPort || !o.remote.equal(from) {
				continue
			}
			k += 4
		}
		if k > score {
			best, score = n, k
		}
	}
	return best
}

// bind is bind(2).
func (s *socket) bind(i uint32, p, n uint64) uint64 {
	if s.domain == afUnix {
		return errno(eOPNOTSUPP)
	}
	a, port, e := fetchAddress(s.domain, p, n)
	switch {
	case e != 0:
		return errno(e)
	case s.domain == afInet6 && a.is4() && s.options&optV6Only != 0:
		return errno(eINVAL)
	case s.kind == sockRaw:
		return errno(eOPNOTSUPP)
	case !a.isAny() && !a.isHere() && (s.kind != sockStream || s.options&optTransparent == 0):
		return errno(eADDRNOTAVAIL)
	case s.state != sockNew || s.localPort != 0:
		return errno(eINVAL)
	}
	old := s.local
	s.local = a
	if !a.isAny() && !a.isHere() {
		return s.bindForeign(old, port)
	}
	if port == 0 && s.isPortless() {
		return 0
	}
	if port == 0 {
		if !s.choosePort(i) {
			s.local = old
			return errno(eADDRINUSE)
		}
		return 0
	}
	if s.conflict(i, port) {
		s.local = old
		return errno(eADDRINUSE)
	}
	s.bindTo(i, port)
	return 0
}

// bindForeign ends bind(2) to an address of others.
func (s *socket) bindForeign(old ip, port uint16) uint64 {
	if port == 0 {
		s.local = old
		return errno(eINVAL)
	}
	s.localPort = port
	s.options |= optForeign
	return 0
}

// bindForPeer gives s an address when it needs one to reach another.
func (s *socket) bindForPeer(i uint32, to ip) bool {
	if s.localPort == 0 && !s.choosePort(i) {
		return false
	}
	if s.local.isAny() {
		s.local = sourceFor(to)
	}
	return true
}

// route is where s would send what is meant for a: this computer, or what a gateway reaches.
func (s *socket) route(a ip) (ip, uint64) {
	if a.isAny() {
		if a.is4() || s.local.is4() {
			a = loopback4
		} else {
			a = loopback6
		}
	}
	switch {
	case a.is4() && s.domain == afInet6 && s.options&optV6Only != 0:
		return a, eNETUNREACH
	case s.options&optForeign != 0:
		if a.isLoopback() {
			return a, eINVAL
		}
	case a.isHere():
	case a.is4() && !s.hasGateway() || !a.is4() && !reaches6(a):
		return a, eNETUNREACH
	case s.local.isLoopback():
		return a, eINVAL
	}
	switch {
	case !s.local.isAny() && s.local.is4() != a.is4():
		return a, eINVAL
	}
	return a, 0
}

package main

// Options of sockets (socket(7), tcp(7), ipv6(7)). Those that only matter on a wire are kept and have no effect.

// What a socket's options says.
const (
	optReuseAddr = 1 << iota
	optReusePort
	optKeepAlive
	optBroadcast
	optLinger
	optNoDelay
	optV6Only
	optDontRoute
	optCork
	optQuickAck
	optPacketInfo

	optBound  // is in the table of ports
	optShared // its descriptor was duplicated

	optTransparent // see socket_gateway.go
	optForeign     // bound to an address of others
	optUndecided   // accepted by the gateway, and the connection is not made yet
	optEmbryo      // its connection, which somebody outside began, is not complete: nobody has it yet
)

// optBuffers is the first of eight bits that say how large buffers are to be, see socket_buffer.go.
const optBuffers = 24

const (
	levelIP     = 0
	levelSocket = 1
	levelTCP    = 6
	levelIPv6   = 41
)

// flagOption is the bit of an option that is on or off, or 0.
func flagOption(level, name uint64) uint32 {
	switch level<<8 | name {
	case levelSocket<<8 | 2:
		return optReuseAddr
	case levelSocket<<8 | 5:
		return optDontRoute
	case levelSocket<<8 | 6:
		return optBroadcast
	case levelSocket<<8 | 9:
		return optKeepAlive
	case levelSocket<<8 | 15:
		return optReusePort
	case levelTCP<<8 | 1:
		return optNoDelay
	case levelTCP<<8 | 3:
		return optCork
	case levelTCP<<8 | 12:
		return optQuickAck
	case levelIPv6<<8 | 26:
		return optV6Only
	case levelIP<<8 | 19, levelIPv6<<8 | 75:
		return optTransparent
	case levelIP<<8 | 8, levelIPv6<<8 | 49:
		return optPacketInfo
	}
	return 0
}

// hasLevel tells whether s has options of the level at all.
func (s *socket) hasLevel(level uint64) bool {
	switch level {
	case levelSocket:
		return true
	case levelIP:
		return s.domain != afUnix
	case levelTCP:
		return s.domain != afUnix && s.kind == sockStream
	case levelIPv6:
		return s.domain == afInet6
	}
	return false
}

const (
	soType       = levelSocket<<8 | 3
	soError      = levelSocket<<8 | 4
	soSndBuf     = levelSocket<<8 | 7
	soRcvBuf     = levelSocket<<8 | 8
	soLinger     = levelSocket<<8 | 13
	soRcvTimeo   = levelSocket<<8 | 20
	soSndTimeo   = levelSocket<<8 | 21
	tcpInfo      = levelTCP<<8 | 11
	soAcceptConn = levelSocket<<8 | 30
	soProtocol   = levelSocket<<8 | 38
	soDomain     = levelSocket<<8 | 39
	tcpKeepIdle  = levelTCP<<8 | 4
	tcpKeepCount = levelTCP<<8 | 6
)

// setOption is setsockopt(2).
func (s *socket) setOption(i uint32, level, name, p, n uint64) uint64 {
	level, name, n = uint64(uint32(level)), uint64(uint32(name)), uint64(uint32(n))
	if !s.hasLevel(level) || name > 255 {
		return errno(eNOPROTOOPT)
	}
	if r, ok := s.setGatewayOption(i, level<<8|name, p, n); ok {
		return r
	}
	if n < 4 {
		return errno(eINVAL)
	}
	if !userRange(p, min(n, 8), false) {
		return errno(eFAULT)
	}
	v := load32(p)
	if bit := flagOption(level, name); bit != 0 {
		if bit == optV6Only && s.localPort != 0 {
			return errno(eINVAL)
		}
		s.options &^= bit
		if v != 0 {
			s.options |= bit
		}
		if bit == optTransparent && s.kind == sockRaw {
			return s.becomeDatagramGateway(i, v != 0)
		}
		s.optionChanged()
		return 0
	}
	switch option := level<<8 | name; option {
	case soSndBuf, soRcvBuf:
		s.askBuffer(int(option-soSndBuf), v)
		return 0
	case soRcvTimeo, soSndTimeo:
		return s.setTimeout(option-soRcvTimeo, p, n)
	case soLinger:
		if n < 8 {
			return errno(eINVAL)
		}
		s.options &^= optLinger
		if v != 0 {
			s.options |= optLinger
		}
		s.linger = load32(p + 4)
		return 0
	case tcpKeepIdle, tcpKeepIdle + 1, tcpKeepCount:
		most := uint32(32767)
		if option == tcpKeepCount {
			most = 127
		}
		if v < 1 || v > most {
			return errno(eINVAL)
		}
		if option == tcpKeepCount {
			s.probes = uint8(v)
		} else {
			s.keep[option-tcpKeepIdle] = uint16(v)
		}
		s.optionChanged()
		return 0
	}
	return errno(eNOPROTOOPT)
}

// setTimeout sets SO_RCVTIMEO or SO_SNDTIMEO: a struct timeval, which is rounded up to milliseconds. A negative one means not to wait.
func (s *socket) setTimeout(direction, p, n uint64) uint64 {
	if n < 16 {
		return errno(eINVAL)
	}
	if !userRange(p, 16, false) {
		return errno(eFAULT)
	}
	sec, usec := int64(load64(p)), load64(p+8)
	switch {
	case usec >= 1_000_000:
		return errno(eDOM)
	case sec < 0:
		s.timeouts[direction] = noWait
	case sec >= int64(noWait/1000): // 49 days
		s.timeouts[direction] = noTimeout
	default:
		s.timeouts[direction] = uint32(uint64(sec)*1000 + (usec+999)/1000)
	}
	return 0
}

// getOption is getsockopt(2).
func (s *socket) getOption(level, name, p, lenp uint64) uint64 {
	level, name = uint64(uint32(level)), uint64(uint32(name))
	if !userRange(lenp, 4, true) {
		return errno(eFAULT)
	}
	n := uint64(load32(lenp))
	if int32(n) < 0 {
		return errno(eINVAL)
	}
	if !s.hasLevel(level) || name > 255 {
		return errno(eNOPROTOOPT)
	}
	if option := level<<8 | name; option == tcpInfo || option == soRcvTimeo || option == soSndTimeo {
		return s.getStructure(option, n, p, lenp)
	}
	v, second := uint32(0), uint32(0)
	size := uint64(4)
	option := level<<8 | name
	bit := flagOption(level, name)
	switch {
	case bit != 0:
		if s.options&bit != 0 {
			v = 1
		}
	case option == soType:
		v = uint32(s.kind)
	case option == soError:
		v = uint32(s.takeError())
	case option == soSndBuf || option == soRcvBuf:
		v = s.bufferSize(int(option - soSndBuf))
	case option == soLinger:
		size, second = 8, s.linger
		if s.options&optLinger != 0 {
			v = 1
		}
	case option == ipPeerGone:
		if s.peer == 0 {
			v = 1
		}
	case option == soAcceptConn:
		if s.state == sockListening {
			v = 1
		}
	case option == soProtocol:
		v = s.protocol()
	case option == soDomain:
		v = s.domain
	case option == tcpKeepCount:
		v = uint32(s.probes)
	case option == tcpKeepIdle || option == tcpKeepIdle+1:
		v = uint32(s.keep[option-tcpKeepIdle])
	default:
		return errno(eNOPROTOOPT)
	}
	return putOption(uint64(v)|uint64(second)<<32, min(n, size), p, lenp)
}

// getStructure gives an option that is more than a number: TCP_INFO, or a time-out as a struct timeval.
func (s *socket) getStructure(option, n, p, lenp uint64) uint64 {
	size := uint64(16)
	if option == tcpInfo {
		size = tcpInfoSize
	}
	n = min(n, size)
	if !userRange(p, n, true) {
		return errno(eFAULT)
	}
	clear(bytesAt(p, n))
	if option == tcpInfo {
		var b [tcpInfoSize]byte
		s.info(b[:])
		copy(bytesAt(p, n), b[:])
	} else if v := s.timeouts[option-soRcvTimeo]; v != noWait {
		t := [2]uint64{uint64(v) / 1000, uint64(v) % 1000 * 1000}
		copy(bytesAt(p, n), bytesAt(addressOf(&t), 16))
	}
	store32(lenp, uint32(n))
	return 0
}

// tcpState is the number by which TCP_INFO names the state of a connection.
func (s *socket) tcpState() byte {
	const established, sent, finWait2, closed, closeWait, listen = 1, 2, 5, 7, 8, 10
	switch {
	case s.state == sockListening:
		return listen
	case s.state == sockConnecting:
		return sent
	case s.state != sockConnected || s.shut&(shutIn|shutOut) == shutIn|shutOut:
		return closed
	case s.shut&shutIn != 0:
		return closeWait
	case s.shut&shutOut != 0:
		return finWait2
	}
	return established
}

func putOption(v, n, p, lenp uint64) uint64 {
	if !userRange(p, n, true) {
		return errno(eFAULT)
	}
	for i := range n {
		*at[byte](p + i) = byte(v >> (8 * i))
	}
	store32(lenp, uint32(n))
	return 0
}

func (s *socket) protocol() uint32 {
	switch {
	case s.domain == afUnix:
		return 0
	case s.kind == sockStream:
		return protoTCP
	}
	return protoUDP
}

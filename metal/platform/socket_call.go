package main

// The calls on sockets.

const (
	sysSocket      = 41
	sysConnect     = 42
	sysAccept      = 43
	sysSendto      = 44
	sysRecvfrom    = 45
	sysSendmsg     = 46
	sysRecvmsg     = 47
	sysShutdown    = 48
	sysBind        = 49
	sysListen      = 50
	sysGetsockname = 51
	sysGetpeername = 52
	sysSocketpair  = 53
	sysSetsockopt  = 54
	sysGetsockopt  = 55
	sysAccept4     = 288
)

const (
	eNOTSOCK         = 88
	eNONET           = 64
	eDESTADDRREQ     = 89
	eMSGSIZE         = 90
	eNOPROTOOPT      = 92
	ePROTONOSUPPORT  = 93
	eSOCKTNOSUPPORT  = 94
	eAFNOSUPPORT     = 97
	eADDRINUSE       = 98
	eADDRNOTAVAIL    = 99
	eNETUNREACH      = 101
	eCONNRESET       = 104
	eNOBUFS          = 105
	eISCONN          = 106
	eNOTCONN         = 107
	eCONNREFUSED     = 111
	eHOSTDOWN        = 112
	eHOSTUNREACH     = 113
	eALREADY         = 114
	eINPROGRESS      = 115
	socketFlags      = oNonblock | oCloexec
	socketKindsKnown = 0xf
)

func socketCall(f *frame, n uint64) (uint64, bool) {
	switch n {
	case sysSocket:
		return makeSocket(f.DI, f.SI, f.DX), true
	case sysSocketpair:
		return socketPair(f.DI, f.SI, f.DX, f.R10), true
	case sysConnect, sysAccept, sysSendto, sysRecvfrom, sysSendmsg, sysRecvmsg, sysShutdown, sysBind, sysListen, sysGetsockname,
		sysGetpeername, sysSetsockopt, sysGetsockopt, sysAccept4:
	default:
		return 0, false
	}
	if r := needDescriptor(f.DI); r != 0 {
		return r, true
	}
	if descriptors[f.DI].kind != fdSocket {
		return errno(eNOTSOCK), true
	}
	i := descriptors[f.DI].index
	socketAt(i).refs++ // somebody may close the descriptor meanwhile
	r := onSocket(f, n, i)
	releaseSocket(i)
	return r, true
}

func onSocket(f *frame, n, i uint64) uint64 {
	s := socketAt(i)
	a, b, c := f.SI, f.DX, f.R10
	if s.domain == afNetlink {
		if r, ok := s.onNetlink(f, n, i); ok {
			return r
		}
	}
	switch n {
	case sysConnect:
		return s.connect(uint32(i), a, b)
	case sysAccept:
		return s.accept(i, a, b, 0)
	case sysAccept4:
		return s.accept(i, a, b, c)
	case sysSendto:
		m := message{p: a, n: b, count: 1, flags: c, name: f.R8, nameSize: f.R9}
		return s.transfer(i, &m, true)
	case sysRecvfrom:
		return s.receiveFrom(i, a, b, c, f.R8, f.R9)
	case sysSendmsg, sysRecvmsg:
		return s.transferMessage(i, a, b, n == sysSendmsg)
	case sysShutdown:
		return s.shutdown(uint32(i), a)
	case sysBind:
		return s.bind(uint32(i), a, b)
	case sysListen:
		return s.listen(uint32(i), a)
	case sysGetsockname:
		return errno(storeAddress(s.domain, s.local, s.localPort, a, b))
	case sysGetpeername:
		if s.state != sockConnected {
			return errno(eNOTCONN)
		}
		return errno(storeAddress(s.domain, s.remote, s.remotePort, a, b))
	case sysSetsockopt:
		return s.setOption(uint32(i), a, b, c, f.R8)
	}
	return s.getOption(a, b, c, f.R8)
}

// datagramCall is sendto(2) and recvfrom(2), by the shortest way for sockets that do not block.
func datagramCall(f *frame, n uint64) uint64 {
	if f.DI < usedDescriptors && descriptors[f.DI].kind == fdSocket {
		i := descriptors[f.DI].index
		if s := socketAt(i); s.kind == sockDatagram && s.flags&oNonblock != 0 && s.domain != afNetlink {
			if n == sysSendto {
				m := message{p: f.SI, n: f.DX, count: 1, flags: f.R10, name: f.R8, nameSize: f.R9}
				return s.transfer(i, &m, true)
			}
			return s.receiveFrom(i, f.SI, f.DX, f.R10, f.R8, f.R9)
		}
	}
	r, _ := socketCall(f, n)
	return r
}

func (s *socket) connect(i uint32, p, n uint64) uint64 {
	switch {
	case s.domain == afUnix:
		return errno(eISCONN)
	case s.kind == sockRaw:
		return errno(eOPNOTSUPP)
	case s.kind == sockDatagram:
		return s.connectDatagram(i, p, n)
	}
	return s.connectStream(i, p, n)
}

// makeSocket is socket(2).
func makeSocket(domain, kind, proto uint64) uint64 {
	flags := kind & socketFlags
	kind &^= socketFlags
	proto = uint64(uint32(proto))
	switch {
	case kind&^socketKindsKnown != 0:
		return errno(eINVAL)
	case domain == afNetlink && proto != 0:
		return errno(ePROTONOSUPPORT)
	case domain == afNetlink && (kind == sockRaw || kind == sockDatagram):
	case domain != afInet && domain != afInet6:
		return errno(eAFNOSUPPORT)
	case kind == sockRaw && domain == afInet && proto == protoUDP: // see socket_gateway.go
	case kind != sockStream && kind != sockDatagram:
		return errno(eSOCKTNOSUPPORT)
	case proto != 0 && (kind == sockStream && proto != protoTCP || kind == sockDatagram && proto != protoUDP):
		return errno(ePROTONOSUPPORT)
	}
	i := newSocket(uint32(domain), uint8(kind))
	if i == 0 {
		return errno(eNOBUFS)
	}
	fd := openSocket(i, flags)
	if int64(fd) < 0 {
		releaseSocket(i)
	}
	return fd
}

// socketPair is socketpair(2).
func socketPair(domain, kind, proto, result uint64) uint64 {
	flags := kind & socketFlags
	kind &^= socketFlags
	switch {
	case domain == afInet || domain == afInet6:
		return errno(eOPNOTSUPP)
	case domain != afUnix:
		return errno(eAFNOSUPPORT)
	case kind != sockStream:
		return errno(eSOCKTNOSUPPORT)
	case proto > 1:
		return errno(ePROTONOSUPPORT)
	case !userRange(result, 8, true):
		return errno(eFAULT)
	}
	a := newSocket(afUnix, sockStream)
	if a == 0 {
		return errno(eNOBUFS)
	}
	b := newSocket(afUnix, sockStream)
	if b == 0 {
		releaseSocket(a)
		return errno(eNOBUFS)
	}
	afd, bfd := openSocket(a, flags), openSocket(b, flags)
	if int64(afd) < 0 || int64(bfd) < 0 {
		releaseSocket(b)
		if int64(afd) < 0 {
			releaseSocket(a)
		} else {
			closeDescriptor(&descriptors[afd])
		}
		return errno(eMFILE)
	}
	s, o := socketAt(a), socketAt(b)
	s.state, o.state = sockConnected, sockConnected
	s.peer, o.peer = uint32(b), uint32(a)
	store32(result, uint32(afd))
	store32(result+4, uint32(bfd))
	return 0
}

func (s *socket) receiveFrom(i, p, n, flags, name, lenp uint64) uint64 {
	m := message{p: p, n: n, count: 1, flags: flags, name: name}
	if name != 0 {
		if !userRange(lenp, 4, true) {
			return errno(eFAULT)
		}
		m.nameSize = uint64(load32(lenp))
		if int32(m.nameSize) < 0 {
			return errno(eINVAL)
		}
	}
	r := s.transfer(i, &m, false)
	if int64(r) >= 0 && name != 0 && userRange(lenp, 4, true) {
		store32(lenp, uint32(m.nameSize))
	}
	return r
}

// msghdr is struct msghdr.
type msghdr struct {
	name               uint64
	nameSize, _        uint32
	vectors, count     uint64
	control, controlSz uint64
	flags, _           uint32
}

const msghdrSize = 56

// transferMessage is sendmsg(2) and recvmsg(2).
func (s *socket) transferMessage(i, p, flags uint64, write bool) uint64 {
	if !userRange(p, msghdrSize, !write) {
		return errno(eFAULT)
	}
	h := at[msghdr](p)
	m := message{vectors: h.vectors, count: h.count, flags: flags, name: h.name, nameSize: uint64(h.nameSize)}
	switch {
	case m.count > maxVectors:
		return errno(eMSGSIZE)
	case int32(m.nameSize) < 0:
		return errno(eINVAL)
	case m.name == 0 || write && m.nameSize == 0:
		m.name, m.nameSize = 0, 0
	}
	if write {
		if e := s.fetchControl(h, &m); e != 0 {
			return errno(e)
		}
	}
	r := s.transfer(i, &m, write)
	if !write && int64(r) >= 0 && userRange(p, msghdrSize, true) {
		if e := s.putControl(h, &m); e != 0 {
			return errno(e)
		}
		h.nameSize, h.flags = uint32(m.nameSize), m.result
	}
	return r
}

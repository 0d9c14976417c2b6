package main

import "math/bits"

// Addresses. All are kept as those of IPv6; one of IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).

// ip is an address in host byte order.
type ip struct{ hi, lo uint64 }

const mapped = 0xffff << 32

var (
	any4      = ip{0, mapped}
	loopback4 = ip{0, mapped | 0x7f00_0001}
	loopback6 = ip{0, 1}
)

func (a ip) is4() bool { return a.hi == 0 && a.lo>>32 == 0xffff }

func (a ip) isAny() bool { return a.hi == 0 && (a.lo == 0 || a.lo == mapped) }

func (a ip) isLoopback() bool {
	return a.is4() && a.lo>>24&0xff == 127 || a.hi == 0 && a.lo == 1
}

// equal avoids a call that compares memory.
func (a ip) equal(b ip) bool { return a.hi == b.hi && a.lo == b.lo }

// Sizes of struct sockaddr_in and sockaddr_in6; of the latter, the least that Linux takes.
const (
	sockaddrInet  = 16
	sockaddrInet6 = 28
	leastInet6    = 24
)

// fetchAddress reads the address that the program gives for a socket of the domain.
func fetchAddress(domain uint32, p, n uint64) (a ip, port uint16, e uint64) {
	least := uint64(sockaddrInet)
	if domain == afInet6 {
		least = leastInet6
	}
	switch {
	case int32(n) < 0 || int32(n) > 128:
		return ip{}, 0, eINVAL
	case !userRange(p, n, false):
		return ip{}, 0, eFAULT
	case domain == afInet6 && n >= 2 && uint32(*at[uint16](p)) != afInet6:
		return ip{}, 0, eAFNOSUPPORT
	case n < least:
		return ip{}, 0, eINVAL
	}
	port = bits.ReverseBytes16(*at[uint16](p + 2))
	if domain == afInet6 {
		return ip{bits.ReverseBytes64(load64(p + 8)), bits.ReverseBytes64(load64(p + 16))}, port, 0
	}
	a = ip{0, mapped | uint64(bits.ReverseBytes32(load32(p+4)))}
	if f := *at[uint16](p); f != afInet && (f != afUnspec || !a.isAny()) {
		return ip{}, 0, eAFNOSUPPORT
	}
	return a, port, 0
}

// storeAddress writes an address to p as accept(2) and others do; lenp tells how much fits, and gets how much there is.
func storeAddress(domain uint32, a ip, port uint16, p, lenp uint64) uint64 {
	if !userRange(lenp, 4, true) {
		return eFAULT
	}
	most := uint64(load32(lenp))
	if int32(most) < 0 {
		return eINVAL
	}
	n, e := putAddress(domain, a, port, p, most)
	if e == 0 {
		store32(lenp, uint32(n))
	}
	return e
}

// putAddress writes at most the given number of bytes of an address, and returns how many there are.
func putAddress(domain uint32, a ip, port uint16, p, most uint64) (uint64, uint64) {
	if domain == afInet && most >= sockaddrInet && userRange(p, sockaddrInet, true) {
		store32(p, afInet|uint32(bits.ReverseBytes16(port))<<16)
		store32(p+4, bits.ReverseBytes32(uint32(a.lo)))
		store64(p+8, 0)
		return sockaddrInet, 0
	}
	var b [sockaddrInet6]byte
	b[0] = byte(domain)
	b[2], b[3] = byte(port>>8), byte(port)
	n := uint64(2)
	switch domain {
	case afInet:
		n = sockaddrInet
		for i := range 4 {
			b[4+i] = byte(a.lo >> (24 - 8*i))
		}
	case afNetlink: // struct sockaddr_nl
		n = 12
		for i := range 4 {
			b[4+i] = byte(a.lo >> (8 * i))
		}
	case afInet6:
		n = sockaddrInet6
		for i := range 8 {
			b[8+i] = byte(a.hi >> (56 - 8*i))
			b[16+i] = byte(a.lo >> (56 - 8*i))
		}
	}
	k := min(n, most)
	if !userRange(p, k, true) {
		return 0, eFAULT
	}
	copy(bytesAt(p, k), b[:n])
	return n, 0
}

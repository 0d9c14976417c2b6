package svm

// Permission maps. Both must be physically contiguous and page aligned. APM vol. 2, 15.10.1 and 15.11.
const (
	IOPMSize  = 3 * 4096
	MSRPMSize = 2 * 4096
)

// MSRPMBit is where the MSR permission map keeps the bit that intercepts RDMSR of an MSR, counted from bit 0 of the first
// byte; the next bit intercepts WRMSR. False: the map does not cover the MSR, and the processor always intercepts it.
// APM vol. 2, 15.11.
func MSRPMBit(msr uint32) (uint32, bool) {
	const rangeBits = 0x800 * 8
	switch msr >> 13 {
	case 0x0000_0000 >> 13:
		return msr & 0x1fff * 2, true
	case 0xc000_0000 >> 13:
		return rangeBits + msr&0x1fff*2, true
	case 0xc001_0000 >> 13:
		return 2*rangeBits + msr&0x1fff*2, true
	}
	return 0, false
}

// AllowMSR clears or sets the two bits of an MSR in a permission map. False when the map does not cover the MSR.
func AllowMSR(pm *[MSRPMSize]byte, msr uint32, read, write bool) bool {
	bit, ok := MSRPMBit(msr)
	if !ok {
		return false
	}
	setBit(&pm[bit>>3&(MSRPMSize-1)], bit&7, !read)
	setBit(&pm[(bit+1)>>3&(MSRPMSize-1)], (bit+1)&7, !write)
	return true
}

// MSRIntercepted says whether a permission map intercepts an access.
func MSRIntercepted(pm *[MSRPMSize]byte, msr uint32, write bool) bool {
	bit, ok := MSRPMBit(msr)
	if !ok {
		return true
	}
	if write {
		bit++
	}
	return pm[bit>>3&(MSRPMSize-1)]>>(bit&7)&1 != 0
}

// IOPMBit is where the port permission map keeps the bit that intercepts a port. APM vol. 2, 15.10.1.
func IOPMBit(port uint16) uint32 { return uint32(port) }

// AllowPort clears or sets the bit of one port in a permission map.
func AllowPort(pm *[IOPMSize]byte, port uint16, allow bool) {
	setBit(&pm[port>>3], uint32(port&7), !allow)
}

// PortIntercepted says whether a permission map intercepts an access of 1, 2 or 4 bytes. Accesses that run over port 0xffff
// look at the first bits of the third page.
func PortIntercepted(pm *[IOPMSize]byte, port uint16, bytes uint32) bool {
	for bit := uint32(port); bit < uint32(port)+bytes && bit>>3 < IOPMSize; bit++ {
		if pm[bit>>3]>>(bit&7)&1 != 0 {
			return true
		}
	}
	return false
}

// InterceptAll fills a map with ones: everything is intercepted. It is for maps of either size.
func InterceptAll(pm []byte) {
	for i := range pm {
		pm[i] = 0xff
	}
}

func setBit(b *byte, bit uint32, on bool) {
	if on {
		*b |= 1 << (bit & 7)
		return
	}
	*b &^= 1 << (bit & 7)
}

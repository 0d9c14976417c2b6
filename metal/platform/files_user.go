package main

import "nom.dev/nom/abi"

// Pointers of the program. Memory that is mapped but not there yet is fetched by the page fault that touching it causes; a
// wild pointer would be a fault in the platform, so calls that take one ask here first.

// userRange tells whether n bytes at p belong to the program: mappings, segments, or physical memory at abi.DirectMap.
func userRange(p, n uint64, write bool) bool {
	end := p + n
	switch {
	case n == 0:
		return true
	case end < p:
		return false
	case p >= abi.DirectMap:
		return end-abi.DirectMap <= bootPage.MemoryTop
	case p < pageSize || end > userEnd:
		return false
	}
	memLock.lock()
	ok := mappedRange(p, end, write)
	memLock.unlock()
	return ok
}

// outputRange is userRange for what write(2) or writev(2) is given.
func outputRange(call, p, n uint64) bool {
	if call == sysWrite {
		return userRange(p, n, false)
	}
	if n > maxVectors || !userRange(p, n*16, false) {
		return false
	}
	for i := uint64(0); i < n; i++ {
		if !userRange(load64(p+i*16), load64(p+i*16+8), false) {
			return false
		}
	}
	return true
}

func mappedRange(p, end uint64, write bool) bool {
	for p < end {
		if i := vmas.find(p); i < vmas.n && vmas.t[i].lo <= p {
			if prot := vmas.t[i].prot; prot&protRead == 0 && prot&protWrite == 0 || write && prot&protWrite == 0 {
				return false
			}
			p = vmas.t[i].hi
			continue
		}
		next := segmentEnd(p, write)
		if next == 0 {
			return false
		}
		p = next
	}
	return true
}

// segmentEnd is the end of the segment that p lies in, or 0.
func segmentEnd(p uint64, write bool) uint64 {
	for i := uint32(0); i < bootPage.NumSegments; i++ {
		s := &bootPage.Segments[i]
		if p < s.VA || p-s.VA >= s.Size {
			continue
		}
		if write && s.Prot&abi.ProtWrite == 0 {
			return 0
		}
		return s.VA + s.Size
	}
	return 0
}

// fetchString copies a NUL-terminated string of the program to b and returns its length.
func fetchString(p uint64, b []byte) (uint64, uint64) {
	for n := range b {
		a := p + uint64(n)
		if (n == 0 || a%pageSize == 0) && !userRange(a, 1, false) {
			return 0, eFAULT
		}
		c := *at[byte](a)
		if c == 0 {
			return uint64(n), 0
		}
		b[n] = c
	}
	return 0, eNAMETOOLONG
}

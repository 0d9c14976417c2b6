package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// Pointers of the program. A wild pointer would be a fault in the platform, so every call that takes one asks here first.
// What belongs to the platform (its image, physical memory at abi.DirectMap, stacks, tables) is as wild as what nobody
// has mapped, although the program, which shares ring 0 with it, could reach it.
//
// Memory that is mapped but not there yet is fetched by the page fault that touching it causes, also when the platform
// touches it for the program. When there is no memory left for it, the program ends as it does when it touches the page
// itself (outOfMemory). What a thread unmaps while another one's call works on it is still a fault in the platform.

// lowestMapping is where mappings begin: the program's image lies below abi.PlatformAddr, the platform's from there on.
const lowestMapping = 1 << 32

// userRange tells whether n bytes at p belong to the program, by its mappings and segments.
func userRange(p, n uint64, write bool) bool {
	if n == 0 || cpu().known.covers(p, n, write) {
		return true
	}
	end := p + n
	switch {
	case end < p || p < pageSize || end > userEnd:
		return false
	case p < lowestMapping && end > abi.PlatformAddr:
		return false
	}
	if inSegment(p, end, write) {
		return true
	}
	memLock.lock()
	ok := mappedRange(p, end, write)
	if ok {
		cpu().known.remember(p)
	}
	memLock.unlock()
	return ok
}

// knownRange is the mapping in which a CPU found the program's pointers last: most calls are given the same one. Mappings that grow
// or join need not be noticed.
type knownRange struct {
	lo, hi  uint64
	shrinks uint64
	write   bool
}

// vmaShrinks counts what takes access to memory away. Written with memLock held.
var vmaShrinks uint64

func (k *knownRange) covers(p, n uint64, write bool) bool {
	return p >= k.lo && p < k.hi && n <= k.hi-p && k.shrinks == atomic.LoadUint64(&vmaShrinks) && (k.write || !write)
}

// remember notes the mapping of p, of which the program may read at least; memLock is held.
func (k *knownRange) remember(p uint64) {
	if i := vmas.find(p); i < vmas.n && vmas.t[i].lo <= p {
		v := &vmas.t[i]
		*k = knownRange{lo: v.lo, hi: v.hi, shrinks: vmaShrinks, write: v.prot&protWrite != 0}
	}
}

// userWords is userRange for the few bytes of a number or a small structure. Nearly always they lie in a page that is
// there, or in the program's variables, and then it takes no lock.
func userWords(p, n uint64, write bool) bool {
	if cpu().known.covers(p, n, write) {
		return true
	}
	if p-lowestMapping < userEnd-lowestMapping && (p^(p+n-1))&^(pageSize-1) == 0 && present(p, write) {
		return true
	}
	return userRange(p, n, write)
}

// userAddress tells whether p can be an address of the program at all.
func userAddress(p uint64) bool {
	return p < abi.PlatformAddr || p-lowestMapping < userEnd-pageSize-lowestMapping
}

// present looks va up in the page tables as the processor does. It needs no lock: tables are never freed.
func present(va uint64, write bool) bool {
	t := rootTable
	for shift := uint(39); ; shift -= 9 {
		e := load64(direct(t) + va>>(shift&63)&511*8)
		if e&pteP == 0 || write && e&pteW == 0 {
			return false
		}
		if shift == 12 || e&ptePS != 0 {
			return true
		}
		t = e & addrMask
	}
}

// storeWords gives the program the words of a small structure.
func storeWords(p uint64, words ...uint64) uint64 {
	if !userWords(p, uint64(len(words))*8, true) {
		return errno(eFAULT)
	}
	for i, w := range words {
		store64(p+uint64(i)*8, w)
	}
	return 0
}

// inSegment tells whether [p, end) lies in one of the program's segments, which never change.
func inSegment(p, end uint64, write bool) bool {
	for i := uint32(0); i < bootPage.NumSegments; i++ {
		s := &bootPage.Segments[i]
		if p >= s.VA && end <= s.VA+s.Size+s.Zero {
			return !write || s.Prot&abi.ProtWrite != 0
		}
	}
	return false
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

package metal

import "unsafe"

//go:noescape
func zero(p *byte, n uintptr)

// Zero clears b. It is for large stretches of memory, in whole pages: see zero.
func Zero(b []byte) {
	n := len(b) &^ 255
	if n > 0 {
		// SAFETY: zero writes n bytes from the start of b, and n is at most its length.
		zero(unsafe.SliceData(b), uintptr(n))
	}
	clear(b[n:])
}

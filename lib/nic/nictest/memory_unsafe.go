package nictest

import (
	"sync/atomic"
	"unsafe"
)

// alignedPages is memory at a multiple of 4096, which stays where it is: the Go heap does not move.
func alignedPages(bytes int) []byte {
	b := make([]byte, bytes+4096)
	// SAFETY: the address is only computed with.
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) & 4095
	return b[skip:][:bytes:bytes]
}

// storeUint64 is the device's last write to a descriptor: what it wrote before is visible to who sees this.
func storeUint64(b []byte, v uint64) {
	// SAFETY: the callers pass 8 bytes inside of a descriptor, at a multiple of 8.
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&b[:8][0])), v)
}

// storeUint32 likewise, for 4 bytes at a multiple of 4.
func storeUint32(b []byte, v uint32) {
	// SAFETY: see storeUint64.
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[:4][0])), v)
}

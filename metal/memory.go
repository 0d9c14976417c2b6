package metal

import (
	"fmt"
	"syscall"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal/call"
)

// Physical is a stretch of physical memory (guest-physical in a container), page aligned.
type Physical struct {
	Addr uint64
	Size uint64 // in bytes
}

// Pages takes n pages of physically contiguous zeroed memory out of the platform's pool. They are not part of the Go
// heap: give them back with Release.
func Pages(n int) (Physical, error) { return AlignedPages(n, abi.PageSize) }

// AlignedPages is Pages with an address that is a multiple of align, a power of two.
func AlignedPages(n int, align uint64) (Physical, error) {
	if n <= 0 || align&(align-1) != 0 {
		return Physical{}, fmt.Errorf("taking %d pages of memory aligned to %#x: not a possible amount", n, align)
	}
	size := uint64(n) * abi.PageSize
	pa, _, errno := syscall.RawSyscall(call.Contiguous, uintptr(size), uintptr(align), 0)
	if errno != 0 {
		return Physical{}, fmt.Errorf("taking %d pages of memory: %w", n, refusal(errno))
	}
	if pa == 0 {
		return Physical{}, fmt.Errorf("taking %d contiguous pages of memory: the container has none left in one piece; give it more memory", n)
	}
	return Physical{uint64(pa), size}, nil
}

// Release gives memory back to the platform's pool. Nothing may use it any more.
func (p Physical) Release() error {
	if p.Size == 0 {
		return nil
	}
	if _, _, errno := syscall.RawSyscall(call.Release, uintptr(p.Addr), uintptr(p.Size), 0); errno != 0 {
		return fmt.Errorf("releasing memory at %#x: %w", p.Addr, refusal(errno))
	}
	return nil
}

// Pages is how many pages there are.
func (p Physical) Pages() uint64 { return p.Size / abi.PageSize }

// Slice is size bytes of p from offset on. It panics when they are not inside.
func (p Physical) Slice(offset, size uint64) Physical {
	if offset > p.Size || size > p.Size-offset {
		panic("metal: slice outside of a stretch of physical memory")
	}
	return Physical{p.Addr + offset, size}
}

// Bytes is the memory itself, through the direct map. The slice must not be used after Release.
func (p Physical) Bytes() []byte {
	if p.Size == 0 || !Running() {
		return nil
	}
	return directMap(p.Addr, p.Size)
}

// RangeBytes is the memory of a range that the boot page names, such as the bundle. Nil for the zero range.
func RangeBytes(r abi.Range) []byte { return Physical(r).Bytes() }

// PhysicalOf is where b lies when it is a slice of Bytes or RangeBytes, that is, of the direct map. Other memory of a
// program is scattered by the page: see Translate.
func PhysicalOf(b []byte) (Physical, bool) {
	if len(b) == 0 || !Running() {
		return Physical{}, false
	}
	a := addressOf(b)
	top := bootPage().MemoryTop
	if a < abi.DirectMap || a-abi.DirectMap >= top || uint64(len(b)) > top-(a-abi.DirectMap) {
		return Physical{}, false
	}
	return Physical{a - abi.DirectMap, uint64(len(b))}, true
}

// Translate is the physical address behind a virtual one of the program. It holds until the platform moves or frees
// the page, which it never does to memory that Pages gave.
func Translate(virtual uintptr) (uint64, error) {
	pa, _, errno := syscall.RawSyscall(call.Translate, virtual, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("translating address %#x: %w", virtual, refusal(errno))
	}
	return uint64(pa), nil
}

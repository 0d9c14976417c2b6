package layout

import (
	"testing"
	"unsafe"

	"nom.dev/nom/abi"
)

// The encoding of the boot page is its layout in Go.
func TestBootBytes(t *testing.T) {
	p := plan(t, input())
	p.Boot.Name[abi.NameLen-1] = 'z' // the last field
	b := p.BootBytes()
	if len(b) != abi.PageSize {
		t.Fatalf("got %d bytes, want a page", len(b))
	}
	// SAFETY: b is longer than a BootPage and stays alive; the struct holds no pointers and the heap aligns a page.
	got := *(*abi.BootPage)(unsafe.Pointer(&b[0]))
	if got != p.Boot {
		t.Errorf("got %+v, want %+v", got, p.Boot)
	}
}

package metal

import (
	"errors"
	"testing"

	"nom.dev/nom/abi"
)

// The tests run on Linux, where there is no platform: everything says so, and nothing crashes.
func TestNotRunning(t *testing.T) {
	if Running() || InContainer() {
		t.Fatal("got running on nom, want not")
	}
	if BootPage() != nil || EventPage() != nil || PricePage() != nil || Name() != "" {
		t.Error("got pages of a container on Linux, want none")
	}
	_, hyper := Hypercall(abi.CallNull, 0, 0, 0, 0, 0, 0)
	_, pages := Pages(1)
	_, vector := OpenVector(abi.VectorEvent)
	_, stat := Stat(0, 0)
	_, translate := Translate(4096)
	for name, err := range map[string]error{
		"hypercall": hyper, "pages": pages, "vector": vector, "stat": stat, "translate": translate,
		"release": Physical{4096, 4096}.Release(), "run": VMRun(nil), "wait": WaitKick(1), "kick": Kick(0), "power off": PowerOff(0),
	} {
		if !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: got error %v, want %v", name, err, ErrNotRunning)
		}
	}
	if b := (Physical{4096, 4096}).Bytes(); b != nil {
		t.Errorf("got %d bytes of physical memory on Linux, want none", len(b))
	}
	if _, ok := PhysicalOf(make([]byte, 1)); ok {
		t.Error("got a physical address of Go memory on Linux, want none")
	}
}

func TestPagesArguments(t *testing.T) {
	for _, c := range []struct {
		n     int
		align uint64
	}{{0, 4096}, {-1, 4096}, {1, 3}} {
		if _, err := AlignedPages(c.n, c.align); err == nil || errors.Is(err, ErrNotRunning) {
			t.Errorf("%d pages aligned to %d: got error %v, want one about the amount", c.n, c.align, err)
		}
	}
}

func TestSlice(t *testing.T) {
	p := Physical{0x10000, 0x3000}
	if got, want := p.Slice(0x1000, 0x2000), (Physical{0x11000, 0x2000}); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
	if p.Pages() != 3 {
		t.Errorf("got %d pages, want 3", p.Pages())
	}
	defer func() {
		if recover() == nil {
			t.Error("got a slice beyond the end, want a panic")
		}
	}()
	p.Slice(0x1000, 0x3000)
}

func TestTSC(t *testing.T) {
	if a, b := TSC(), TSC(); b < a {
		t.Errorf("got %d after %d, want a rising counter", b, a)
	}
}

func TestHypercallAllocates(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Hypercall(abi.CallNull, 1, 2, 3, 4, 5, 6) }); n != 0 {
		t.Errorf("got %v allocations a hypercall, want 0", n)
	}
}

package layout

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout/layouttest"
)

// drawELF draws an executable between low and high with up to five segments.
func drawELF(t *rapid.T, low uint64, what string) ([]byte, []layouttest.Segment) {
	var segs []layouttest.Segment
	va := low
	for i := range rapid.IntRange(1, 5).Draw(t, what+" segments") {
		va += uint64(rapid.IntRange(0, 3000).Draw(t, "gap")) << 12
		s := layouttest.Segment{
			VA:    va + uint64(rapid.SampledFrom([]int{0, 0, 16, 0xff0}).Draw(t, "in page")),
			Data:  layouttest.Bytes(rapid.IntRange(0, 20000).Draw(t, "data"), byte(i)),
			Zero:  uint64(rapid.SampledFrom([]int{0, 0, 1, 4096, 100000}).Draw(t, "zero")),
			Flags: uint32(rapid.IntRange(0, 7).Draw(t, "flags")),
		}
		if i == 0 {
			s.Flags |= abi.ProtExec
			s.Data = append(s.Data, 1)
		}
		segs = append(segs, s)
		va = pageUp(s.VA + uint64(len(s.Data)) + s.Zero)
	}
	return layouttest.ELF(segs[0].VA, segs...), segs
}

// memory is what a loader makes of a plan.
func memory(p *Plan) map[uint64][]byte {
	pages := map[uint64][]byte{}
	for _, q := range p.Pieces {
		buf := make([]byte, q.Size)
		copy(buf, q.Data)
		for i := uint64(0); i < q.Size; i += abi.PageSize {
			pages[q.PA+i] = buf[i:][:abi.PageSize]
		}
	}
	return pages
}

// checkPlan checks what must hold of every plan.
func checkPlan(p *Plan, in Input) error {
	next := in.Base
	free := p.Boot.Free[:p.Boot.NumFree]
	skipFree := func() {
		for len(free) > 0 && free[0].Addr == next {
			next += free[0].Size
			free = free[1:]
		}
	}
	for _, q := range p.Pieces {
		skipFree()
		if q.PA != next || (q.VA|q.PA|q.Size)%abi.PageSize != 0 || q.Size == 0 || uint64(len(q.Data)) > q.Size {
			return fmt.Errorf("piece %#x at %#x, size %#x, %#x bytes: want it at %#x, page aligned", q.VA, q.PA, q.Size, len(q.Data), next)
		}
		if q.Shared && q.Prot&abi.ProtWrite != 0 {
			return fmt.Errorf("piece %#x is writable and shared", q.VA)
		}
		if q.Source == Platform {
			if pa, ok := walk(p, q.VA); !ok || pa != q.PA {
				return fmt.Errorf("platform piece %#x lies at %#x and is mapped to %#x", q.VA, q.PA, pa)
			}
		}
		next += q.Size
	}
	if next != p.End {
		return fmt.Errorf("the pieces end at %#x, the plan at %#x", next, p.End)
	}
	skipFree()
	if len(free) != 0 || in.Limit != 0 && next != in.Limit {
		return fmt.Errorf("free memory reaches to %#x with %d ranges left over, limit %#x", next, len(free), in.Limit)
	}
	return nil
}

// checkSegment checks that the bytes of a segment are where the boot page says, followed by zeros.
func checkSegment(p *Plan, pages map[uint64][]byte, s layouttest.Segment, platform bool) error {
	if len(s.Data) == 0 && s.Zero == 0 {
		return nil
	}
	for _, b := range p.Boot.Segments[:p.Boot.NumSegments] {
		if b.VA != s.VA&^pageMask {
			continue
		}
		want := append(append(make([]byte, s.VA&pageMask), s.Data...), make([]byte, s.Zero)...)
		want = append(want, make([]byte, pageUp(uint64(len(want)))-uint64(len(want)))...)
		if b.Size+b.Zero != uint64(len(want)) || platform && b.Zero != 0 || b.Prot != s.Flags {
			return fmt.Errorf("segment %#x: got size %#x + %#x, protection %d; want %#x, %d", b.VA, b.Size, b.Zero, b.Prot, len(want), s.Flags)
		}
		for i := uint64(0); i < b.Size; i += abi.PageSize {
			if !bytes.Equal(pages[b.PA+i], want[i:][:abi.PageSize]) {
				return fmt.Errorf("segment %#x: wrong bytes at %#x", b.VA, b.PA+i)
			}
		}
		if len(bytes.Trim(want[b.Size:], "\x00")) != 0 {
			return fmt.Errorf("segment %#x: bytes of the file lie in demand-zero memory", b.VA)
		}
		return nil
	}
	return fmt.Errorf("segment %#x is not in the boot page", s.VA)
}

// Whatever the program, all its bytes are in the right place, and memory is used once.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Input{Args: []string{"x"}, Base: abi.ImageAddr, Limit: 512 << 20}
		in.Base += uint64(rapid.IntRange(0, 2000).Draw(t, "base")) << 12
		in.Lend = rapid.Bool().Draw(t, "lend")
		in.Files = make([]byte, rapid.SampledFrom([]int{0, 1, 4096, 10000}).Draw(t, "files"))
		var program, platform []layouttest.Segment
		in.Program, program = drawELF(t, 0x10000, "program")
		in.Platform, platform = drawELF(t, abi.PlatformAddr, "platform")
		p, err := New(in)
		if err != nil {
			t.Skip(err) // a platform with many gaps
		}
		if err := checkPlan(p, in); err != nil {
			t.Fatal(err)
		}
		pages := memory(p)
		for _, s := range program {
			if err := checkSegment(p, pages, s, false); err != nil {
				t.Fatal("program:", err)
			}
		}
		for _, s := range platform {
			if err := checkSegment(p, pages, s, true); err != nil {
				t.Fatal("platform:", err)
			}
		}
	})
}

// tinyELF is an executable of two segments whose bytes are its own headers: short, so that fuzzing it is fast.
func tinyELF(va uint64) []byte {
	b := layouttest.ELF(va, layouttest.Segment{VA: va, Flags: 5}, layouttest.Segment{VA: va + 0x2000, Zero: 64, Flags: 6})
	b = b[:64+2*56]
	for i, size := range []uint64{uint64(len(b)), 16} {
		ph := b[64+56*i:]
		binary.LittleEndian.PutUint64(ph[8:], 0)
		binary.LittleEndian.PutUint64(ph[32:], size)
		binary.LittleEndian.PutUint64(ph[40:], size+uint64(i)*5000)
	}
	return b
}

// Hostile files give errors or plans that hold.
func FuzzProgram(f *testing.F) {
	f.Add(tinyELF(0x400000), tinyELF(abi.PlatformAddr))
	f.Add([]byte("\x7fELF"), []byte{})
	in := input()
	for _, tiny := range []struct{ program, platform []byte }{{tinyELF(0x400000), in.Platform}, {in.Program, tinyELF(abi.PlatformAddr)}} {
		in := in
		in.Program, in.Platform = tiny.program, tiny.platform
		if _, err := New(in); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, program, platform []byte) {
		in := input()
		in.Program = program
		in.Lend = true
		check := func() {
			p, err := New(in)
			if err != nil {
				return
			}
			if err := checkPlan(p, in); err != nil {
				t.Error(err)
			}
		}
		check()
		in.Program, in.Platform = layouttest.Program(), platform
		check()
	})
}

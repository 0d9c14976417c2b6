package container

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		x    any
		want int
	}{
		{abi.ContainerSpec{}, specSize}, {abi.VCPUState{}, stateSize}, {abi.Status{}, statusSize},
	} {
		if got := binary.Size(c.x); got != c.want {
			t.Errorf("%T: got %d bytes, want %d", c.x, got, c.want)
		}
	}
}

func TestDecodeSpec(t *testing.T) {
	good := specFor("a name", 2, 100, 1<<20)
	for _, c := range []struct {
		name   string
		change func(s *abi.ContainerSpec)
		ok     bool
	}{
		{"good", func(s *abi.ContainerSpec) {}, true},
		{"longest name", func(s *abi.ContainerSpec) { copy(s.Name[:], bytes.Repeat([]byte("x"), 64)) }, true},
		{"no name", func(s *abi.ContainerSpec) { s.Name = [64]byte{} }, true},
		{"all but the reserved pages", func(s *abi.ContainerSpec) { s.Pages = 253 }, true},
		{"version", func(s *abi.ContainerSpec) { s.Version++ }, false},
		{"flags", func(s *abi.ContainerSpec) { s.Flags = 1 }, false},
		{"no vCPU", func(s *abi.ContainerSpec) { s.VCPUs = 0 }, false},
		{"many vCPUs", func(s *abi.ContainerSpec) { s.VCPUs = abi.MaxVCPUs + 1 }, false},
		{"no pages", func(s *abi.ContainerSpec) { s.Pages = 0 }, false},
		{"more pages than memory", func(s *abi.ContainerSpec) { s.Pages = 254 }, false},
		{"pages overflow", func(s *abi.ContainerSpec) { s.Pages = ^uint64(0) }, false},
		{"memory unaligned", func(s *abi.ContainerSpec) { s.Memory++ }, false},
		{"memory huge", func(s *abi.ContainerSpec) { s.Memory = abi.MaxMemory + abi.PageSize }, false},
		{"memory overflow", func(s *abi.ContainerSpec) { s.Memory = ^uint64(0) &^ (abi.PageSize - 1) }, false},
		{"control character", func(s *abi.ContainerSpec) { s.Name[1] = '\n' }, false},
		{"text after the end", func(s *abi.ContainerSpec) { s.Name[20] = 'x' }, false},
	} {
		s := good
		c.change(&s)
		var b bytes.Buffer
		binary.Write(&b, binary.LittleEndian, s)
		got, ok := decodeSpec((*[specSize]byte)(b.Bytes()))
		if ok != c.ok || ok && got != s {
			t.Errorf("%s: got %+v, %v, want ok %v", c.name, got, ok, c.ok)
		}
	}
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, good)
	b.Bytes()[40] = 1
	if _, ok := decodeSpec((*[specSize]byte)(b.Bytes())); ok {
		t.Error("reserved field: accepted")
	}
}

func TestValidState(t *testing.T) {
	for _, c := range []struct {
		s  abi.VCPUState
		ok bool
	}{
		{abi.VCPUState{}, true},
		{abi.VCPUState{RIP: 0xffff_8000_0000_0000, RSP: 0x7fff_ffff_ffff, CR3: 0xff_ffff_f018}, true},
		{abi.VCPUState{RIP: 0x8000_0000_0000}, false},
		{abi.VCPUState{RSP: 1 << 63}, false},
		{abi.VCPUState{CR3: 1}, false},
		{abi.VCPUState{CR3: 1 << 40}, false},
	} {
		if got := validState(c.s); got != c.ok {
			t.Errorf("%+v: got %v, want %v", c.s, got, c.ok)
		}
	}
}

// TestWire compares with encoding/binary.
func TestWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), statusSize, statusSize).Draw(t, "bytes")
		var status abi.Status
		binary.Read(bytes.NewReader(raw), binary.LittleEndian, &status)
		var got [statusSize]byte
		encodeStatus(&got, &status)
		if !bytes.Equal(got[:], raw) {
			t.Fatalf("status: got %x, want %x", got, raw)
		}
		var state abi.VCPUState
		binary.Read(bytes.NewReader(raw), binary.LittleEndian, &state)
		if got := decodeState((*[stateSize]byte)(raw)); got != state {
			t.Fatalf("state: got %+v, want %+v", got, state)
		}
	})
}

package layout

import (
	"encoding/binary"
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/layout/layouttest"
)

func TestProgramErrors(t *testing.T) {
	le := binary.LittleEndian
	text := layouttest.Segment{VA: 0x400000, Data: make([]byte, 0x1000), Flags: 5}
	patch := func(change func(b []byte)) []byte {
		b := layouttest.Program()
		change(b)
		return b
	}
	with := func(more ...layouttest.Segment) []byte {
		return layouttest.ELF(0x400000, append([]layouttest.Segment{text}, more...)...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "not an ELF file"},
		{"script", []byte("#!/bin/sh\n" + strings.Repeat(" ", 100)), "not an ELF file"},
		{"arm64", patch(func(b []byte) { b[18] = 183 }), "GOARCH=amd64"},
		{"32-bit", patch(func(b []byte) { b[4] = 1 }), "GOARCH=amd64"},
		{"FreeBSD", patch(func(b []byte) { b[7] = 9 }), "GOOS=linux"},
		{"PIE", patch(func(b []byte) { b[16] = 3 }), "-buildmode=exe"},
		{"object", patch(func(b []byte) { b[16] = 1 }), "package main"},
		{"no headers", patch(func(b []byte) { le.PutUint16(b[56:], 0) }), "program headers"},
		{"headers far away", patch(func(b []byte) { le.PutUint64(b[32:], 1<<63) }), "cut off"},
		{"dynamic", with(layouttest.Segment{Type: layouttest.Interp, VA: 0x400100}), "CGO_ENABLED=0"},
		{"cut off", layouttest.Program()[:0x5000], "cut off"},
		{"offset", patch(func(b []byte) { le.PutUint64(b[64+8:], 1<<64-1) }), "cut off"},
		{"filesz", patch(func(b []byte) { le.PutUint64(b[64+40:], 1) }), "more bytes in the file"},
		{"nothing to load", layouttest.ELF(0), "program headers"},
		{"empty segment", layouttest.ELF(0x400000, layouttest.Segment{VA: 0x400000, Flags: 5}), "no segment"},
		{"low", layouttest.ELF(0x1000, layouttest.Segment{VA: 0x1000, Data: text.Data, Flags: 5}), "below 0x10000"},
		{"high", with(layouttest.Segment{VA: abi.PlatformAddr - 0x1000, Data: text.Data, Zero: 1}), "must end below"},
		{"huge", with(layouttest.Segment{VA: 0x500000, Zero: 1<<64 - 1}), "must end below"},
		{"wrapped", with(layouttest.Segment{VA: 1<<64 - 0x1000, Zero: 0x2000}), "must end below"},
		{"order", with(layouttest.Segment{VA: 0x200000, Data: text.Data}), "lies below it"},
		{"shared page", with(layouttest.Segment{VA: 0x401000, Data: make([]byte, 8)}, layouttest.Segment{VA: 0x401800, Zero: 8}), "shares a page"},
		{"entry", layouttest.ELF(0x300000, text), "entry point"},
		{"entry in data", layouttest.ELF(0x500000, text, layouttest.Segment{VA: 0x500000, Data: text.Data, Flags: 6}), "entry point"},
	} {
		in := input()
		in.Program = c.b
		_, err := New(in)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the program") {
			t.Errorf("%s: got error %v, want one about the program with %q", c.name, err, c.want)
		}
	}
}

func TestPlatformErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"a program", layouttest.Program(), "nothing may lie below 0x70000000"},
		{"large", layouttest.ELF(0x7000_0000, layouttest.Segment{VA: 0x7000_0000, Data: make([]byte, 16), Zero: 256 << 20, Flags: 5}), "must end below 0x80000000"},
	} {
		in := input()
		in.Platform = c.b
		_, err := New(in)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the platform") {
			t.Errorf("%s: got error %v, want one about the platform with %q", c.name, err, c.want)
		}
	}
}

func TestTooManySegments(t *testing.T) {
	var segs []layouttest.Segment
	for i := range uint64(17) {
		segs = append(segs, layouttest.Segment{VA: 0x400000 + i*0x1000, Data: make([]byte, 16), Flags: 5})
	}
	in := input()
	in.Program = layouttest.ELF(0x400000, segs...)
	if _, err := New(in); err == nil || !strings.Contains(err.Error(), "has room for") {
		t.Errorf("got error %v, want one about the room in the boot page", err)
	}
}

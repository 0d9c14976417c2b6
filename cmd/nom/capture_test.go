package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"nom.dev/nom/api"
)

// TestWriteFrames: the file is what draft-ietf-opsawg-pcap-06 says, and what came before an error is in it.
func TestWriteFrames(t *testing.T) {
	cut := fmt.Errorf("%w in the middle: %w", api.ErrCut, io.EOF)
	for _, end := range []error{io.EOF, cut} {
		frames := []api.Frame{
			{Nanos: 1_700_000_000_999_999_999, Length: 60, Data: []byte{1, 2, 3}}, {Lost: 7},
			{Nanos: 1_700_000_000_000_000_009, Length: 1514, Data: []byte{4}, Lost: 2},
		}
		var out bytes.Buffer
		n, lost, err := writeFrames(&out, 262144, func() (f api.Frame, err error) {
			if len(frames) == 0 {
				return f, end
			}
			f, frames = frames[0], frames[1:]
			return f, nil
		})
		if n != 2 || lost != 9 || (end == cut) != errors.Is(err, api.ErrCut) || end == io.EOF && err != nil {
			t.Errorf("got %d frames, %d lost, %v", n, lost, err)
		}
		want := []byte{
			0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
			0x00, 0xf1, 0x53, 0x65, 0xff, 0xc9, 0x9a, 0x3b, 3, 0, 0, 0, 60, 0, 0, 0, 1, 2, 3,
			0x00, 0xf1, 0x53, 0x65, 9, 0, 0, 0, 1, 0, 0, 0, 0xea, 5, 0, 0, 4,
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("got  % x\nwant % x", out.Bytes(), want)
		}
	}
}

func TestDebugFlags(t *testing.T) {
	for _, d := range []debugFlags{
		{}, {goroutines: true, tcpdump: "x"}, {tcpdump: "x", count: -1}, {tcpdump: "x", count: api.MaxCapture + 1}, {tcpdump: "x", snap: -1},
		{tcpdump: "x", snap: api.MaxSnap + 1}, {tcpdump: "x", output: "y"}, {goroutines: true, count: 3}, {pprof: "cpu", seconds: -1}, {pprof: "x"},
	} {
		if d.seconds++; d.check() == nil { // 0 is not what the flags say by default
			t.Errorf("%+v is right", d)
		}
	}
	for _, d := range []debugFlags{{goroutines: true}, {syscalls: true}, {pprof: "heap"}, {tcpdump: "-"}, {tcpdump: "x", count: 9}} {
		if d.seconds, d.snap = 10, 1; d.check() != nil {
			t.Errorf("%+v: %v", d, d.check())
		}
	}
}

package container

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"nom.dev/nom/abi"
)

// captured is an answer to abi.ControlFrames.
func captured(lost uint64, frames ...Frame) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, lost)
	for _, f := range frames {
		b = le.AppendUint64(b, f.Nanos)
		b = le.AppendUint32(b, uint32(f.Length))
		b = le.AppendUint32(b, uint32(len(f.Data)))
		b = append(b, f.Data...)
		b = append(b, make([]byte, -len(f.Data)&7)...)
	}
	return b
}

func TestFrames(t *testing.T) {
	want := []Frame{{5, 60, make([]byte, 60)}, {6, 1514, []byte("cut")}, {7, 1, []byte{1}}}
	got, lost, _, err := parseFrames(captured(3, want...), 60)
	if err != nil || lost != 3 || len(got) != len(want) {
		t.Fatalf("got %v, %d lost, %v", got, lost, err)
	}
	for i, f := range got {
		if f.Nanos != want[i].Nanos || f.Length != want[i].Length || !bytes.Equal(f.Data, want[i].Data) {
			t.Errorf("got %v, want %v", f, want[i])
		}
	}
	if _, lost, more, err := parseFrames(captured(4|abi.ControlMore), 60); err != nil || lost != 4 || !more {
		t.Errorf("got %d lost, %t, %v", lost, more, err)
	}
	ok := Frame{5, 60, make([]byte, 10)}
	for _, bad := range [][]byte{
		nil, {1}, captured(1 << 60), captured(0, ok)[:20], captured(0, ok)[:8+abi.CapturedHead+10],
		captured(0, Frame{5, 60, make([]byte, 61)}), captured(0, Frame{5, 9, make([]byte, 10)}), captured(0, Frame{5, 0, nil}), captured(0, Frame{5, 60, nil}),
		captured(0, Frame{5, 1 << 20, make([]byte, 10)}), captured(0, Frame{1<<32*uint64(time.Second) + 1, 60, make([]byte, 10)}),
	} {
		if got, _, _, err := parseFrames(bad, 60); err == nil {
			t.Errorf("%x: got %v", bad, got)
		}
	}
}

// FuzzFrames: whatever a container says are its frames, they are bounded.
func FuzzFrames(f *testing.F) {
	f.Add(captured(1, Frame{5, 60, make([]byte, 10)}, Frame{5, 60, make([]byte, 60)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, lost, _, err := parseFrames(data, 60)
		size := 8
		for _, f := range frames {
			if len(f.Data) < 1 || len(f.Data) > 60 || len(f.Data) > f.Length || f.Length > mostFrame {
				t.Fatalf("%d of %d bytes", len(f.Data), f.Length)
			}
			size += abi.CapturedHead + (len(f.Data)+7)&^7
		}
		if err == nil && (size != len(data) || lost > mostLost) || err != nil && frames != nil {
			t.Fatalf("%d bytes of %d, %d lost, %v", size, len(data), lost, err)
		}
	})
}

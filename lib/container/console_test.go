package container

import (
	"bytes"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"nom.dev/nom/abi"
)

// write is what the platform in a container does: as much as there is room for.
func write(r *abi.ConsoleRing, stream int, data []byte) (n int, notify bool) {
	s := &r.Stream[stream]
	head := s.Head
	room := abi.ConsoleData - (head - atomic.LoadUint32(&s.Tail))
	n = min(len(data), int(room))
	for i := range n {
		r.Data[stream][(head+uint32(i))%abi.ConsoleData] = data[i]
	}
	atomic.StoreUint32(&s.Head, head+uint32(n))
	return n, n > 0 && atomic.SwapUint32(&s.Wait, 0) != 0
}

// What is written comes out, in order, whatever the sizes; a reader that armed is notified.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := &abi.ConsoleRing{}
		start := rapid.Uint32().Draw(t, "start") // counters wrap
		r := &ring{r: mem}
		for i := range mem.Stream {
			mem.Stream[i].Head, mem.Stream[i].Tail, r.tail[i] = start, start, start
		}
		var sent, got [2]bytes.Buffer
		armed := false
		next := byte(0)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			stream := rapid.IntRange(0, 1).Draw(t, "stream")
			if rapid.Bool().Draw(t, "write") {
				data := make([]byte, rapid.IntRange(1, 6000).Draw(t, "bytes"))
				for i := range data {
					data[i] = next
					next++
				}
				n, notify := write(mem, stream, data)
				sent[stream].Write(data[:n])
				if armed && n > 0 && !notify {
					t.Fatal("the reader waits and was not notified")
				}
				armed = armed && n == 0
				continue
			}
			buf := make([]byte, rapid.IntRange(1, 6000).Draw(t, "buffer"))
			got[stream].Write(buf[:r.read(stream, buf)])
			armed = false
			if rapid.Bool().Draw(t, "arm") {
				empty := got[0].Len() == sent[0].Len() && got[1].Len() == sent[1].Len()
				if armed = r.arm(); armed != empty {
					t.Fatalf("arm says %t, want %t", armed, empty)
				}
			}
		}
		for i := range got {
			for n := -1; n != 0; {
				buf := make([]byte, 1000)
				n = r.read(i, buf)
				got[i].Write(buf[:n])
			}
			if !bytes.Equal(got[i].Bytes(), sent[i].Bytes()) || r.lost[i] != 0 {
				t.Fatalf("stream %d: got %d bytes, sent %d, lost %d", i, got[i].Len(), sent[i].Len(), r.lost[i])
			}
		}
	})
}

// A writer that writes nonsense gets nonsense printed, a bounded amount of it.
func FuzzRing(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255}, uint16(100))
	f.Add(bytes.Repeat([]byte{0x80}, 64), uint16(5000))
	f.Fuzz(func(t *testing.T, junk []byte, size uint16) {
		mem := &abi.ConsoleRing{}
		r := &ring{r: mem}
		buf := make([]byte, int(size)+1)
		word := func() (v uint32) {
			for i := 0; i < 4 && len(junk) > 0; i++ {
				v = v<<8 | uint32(junk[0])
				junk = junk[1:]
			}
			return v
		}
		for len(junk) > 0 {
			stream := int(word() & 1)
			s := &mem.Stream[stream]
			s.Head, s.Tail, s.Wait = word(), word(), word()
			total := 0
			for range abi.ConsoleData + 1 {
				n := r.read(stream, buf)
				if n < 0 || n > len(buf) || n > abi.ConsoleData {
					t.Fatalf("read %d bytes into %d", n, len(buf))
				}
				if total += n; n == 0 {
					break
				}
			}
			if total > abi.ConsoleData {
				t.Fatalf("got %d bytes out of a ring of %d", total, abi.ConsoleData)
			}
			if s.Tail != s.Head {
				t.Fatalf("tail is %d after reading all up to %d", s.Tail, s.Head)
			}
			r.arm()
		}
	})
}

// A container that writes without end does not hold its reader.
func TestDrainIsBounded(t *testing.T) {
	mem := &abi.ConsoleRing{}
	c := &Container{console: &ring{r: mem}}
	calls := 0
	c.output = func(stream int, data []byte) {
		calls++
		mem.Stream[stream].Head += abi.ConsoleData
	}
	mem.Stream[0].Head = 10
	c.drain()
	if calls == 0 || calls > 2*drainMost {
		t.Errorf("got %d calls, want 1 to %d", calls, 2*drainMost)
	}
	if c.arm() {
		t.Error("armed although there is more to read")
	}
}

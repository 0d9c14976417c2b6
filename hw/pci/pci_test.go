package pci

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// space is a configuration space that checks how it is read.
type space struct {
	t     testing.TB
	bytes [ConfigSize]byte
	reads int
}

func (s *space) read(offset uint32) uint32 {
	s.reads++
	if offset%4 != 0 || offset >= ConfigSize {
		s.t.Fatalf("read at %#x: not a register of configuration space", offset)
	}
	return binary.LittleEndian.Uint32(s.bytes[offset:])
}

func (s *space) set(offset, v uint32) { binary.LittleEndian.PutUint32(s.bytes[offset:], v) }

// igb lays out the capabilities of QEMU's igb as they were read from it.
func igb(t testing.TB) *space {
	s := &space{t: t}
	s.set(RegID, 0x10c9_8086)
	s.set(RegCommand, 0x0010_0103)
	s.set(RegClass, 0x0200_0001)
	s.set(RegCapabilities, 0x40)
	s.set(0x40, 0x0003_5001)
	s.set(0x50, 0x0080_7005)
	s.set(0x70, 0x0009_a011)
	s.set(0x74, 3)
	s.set(0x78, 0x2003)
	s.set(0xa0, 0x0002_0010)
	s.set(0xa4, 0x1000_8dc1)
	s.set(0x100, 0x1502_0001)
	s.set(0x150, 0x1601_000e)
	s.set(0x160, 0x0001_0010)
	s.set(0x16c, 0x0008_0008)
	s.set(0x174, 0x0002_0080)
	s.set(0x178, 0x10ca_0000)
	return s
}

func TestRID(t *testing.T) {
	r := NewRID(1, 0x10, 2)
	if r != 0x0182 || r.Bus() != 1 || r.Device() != 0x10 || r.Function() != 2 || r.String() != "01:10.2" {
		t.Errorf("NewRID(1, 0x10, 2) = %#x, %s", uint16(r), r)
	}
}

func TestCapabilities(t *testing.T) {
	s := igb(t)
	for _, c := range []struct {
		id, size uint32
		extended bool
		want     uint32
		ok       bool
	}{
		{CapPower, 8, false, 0x40, true}, {CapMSI, 14, false, 0x50, true}, {CapMSIX, MSIXSize, false, 0x70, true},
		{CapExpress, ExpressSize, false, 0xa0, true}, {CapExpress, 0x61, false, 0, false}, {0x13, 4, false, 0, false},
		{ExtAER, 4, true, 0x100, true}, {ExtARI, 8, true, 0x150, true}, {ExtSRIOV, SRIOVSize, true, 0x160, true}, {ExtACS, 4, true, 0, false},
	} {
		find := Find
		if c.extended {
			find = FindExtended
		}
		if got, ok := find(s.read, uint16(c.id), c.size); got != c.want || ok != c.ok {
			t.Errorf("find %#x of %d bytes = %#x, %v, want %#x, %v", c.id, c.size, got, ok, c.want, c.ok)
		}
	}
	s.set(RegCommand, 0)
	if got, ok := Find(s.read, CapMSIX, MSIXSize); ok {
		t.Errorf("a function without a list has a capability at %#x", got)
	}
}

// TestHostileLists tries lists that must end although they have no end.
func TestHostileLists(t *testing.T) {
	for name, change := range map[string]func(s *space){
		"circle":   func(s *space) { s.set(0x70, 0x4011); s.set(0x160, 0x1501_0010) },
		"itself":   func(s *space) { s.set(0x50, 0x5005); s.set(0x150, 0x1501_000e) },
		"header":   func(s *space) { s.set(RegCapabilities, 0x04); s.set(0x100, 0x0041_0001) },
		"absent":   func(s *space) { s.set(0x50, Absent); s.set(0x100, Absent) },
		"oddness":  func(s *space) { s.set(RegCapabilities, 0x43); s.set(0x100, 0x1532_0001) },
		"last one": func(s *space) { s.set(RegCapabilities, 0xfc); s.set(0x100, 0xffc2_0001) },
	} {
		s := igb(t)
		change(s)
		if got, ok := Find(s.read, 0x55, 4); ok {
			t.Errorf("%s: found a capability that is not there at %#x", name, got)
		}
		if got, ok := FindExtended(s.read, 0x55, 4); ok {
			t.Errorf("%s: found an extended capability that is not there at %#x", name, got)
		}
		if s.reads > maxCapabilities+maxExtended+4 {
			t.Errorf("%s: %d reads", name, s.reads)
		}
	}
}

func FuzzCapabilities(f *testing.F) {
	f.Add(igb(f).bytes[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &space{t: t}
		for i := range s.bytes { // what is not given repeats
			if len(b) > 0 {
				s.bytes[i] = b[i%len(b)]
			}
		}
		for id := range uint16(0x20) {
			if at, ok := Find(s.read, id, 12); ok && (at < 0x40 || at+12 > 256 || at%4 != 0 || s.bytes[at] != byte(id)) {
				t.Fatalf("capability %#x at %#x", id, at)
			}
			if at, ok := FindExtended(s.read, id, 64); ok && (at < 256 || at+64 > 4096 || at%4 != 0) {
				t.Fatalf("extended capability %#x at %#x", id, at)
			}
		}
		n := 0
		for c, ok := Next(s.read, Capability{}); ok; c, ok = Next(s.read, c) {
			n++
		}
		for c, ok := NextExtended(s.read, Capability{}); ok; c, ok = NextExtended(s.read, c) {
			n++
		}
		if n > maxCapabilities+maxExtended {
			t.Fatalf("lists of %d entries", n)
		}
	})
}

func TestBAR(t *testing.T) {
	for _, c := range []struct {
		low, high, lowMask, highMask uint32
		want                         BAR
	}{
		{0xfe60_0000, 0x55, 0xfffe_0000, 0xffff_ffff, BAR{Base: 0xfe60_0000, Size: 128 << 10}},
		{0xc001, 0, 0xffff_ffe1, 0, BAR{Base: 0xc000, Size: 32, IO: true}},
		{0x0000_000c, 1, 0xffff_c00c, 0xffff_ffff, BAR{Base: 1 << 32, Size: 16 << 10, Wide: true, Prefetchable: true}},
		{0xc, 0, 0xc, 0xffff_fffe, BAR{Size: 8 << 30, Wide: true, Prefetchable: true}},
		{0, 0, 0, 0, BAR{}},
		{0x8, 0, 0xf0f0_0008, 0, BAR{Size: 1 << 20, Prefetchable: true}},
	} {
		if got := DecodeBAR(c.low, c.high, c.lowMask, c.highMask); got != c.want {
			t.Errorf("DecodeBAR(%#x, %#x, %#x, %#x) = %+v, want %+v", c.low, c.high, c.lowMask, c.highMask, got, c.want)
		}
	}
}

func TestWindow(t *testing.T) {
	if got, want := DecodeMemory(0xfe70_fe60), (Window{0xfe60_0000, 0xfe7f_ffff}); got != want {
		t.Errorf("memory window = %#x, want %#x", got, want)
	}
	if got, want := DecodePrefetch(0xfff1_fff1, 0, 0), (Window{0xfff0_0000, 0xffff_ffff}); got != want {
		t.Errorf("window = %#x, want %#x", got, want)
	}
	if got, want := DecodePrefetch(0x0011_0001, 8, 9), (Window{8 << 32, 9<<32 | 0x1f_ffff}); got != want {
		t.Errorf("window = %#x, want %#x", got, want)
	}
	if v := EncodeMemory(Window{0xd000_0000, 0xd00f_ffff}); v != 0xd000_d000 {
		t.Errorf("EncodeMemory = %#x, want 0xd000d000", v)
	}
	if Closed.Open() || DecodeMemory(EncodeMemory(Closed)).Open() {
		t.Error("the closed window is open")
	}
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint64Range(0, 4095).Draw(t, "base") << 20
		w := Window{base, rapid.Uint64Range(base>>20, 4095).Draw(t, "limit")<<20 | 0xf_ffff}
		if got := DecodeMemory(EncodeMemory(w)); got != w {
			t.Errorf("window %#x became %#x", w, got)
		}
	})
}

func TestBuses(t *testing.T) {
	v := EncodeBuses(0xaa00_0000, 1, 2, 3)
	if p, s, u := Buses(v); v != 0xaa03_0201 || p != 1 || s != 2 || u != 3 {
		t.Errorf("buses %#x: %d %d %d", v, p, s, u)
	}
}

func TestHeader(t *testing.T) {
	if kind, many := Header(0x0081_0010); kind != HeaderBridge || !many || NumBARs(kind) != 2 {
		t.Errorf("header = %d, %v", kind, many)
	}
	if kind, many := Header(0); kind != HeaderDevice || many || NumBARs(kind) != 6 || NumBARs(HeaderCardBus) != 0 {
		t.Errorf("header = %d, %v", kind, many)
	}
}

func TestMSIX(t *testing.T) {
	if n := MSIXVectors(0x0009_a011); n != 10 {
		t.Errorf("vectors = %d, want 10", n)
	}
	if bar, offset := MSIXPlace(0x2003); bar != 3 || offset != 0x2000 {
		t.Errorf("place = BAR%d+%#x", bar, offset)
	}
}

func TestVF(t *testing.T) {
	for _, c := range []struct {
		pf    RID
		place uint32
		n     uint16
		want  RID
		ok    bool
	}{
		{0x100, 0x0002_0080, 0, 0x180, true}, {0x100, 0x0002_0080, 7, 0x18e, true}, {0x100, 0x0002_0000, 0, 0x100, false},
		{0x100, 0x0000_0080, 0, 0x180, true}, {0x100, 0x0000_0080, 1, 0x180, false}, {0xff00, 0x0080_0080, 2, 0x80, false},
		{0x100, 0xffff_0001, 0xffff, 0x102, false},
	} {
		if got, ok := VF(c.pf, c.place, c.n); ok != c.ok || ok && got != c.want {
			t.Errorf("VF(%v, %#x, %d) = %v, %v, want %v, %v", c.pf, c.place, c.n, got, ok, c.want, c.ok)
		}
	}
	s := igb(t)
	if initial, total := VFs(s.read(0x16c)); initial != 8 || total != 8 || VFDevice(s.read(0x178)) != 0x10ca {
		t.Errorf("VFs = %d of %d", initial, total)
	}
	if s.read(0xa4)&DevCapFLR == 0 || ExpressType(s.read(0xa0)) != ExpressEndpoint {
		t.Error("the endpoint with FLR is not recognized")
	}
}

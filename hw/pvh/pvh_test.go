package pvh

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// image is the memory of a machine: pieces by physical address. testdata/q35 holds what QEMU 10.0.2 laid out for
// "-machine q35 -m 5G -append 'console=ttyS0 x=1' -initrd FILE" with a file of 13 bytes; a file's name is its address.
type image map[uint64][]byte

func loadImage(t testing.TB, name string) image {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", name, "*.bin"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dump in testdata/%s: %v", name, err)
	}
	img := image{}
	for _, f := range files {
		address, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(f), ".bin"), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if img[address], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func (img image) memory(address, n uint64) []byte {
	for base, b := range img {
		if address >= base && address-base <= uint64(len(b)) && n <= uint64(len(b))-(address-base) {
			return b[address-base:][:n]
		}
	}
	return nil
}

const q35StartInfo = 0x21e0

func TestQ35(t *testing.T) {
	img := loadImage(t, "q35")
	s, ok := Read(img.memory, q35StartInfo)
	if !ok || s.Version != 1 || s.Flags != 0 || s.RSDP != 0xf5230 {
		t.Fatalf("Read = %+v, %v", s, ok)
	}
	var got []Entry
	for i := range s.Entries() {
		e, _ := s.Entry(i)
		got = append(got, e)
	}
	want := []Entry{
		{0, 0x9fc00, RAM},
		{0x9fc00, 0x400, Reserved},
		{0xf0000, 0x10000, Reserved},
		{0x100000, 0x7fee0000, RAM},
		{0x7ffe0000, 0x20000, Reserved},
		{0xb0000000, 0x10000000, Reserved},
		{0xfed1c000, 0x4000, Reserved},
		{0xfffc0000, 0x40000, Reserved},
		{0x100000000, 0xc0000000, RAM},
		{0xfd00000000, 0x300000000, Reserved},
	}
	if !slices.Equal(got, want) {
		t.Errorf("memory map\n got %#x\nwant %#x", got, want)
	}
	if e, ok := s.Entry(s.Entries()); ok {
		t.Errorf("an entry after the last: %+v", e)
	}
	line, ok := String(img.memory, s.CommandLine)
	if !ok || !strings.HasSuffix(string(line), "console=ttyS0 x=1") {
		t.Errorf("command line %q, %v", line, ok)
	}
	m, ok := s.Module(0)
	if !ok || s.Modules() != 1 || m.Addr != 0x7ffd7000 || m.Size != 13 {
		t.Errorf("module = %+v, %v", m, ok)
	}
	if m, ok := s.Module(1); ok {
		t.Errorf("a module after the last: %+v", m)
	}
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		e          Entry
		start, end uint64
	}{
		{Entry{0, 0x9fc00, RAM}, 0, 0x9f000},
		{Entry{0x1001, 0x2fff, RAM}, 0x2000, 0x4000},
		{Entry{0x1001, 0xffe, RAM}, 0, 0},
		{Entry{0x1000, 0, RAM}, 0, 0},
		{Entry{^uint64(0) - 4095, 4096, RAM}, 0, 0},
		{Entry{^uint64(0) - 100, 10, RAM}, 0, 0},
		{Entry{0x1000, ^uint64(0), RAM}, 0, 0},
	} {
		if start, end := c.e.Pages(); start != c.start || end != c.end {
			t.Errorf("%+v.Pages() = %#x, %#x, want %#x, %#x", c.e, start, end, c.start, c.end)
		}
	}
}

func TestDamaged(t *testing.T) {
	damage := func(at int, v uint32) bool {
		img := loadImage(t, "q35")
		binary.LittleEndian.PutUint32(img[0x21c0][at+0x20:], v)
		_, ok := Read(img.memory, q35StartInfo)
		return ok
	}
	for _, c := range []struct {
		name string
		at   int
		v    uint32
		want bool
	}{
		{"magic", 0, Magic + 1, false},
		{"version 0", 4, 0, true},
		{"modules beyond memory", 12, 60, false},
		{"too many modules", 12, 0xffff_ffff, false},
		{"no modules", 12, 0, true},
		{"map beyond memory", 48, 11, false},
		{"too many entries", 48, 0xffff_ffff, false},
		{"no entries", 48, 0, true},
		{"map elsewhere", 40, 0x7000_0000, false},
	} {
		if got := damage(c.at, c.v); got != c.want {
			t.Errorf("%s: Read says %v", c.name, got)
		}
	}
	if _, ok := Read(image{}.memory, q35StartInfo); ok {
		t.Error("a start info in no memory")
	}
	if _, ok := Read(image{}.memory, ^uint64(0)); ok {
		t.Error("a start info at the end of the address space")
	}
}

func TestString(t *testing.T) {
	img := image{0x1000: []byte("abc\x00"), 0x2000: []byte("abc"), 0x3000: {0}, 0x4000: make([]byte, MaxCommandLine+1)}
	for i := range MaxCommandLine {
		img[0x4000][i] = 'x'
	}
	for _, c := range []struct {
		address uint64
		want    string
		ok      bool
	}{{0x1000, "abc", true}, {0x1003, "", true}, {0x2000, "", false}, {0x3000, "", true}, {0x4000, "", false}, {0x4001, strings.Repeat("x", MaxCommandLine-1), true}, {0, "", false}} {
		if got, ok := String(img.memory, c.address); string(got) != c.want || ok != c.ok {
			t.Errorf("String(%#x) = %q, %v, want %q, %v", c.address, got, ok, c.want, c.ok)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	img := loadImage(t, "q35")
	memory := Memory(img.memory)
	if n := testing.AllocsPerRun(100, func() { walk(memory, q35StartInfo) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func walk(memory Memory, address uint64) uint32 {
	s, ok := Read(memory, address)
	if !ok {
		return 0
	}
	for i := range s.Entries() {
		if e, ok := s.Entry(i); ok {
			if start, end := e.Pages(); start > end || start&4095 != 0 || end&4095 != 0 || end > e.Addr+e.Size {
				panic("Pages leave the entry")
			}
		}
	}
	for i := range s.Modules() {
		s.Module(i)
	}
	String(memory, s.CommandLine)
	return s.Entries() + s.Modules()
}

func FuzzRead(f *testing.F) {
	flat := make([]byte, 0x2220)
	for address, b := range loadImage(f, "q35") {
		copy(flat[address:], b)
	}
	f.Add(flat, uint64(q35StartInfo))
	small := make([]byte, 256)
	binary.LittleEndian.PutUint32(small, Magic)
	small[4], small[12], small[16], small[24], small[40], small[48] = 1, 1, 64, 200, 96, 2
	f.Add(small, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, address uint64) {
		n := walk(func(at, n uint64) []byte {
			if at > uint64(len(b)) || n > uint64(len(b))-at {
				return nil
			}
			return b[at : at+n]
		}, address)
		if n > MaxEntries+MaxModules || int(n) > len(b) {
			t.Errorf("%d entries and modules in %d bytes", n, len(b))
		}
	})
}

package acpi

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nom.dev/nom/hw/raw"
)

// image is the memory of a machine: pieces by physical address. Each folder of testdata holds one, dumped from QEMU 10.0.2 after
// its firmware had run; a file's name is its address in hexadecimal.
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

func must(t *testing.T, img image, rsdp uint64, sig Signature) Table {
	t.Helper()
	table, problem := Find(img.memory, rsdp, sig)
	if problem != None {
		t.Fatalf("Find(%s): %s", sig, problem)
	}
	return table
}

const (
	q35RSDP     = 0xf5250
	microvmRSDP = 0xf41a0
)

func TestRoot(t *testing.T) {
	for _, c := range []struct {
		name  string
		rsdp  uint64
		width uint64
		want  string
	}{
		{"q35-intel-iommu", q35RSDP, 4, "FACP APIC HPET MCFG DMAR WAET"},
		{"q35-amd-iommu", q35RSDP, 4, "FACP APIC HPET SRAT MCFG IVRS WAET"},
		{"microvm", microvmRSDP, 8, "FACP APIC"},
	} {
		img := loadImage(t, c.name)
		root, problem := Open(img.memory, c.rsdp)
		if problem != None {
			t.Fatalf("%s: Open: %s", c.name, problem)
		}
		var got []string
		for i := uint64(0); i < root.Tables(); i++ {
			table, problem := Load(img.memory, root.Address(i))
			if problem != None {
				t.Fatalf("%s: table %d: %s", c.name, i, problem)
			}
			got = append(got, table.Signature().String())
		}
		if s := strings.Join(got, " "); root.width != c.width || s != c.want {
			t.Errorf("%s: %d-byte entries, tables %s, want %d and %s", c.name, root.width, s, c.width, c.want)
		}
		if root.Address(root.Tables()) != 0 {
			t.Errorf("%s: there is a table after the last", c.name)
		}
	}
}

func TestFindRSDP(t *testing.T) {
	const rsdp = 0xf5250
	data := loadImage(t, "q35-intel-iommu")[rsdp]
	bios := make([]byte, biosSize)
	copy(bios[0x100:], "RSD PTR mentioned in a string")
	copy(bios[0x208:], data) // not on a paragraph
	copy(bios[rsdp-biosStart:], data)
	if got, ok := FindRSDP(image{biosStart: bios}.memory); !ok || got != rsdp {
		t.Errorf("in the BIOS area: FindRSDP = %#x, %v", got, ok)
	}
	ebda := make([]byte, ebdaSize)
	copy(ebda[0x40:], data)
	if got, ok := FindRSDP(image{0x40e: {0xc0, 0x9f}, 0x9fc00: ebda, biosStart: bios}.memory); !ok || got != 0x9fc40 {
		t.Errorf("in the EBDA: FindRSDP = %#x, %v", got, ok)
	}
	if got, ok := FindRSDP(image{}.memory); ok {
		t.Errorf("in no memory: FindRSDP = %#x", got)
	}
}

func TestProblems(t *testing.T) {
	const at = 0x1000
	table := func(change func(b []byte)) []byte {
		b := make([]byte, 48)
		copy(b, "APIC")
		binary.LittleEndian.PutUint32(b[4:], 48)
		b[9] -= raw.Sum(b)
		change(b)
		return b
	}
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   Problem
	}{
		{"good", func([]byte) {}, None},
		{"checksum", func(b []byte) { b[40]++ }, Checksum},
		{"short", func(b []byte) { b[4] = 35 }, Length},
		{"huge", func(b []byte) { b[7] = 0x80 }, Length},
		{"beyond memory", func(b []byte) { b[4] = 49 }, Unreadable},
	} {
		if _, problem := Load(image{at: table(c.change)}.memory, at); problem != c.want {
			t.Errorf("%s: Load: %s, want %s", c.name, problem, c.want)
		}
	}
	if _, problem := Load(image{}.memory, 0); problem != Absent {
		t.Errorf("Load(0): %s", problem)
	}
	if _, problem := Load(image{}.memory, ^uint64(0)-8); problem != Unreadable {
		t.Errorf("Load at the end of the address space: %s", problem)
	}
	img := loadImage(t, "q35-intel-iommu")
	if _, problem := Find(img.memory, q35RSDP, SigIVRS); problem != Absent {
		t.Errorf("a table that is not there: %s", problem)
	}
	if _, problem := Find(img.memory, q35RSDP+16, SigMADT); problem == None {
		t.Error("a table behind an RSDP that is not there")
	}
	short := func(address, n uint64) []byte { return img.memory(address, n)[:1] }
	if _, problem := Open(short, q35RSDP); problem != Unreadable {
		t.Errorf("memory that shows less than asked for: %s", problem)
	}
}

// A damaged XSDT must not hide an intact RSDT.
func TestFallBackToRSDT(t *testing.T) {
	list := func(sig string, entry ...byte) []byte {
		b := make([]byte, HeaderSize, 64)
		copy(b, sig)
		b = append(b, entry...)
		b[4] = byte(len(b))
		b[9] -= raw.Sum(b)
		return b
	}
	rsdp := make([]byte, rsdpSize2)
	copy(rsdp, "RSD PTR ")
	rsdp[15], rsdp[17], rsdp[20], rsdp[25] = 2, 0x20, rsdpSize2, 0x30
	rsdp[8] -= raw.Sum(rsdp[:rsdpSize1])
	rsdp[32] -= raw.Sum(rsdp)
	img := image{0x1000: rsdp, 0x2000: list("RSDT", 0, 0x40, 0, 0), 0x3000: list("XSDT", 0, 0x50, 0, 0, 0, 0, 0, 0)}
	root, problem := Open(img.memory, 0x1000)
	if problem != None || root.Tables() != 1 || root.Address(0) != 0x5000 {
		t.Errorf("with XSDT: %d tables, first at %#x: %s", root.Tables(), root.Address(0), problem)
	}
	img[0x3000][40]++
	root, problem = Open(img.memory, 0x1000)
	if problem != None || root.Tables() != 1 || root.Address(0) != 0x4000 {
		t.Errorf("with a damaged XSDT: %d tables, first at %#x: %s", root.Tables(), root.Address(0), problem)
	}
}

func TestNoAllocations(t *testing.T) {
	img := loadImage(t, "q35-intel-iommu")
	memory := Memory(img.memory)
	if n := testing.AllocsPerRun(100, func() { walk(memory, q35RSDP) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// walk reads everything that can be read and returns how many entries there were.
func walk(mem Memory, rsdp uint64) int {
	root, _ := Open(mem, rsdp)
	n := 0
	for i := uint64(0); i < root.Tables() && i < 1000; i++ {
		if t, problem := Load(mem, root.Address(i)); problem == None {
			n += walkTable(t)
			if f, ok := t.FADT(); ok {
				if dsdt, problem := Load(mem, f.DSDT); problem == None {
					SleepTypes(dsdt, 5)
				}
			}
		}
	}
	return n
}

func walkTable(t Table) int {
	n := 0
	t.FADT()
	t.HPET()
	if _, _, ok := SleepTypes(t, 5); ok {
		n++
	}
	for i := uint32(0); ; i++ {
		if _, ok := t.ConfigSpace(i); !ok {
			break
		}
		n++
	}
	if m, ok := t.MADT(); ok {
		for _, at, ok := m.Next(0); ok; _, at, ok = m.Next(at) {
			n++
		}
	}
	if s, ok := t.SRAT(); ok {
		for _, at, ok := s.Next(0); ok; _, at, ok = s.Next(at) {
			n++
		}
	}
	if d, ok := t.DMAR(); ok {
		for r, at, ok := d.Next(0); ok; r, at, ok = d.Next(at) {
			n++
			for s, at, ok := r.Scope(0); ok; s, at, ok = r.Scope(at) {
				s.Requester()
				n++
			}
		}
	}
	if v, ok := t.IVRS(); ok {
		for b, at, ok := v.Next(0); ok; b, at, ok = v.Next(at) {
			n++
			for _, at, ok := b.Entry(0); ok; _, at, ok = b.Entry(at) {
				n++
			}
		}
	}
	return n
}

func FuzzTables(f *testing.F) {
	for _, name := range []string{"q35-intel-iommu", "q35-amd-iommu", "microvm"} {
		img := loadImage(f, name)
		rsdp := uint64(q35RSDP)
		if name == "microvm" {
			rsdp = microvmRSDP
		}
		root, _ := Open(img.memory, rsdp)
		for i := uint64(0); i < root.Tables(); i++ {
			t, _ := Load(img.memory, root.Address(i))
			f.Add([]byte(t))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := walkTable(b); n > len(b) {
			t.Errorf("%d entries in a table of %d bytes", n, len(b))
		}
	})
}

func FuzzRoot(f *testing.F) {
	rsdp := make([]byte, 128)
	copy(rsdp, "RSD PTR ")
	rsdp[16] = 64
	copy(rsdp[64:], "RSDT\x28\x00\x00\x00")
	rsdp[64+36] = 64
	f.Add(rsdp, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint64) {
		// Make the checksums hold, so that the fuzzer gets behind them.
		if at < uint64(len(b)) && len(b)-int(at) >= rsdpSize1 {
			b[at+8] -= raw.Sum(b[at : at+rsdpSize1])
			list := uint64(raw.U32(b, at+16))
			if n := uint64(raw.U32(b, list+4)); n >= HeaderSize && raw.Cut(b, list, n) != nil {
				b[list+9] -= raw.Sum(b[list : list+n])
			}
		}
		memory := func(address, n uint64) []byte { return raw.Cut(b, address, n) }
		walk(memory, at)
		FindRSDP(memory)
	})
}

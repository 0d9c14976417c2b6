package image

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
	"nom.dev/nom/abi/layout/layouttest"
)

func bootable(t *testing.T, nonkernel, platform []byte, opts Options) []byte {
	t.Helper()
	files, err := encodeBundle([]bundle.File{{Name: "root", Data: []byte("root")}})
	if err != nil {
		t.Fatal(err)
	}
	var w bytes.Buffer
	if err := Bootable(&w, nonkernel, platform, files, opts); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// at is the physical memory that an image fills, from addr on.
func at(t *testing.T, f *elf.File, addr uint64) []byte {
	t.Helper()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Paddr && addr < p.Paddr+p.Memsz {
			b := make([]byte, p.Memsz)
			if _, err := p.ReadAt(b[:p.Filesz], 0); err != nil {
				t.Fatal(err)
			}
			return b[addr-p.Paddr:]
		}
	}
	t.Fatalf("nothing is loaded at %#x", addr)
	return nil
}

func TestBootable(t *testing.T) {
	opts := Options{HostPool: 32 << 20, Seed: [32]byte{1, 2, 3}, Args: []string{"-v"}, Env: []string{"A=b"}}
	image := bootable(t, layouttest.Program(), layouttest.Platform(), opts)
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_EXEC || f.Machine != elf.EM_X86_64 || f.Entry != trampolineAddr {
		t.Errorf("got type %v, machine %v, entry %#x", f.Type, f.Machine, f.Entry)
	}
	var boot abi.BootPage
	if _, err := binary.Decode(at(t, f, bootPageAddr), binary.LittleEndian, &boot); err != nil {
		t.Fatal(err)
	}
	if boot.Magic != abi.BootMagic || boot.Flags != abi.BootHost || boot.HostPool != opts.HostPool || boot.Seed != opts.Seed {
		t.Errorf("got magic %#x, flags %d, pool %d, seed %x", boot.Magic, boot.Flags, boot.HostPool, boot.Seed)
	}
	if boot.APEntry != apPage || boot.APEntryTab != tablesAddr {
		t.Errorf("got other processors' entry %#x, tables %#x; want %#x, %#x", boot.APEntry, boot.APEntryTab, apPage, tablesAddr)
	}
	if want := "nonkernel\x00-v\x00A=b\x00"; string(at(t, f, boot.Args.Addr)[:boot.Args.Size]) != want {
		t.Errorf("args: got %q, want %q", at(t, f, boot.Args.Addr)[:boot.Args.Size], want)
	}
	if o, err := bundle.Open(at(t, f, boot.Bundle.Addr)[:boot.Bundle.Size]); err != nil || !slices.Equal(o.Names(), []string{"root"}) {
		t.Errorf("bundle: got %v, %v", o, err)
	}
	if last := f.Progs[len(f.Progs)-1]; boot.ImageEnd != pageUp(last.Paddr+last.Memsz) {
		t.Errorf("image end: got %#x, want that of the last segment, %#x", boot.ImageEnd, last.Paddr+last.Memsz)
	}
	next := uint64(0)
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if p.Paddr < next || p.Paddr%abi.PageSize != 0 || p.Off%abi.PageSize != 0 {
			t.Errorf("segment at %#x, offset %#x: want page aligned and not below %#x", p.Paddr, p.Off, next)
		}
		next = p.Paddr + p.Memsz
	}
}

// Between the trampoline and the end of the image, every page is loaded or free, not both.
func TestBootableMemory(t *testing.T) {
	f, err := elf.NewFile(bytes.NewReader(bootable(t, layouttest.Program(), layouttest.Platform(), Options{})))
	if err != nil {
		t.Fatal(err)
	}
	var boot abi.BootPage
	if _, err := binary.Decode(at(t, f, bootPageAddr), binary.LittleEndian, &boot); err != nil {
		t.Fatal(err)
	}
	used := boot.Free[:boot.NumFree]
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			used = append(used, abi.Range{Addr: p.Paddr, Size: pageUp(p.Memsz)})
		}
	}
	slices.SortFunc(used, func(a, b abi.Range) int { return cmp.Compare(a.Addr, b.Addr) })
	next := uint64(trampolineAddr)
	for _, r := range used {
		if r.Addr != next {
			t.Errorf("got a range at %#x, want it at %#x", r.Addr, next)
		}
		next = r.Addr + r.Size
	}
	if next != boot.ImageEnd {
		t.Errorf("the ranges end at %#x, the image at %#x", next, boot.ImageEnd)
	}
}

// The note that a loader looks for is in the first page, and nothing there looks like a multiboot header, which QEMU
// would prefer.
func TestBootableNote(t *testing.T) {
	image := bootable(t, layouttest.Program(), layouttest.Platform(), Options{})
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	note := make([]byte, f.Progs[0].Filesz)
	if _, err := f.Progs[0].ReadAt(note, 0); err != nil {
		t.Fatal(err)
	}
	want := "\x04\x00\x00\x00\x08\x00\x00\x00\x12\x00\x00\x00Xen\x00\x00\x00\x10\x00\x00\x00\x00\x00"
	if f.Progs[0].Type != elf.PT_NOTE || string(note) != want {
		t.Errorf("got %v % x, want PT_NOTE % x", f.Progs[0].Type, note, want)
	}
	for i := 0; i < 8192; i += 4 {
		if binary.LittleEndian.Uint32(image[i:]) == 0x1badb002 {
			t.Errorf("a multiboot header at %#x", i)
		}
	}
}

func TestBootableErrors(t *testing.T) {
	for _, c := range []struct {
		name                string
		nonkernel, platform []byte
		want                string
	}{
		{"nonkernel", nil, layouttest.Platform(), "the program cannot be laid out"},
		{"platform", layouttest.Program(), layouttest.Program(), "the platform cannot be laid out"},
	} {
		var w bytes.Buffer
		err := Bootable(&w, c.nonkernel, c.platform, nil, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || w.Len() != 0 {
			t.Errorf("%s: got error %v and %d bytes, want an error with %q", c.name, err, w.Len(), c.want)
		}
	}
}

// QEMU starts an image: both processors reach the platform's entry point, and what it finds there is right.
func TestBoots(t *testing.T) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil || testing.Short() {
		t.Skip("needs qemu-system-x86_64 and time")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	platform := build(t, ctx, "./testdata/platform", BuildOptions{Output: dir, LDFlags: "-T 0x70001000 -E main.entry", Unchecked: true})
	nonkernel := build(t, ctx, "./testdata/hello", BuildOptions{Output: dir})
	file := filepath.Join(dir, "image")
	if err := os.WriteFile(file, bootable(t, nonkernel, platform, Options{}), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, qemu, "-machine", "q35", "-accel", "tcg", "-cpu", "EPYC,+svm,+npt,+x2apic", "-m", "256M", "-smp", "2",
		"-display", "none", "-nodefaults", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial", "stdio", "-kernel", file)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); string(out) != "123456789" || got != 0x10<<1|1 {
		t.Errorf("got %q, exit code %d (%v), want \"123456789\" and 33; QEMU said:\n%s", out, got, err, said.Bytes())
	}
}

func build(t *testing.T, ctx context.Context, pkg string, opts BuildOptions) []byte {
	t.Helper()
	file, err := Program(ctx, pkg, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
	"pgregory.net/rapid"
)

// The platform reads bundles on its own, without package bundle's code.
func TestBundleConstants(t *testing.T) {
	if bundleHead != bundle.HeadSize || bundleEntry != bundle.EntrySize || nameMax != bundle.NameMax {
		t.Errorf("sizes differ from package bundle's")
	}
	got := binary.LittleEndian.AppendUint64(nil, bundleMagic)
	if string(got) != bundle.Magic {
		t.Errorf("magic: got %q, want %q", got, bundle.Magic)
	}
}

func TestTableSizes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"inode", inodeSize, 128}, {"entry", entrySize, 128}, {"openFile", openFileSize, 32}, {"pipe", pipeSize, 256},
		{"socket", socketSize, 256}, {"connection", connectionSize, 1024},
	} {
		if c.got != c.want || pageSize%c.got != 0 {
			t.Errorf("%s: got %d bytes, want %d", c.name, c.got, c.want)
		}
	}
}

// must makes a call of the platform that must succeed.
func must(t testing.TB, what string, n uint64, args ...uint64) uint64 {
	t.Helper()
	r := platformCall(n, args...)
	if int64(r) < 0 {
		t.Fatalf("%s: %s", what, result(r))
	}
	return r
}

func fails(t testing.TB, what string, want, n uint64, args ...uint64) {
	t.Helper()
	if got := platformCall(n, args...); got != errno(want) {
		t.Errorf("%s: got %s, want %s", what, result(got), result(errno(want)))
	}
}

// When memory runs out files say ENOSPC, leave the program its reserve, and give everything back when they go.
func TestNoSpace(t *testing.T) {
	const frames = 1024
	fakeMachine(t, frames, nil)
	must(t, "mkdir", sysMkdir, put(0, "/d"), 0o755)
	free := pool.nfree
	fd := must(t, "open", sysOpen, put(0, "/d/big"), oCreat|oRDWR, 0o600)
	total := uint64(0)
	for {
		r := platformCall(sysWrite, fd, buffer(0), 64<<10)
		if r == errno(eNOSPC) {
			break
		}
		if int64(r) < 0 {
			t.Fatalf("write: %s", result(r))
		}
		total += r
	}
	if want := uint64(frames-200) * pageSize; total < want {
		t.Errorf("got %d bytes into the file, want at least %d", total, want)
	}
	if pool.nfree < fileReserve() {
		t.Errorf("got %d frames left for the program, want %d", pool.nfree, fileReserve())
	}
	fails(t, "a file more than there is room for", eNOSPC, sysWrite, fd, buffer(0), 1)
	must(t, "unlink", sysUnlink, put(0, "/d/big"))
	must(t, "close", sysClose, fd)
	if got := pool.nfree; got+4 < free {
		t.Errorf("got %d free frames after the file was removed, want %d", got, free)
	}
	names := 0
	for ; ; names++ { // now names instead of data
		r := platformCall(sysMkdir, put(0, "/d/"+strings.Repeat("n", 100)+fmt.Sprint(names)), 0o755)
		if r == errno(eNOSPC) {
			break
		}
		if r != 0 {
			t.Fatalf("mkdir: %s", result(r))
		}
	}
	for i := range names {
		must(t, "rmdir", sysRmdir, put(0, "/d/"+strings.Repeat("n", 100)+fmt.Sprint(i)))
	}
	if names < 1000 {
		t.Errorf("got room for %d directories", names)
	}
}

// What is removed gives back all its frames, also from a file with holes.
func TestFramesComeBack(t *testing.T) {
	fakeMachine(t, 2048, nil)
	must(t, "getcwd", sysGetcwd, buffer(0), 4096)
	rapid.Check(t, func(rt *rapid.T) {
		fd := must(t, "open", sysOpen, put(0, "/f"), oCreat|oRDWR, 0o600)
		free := pool.nfree
		for range rapid.IntRange(1, 20).Draw(rt, "operations") {
			at := rapid.SampledFrom([]uint64{0, 4096, 2<<20 - 1, 2 << 20, 1<<30 - 1, 1 << 30, 1 << 39}).Draw(rt, "offset")
			if rapid.Bool().Draw(rt, "write") {
				must(t, "pwrite", sysPwrite64, fd, buffer(0), uint64(rapid.IntRange(1, 9000).Draw(rt, "n")), at)
			} else {
				must(t, "ftruncate", sysFtruncate, fd, at)
			}
		}
		must(t, "ftruncate", sysFtruncate, fd, 0)
		if pool.nfree != free {
			rt.Fatalf("got %d free frames after cutting the file to nothing, want %d", pool.nfree, free)
		}
		f := inodeAt(uint32(openFileOf(fd).node))
		if f.frames != 0 || f.root != 0 || f.height != 0 {
			rt.Fatalf("got %d frames, root %#x, height %d left", f.frames, f.root, f.height)
		}
		must(t, "close", sysClose, fd)
	})
}

func TestDevices(t *testing.T) {
	fakeMachine(t, 256, nil)
	randomKey = [8]uint32{1}
	open := func(name string) uint64 { return must(t, name, sysOpen, put(0, "/dev/"+name), oRDWR, 0) }
	b := dataBuffers[0][:100]
	fill(100, 1)
	if n := must(t, "read", sysRead, open("null"), buffer(0), 100); n != 0 {
		t.Errorf("/dev/null: got %d bytes, want 0", n)
	}
	if n := must(t, "write", sysWrite, open("null"), buffer(0), 100); n != 100 {
		t.Errorf("/dev/null: got %d bytes written, want 100", n)
	}
	if n := must(t, "read", sysRead, open("zero"), buffer(0), 100); n != 100 || !bytes.Equal(b, make([]byte, 100)) {
		t.Errorf("/dev/zero: got %d bytes, %x", n, b)
	}
	if n := must(t, "read", sysRead, open("urandom"), buffer(0), 100); n != 100 || bytes.Equal(b, make([]byte, 100)) {
		t.Errorf("/dev/urandom: got %d bytes, %x", n, b)
	}
	fd := open("stderr")
	if d := descriptors[fd]; d.kind != fdConsole || d.index != 2 {
		t.Errorf("/dev/stderr: got %+v", d)
	}
	must(t, "stat", sysStat, put(0, "/dev/null"), buffer(0))
	if mode := binary.LittleEndian.Uint32(b[24:]); mode != modeDevice|0o666 {
		t.Errorf("/dev/null: got mode %#o", mode)
	}
}

func TestStart(t *testing.T) {
	files := []bundle.File{{Name: "src/x/x.go", Data: []byte("package x")}, {Name: "tmp/mine", Data: []byte("m")}}
	for _, c := range []struct{ pwd, dir, exe string }{
		{"PWD=/src/x", "/src/x", "/src/x/prog"},
		{"PWD=/nowhere", "/", "/nowhere/prog"},
		{"PWD=/src/x/x.go", "/", "/src/x/x.go/prog"},
		{"PWD=", "/", "/prog"},
		{"PWD=/src/./x/../x/", "/src/x", ""},
		{"HOME=/src", "/", "/prog"},
	} {
		fakeMachine(t, 256, files, "A=B", c.pwd)
		if c.exe != "" {
			n := must(t, "readlink", sysReadlink, put(0, "/proc/self/exe"), buffer(0), 100)
			if got := string(dataBuffers[0][:n]); got != c.exe {
				t.Errorf("%s: /proc/self/exe: got %q, want %q", c.pwd, got, c.exe)
			}
		}
		n := must(t, "getcwd", sysGetcwd, buffer(0), 100)
		if got := string(dataBuffers[0][:n-1]); got != c.dir {
			t.Errorf("%s: working directory: got %q, want %q", c.pwd, got, c.dir)
		}
		must(t, "stat", sysStat, put(0, "/tmp/mine"), buffer(0))
		fails(t, "/etc/passwd", eNOENT, sysOpen, put(0, "/etc/passwd"), 0, 0)
		fails(t, "/proc/self/nothing", eNOENT, sysOpen, put(0, "/proc/self/nothing"), 0, 0)
	}
}

// A pointer that leads nowhere is EFAULT, never a fault in the platform.
func TestBadPointers(t *testing.T) {
	fakeMachine(t, 256, nil)
	fd := must(t, "open", sysOpen, put(0, "/tmp/f"), oCreat|oRDWR, 0o600)
	must(t, "write", sysWrite, fd, buffer(0), 100)
	must(t, "pipe", sysPipe2, buffer(0), oNonblock)
	r, w := uint64(load32(buffer(0))), uint64(load32(buffer(0)+4))
	vmas = vmaTable{}
	vmaShrinks++
	vmas.insert(1<<33, 1<<33+pageSize, protRead|protWrite)
	vmas.insert(1<<33+pageSize, 1<<33+2*pageSize, protRead)
	vmas.insert(1<<33+2*pageSize, 1<<33+3*pageSize, protNone)
	bootPage.NumSegments = 2
	bootPage.Segments[0] = abi.Segment{VA: 0x40_0000, Size: 2 * pageSize, Prot: abi.ProtRead | abi.ProtExec}
	bootPage.Segments[1] = abi.Segment{VA: 0x40_2000, Size: pageSize, Prot: abi.ProtRead | abi.ProtWrite}
	for _, c := range []struct {
		p, n  uint64
		write bool
		want  bool
	}{
		{0, 0, true, true}, {0, 1, false, false}, {8, 8, false, false}, {never, 2, false, false}, {never - 7, 8, false, false},
		{1 << 33, pageSize, true, true}, {1 << 33, pageSize + 1, true, false}, {1 << 33, 2 * pageSize, false, true},
		{1 << 33, 2*pageSize + 1, false, false}, {1<<33 - 1, 2, false, false},
		{0x40_0000, 3 * pageSize, false, true}, {0x40_0000, 1, true, false}, {0x40_2ff8, 8, true, true}, {0x40_2ff8, 9, false, false},
		{userEnd - 1, 2, false, false}, {1 << 63, 1, false, false}, {abi.DirectMap, 1, false, false},
	} {
		if got := userRange(c.p, c.n, c.write); got != c.want {
			t.Errorf("userRange(%#x, %d, write %t): got %t, want %t", c.p, c.n, c.write, got, c.want)
		}
	}
	const wild = 0x10_0000_0000
	for _, call := range [][]uint64{
		{sysOpen, wild, 0}, {sysStat, wild, wild}, {sysRead, fd, wild, 10}, {sysWrite, fd, wild, 10}, {sysPread64, fd, wild, 10, 0},
		{sysReadv, fd, wild, 3}, {sysFstat, fd, wild}, {sysGetcwd, wild, 100}, {sysPipe2, wild, 0}, {sysRead, r, wild, 1},
		{sysWrite, w, wild, 1}, {sysMkdirat, atFDCWD, wild, 0}, {sysRename, wild, wild}, {sysSymlink, wild, wild}, {sysStatfs, wild, wild},
		{sysUtimensat, fd, 0, wild, 0}, {sysReadlinkat, atFDCWD, wild, wild, 10},
	} {
		fails(t, fmt.Sprint("call ", call), eFAULT, call[0], call[1:]...)
	}
}

// A damaged bundle may read as other files than were meant, but never leads outside of its bytes.
func FuzzBundle(f *testing.F) {
	var w bytes.Buffer
	if err := bundle.Write(&w, lowerFiles); err != nil {
		f.Fatal(err)
	}
	f.Add(w.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 32<<10 {
			return
		}
		bootPage = new(abi.BootPage)
		m := alignedBytes(t, max(len(b), 1))
		copy(m, b)
		bootPage.Files = abi.Range{Addr: physical(m), Size: uint64(len(b))}
		var v bundleTree
		v.open(bootPage.Files)
		if v.base == 0 {
			return
		}
		for i := range v.count {
			v.find(v.name(i))
			from, size := v.contents(i)
			if from < v.base || size > uint64(len(b)) || from+size > v.base+uint64(len(b)) {
				t.Fatalf("entry %d: got %d bytes at offset %d of %d", i, size, from-v.base, len(b))
			}
			var seen []uint32
			name := slices.Clone(v.name(i))
			for k := v.firstChild(name); ; k++ {
				var ok bool
				if k, ok = v.child(name, k); !ok {
					break
				}
				if seen = append(seen, k); len(seen) > int(v.count) {
					t.Fatalf("entry %d: endless listing", i)
				}
			}
		}
	})
}

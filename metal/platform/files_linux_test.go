package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nom.dev/nom/abi/bundle"
	"pgregory.net/rapid"
)

// Random calls on files give the same answers from the platform and from Linux.

// base is where the calls happen; deep enough that ".." does not lead out of what both sides have.
const base = "b0/b1/b2/b3/b4/b5/b6/b7"

var lowerFiles = []bundle.File{
	{Name: base + "/a", Data: []byte("the first file of the bundle"), Mode: 0o644},
	{Name: base + "/d/a", Data: pattern(9000), Mode: 0o755},
	{Name: base + "/d/e/c", Data: nil, Mode: 0o600},
	{Name: base + "/d-x", Data: []byte("between d and d/"), Mode: 0o644},
	{Name: base + "/e", Dir: true, Mode: 0o755},
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31 + i>>8)
	}
	return b
}

// Buffers of both sides; package variables do not move.
var (
	pathBuffer  [2][256]byte
	dataBuffers [2][64 << 10]byte
)

// pair is a file that both sides have open.
type pair [2]uint64

type twin struct {
	t    *rapid.T
	open []pair
	root string
}

func TestFilesLikeLinux(t *testing.T) {
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		root := filepath.Join(top, fmt.Sprint(n))
		fakeMachine(t, 4096, lowerFiles, "PWD=/"+base)
		populate := func() error {
			for _, f := range lowerFiles {
				p := filepath.Join(root, f.Name)
				if f.Dir {
					if err := os.MkdirAll(p, 0o755); err != nil {
						return err
					}
					continue
				}
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(p, f.Data, os.FileMode(f.Mode)); err != nil {
					return err
				}
			}
			return os.Chdir(filepath.Join(root, base))
		}
		if err := populate(); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		defer os.Chdir(home)
		w := &twin{t: rt, root: root}
		defer w.closeAll()
		w.getcwd()
		for range rapid.IntRange(1, 60).Draw(rt, "calls") {
			w.random()
		}
		w.compareTrees()
	})
}

// both makes the same call on both sides; pick chooses each side's arguments.
func (w *twin) both(what string, n uint64, pick func(side int) []uint64) [2]uint64 {
	w.t.Helper()
	r := [2]uint64{platformCall(n, pick(0)...), linuxCall(n, pick(1)...)}
	w.t.Logf("%s = %s", what, result(r[1]))
	if int64(r[0]) < 0 || int64(r[1]) < 0 {
		if r[0] != r[1] {
			w.t.Fatalf("%s: got %s, Linux has %s", what, result(r[0]), result(r[1]))
		}
	}
	return r
}

// same is both for calls whose value is the same too.
func (w *twin) same(what string, n uint64, pick func(side int) []uint64) uint64 {
	w.t.Helper()
	r := w.both(what, n, pick)
	if r[0] != r[1] {
		w.t.Fatalf("%s: got %d, Linux has %d", what, r[0], r[1])
	}
	return r[0]
}

func result(r uint64) string {
	if int64(r) < 0 {
		return syscall.Errno(-r).Error()
	}
	return fmt.Sprint(r)
}

var componentNames = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "d-x", "a", "d", ".", strings.Repeat("n", 100)})

// path draws a relative path with at most one "..".
func (w *twin) path(label string) string {
	parts := rapid.SliceOfN(componentNames, 1, 3).Draw(w.t, label)
	switch rapid.IntRange(0, 19).Draw(w.t, "shape") {
	case 0:
		parts = append([]string{".."}, parts...)
	case 1:
		parts = append(parts, "..")
	case 2:
		parts = append(parts, "")
	case 3:
		parts = []string{"."}
	case 4:
		return strings.Repeat("x", 256)
	case 5:
		return ""
	}
	return strings.Join(parts, "/")
}

// put makes path number i a C string and returns its address.
func put(i int, path string) uint64 {
	copy(pathBuffer[i][:], path)
	pathBuffer[i][min(len(path), len(pathBuffer[i])-1)] = 0
	if len(path) >= len(pathBuffer[i]) {
		long = append([]byte(path), 0)
		return addressOf(&long[0])
	}
	return addressOf(&pathBuffer[i][0])
}

var long []byte

// dir draws a directory descriptor: the working directory mostly.
func (w *twin) dir() pair {
	if rapid.IntRange(0, 3).Draw(w.t, "dirfd") > 0 || len(w.open) == 0 {
		return pair{atFDCWD, atFDCWD}
	}
	return w.fd()
}

func (w *twin) fd() pair {
	if len(w.open) == 0 || rapid.IntRange(0, 30).Draw(w.t, "bad") == 0 {
		return pair{900, 900}
	}
	return w.open[rapid.IntRange(0, len(w.open)-1).Draw(w.t, "fd")]
}

// file is fd, with directories at their start: elsewhere Linux may answer EINVAL where it means EISDIR.
func (w *twin) file() pair {
	fd := w.fd()
	if w.isDir(fd) {
		w.same("lseek", sysLseek, func(i int) []uint64 { return []uint64{fd[i], 0, 0} })
	}
	return fd
}

func buffer(side int) uint64 { return addressOf(&dataBuffers[side][0]) }

// fill puts the same bytes into both buffers.
func fill(n int, seed byte) {
	for i := range n {
		dataBuffers[0][i] = byte(i)*3 + seed
	}
	copy(dataBuffers[1][:n], dataBuffers[0][:n])
}

func (w *twin) sameBytes(what string, n uint64) {
	w.t.Helper()
	if n <= uint64(len(dataBuffers[0])) && !slices.Equal(dataBuffers[0][:n], dataBuffers[1][:n]) {
		w.t.Fatalf("%s: the bytes differ from Linux's", what)
	}
}

func (w *twin) random() {
	ops := []func(){
		w.openFile, w.openFile, w.openFile, w.closeFile, w.read, w.write, w.write, w.pread, w.pwrite, w.seek, w.truncate, w.ftruncate,
		w.stat, w.stat, w.fstat, w.list, w.mkdir, w.mkdir, w.unlink, w.unlink, w.rmdir, w.rename, w.rename, w.rename, w.symlink,
		w.link, w.readlink, w.access, w.chmod, w.fchmod, w.chdir, w.fchdir, w.getcwd, w.dup, w.getfl, w.fallocate, w.vector,
	}
	ops[rapid.IntRange(0, len(ops)-1).Draw(w.t, "op")]()
}

func (w *twin) openFile() {
	flags := rapid.SampledFrom([]uint64{0, 1, 2}).Draw(w.t, "access")
	for _, f := range []uint64{oCreat, oExcl, oTrunc, oAppend, oDirectory, oNoFollow} {
		if rapid.IntRange(0, 3).Draw(w.t, "flag") == 0 {
			flags |= f
		}
	}
	if flags&(oCreat|oDirectory) == oCreat|oDirectory || flags&oTrunc != 0 && flags&oAccess == 0 || flags&oExcl != 0 && flags&oCreat == 0 {
		return // differs between versions of Linux, or undefined
	}
	d, path := w.dir(), w.path("path")
	r := w.both(fmt.Sprintf("openat(%d, %q, %#x)", d, path, flags), sysOpenat, func(i int) []uint64 {
		return []uint64{d[i], put(i, path), flags | oCloexec, 0o666}
	})
	if int64(r[0]) >= 0 {
		w.open = append(w.open, r)
	}
}

func (w *twin) closeFile() {
	if len(w.open) == 0 {
		return
	}
	k := rapid.IntRange(0, len(w.open)-1).Draw(w.t, "fd")
	w.same("close", sysClose, func(i int) []uint64 { return []uint64{w.open[k][i]} })
	w.open = slices.Delete(w.open, k, k+1)
}

func (w *twin) closeAll() {
	for _, p := range w.open {
		linuxCall(sysClose, p[1])
	}
}

func (w *twin) read() {
	fd, n := w.file(), uint64(rapid.IntRange(0, 20000).Draw(w.t, "n"))
	r := w.same(fmt.Sprintf("read(%d, %d)", fd, n), sysRead, func(i int) []uint64 { return []uint64{fd[i], buffer(i), n} })
	w.sameBytes("read", r)
}

func (w *twin) write() {
	fd, n := w.fd(), uint64(rapid.IntRange(0, 20000).Draw(w.t, "n"))
	fill(int(n), byte(n))
	w.same(fmt.Sprintf("write(%d, %d)", fd, n), sysWrite, func(i int) []uint64 { return []uint64{fd[i], buffer(i), n} })
}

func (w *twin) offset() uint64 {
	if rapid.IntRange(0, 9).Draw(w.t, "far") == 0 {
		return rapid.SampledFrom([]uint64{3 << 20, 2<<20 - 100, ^uint64(0), 1<<30 + 5}).Draw(w.t, "offset")
	}
	return uint64(rapid.IntRange(0, 20000).Draw(w.t, "offset"))
}

func (w *twin) pread() {
	fd, n, at := w.fd(), uint64(rapid.IntRange(0, 20000).Draw(w.t, "n")), w.offset()
	r := w.same("pread64", sysPread64, func(i int) []uint64 { return []uint64{fd[i], buffer(i), n, at} })
	w.sameBytes("pread64", r)
}

func (w *twin) pwrite() {
	fd, n, at := w.fd(), uint64(rapid.IntRange(0, 20000).Draw(w.t, "n")), w.offset()
	fill(int(n), byte(n))
	w.same("pwrite64", sysPwrite64, func(i int) []uint64 { return []uint64{fd[i], buffer(i), n, at} })
}

func (w *twin) vector() {
	fd := w.file()
	fill(5000, 7)
	call := rapid.SampledFrom([]uint64{sysReadv, sysWritev}).Draw(w.t, "call")
	r := w.same("readv or writev", call, func(i int) []uint64 {
		v := dataBuffers[i][60000:]
		for k, n := range []uint64{1000, 0, 4000} {
			binary.LittleEndian.PutUint64(v[k*16:], buffer(i)+uint64(k)*500)
			binary.LittleEndian.PutUint64(v[k*16+8:], n)
		}
		return []uint64{fd[i], addressOf(&v[0]), 3}
	})
	w.sameBytes("readv", r)
}

func (w *twin) seek() {
	fd, at := w.fd(), w.offset()
	if k := slices.Index(w.open, fd); k >= 0 && w.isDir(fd) {
		at = 0 // positions in directories are each system's own
	}
	whence := rapid.SampledFrom([]uint64{0, 1, 2, 9}).Draw(w.t, "whence")
	if w.isDir(fd) {
		whence = 0
	}
	w.same("lseek", sysLseek, func(i int) []uint64 { return []uint64{fd[i], at, whence} })
}

func (w *twin) isDir(fd pair) bool {
	return linuxCall(sysFstat, fd[1], buffer(1)) == 0 && binary.LittleEndian.Uint32(dataBuffers[1][24:])&modeType == modeDir
}

func (w *twin) truncate() {
	path, n := w.path("path"), w.offset()
	w.same(fmt.Sprintf("truncate(%q, %d)", path, n), sysTruncate, func(i int) []uint64 { return []uint64{put(i, path), n} })
}

func (w *twin) ftruncate() {
	fd, n := w.fd(), w.offset()
	w.same("ftruncate", sysFtruncate, func(i int) []uint64 { return []uint64{fd[i], n} })
}

func (w *twin) fallocate() {
	fd, n := w.fd(), uint64(rapid.IntRange(0, 20000).Draw(w.t, "n"))
	if w.isDir(fd) {
		return
	}
	w.same("fallocate", sysFallocate, func(i int) []uint64 { return []uint64{fd[i], n & 1, n, n} })
}

// sameStat compares what does not depend on the file system below.
func (w *twin) sameStat(what string) {
	w.t.Helper()
	type facts struct{ Mode, Size, Links, Ino uint64 }
	var f [2]facts
	for i := range f {
		b := dataBuffers[i][:]
		f[i].Mode = uint64(binary.LittleEndian.Uint32(b[24:]))
		if f[i].Mode&modeType != modeDir {
			f[i].Links = binary.LittleEndian.Uint64(b[16:])
			f[i].Size = binary.LittleEndian.Uint64(b[48:])
		}
	}
	if f[0] != f[1] {
		w.t.Fatalf("%s: got %+v, Linux has %+v", what, f[0], f[1])
	}
}

func (w *twin) stat() {
	d, path := w.dir(), w.path("path")
	flags := rapid.SampledFrom([]uint64{0, atNoFollow, atEmptyPath}).Draw(w.t, "flags")
	what := fmt.Sprintf("newfstatat(%d, %q, %#x)", d, path, flags)
	if w.same(what, sysNewfstatat, func(i int) []uint64 { return []uint64{d[i], put(i, path), buffer(i), flags} }) == 0 {
		w.sameStat(what)
	}
}

func (w *twin) fstat() {
	fd := w.fd()
	if w.same("fstat", sysFstat, func(i int) []uint64 { return []uint64{fd[i], buffer(i)} }) == 0 {
		w.sameStat("fstat")
	}
}

// list reads a directory from its start, in pieces.
func (w *twin) list() {
	fd := w.fd()
	var names [2][]string
	calls := [2]func(uint64, ...uint64) uint64{platformCall, linuxCall}
	var last [2]uint64
	for i := range names {
		calls[i](sysLseek, fd[i], 0, 0)
		for {
			last[i] = calls[i](sysGetdents64, fd[i], buffer(i), 200)
			if int64(last[i]) <= 0 {
				break
			}
			names[i] = append(names[i], direntNames(dataBuffers[i][:last[i]])...)
		}
		slices.Sort(names[i])
	}
	if last[0] != last[1] || !slices.Equal(names[0], names[1]) {
		w.t.Fatalf("getdents64: got %v, %s; Linux has %v, %s", names[0], result(last[0]), names[1], result(last[1]))
	}
}

func direntNames(b []byte) []string {
	var names []string
	for len(b) > 0 {
		size := binary.LittleEndian.Uint16(b[16:])
		name, _, _ := strings.Cut(string(b[direntHead:size]), "\x00")
		names = append(names, fmt.Sprintf("%s:%d", name, b[18]))
		b = b[size:]
	}
	return names
}

func (w *twin) mkdir() {
	d, path := w.dir(), w.path("path")
	w.same(fmt.Sprintf("mkdirat(%d, %q)", d, path), sysMkdirat, func(i int) []uint64 { return []uint64{d[i], put(i, path), 0o777} })
}

func (w *twin) unlink() {
	d, path := w.dir(), w.path("path")
	w.same(fmt.Sprintf("unlinkat(%d, %q)", d, path), sysUnlinkat, func(i int) []uint64 { return []uint64{d[i], put(i, path), 0} })
}

func (w *twin) rmdir() {
	d, path := w.dir(), w.path("path")
	w.same(fmt.Sprintf("unlinkat(%d, %q, AT_REMOVEDIR)", d, path), sysUnlinkat, func(i int) []uint64 {
		return []uint64{d[i], put(i, path), atRemoveDir}
	})
}

func (w *twin) rename() {
	d, from, e, to := w.dir(), w.path("from"), w.dir(), w.path("to")
	flags := uint64(rapid.IntRange(0, 4).Draw(w.t, "noreplace") / 4)
	w.same(fmt.Sprintf("renameat2(%d, %q, %d, %q, %d)", d, from, e, to, flags), sysRenameat2, func(i int) []uint64 {
		p := put(i, from)
		other[i] = append([]byte(to), 0)
		return []uint64{d[i], p, e[i], addressOf(&other[i][0]), flags}
	})
}

var other [2][]byte

func (w *twin) symlink() {
	d, path, target := w.dir(), w.path("path"), w.path("target")
	w.same(fmt.Sprintf("symlinkat(%q, %d, %q)", target, d, path), sysSymlinkat, func(i int) []uint64 {
		other[i] = append([]byte(target), 0)
		return []uint64{addressOf(&other[i][0]), d[i], put(i, path)}
	})
}

func (w *twin) link() {
	d, from, e, to := w.dir(), w.path("from"), w.dir(), w.path("to")
	flags := rapid.SampledFrom([]uint64{0, atFollow}).Draw(w.t, "flags")
	w.same(fmt.Sprintf("linkat(%d, %q, %d, %q, %#x)", d, from, e, to, flags), sysLinkat, func(i int) []uint64 {
		p := put(i, from)
		other[i] = append([]byte(to), 0)
		return []uint64{d[i], p, e[i], addressOf(&other[i][0]), flags}
	})
}

func (w *twin) readlink() {
	d, path := w.dir(), w.path("path")
	n := uint64(rapid.IntRange(1, 30).Draw(w.t, "n"))
	r := w.same(fmt.Sprintf("readlinkat(%d, %q)", d, path), sysReadlinkat, func(i int) []uint64 {
		return []uint64{d[i], put(i, path), buffer(i), n}
	})
	w.sameBytes("readlinkat", r)
}

func (w *twin) access() {
	d, path := w.dir(), w.path("path")
	w.same(fmt.Sprintf("faccessat(%d, %q)", d, path), sysFaccessat, func(i int) []uint64 { return []uint64{d[i], put(i, path), 4} })
}

func (w *twin) chmod() {
	path := w.path("path")
	mode := rapid.SampledFrom([]uint64{0o700, 0o755, 0o777}).Draw(w.t, "mode")
	w.same(fmt.Sprintf("fchmodat(%q)", path), sysFchmodat, func(i int) []uint64 { return []uint64{atFDCWD, put(i, path), mode} })
}

func (w *twin) fchmod() {
	fd := w.fd()
	w.same("fchmod", sysFchmod, func(i int) []uint64 { return []uint64{fd[i], 0o711} })
}

func (w *twin) chdir() {
	path := w.path("path")
	if strings.Contains(path, "..") {
		return
	}
	w.same(fmt.Sprintf("chdir(%q)", path), sysChdir, func(i int) []uint64 { return []uint64{put(i, path)} })
}

func (w *twin) fchdir() {
	fd := w.fd()
	w.same("fchdir", sysFchdir, func(i int) []uint64 { return []uint64{fd[i]} })
}

func (w *twin) getcwd() {
	r := w.both("getcwd", sysGetcwd, func(i int) []uint64 { return []uint64{buffer(i), 4096} })
	if int64(r[0]) < 0 {
		return
	}
	got, want := string(dataBuffers[0][:r[0]]), strings.TrimPrefix(string(dataBuffers[1][:r[1]]), w.root)
	if got != want {
		w.t.Fatalf("getcwd: got %q, Linux has %q", got, want)
	}
}

func (w *twin) dup() {
	fd := w.fd()
	r := w.both("dup", sysDup, func(i int) []uint64 { return []uint64{fd[i]} })
	if int64(r[0]) >= 0 {
		w.open = append(w.open, r)
	}
}

func (w *twin) getfl() {
	fd := w.fd()
	const largeFile = 0x8000
	r := w.both("fcntl(F_GETFL)", sysFcntl, func(i int) []uint64 { return []uint64{fd[i], 3} })
	if r[0]&^largeFile != r[1]&^largeFile {
		w.t.Fatalf("fcntl(F_GETFL): got %#x, Linux has %#x", r[0], r[1])
	}
}

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgregory.net/rapid"
)

// compareTrees lists everything on both sides.
func (w *twin) compareTrees() {
	linuxCall(sysChdir, put(1, w.root))
	platformCall(sysChdir, put(0, "/b0"))
	want := map[string]string{}
	filepath.WalkDir(filepath.Join(w.root, "b0"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			w.t.Fatal(err)
		}
		name := strings.TrimPrefix(path, w.root)
		switch {
		case d.IsDir():
			want[name] = "directory"
		case d.Type()&os.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			want[name] = "link " + target
		default:
			want[name] = summary(path)
		}
		return nil
	})
	got := map[string]string{}
	platformTree(w.t, "/b0", got)
	for name := range want {
		if got[name] != want[name] {
			w.t.Fatalf("%s: got %.200q, Linux has %.200q", name, got[name], want[name])
		}
		delete(got, name)
	}
	for name := range got {
		w.t.Fatalf("%s exists, and not on Linux", name)
	}
}

// summary is a file's size and first bytes: a file may be sparse and huge.
func summary(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b := make([]byte, 60<<10)
	n, _ := f.Read(b)
	info, _ := f.Stat()
	return fmt.Sprint(info.Size(), " ", string(b[:n]))
}

func platformTree(t *rapid.T, path string, tree map[string]string) {
	must := func(what string, r uint64) uint64 {
		if int64(r) < 0 {
			t.Fatalf("%s of %s: %s", what, path, result(r))
		}
		return r
	}
	must("lstat", platformCall(sysLstat, put(0, path), buffer(0)))
	mode, size := binary.LittleEndian.Uint32(dataBuffers[0][24:]), binary.LittleEndian.Uint64(dataBuffers[0][48:])
	if mode&modeType == modeLink {
		n := must("readlink", platformCall(sysReadlink, put(0, path), buffer(0), 4096))
		tree[path] = "link " + string(dataBuffers[0][:n])
		return
	}
	fd := must("open", platformCall(sysOpen, put(0, path), 0, 0))
	defer platformCall(sysClose, fd)
	if mode&modeType != modeDir {
		n := must("read", platformCall(sysRead, fd, buffer(0), 60<<10))
		tree[path] = fmt.Sprint(size, " ", string(dataBuffers[0][:n]))
		return
	}
	tree[path] = "directory"
	var names []string
	for {
		n := must("getdents64", platformCall(sysGetdents64, fd, buffer(0), 1000))
		if n == 0 {
			break
		}
		names = append(names, direntNames(dataBuffers[0][:n])...)
	}
	for _, name := range names {
		name = name[:strings.LastIndexByte(name, ':')]
		if name != "." && name != ".." {
			platformTree(t, path+"/"+name, tree)
		}
	}
}

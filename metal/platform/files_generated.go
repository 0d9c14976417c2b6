package main

// Generated files: /proc, /sys and the like, whose contents are made when they are read. They are inodes of the tree, so that
// paths, stat and directories know nothing of them; they and their directories cannot be changed.
//
// What is read at offset 0 is a snapshot that later reads go on with, however it changes meanwhile: programs read such a
// file in pieces, and Go's runtime keeps some open and reads them again and again.

// generatedFile is a file without a leading slash and what writes its contents.
type generatedFile struct {
	path  string
	write func(*text)
}

// generatedLink is a symbolic link.
type generatedLink struct{ path, target string }

var generatedLinks = [...]generatedLink{
	{"proc/self", "1"},
	{"proc/mounts", "self/mounts"},
	{"proc/net", "self/net"},
	{"dev/fd", "/proc/self/fd"},
}

// Kinds of file systems (statfs(2)). An inode that has one belongs to the platform.
const (
	procMagic   = 0x9fa0
	sysfsMagic  = 0x6265_6572
	cgroupMagic = 0x6367_7270
)

// Device numbers of file systems, as mountinfo has them.
const (
	devOfProc   = 21
	devOfSysfs  = 22
	devOfCgroup = 23
)

const cgroupPath = "sys/fs/cgroup"

// magicOf is the file system that a path without a leading slash lies in.
func magicOf(path string) uint32 {
	switch {
	case hasPrefix(path, "proc"):
		return procMagic
	case hasPrefix(path, cgroupPath):
		return cgroupMagic
	case hasPrefix(path, "sys"):
		return sysfsMagic
	}
	return 0
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

func deviceOfMagic(magic uint32) uint64 {
	switch magic {
	case procMagic:
		return devOfProc
	case sysfsMagic:
		return devOfSysfs
	case cgroupMagic:
		return devOfCgroup
	}
	return devOfFiles
}

// makeGenerated adds the generated files to the tree, where the bundle has no others. This is on the way of every program to its
// main: neighbours in the table share the walk to their directory.
func makeGenerated() {
	dir, above := rootNode, ""
	for i := range generatedFiles {
		path := generatedFiles[i].path
		cut := lastComponent(bytesOf(path))
		if path[:cut] != above {
			dir, above = makeAbove(path[:cut]), path[:cut]
		}
		if n := makeLast(dir, path, cut, modeRegular|0o444); n != 0 {
			inodeAt(uint32(n)).generator = uint32(i) + 1
		}
	}
	if n := makePath("proc/1/fd", modeDir|0o500); n != 0 {
		inodeAt(uint32(n)).generator = descriptorDir
	}
	for i := range generatedLinks {
		l := &generatedLinks[i]
		if n := makePath(l.path, modeLink|0o777); n != 0 {
			b := bytesOf(l.target)
			inodeAt(uint32(n)).writeAt(addressOf(&b[0]), uint64(len(b)), 0)
		}
	}
	if n := makePath("proc/1/exe", modeLink|0o777); n != 0 {
		t := newText(inodeAt(uint32(n)))
		writeExe(t)
		t.flush()
	}
}

func makePath(path string, mode uint32) node {
	cut := lastComponent(bytesOf(path))
	return makeLast(makeAbove(path[:cut]), path, cut, mode)
}

// makeAbove makes the directories of a path that ends in a slash. It returns 0 when something else has such a name, or without
// memory.
func makeAbove(path string) node {
	dir := rootNode
	for i, j := 0, 0; j < len(path); j++ {
		if path[j] != '/' {
			continue
		}
		n := lookup(dir, bytesOf(path[i:j]))
		if n == 0 {
			n = makeLast(dir, path[:j], i, modeDir|0o555)
		}
		if n == 0 || !n.isDir() {
			return 0
		}
		dir, i = n, j+1
	}
	return dir
}

// makeLast makes what a path ends in, from cut on, in dir. It returns 0 when there is something of that name.
func makeLast(dir node, path string, cut int, mode uint32) node {
	if dir == 0 || lookup(dir, bytesOf(path[cut:])) != 0 {
		return 0
	}
	n := makeNew(dir, bytesOf(path[cut:]), mode)
	if n != 0 {
		inodeAt(uint32(n)).magic = magicOf(path)
	}
	return n
}

// ofPlatform tells that a node belongs to the platform: the program cannot change it.
func (n node) ofPlatform() bool { return n.magic() != 0 }

func (n node) magic() uint32 {
	switch {
	case n.inBundle():
		return 0
	case n.isDescriptor():
		return procMagic
	}
	return inodeAt(uint32(n)).magic
}

// readGenerated reads a generated file at pos; the range is checked.
func (o *openFile) readGenerated(p, n, pos uint64) uint64 {
	if pos == 0 || o.snapshot == 0 {
		if !o.generate() {
			return errno(eNOMEM)
		}
	}
	return inodeAt(o.snapshot).readAt(p, n, pos)
}

// generate makes a new snapshot of o's contents.
func (o *openFile) generate() bool {
	if o.snapshot == 0 {
		if o.snapshot = newInode(modeRegular); o.snapshot == 0 {
			return false
		}
		inodeAt(o.snapshot).refs = 1
	}
	inodeAt(o.snapshot).cut(0)
	t := newText(inodeAt(o.snapshot))
	generatedFiles[o.generator-1].write(t)
	t.flush()
	return !t.failed
}

// forgetSnapshot is for an open file that is closed.
func (o *openFile) forgetSnapshot() {
	if o.snapshot != 0 {
		node(o.snapshot).release()
		o.snapshot = 0
	}
}

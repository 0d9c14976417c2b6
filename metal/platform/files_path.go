package main

// Paths: from a string of the program to a node (path_resolution(7)).

const (
	pathMax  = 4096
	linksMax = 40
)

// walker resolves one path; a call that has two paths uses two. b holds the path and, after a symbolic link, what is
// left of it behind the link's target.
type walker struct {
	b     [2][pathMax]byte
	which int
	links int
}

var walkers [2]walker

// place is where a path leads.
type place struct {
	node   node   // 0: nothing there
	parent node   // the directory of the last component
	name   []byte // the last component, when that is a name
	last   lastKind
	slash  bool // the path ends in a slash: it must be a directory
}

// lastKind says what the last component of a path is. All but names are directories that exist.
type lastKind uint8

const (
	lastName lastKind = iota
	lastRoot
	lastDot
	lastDotDot
)

func kindOf(name []byte) lastKind {
	switch string(name) {
	case ".":
		return lastDot
	case "..":
		return lastDotDot
	}
	return lastName
}

var (
	filesReady bool
	workingDir node
	umask      uint32 = 0o022
)

// walk resolves the program's path at p, relative to the directory fd. follow says whether a link at the end is followed.
func (w *walker) walk(fd, p uint64, follow bool) (place, uint64) {
	prepareFiles()
	w.which, w.links = 0, 0
	n, e := fetchString(p, w.b[0][:])
	if e != 0 {
		return place{}, e
	}
	if n == 0 {
		return place{}, eNOENT
	}
	start := rootNode
	if w.b[0][0] != '/' {
		if start, e = directoryOf(fd); e != 0 {
			return place{}, e
		}
	}
	return w.from(start, w.b[0][:n], follow)
}

// existing resolves a path to something that must be there.
func (w *walker) existing(fd, p uint64, follow bool) (node, uint64) {
	at, e := w.walk(fd, p, follow)
	if e == 0 && at.node == 0 {
		e = eNOENT
	}
	return at.node, e
}

// directoryOf is the directory that the descriptor fd stands for.
func directoryOf(fd uint64) (node, uint64) {
	if int32(fd) == -100 {
		return workingDir, 0
	}
	o := openFileOf(fd)
	if o == nil {
		if needDescriptor(fd) == 0 {
			return 0, eNOTDIR
		}
		return 0, eBADF
	}
	if !o.node.isDir() {
		return 0, eNOTDIR
	}
	return o.node, 0
}

func (w *walker) from(dir node, path []byte, follow bool) (place, uint64) {
	if path[0] == '/' {
		dir = rootNode
	}
	for i := 0; ; {
		for i < len(path) && path[i] == '/' {
			i++
		}
		if i == len(path) {
			return place{node: dir, parent: dir, last: lastRoot, slash: true}, 0
		}
		if !dir.isDir() {
			return place{}, eNOTDIR
		}
		j := i
		for j < len(path) && path[j] != '/' {
			j++
		}
		name := path[i:j]
		for i = j; i < len(path) && path[i] == '/'; {
			i++
		}
		last, slash := i == len(path), i > j
		n, e := step(dir, name)
		switch {
		case e != 0:
			return place{}, e
		case n == 0 && !last:
			return place{}, eNOENT
		case n != 0 && n.mode()&modeType == modeLink && (!last || follow || slash):
			if dir, path, e = w.follow(dir, n, path[j:]); e != 0 {
				return place{}, e
			}
			i = 0
		case last && kindOf(name) != lastName:
			return place{node: n, parent: n, last: kindOf(name), slash: true}, 0
		case last:
			if slash && n != 0 && !n.isDir() {
				return place{}, eNOTDIR
			}
			return place{node: n, parent: dir, name: name, slash: slash}, 0
		default:
			dir = n
		}
	}
}

// step goes from dir to what is called name in it.
func step(dir node, name []byte) (node, uint64) {
	switch kind := kindOf(name); {
	case kind == lastDot:
		return dir, 0
	case kind == lastDotDot:
		if n := parentOf(dir); n != 0 {
			return n, 0
		}
		return 0, eNOENT
	case len(name) > nameMax:
		return 0, eNAMETOOLONG
	}
	return lookup(dir, name), 0
}

// follow puts a link's target before the rest of the path and returns where to go on.
func (w *walker) follow(dir, link node, rest []byte) (node, []byte, uint64) {
	w.links++
	if w.links > linksMax {
		return 0, nil, eLOOP
	}
	n := inodeAt(uint32(link))
	w.which ^= 1
	b := &w.b[w.which]
	if n.size+uint64(len(rest)) > pathMax {
		return 0, nil, eNAMETOOLONG
	}
	k := n.readAt(addressOf(b), n.size, 0)
	copy(b[k:], rest)
	if b[0] == '/' {
		dir = rootNode
	}
	return dir, b[:k+uint64(len(rest))], 0
}

// prepareFiles makes the root directory and what every program expects to find, at the first use of a path.
func prepareFiles() {
	if filesReady {
		return
	}
	filesReady = true
	inodes.size, entries.size, longNames.size = inodeSize, entrySize, nameMax+1
	openFiles.size, pipes.size = openFileSize, pipeSize
	bundleFiles.open(bootPage.Files)
	hashTable = direct(neededFrame())
	root := newInode(modeDir | 0o755)
	if root != uint32(rootNode) {
		fatal("no memory for files")
	}
	d := inodeAt(root)
	d.parent, d.links = root, 2
	takeChildren(root, nil)
	workingDir = rootNode
	rootNode.hold()
	makeDefault("tmp", modeDir|0o1777, 0)
	dev := makeDefault("dev", modeDir|0o755, 0)
	makeDevice(dev, "null", devNull)
	makeDevice(dev, "zero", devZero)
	makeDevice(dev, "random", devRandom)
	makeDevice(dev, "urandom", devRandom)
	makeDevice(dev, "stdin", devStdin)
	makeDevice(dev, "stdout", devStdin+1)
	makeDevice(dev, "stderr", devStdin+2)
	if dir := environment("PWD="); len(dir) > 0 && dir[0] == '/' {
		if at, e := walkers[1].from(rootNode, dir, true); e == 0 && at.node != 0 && at.node.isDir() {
			setWorkingDir(at.node)
		}
	}
}

func neededFrame() uint64 {
	pa := fileFrame()
	if pa == 0 {
		fatal("no memory for files")
	}
	return pa
}

// makeDefault makes a file of the root directory unless the bundle has one.
func makeDefault(name string, mode uint32, device uint32) node {
	return makeIn(rootNode, name, mode, device)
}

func makeDevice(dir node, name string, device uint32) {
	if dir != 0 {
		makeIn(dir, name, modeDevice|0o666, device)
	}
}

func makeIn(dir node, name string, mode uint32, device uint32) node {
	b := bytesOf(name)
	if n := lookup(dir, b); n != 0 {
		return n
	}
	d, e := own(dir, false)
	if e != 0 {
		return 0
	}
	i, e := makeNode(d, b, mode)
	if e != 0 {
		return 0
	}
	inodeAt(i).device = device
	return node(i)
}

// environment finds the value of a variable, whose name is given with the equals sign, in the strings of the boot page.
func environment(name string) []byte {
	p := direct(bootPage.Args.Addr)
	for i := uint32(0); i < bootPage.NumArgs+bootPage.NumEnv; i++ {
		next := afterNUL(p)
		if n := next - 1 - p; i >= bootPage.NumArgs && n >= uint64(len(name)) && stringAt(p, uint64(len(name))) == name {
			return bytesAt(p+uint64(len(name)), n-uint64(len(name)))
		}
		p = next
	}
	return nil
}

func setWorkingDir(n node) {
	n.hold()
	workingDir.release()
	workingDir = n
}

func chdir(p uint64) uint64 {
	n, e := walkers[0].existing(atFDCWD, p, true)
	if e == 0 && !n.isDir() {
		e = eNOTDIR
	}
	if e != 0 {
		return errno(e)
	}
	setWorkingDir(n)
	return 0
}

func fchdir(fd uint64) uint64 {
	n, e := directoryOf(fd)
	if int32(fd) == -100 {
		e = eBADF
	}
	if e != 0 {
		return errno(e)
	}
	setWorkingDir(n)
	return 0
}

// pathOf writes the path of directory n to the end of b and returns where it starts, or len(b) when there is none.
func pathOf(n node, b []byte) int {
	i := len(b)
	for n != rootNode {
		name := nameOf(n)
		if len(name) == 0 || len(name)+1 > i {
			return len(b)
		}
		i -= len(name)
		copy(b[i:], name)
		i--
		b[i] = '/'
		n = parentOf(n)
	}
	if i == len(b) {
		i--
		b[i] = '/'
	}
	return i
}

// nameOf is the last component of the path of directory n; empty when it was removed.
func nameOf(n node) []byte {
	if n.inBundle() {
		name := bundleFiles.name(n.index())
		return name[lastComponent(name):]
	}
	if e := inodeAt(uint32(n)).entry; e != 0 {
		return entryOf(e).bytes()
	}
	return nil
}

func getcwd(p, n uint64) uint64 {
	prepareFiles()
	b := walkers[0].b[0][:]
	b[len(b)-1] = 0
	i := pathOf(workingDir, b[:len(b)-1])
	if i == len(b)-1 {
		return errno(eNOENT)
	}
	k := uint64(len(b) - i)
	if k > n {
		return errno(eRANGE)
	}
	if !userRange(p, k, true) {
		return errno(eFAULT)
	}
	copy(bytesAt(p, k), b[i:])
	return k
}

const eRANGE = 34

// exePath answers readlink of /proc/self/exe: argv[0] made absolute, as the program would expect to have been started.
func exePath(p, n uint64) uint64 {
	if !userRange(p, n, true) {
		return errno(eFAULT)
	}
	name := direct(bootPage.Args.Addr)
	length := afterNUL(name) - 1 - name
	out := bytesAt(p, n)
	k := 0
	if bootPage.NumArgs == 0 || length == 0 {
		return errno(eNOENT)
	}
	if *at[byte](name) != '/' {
		if dir := environment("PWD="); len(dir) > 1 && dir[0] == '/' {
			k = copy(out, dir)
		}
		k += copy(out[k:], "/")
	}
	k += copy(out[k:], stringAt(name, length))
	return uint64(k)
}

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

// ending says what becomes of a symbolic link at the end of a path.
type ending uint8

const (
	keepLink   ending = iota // never follow: the path says what to make, remove or rename
	askedLink                // follow when the path ends in a slash
	openedLink               // follow unless it does: open with O_CREAT
	followLink
)

func (e ending) follows(slash bool) bool {
	return e == followLink || e == askedLink && slash || e == openedLink && !slash
}

// missing tells what is wrong with a place that must lead to something.
func (p *place) missing() uint64 {
	switch {
	case len(p.name) > nameMax && !p.parent.removed():
		return eNAMETOOLONG
	case p.node == 0:
		return eNOENT
	case p.slash && !p.node.isDir():
		return eNOTDIR
	}
	return 0
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

// walk resolves the program's path at p, relative to the directory fd.
func (w *walker) walk(fd, p uint64, end ending) (place, uint64) {
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
	return w.from(start, w.b[0][:n], end)
}

// existing resolves a path to something that must be there.
func (w *walker) existing(fd, p uint64, follow bool) (node, uint64) {
	end := askedLink
	if follow {
		end = followLink
	}
	at, e := w.walk(fd, p, end)
	if e == 0 {
		e = at.missing()
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

func (w *walker) from(dir node, path []byte, end ending) (place, uint64) {
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
		n, e := step(dir, name, last)
		switch {
		case e != 0:
			return place{}, e
		case n == 0 && !last:
			return place{}, eNOENT
		case n.isDescriptor() && (!last || end.follows(slash)): // a link to a file, not to a path
			if n = n.target(); n == 0 {
				return place{}, eNXIO
			}
			if last {
				return place{node: n, parent: dir, name: name, slash: slash}, 0
			}
			dir = n
		case n != 0 && n.mode()&modeType == modeLink && (!last || end.follows(slash)):
			if dir, path, e = w.follow(dir, n, path[j:]); e != 0 {
				return place{}, e
			}
			i = 0
		case last && kindOf(name) != lastName:
			return place{node: n, parent: n, last: kindOf(name), slash: true}, 0
		case last:
			return place{node: n, parent: dir, name: name, slash: slash}, 0
		default:
			dir = n
		}
	}
}

// step goes from dir to what is called name in it. A last component that is too long is an error only when it is used.
func step(dir node, name []byte, last bool) (node, uint64) {
	switch kind := kindOf(name); {
	case kind == lastDot:
		return dir, 0
	case kind == lastDotDot:
		if n := parentOf(dir); n != 0 {
			return n, 0
		}
		return 0, eNOENT
	case len(name) > nameMax && !last && !dir.removed():
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
	if n.size+uint64(len(rest)) > pathMax { // Linux would go on to linksMax
		return 0, nil, eLOOP
	}
	k := n.readAt(addressOf(b), n.size, 0)
	copy(b[k:], rest)
	if b[0] == '/' {
		dir = rootNode
	}
	return dir, b[:k+uint64(len(rest))], 0
}

package main

// /proc/self/fd: a directory with a link for each open descriptor. The links are no inodes: a node names the descriptor.

const (
	descriptorNode node   = 1 << 30
	descriptorDir  uint32 = 1 << 31 // as the generator of an inode: this directory
)

// isDescriptor tells that a node is a link in /proc/self/fd.
func (n node) isDescriptor() bool { return n&(bundleNode|descriptorNode) == descriptorNode }

func (n node) descriptor() uint64 { return uint64(n &^ descriptorNode) }

func (n node) isDescriptorDir() bool {
	return !n.inBundle() && !n.isDescriptor() && inodeAt(uint32(n)).generator == descriptorDir
}

// lookupDescriptor finds the descriptor that a name of /proc/self/fd stands for.
func lookupDescriptor(name []byte) node {
	fd := uint64(0)
	if len(name) == 0 || len(name) > 5 || len(name) > 1 && name[0] == '0' {
		return 0
	}
	for _, c := range name {
		if c < '0' || c > '9' {
			return 0
		}
		fd = fd*10 + uint64(c-'0')
	}
	if needDescriptor(fd) != 0 {
		return 0
	}
	return descriptorNode | node(fd)
}

// target is the file that a descriptor has open, or 0 when it is none: then its link leads nowhere.
func (n node) target() node {
	if o := openFileOf(n.descriptor()); o != nil {
		return o.node
	}
	return 0
}

// writeTarget is the text of such a link.
func writeTarget(t *text, n node) {
	fd := n.descriptor()
	if needDescriptor(fd) != 0 {
		return
	}
	d := &descriptors[fd]
	switch d.kind {
	case fdFile:
		writePath(t, openFileAt(d.index).node)
	case fdConsole:
		t.put("/dev/")
		t.put(consoleNames[d.index%uint64(len(consoleNames))])
	case fdPipeRead, fdPipeWrite:
		t.put("pipe:[")
		t.dec(d.index+maxDescriptors, "]")
	case fdSocket:
		t.put("socket:[")
		t.dec(d.index, "]")
	case fdPoller:
		t.put("anon_inode:[eventpoll]")
	default:
		t.put("anon_inode:[eventfd]")
	}
}

var consoleNames = [3]string{"stdin", "stdout", "stderr"}

// writePath is a path of n. Files do not know their names: the first entry that names it is looked for.
func writePath(t *text, n node) {
	b := walkers[1].b[0][:]
	dir, name := n, []byte(nil)
	if n.inBundle() && !n.isDir() {
		t.byte('/')
		t.bytes(bundleFiles.name(n.index()))
		return
	}
	if !n.isDir() {
		e := entryNaming(n)
		if e == nil {
			t.put("/ (deleted)")
			return
		}
		dir, name = node(e.dir), e.bytes()
	}
	i, e := pathOf(dir, b)
	if e != 0 {
		t.put("/ (deleted)")
		return
	}
	if dir != rootNode || name == nil {
		t.bytes(b[i:])
	}
	if name != nil {
		t.byte('/')
		t.bytes(name)
	}
}

func entryNaming(n node) *entry {
	for h := uint64(0); h < hashHeads; h++ {
		for i := *at[uint32](hashTable + h*4); i != 0; i = entryOf(i).chain {
			if e := entryOf(i); e.node == n {
				return e
			}
		}
	}
	return nil
}

// readTarget is readlink of such a link; the range is checked.
func readTarget(n node, p, size uint64) uint64 {
	i := newInode(modeRegular)
	if i == 0 {
		return errno(eNOMEM)
	}
	t := newText(inodeAt(i))
	writeTarget(t, n)
	t.flush()
	r := t.to.readAt(p, size, 0)
	dropInode(i)
	return r
}

// listDescriptors puts the open descriptors into a listing.
func (l *lister) listDescriptors(o *openFile) {
	for fd := max(o.pos, firstCookie) - firstCookie; fd < usedDescriptors; fd++ {
		if descriptors[fd].kind == fdFree {
			continue
		}
		var b [20]byte
		if !l.put(descriptorNode|node(fd), fd+firstCookie+1, b[decimal(&b, fd):]) {
			return
		}
		o.pos = fd + firstCookie + 1
	}
}

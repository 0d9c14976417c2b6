package main

// Directories. A directory of the bundle is used in place until something in it changes; then it is taken over: it gets an
// inode, and an entry for each of its children, which themselves stay in the bundle.

// node names a file: the number of an inode, or an entry of the bundle with the top bit set. 0 is no file.
type node uint32

const (
	bundleNode node = 1 << 31
	rootNode   node = 1

	firstCookie = 3 // after "." and ".."
)

func (n node) inBundle() bool { return n&bundleNode != 0 }

func (n node) index() uint32 { return uint32(n &^ bundleNode) }

func (n node) mode() uint32 {
	switch {
	case n.inBundle():
		return bundleFiles.mode(n.index())
	case n.isDescriptor():
		return modeLink | 0o700
	}
	return inodeAt(uint32(n)).mode
}

func (n node) isDir() bool { return n.mode()&modeType == modeDir }

// removed tells that a directory was removed while something works in it.
func (n node) removed() bool { return n.isInode() && inodeAt(uint32(n)).links == 0 }

// isInode tells that n is the number of an inode.
func (n node) isInode() bool { return n&(bundleNode|descriptorNode) == 0 }

// hold and release count who uses n besides its names.
func (n node) hold() {
	if n.isInode() {
		inodeAt(uint32(n)).refs++
	}
}

func (n node) release() {
	if n.isInode() {
		inodeAt(uint32(n)).refs--
		dropInode(uint32(n))
	}
}

// entry is a name in a directory: 128 bytes.
type entry struct {
	next, prev uint32 // in the directory, oldest first
	chain      uint32 // in the hash table
	hash       uint32
	dir        uint32 // inode of the directory
	node       node
	cookie     uint64 // place in the directory, for getdents
	name       uint64 // address of the name: in inline, in longNames or in the bundle
	length     uint32
	long       uint32 // number in longNames, or 0
	inline     [80]byte
}

var (
	entries   table
	longNames table
	hashTable uint64 // address of a frame of chain heads
)

const hashHeads = 1024

func entryOf(i uint32) *entry { return at[entry](entries.at(i)) }

func (e *entry) bytes() []byte { return bytesAt(e.name, uint64(e.length)) }

func hashName(dir uint32, name []byte) uint32 {
	h := 2166136261 ^ dir*0x9e3779b1
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

func headOf(hash uint32) *uint32 { return at[uint32](hashTable + uint64(hash^hash>>16)%hashHeads*4) }

// findEntry returns the entry called name in the directory with inode dir, or 0.
func findEntry(dir uint32, name []byte) uint32 {
	h := hashName(dir, name)
	for i := *headOf(h); i != 0; {
		e := entryOf(i)
		if e.hash == h && e.dir == dir && string(e.bytes()) == string(name) {
			return i
		}
		i = e.chain
	}
	return 0
}

// addEntry makes an entry at the end of dir. With keep the name's bytes are used in place. It returns 0 when memory is short.
func addEntry(dir uint32, name []byte, n node, keep bool) uint32 {
	i := entries.take()
	if i == 0 {
		return 0
	}
	e := entryOf(i)
	e.length = uint32(len(name))
	switch {
	case keep:
		e.name = addressOf(&name[0])
	case len(name) <= len(e.inline):
		e.name = addressOf(&e.inline)
		copy(e.inline[:], name)
	default:
		e.long = longNames.take()
		if e.long == 0 {
			entries.put(i)
			return 0
		}
		e.name = longNames.at(e.long)
		copy(bytesAt(e.name, nameMax), name)
	}
	e.dir, e.node, e.hash = dir, n, hashName(dir, name)
	head := headOf(e.hash)
	e.chain, *head = *head, i
	d := inodeAt(dir)
	e.cookie = d.cookie
	d.cookie++
	e.prev = d.last
	if d.last != 0 {
		entryOf(d.last).next = i
	} else {
		d.first = i
	}
	d.last = i
	return i
}

func removeEntry(i uint32) {
	e := entryOf(i)
	d := inodeAt(e.dir)
	for p := headOf(e.hash); *p != 0; p = &entryOf(*p).chain {
		if *p == i {
			*p = e.chain
			break
		}
	}
	if e.prev != 0 {
		entryOf(e.prev).next = e.next
	} else {
		d.first = e.next
	}
	if e.next != 0 {
		entryOf(e.next).prev = e.prev
	} else {
		d.last = e.prev
	}
	if e.long != 0 {
		longNames.put(e.long)
	}
	entries.put(i)
}

// lookup finds name in directory dir, or returns 0.
func lookup(dir node, name []byte) node {
	if dir.inBundle() {
		if i, ok := bundleFiles.lookup(bundleFiles.name(dir.index()), name); ok {
			return bundleNode | node(i)
		}
		return 0
	}
	if dir.isDescriptorDir() {
		return lookupDescriptor(name)
	}
	if i := findEntry(uint32(dir), name); i != 0 {
		return entryOf(i).node
	}
	return 0
}

// lowerDirs heads the list of directories taken over from the bundle.
var lowerDirs uint32

// ofBundle is the node that stands for entry i of the bundle now, if i is a directory.
func ofBundle(i uint32) node {
	for d := lowerDirs; d != 0; d = inodeAt(d).nextLower {
		if inodeAt(d).lower == i+1 {
			return node(d)
		}
	}
	return bundleNode | node(i)
}

func forgetLower(i uint32) {
	for p := &lowerDirs; *p != 0; p = &inodeAt(*p).nextLower {
		if *p == i {
			*p = inodeAt(i).nextLower
			return
		}
	}
}

// parentOf is the directory that n lies in, for a directory or something in the bundle; 0 when a removed directory has none.
func parentOf(n node) node {
	if !n.inBundle() {
		return node(inodeAt(uint32(n)).parent)
	}
	name := bundleFiles.name(n.index())
	cut := lastComponent(name)
	if cut == 0 {
		return rootNode
	}
	i, ok := bundleFiles.find(name[:cut-1])
	if !ok {
		return rootNode
	}
	return ofBundle(i)
}

// own returns the inode of n, after taking over what of the bundle it needs. contents says whether a file's data matter.
func own(n node, contents bool) (uint32, uint64) {
	if n.ofPlatform() {
		return 0, eROFS
	}
	if n.inBundle() && n.isDir() {
		n = ofBundle(n.index()) // it may have been taken over since n was found
	}
	for n.inBundle() {
		top := n
		for p := parentOf(top); p.inBundle(); p = parentOf(top) {
			top = p
		}
		i, e := takeOver(top, contents || top != n)
		if e != 0 {
			return 0, e
		}
		if top == n {
			return i, 0
		}
	}
	return uint32(n), 0
}

// takeOver makes the inode for n, of the bundle, whose parent has one already.
func takeOver(n node, contents bool) (uint32, uint64) {
	name := bundleFiles.name(n.index())
	i := newInode(bundleFiles.mode(n.index()))
	if i == 0 {
		return 0, eNOSPC
	}
	d := inodeAt(i)
	d.atime, d.mtime, d.ctime = wallBase, wallBase, wallBase
	d.lower = n.index() + 1
	ok := true
	if n.isDir() {
		d.parent = uint32(parentOf(n))
		d.links = 1
		ok = takeChildren(i, name)
		d.nextLower, lowerDirs = lowerDirs, i
	} else if contents {
		ok = takeContents(d, n.index())
	}
	if !ok {
		abandon(i)
		return 0, eNOSPC
	}
	if e := findEntry(uint32(parentOf(n)), name[lastComponent(name):]); e != 0 && entryOf(e).node == n {
		entryOf(e).node = node(i)
		d.links++
		if n.isDir() {
			d.entry = e
		}
	} else {
		d.links = 0
	}
	replaceOpen(n, node(i))
	return i, 0
}

// takeChildren lists what the bundle has in directory name as entries of inode dir.
func takeChildren(dir uint32, name []byte) bool {
	for i := bundleFiles.firstChild(name); ; i++ {
		var ok bool
		if i, ok = bundleFiles.child(name, i); !ok {
			break
		}
		whole := bundleFiles.name(i)
		inodeAt(dir).cookie = uint64(i) + firstCookie
		if addEntry(dir, whole[lastComponent(whole):], bundleNode|node(i), true) == 0 {
			return false
		}
		if bundleFiles.mode(i)&modeType == modeDir {
			inodeAt(dir).links++
		}
	}
	inodeAt(dir).cookie = uint64(bundleFiles.count) + firstCookie
	return true
}

func takeContents(n *inode, index uint32) bool {
	from, size := bundleFiles.contents(index)
	ok := n.writeAt(from, size, 0) == size
	n.mtime, n.ctime = wallBase, wallBase
	return ok
}

// abandon frees an inode that could not be completed.
func abandon(i uint32) {
	n := inodeAt(i)
	for n.first != 0 {
		removeEntry(n.first)
	}
	n.links, n.refs = 0, 0
	dropInode(i)
}

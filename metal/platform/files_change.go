package main

// Making, removing and renaming files, and changing what is known about them.

// makeNode makes an inode and its name in directory dir.
func makeNode(dir uint32, name []byte, mode uint32) (uint32, uint64) {
	d := inodeAt(dir)
	switch {
	case node(dir).removed():
		return 0, eNOENT
	case len(name) > nameMax:
		return 0, eNAMETOOLONG
	}
	i := newInode(mode)
	if i == 0 {
		return 0, eNOSPC
	}
	e := addEntry(dir, name, node(i), false)
	if e == 0 {
		abandon(i)
		return 0, eNOSPC
	}
	n := inodeAt(i)
	n.links = 1
	if mode&modeType == modeDir {
		n.links = 2
		n.parent, n.entry = dir, e
		d.links++
	}
	d.mtime = fileTime()
	d.ctime = d.mtime
	return i, 0
}

// newPlace resolves the path of something to be made, and takes over the directory that it will lie in.
func (w *walker) newPlace(fd, path uint64) (uint32, place, uint64) {
	to, e := w.walk(fd, path, keepLink)
	switch {
	case e != 0:
	case len(to.name) > nameMax && !to.parent.removed():
		e = eNAMETOOLONG
	case to.node != 0:
		e = eEXIST
	}
	if e != 0 {
		return 0, to, e
	}
	dir, e := own(to.parent, false)
	return dir, to, e
}

func mkdirAt(fd, path, mode uint64) uint64 {
	dir, to, e := walkers[0].newPlace(fd, path)
	if e == 0 {
		_, e = makeNode(dir, to.name, modeDir|uint32(mode)&0o1777&^umask)
	}
	return errno(e)
}

func symlinkAt(target, fd, path uint64) uint64 {
	b := walkers[1].b[0][:]
	length, e := fetchString(target, b)
	if e == 0 && length == 0 {
		e = eNOENT
	}
	if e != 0 {
		return errno(e)
	}
	dir, to, e := walkers[0].newPlace(fd, path)
	if e == 0 && to.slash {
		e = eNOENT
	}
	if e != 0 {
		return errno(e)
	}
	i, e := makeNode(dir, to.name, modeLink|0o777)
	if e == 0 && inodeAt(i).writeAt(addressOf(&b[0]), length, 0) != length {
		removeName(dir, to.name)
		e = eNOSPC
	}
	return errno(e)
}

// linkAt is linkat(2).
func linkAt(fd, path, newFD, newPath, flags uint64) uint64 {
	if flags&^(atFollow|atEmptyPath) != 0 {
		return errno(eINVAL)
	}
	n, e := walkers[1].existing(fd, path, flags&atFollow != 0)
	if e != 0 {
		return errno(e)
	}
	dir, to, e := walkers[0].newPlace(newFD, newPath)
	switch {
	case e != 0:
	case to.slash:
		e = eNOENT
	case n.isDir():
		e = ePERM
	case node(dir).removed():
		e = eNOENT
	}
	if e != 0 {
		return errno(e)
	}
	i, e := own(n, true)
	if e != 0 {
		return errno(e)
	}
	if addEntry(dir, to.name, node(i), false) == 0 {
		return errno(eNOSPC)
	}
	f := inodeAt(i)
	f.links++
	f.ctime = fileTime()
	inodeAt(dir).mtime = f.ctime
	return 0
}

// unlinkAt is unlinkat(2).
func unlinkAt(fd, path, flags uint64) uint64 {
	if flags&^atRemoveDir != 0 {
		return errno(eINVAL)
	}
	to, e := walkers[0].walk(fd, path, keepLink)
	remove := flags&atRemoveDir != 0
	switch {
	case e != 0:
	case len(to.name) == 0 && remove:
		e = unremovable(to.last)
	case len(to.name) == 0:
		e = eISDIR
	case to.node == 0:
		e = to.missing()
	case !to.node.isDir() && (remove || to.slash):
		e = eNOTDIR
	case !remove && to.node.isDir():
		e = eISDIR
	}
	if e != 0 {
		return errno(e)
	}
	dir, e := own(to.parent, false)
	if e == 0 && remove {
		e = mayRemove(to.node)
	}
	if e != 0 {
		return errno(e)
	}
	removeName(dir, to.name)
	return 0
}

// unremovable is rmdir's answer to a path that does not end in a name.
func unremovable(last lastKind) uint64 {
	switch last {
	case lastRoot:
		return eBUSY
	case lastDotDot:
		return eNOTEMPTY
	}
	return eINVAL
}

// mayRemove tells whether directory n is empty. One of the bundle is taken over to find out.
func mayRemove(n node) uint64 {
	i, e := own(n, false)
	if e == 0 && inodeAt(i).first != 0 {
		e = eNOTEMPTY
	}
	return e
}

// removeName removes a name from dir, and what it named when nothing else holds it. A directory is empty.
func removeName(dir uint32, name []byte) {
	i := findEntry(dir, name)
	n := entryOf(i).node
	removeEntry(i)
	d := inodeAt(dir)
	d.mtime = fileTime()
	d.ctime = d.mtime
	unlinkNode(d, n)
}

// unlinkNode is what becomes of n when it loses its name in d.
func unlinkNode(d *inode, n node) {
	if n.inBundle() {
		return
	}
	f := inodeAt(uint32(n))
	if f.mode&modeType == modeDir {
		f.links = 0
		f.entry, f.parent = 0, 0
		d.links--
	} else {
		f.links--
		f.ctime = fileTime()
	}
	dropInode(uint32(n))
}

// renameAt is renameat2(2), with RENAME_NOREPLACE as its only flag.
func renameAt(fd, path, newFD, newPath, flags uint64) uint64 {
	if flags&^1 != 0 {
		return errno(eINVAL)
	}
	from, e := walkers[0].walk(fd, path, keepLink)
	if e != 0 {
		return errno(e)
	}
	to, e := walkers[1].walk(newFD, newPath, keepLink)
	if e == 0 {
		e = mayRename(from, to, flags)
	}
	if e != 0 {
		return errno(e)
	}
	if from.node == to.node {
		return 0
	}
	dir, e := own(to.parent, false)
	if e == 0 && to.node != 0 && to.node.isDir() {
		e = mayRemove(to.node)
	}
	var old, moved uint32
	if e == 0 {
		moved, e = own(from.node, true)
	}
	if e == 0 {
		old, e = own(from.parent, false)
	}
	if e == 0 && node(dir).removed() {
		e = eNOENT
	}
	if e == 0 {
		e = move(old, from.name, dir, to.name, moved)
	}
	return errno(e)
}

// mayRename tells what is wrong with a renaming.
func mayRename(from, to place, flags uint64) uint64 {
	switch {
	case from.last == lastName && to.last != lastName && flags&1 != 0:
		return eEXIST
	case from.last != lastName || to.last != lastName:
		return eBUSY
	case from.node == 0:
		return from.missing()
	case len(to.name) > nameMax && !to.parent.removed():
		return eNAMETOOLONG
	case to.node != 0 && flags&1 != 0:
		return eEXIST
	case !from.node.isDir() && (from.slash || to.slash):
		return eNOTDIR
	case from.node.isDir() && isAbove(from.node, to.parent):
		return eINVAL
	case to.node == 0:
		return 0
	case to.node.isDir() && isAbove(to.node, from.parent):
		return eNOTEMPTY
	case from.node.isDir() && !to.node.isDir():
		return eNOTDIR
	case !from.node.isDir() && to.node.isDir():
		return eISDIR
	}
	return 0
}

// isAbove tells whether directory a is n or an ancestor of it.
func isAbove(a, n node) bool {
	for ; n != a; n = parentOf(n) {
		if n == rootNode || n == 0 {
			return false
		}
	}
	return true
}

// move gives inode n, called name in directory old, a new name in directory dir.
func move(old uint32, name []byte, dir uint32, newName []byte, n uint32) uint64 {
	target := findEntry(dir, newName)
	if target == 0 {
		if target = addEntry(dir, newName, node(n), false); target == 0 {
			return eNOSPC
		}
	} else {
		replaced := entryOf(target).node
		entryOf(target).node = node(n)
		unlinkNode(inodeAt(dir), replaced)
	}
	removeEntry(findEntry(old, name))
	f, from, to := inodeAt(n), inodeAt(old), inodeAt(dir)
	now := fileTime()
	if f.mode&modeType == modeDir {
		f.parent, f.entry = dir, target
		from.links--
		to.links++
	}
	f.ctime, from.mtime, from.ctime, to.mtime, to.ctime = now, now, now, now, now
	return 0
}

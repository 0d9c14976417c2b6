package main

// Open files: what descriptors of kind fdFile stand for. Descriptors that were duplicated share one.

const (
	oWronly    = 1
	oAccess    = 3
	oCreat     = 0x40
	oExcl      = 0x80
	oTrunc     = 0x200
	oAppend    = 0x400
	oDirectory = 0x1_0000
	oNoFollow  = 0x2_0000
	oCloexec   = 0x8_0000
	oPath      = 0x20_0000
	oTmpfile   = 0x40_0000
)

// Devices.
const (
	devNull = 1 + iota
	devZero
	devFull
	devRandom
	devStdin // and standard output and error after it
)

// openFile is 32 bytes; flags is not 0 while it is in use.
type openFile struct {
	flags uint32 // as F_GETFL shows them, and fileInUse
	node  node
	refs  uint32
	dev   uint32
	pos   uint64 // in a directory, the cookie of the entry that came last

	snapshot  uint32 // of a generated file: an inode that holds what it was when it was read last
	generator uint32 // as the inode has it
}

const fileInUse = 1 << 31

var openFiles table

func openFileAt(i uint64) *openFile { return at[openFile](openFiles.at(uint32(i))) }

// openFileOf is the open file of a descriptor, or nil.
func openFileOf(fd uint64) *openFile {
	if fd >= usedDescriptors || descriptors[fd].kind != fdFile {
		return nil
	}
	return openFileAt(descriptors[fd].index)
}

// replaceOpen makes everything that has old open, or works in it, use n.
func replaceOpen(old, n node) {
	for i := uint32(1); i < openFiles.made; i++ {
		if o := openFileAt(uint64(i)); o.flags&fileInUse != 0 && o.node == old {
			o.node = n
			n.hold()
		}
	}
	if workingDir == old {
		workingDir = n
		n.hold()
	}
}

// openAt is openat(2).
func openAt(fd, path, flags, mode uint64) uint64 {
	if flags&oTmpfile != 0 {
		return errno(eOPNOTSUPP)
	}
	exclusive := flags&(oCreat|oExcl) == oCreat|oExcl
	to, e := walkers[0].walk(fd, path, openEnding(flags))
	if e != 0 {
		return errno(e)
	}
	n := to.node
	created := false
	switch {
	case flags&oCreat != 0 && to.slash && to.last == lastName:
		e = eISDIR
	case flags&oCreat == 0:
		e = to.missing()
	case n != 0 && exclusive:
		e = eEXIST
	case n == 0:
		n, e = createFile(to, uint32(mode))
		created = true
	}
	if e == 0 && !created {
		e = mayOpen(n, flags)
	}
	if e != 0 {
		return errno(e)
	}
	return openNode(n, flags, created)
}

func openEnding(flags uint64) ending {
	switch {
	case flags&oCreat != 0 && flags&(oExcl|oNoFollow) != 0:
		return keepLink
	case flags&oCreat != 0:
		return openedLink
	case flags&oNoFollow != 0:
		return askedLink
	}
	return followLink
}

func createFile(to place, mode uint32) (node, uint64) {
	dir, e := own(to.parent, false)
	if e != 0 {
		return 0, e
	}
	i, e := makeNode(dir, to.name, modeRegular|mode&0o7777&^umask)
	return node(i), e
}

// mayOpen tells what is wrong with opening something that exists.
func mayOpen(n node, flags uint64) uint64 {
	write := flags&oAccess != 0
	if n.ofPlatform() && !n.isDir() && (write || flags&oTrunc != 0) {
		return eROFS
	}
	switch n.mode() & modeType {
	case modeDir:
		if write || flags&oCreat != 0 {
			return eISDIR
		}
	default:
		if flags&oDirectory != 0 {
			return eNOTDIR
		}
	}
	if n.mode()&modeType == modeLink && flags&oPath == 0 {
		return eLOOP
	}
	return 0
}

// openNode makes the descriptor. What is opened for writing, or cut, is taken over from the bundle.
func openNode(n node, flags uint64, created bool) uint64 {
	dev := uint32(0)
	if mode := n.mode(); mode&modeType == modeRegular && flags&oPath == 0 && (flags&oAccess != 0 || flags&oTrunc != 0) {
		i, e := own(n, flags&oTrunc == 0)
		if e != 0 {
			return errno(e)
		}
		n = node(i)
		if f := inodeAt(i); flags&oTrunc != 0 && !created {
			f.cut(0)
			f.mtime = fileTime()
			f.ctime = f.mtime
		}
	} else if mode&modeType == modeDevice {
		dev = inodeAt(uint32(n)).device
		if dev >= devStdin {
			return duplicate(uint64(dev-devStdin), 0)
		}
	}
	return newOpenFile(n, flags, dev)
}

// newOpenFile makes an open file and a descriptor for it.
func newOpenFile(n node, flags uint64, dev uint32) uint64 {
	i := openFiles.take()
	if i == 0 {
		return errno(eNFILE)
	}
	fd := newDescriptor(0, fdFile)
	if fd == maxDescriptors {
		openFiles.put(i)
		return errno(eMFILE)
	}
	descriptors[fd].index = uint64(i)
	descriptors[fd].cloexec = flags&oCloexec != 0
	*openFileAt(uint64(i)) = openFile{
		flags: uint32(flags&^(oCreat|oExcl|oTrunc|oCloexec|0x10_0000)) | fileInUse,
		node:  n, refs: 1, dev: dev,
	}
	if n.isInode() && n.mode()&modeType == modeRegular {
		openFileAt(uint64(i)).generator = inodeAt(uint32(n)).generator
	}
	n.hold()
	return fd
}

// holdFile and releaseFile count the descriptors of an open file.
func holdFile(i uint64) { openFileAt(i).refs++ }

func releaseFile(i uint64) {
	o := openFileAt(i)
	o.refs--
	if o.refs != 0 {
		return
	}
	n := o.node
	o.forgetSnapshot()
	o.flags = 0
	openFiles.put(uint32(i))
	n.release()
}

func (o *openFile) readable() bool { return o.flags&oAccess != oWronly && o.flags&oPath == 0 }
func (o *openFile) writable() bool { return o.flags&oAccess != 0 && o.flags&oPath == 0 }

// duplicate makes a second descriptor, numbered from first on, for what fd stands for.
func duplicate(fd, first uint64) uint64 {
	if r := needDescriptor(fd); r != 0 {
		return r
	}
	n := newDescriptor(first, descriptors[fd].kind)
	if n == maxDescriptors {
		return errno(eMFILE)
	}
	copyDescriptor(n, fd)
	return n
}

func copyDescriptor(to, from uint64) {
	d := &descriptors[to]
	*d = descriptors[from]
	d.polled, d.cloexec = false, false
	switch d.kind {
	case fdVector:
		vectorHolder[d.index] = 0
	case fdFile:
		holdFile(d.index)
	case fdPipeRead:
		pipeAt(d.index).readers++
	case fdPipeWrite:
		pipeAt(d.index).writers++
	case fdSocket:
		s := socketAt(d.index)
		s.refs++
		s.options |= optShared
	}
}

// duplicateTo is dup2(2), and dup3(2), which refuses equal numbers.
func duplicateTo(fd, to uint64, three bool) uint64 {
	if r := needDescriptor(fd); r != 0 {
		return r
	}
	if to >= maxDescriptors {
		return errno(eBADF)
	}
	if fd == to {
		if three {
			return errno(eINVAL)
		}
		return to
	}
	if to < usedDescriptors {
		closeDescriptor(&descriptors[to])
	}
	if !mapDescriptor(to) {
		return errno(eNOMEM)
	}
	usedDescriptors = max(usedDescriptors, to+1)
	copyDescriptor(to, fd)
	return to
}

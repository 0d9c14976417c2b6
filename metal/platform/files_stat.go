package main

// What programs ask about files: stat(2), statfs(2), access(2), readlink(2), getdents64(2).

// stat is struct stat of x86-64.
type stat struct {
	dev, ino, links                uint64
	mode, uid, gid, _              uint32
	rdev, size, blockSize, blocks  uint64
	atime, atimeNS, mtime, mtimeNS uint64
	ctime, ctimeNS                 uint64
	_                              [3]uint64
}

const statSize = 144

// Device numbers: of the tree, of pipes and the like.
const (
	devOfFiles   = 0x801
	devOfPipes   = 14
	devOfSockets = 8
)

// inodeNumber is the same for a file of the bundle before and after it is taken over.
func inodeNumber(n node) uint64 {
	const afterBundle = 1 << 24
	switch {
	case n.inBundle():
		return uint64(n.index()) + 2
	case n.isDescriptor():
		return uint64(n)
	case inodeAt(uint32(n)).lower != 0:
		return uint64(inodeAt(uint32(n)).lower) + 1
	case n == rootNode:
		return 1
	}
	return uint64(n) + afterBundle
}

func sizeOf(n node) uint64 {
	switch {
	case n.isDir():
		return pageSize
	case n.inBundle():
		_, size := bundleFiles.contents(n.index())
		return size
	case n.isDescriptor():
		return 64
	}
	return inodeAt(uint32(n)).size
}

func (s *stat) ofNode(n node) {
	s.dev, s.ino, s.mode = devOfFiles, inodeNumber(n), n.mode()
	s.size, s.blockSize = sizeOf(n), pageSize
	s.blocks = pageUp(s.size) / 512
	s.links = 1
	times := [3]uint64{wallBase, wallBase, wallBase}
	if n.isInode() {
		f := inodeAt(uint32(n))
		s.links, s.uid, s.gid = uint64(f.links), f.uid, f.gid
		s.blocks = f.frames * (pageSize / 512)
		times = [3]uint64{f.atime, f.mtime, f.ctime}
		s.rdev = uint64(deviceNumber(f.device))
		s.dev = deviceOfMagic(f.magic)
	} else if n.isDir() {
		s.links = 2
	}
	s.atime, s.atimeNS = splitTime(times[0])
	s.mtime, s.mtimeNS = splitTime(times[1])
	s.ctime, s.ctimeNS = splitTime(times[2])
}

// splitTime makes seconds and nanoseconds of signed nanoseconds since 1970.
func splitTime(t uint64) (uint64, uint64) {
	s, ns := int64(t)/nanos, int64(t)%nanos
	if ns < 0 {
		s--
		ns += nanos
	}
	return uint64(s), uint64(ns)
}

func deviceNumber(device uint32) uint32 {
	switch device {
	case devNull:
		return 0x103
	case devZero:
		return 0x105
	case devFull:
		return 0x107
	case devRandom:
		return 0x109
	}
	return 0
}

// ofOther describes descriptors that are no files: standard input is an empty device, the other two are pipes.
func (s *stat) ofOther(fd uint64) {
	d := &descriptors[fd]
	s.dev, s.ino, s.links, s.blockSize = devOfPipes, fd+1, 1, pageSize
	s.mode = 0o600
	switch {
	case d.kind == fdConsole && d.index == 0:
		s.mode = modeDevice | 0o666
		s.rdev = uint64(deviceNumber(devNull))
	case d.kind == fdConsole:
		s.mode = modeFIFO | 0o600
		s.ino = d.index + 1
	case d.kind == fdPipeRead || d.kind == fdPipeWrite:
		s.mode = modeFIFO | 0o600
		s.ino = d.index + maxDescriptors
	case d.kind == fdSocket:
		s.dev, s.mode = devOfSockets, modeSocket|0o777
		s.ino = d.index
	}
}

func putStat(p uint64, s *stat) uint64 {
	if !userRange(p, statSize, true) {
		return errno(eFAULT)
	}
	*at[stat](p) = *s
	return 0
}

// linked tells whether a file of the bundle still has its name.
func linked(n node) bool {
	name := bundleFiles.name(n.index())
	return lookup(parentOf(n), name[lastComponent(name):]) == n
}

func fstat(fd, p uint64) uint64 {
	var s stat
	if o := openFileOf(fd); o != nil {
		s.ofNode(o.node)
		if o.node.inBundle() && !o.node.isDir() && !linked(o.node) {
			s.links = 0
		}
		return putStat(p, &s)
	}
	if r := needDescriptor(fd); r != 0 {
		return r
	}
	s.ofOther(fd)
	return putStat(p, &s)
}

func statAt(fd, path, p, flags uint64) uint64 {
	const noAutomount = 0x800
	if flags&^(atNoFollow|atEmptyPath|noAutomount) != 0 {
		return errno(eINVAL)
	}
	n, e := namedBy(fd, path, flags)
	if e == eINVAL && needDescriptor(fd) == 0 {
		return fstat(fd, p)
	}
	if e != 0 {
		return errno(e)
	}
	var s stat
	s.ofNode(n)
	return putStat(p, &s)
}

// accessAt is faccessat2(2) for root: all is allowed but to execute what has no such bit.
func accessAt(fd, path, mode, flags uint64) uint64 {
	const effective = 0x200
	if mode&^7 != 0 || flags&^(effective|atNoFollow|atEmptyPath) != 0 {
		return errno(eINVAL)
	}
	n, e := namedBy(fd, path, flags)
	if e == 0 && mode&1 != 0 && n.mode()&0o111 == 0 {
		e = eACCES
	}
	return errno(e)
}

// readlinkAt is readlinkat(2).
func readlinkAt(fd, path, p, n uint64) uint64 {
	link, e := walkers[0].existing(fd, path, false)
	if e == eNOENT && int32(fd) != -100 && userRange(path, 1, false) && *at[byte](path) == 0 && needDescriptor(fd) != 0 {
		e = eBADF // an empty path means the descriptor itself, which is no link
	}
	if e == 0 && link.mode()&modeType != modeLink {
		e = eINVAL
	}
	if e == 0 && int64(n) <= 0 {
		e = eINVAL
	}
	if e == 0 && !userRange(p, n, true) {
		e = eFAULT
	}
	if e != 0 {
		return errno(e)
	}
	if link.isDescriptor() {
		return readTarget(link, p, n)
	}
	return inodeAt(uint32(link)).readAt(p, n, 0)
}

// statfs is struct statfs of x86-64.
type statfs struct {
	kind, blockSize, blocks, free, available uint64
	files, freeFiles, _                      uint64 // _: f_fsid
	nameMax, fragment                        uint64
	_                                        [5]uint64 // f_flags, f_spare
}

const (
	statfsSize = 120
	tmpfsMagic = 0x0102_1994
)

func putStatfs(p uint64, magic uint32) uint64 {
	if !userRange(p, statfsSize, true) {
		return errno(eFAULT)
	}
	if magic != 0 {
		*at[statfs](p) = statfs{kind: uint64(magic), blockSize: pageSize, nameMax: nameMax, fragment: pageSize}
		return 0
	}
	memLock.lock()
	total, free := pool.total, pool.nfree-min(pool.nfree, pool.reserved+fileReserve())
	memLock.unlock()
	const most = tableFrames * 512 * (pageSize / 128)
	*at[statfs](p) = statfs{
		kind: tmpfsMagic, blockSize: pageSize, blocks: total, free: free, available: free,
		files: most, freeFiles: most - uint64(inodes.made), nameMax: nameMax, fragment: pageSize,
	}
	return 0
}

func statfsPath(path, p uint64) uint64 {
	n, e := walkers[0].existing(atFDCWD, path, true)
	if e != 0 {
		return errno(e)
	}
	return putStatfs(p, n.magic())
}

func fstatfs(fd, p uint64) uint64 {
	if r := needDescriptor(fd); r != 0 {
		return r
	}
	if o := openFileOf(fd); o != nil {
		return putStatfs(p, o.node.magic())
	}
	return putStatfs(p, 0)
}

// lister writes directory entries to the program's memory.
type lister struct {
	p, end uint64
	full   bool
}

const direntHead = 19 // of struct linux_dirent64, before the name

func (l *lister) put(n node, cookie uint64, name []byte) bool {
	size := (direntHead + uint64(len(name)) + 1 + 7) &^ 7
	if l.p+size > l.end {
		l.full = true
		return false
	}
	store64(l.p, inodeNumber(n))
	store64(l.p+8, cookie)
	*at[uint16](l.p + 16) = uint16(size)
	*at[byte](l.p + 18) = byte(n.mode() >> 12)
	b := bytesAt(l.p+direntHead, size-direntHead)
	clear(b[copy(b, name):])
	l.p += size
	return true
}

// getdents is getdents64(2). The position is the cookie of the entry that came last: 1 is ".", 2 is "..".
func getdents(fd, p, n uint64) uint64 {
	o := openFileOf(fd)
	switch {
	case o == nil:
		return wrongDescriptor(fd, eNOTDIR)
	case !o.node.isDir():
		return errno(eNOTDIR)
	case !userRange(p, n, true):
		return errno(eFAULT)
	}
	l := lister{p: p, end: p + n}
	dir := o.node
	switch {
	case dir.removed():
		return errno(eNOENT)
	case o.pos < 1 && !l.put(dir, 1, bytesOf(".")):
		return errno(eINVAL)
	case o.pos < 1:
		o.pos = 1
	}
	if o.pos == 1 && l.put(parentOf(dir), 2, bytesOf("..")) {
		o.pos = 2
	}
	if o.pos >= 2 && dir.isDescriptorDir() {
		l.listDescriptors(o)
	} else if o.pos >= 2 && dir.inBundle() {
		l.listBundle(o)
	} else if o.pos >= 2 {
		l.listInode(o)
	}
	if l.p == p && l.full {
		return errno(eINVAL)
	}
	return l.p - p
}

func (l *lister) listBundle(o *openFile) {
	name := bundleFiles.name(o.node.index())
	i := bundleFiles.firstChild(name)
	if o.pos >= firstCookie {
		i = uint32(o.pos-firstCookie) + 1
	}
	for ; ; i++ {
		var ok bool
		if i, ok = bundleFiles.child(name, i); !ok {
			return
		}
		whole := bundleFiles.name(i)
		cookie := uint64(i) + firstCookie
		if !l.put(bundleNode|node(i), cookie, whole[lastComponent(whole):]) {
			return
		}
		o.pos = cookie
	}
}

func (l *lister) listInode(o *openFile) {
	for i := inodeAt(uint32(o.node)).first; i != 0; i = entryOf(i).next {
		e := entryOf(i)
		if e.cookie <= o.pos {
			continue
		}
		if !l.put(e.node, e.cookie, e.bytes()) {
			return
		}
		o.pos = e.cookie
	}
}

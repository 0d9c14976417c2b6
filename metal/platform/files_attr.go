package main

// Attributes: mode, owner, times, size.

// ofDescriptor is the node that an open file stands for.
func ofDescriptor(fd uint64) (node, uint64) {
	if o := openFileOf(fd); o != nil {
		return o.node, 0
	}
	if needDescriptor(fd) == 0 {
		return 0, eINVAL
	}
	return 0, eBADF
}

// namedBy resolves a path or, with AT_EMPTY_PATH and an empty path, takes the descriptor itself.
func namedBy(fd, path, flags uint64) (node, uint64) {
	prepareFiles()
	if flags&atEmptyPath != 0 && userRange(path, 1, false) && *at[byte](path) == 0 {
		if int32(fd) == -100 {
			return workingDir, 0
		}
		return ofDescriptor(fd)
	}
	return walkers[0].existing(fd, path, flags&atNoFollow == 0)
}

// changing returns the inode of n for a change of its attributes.
func changing(n node) (*inode, uint64) {
	i, e := own(n, true)
	if e != 0 {
		return nil, e
	}
	f := inodeAt(i)
	f.ctime = fileTime()
	return f, 0
}

func chmodAt(fd, path, mode, flags uint64) uint64 {
	if flags&^(atNoFollow|atEmptyPath) != 0 {
		return errno(eINVAL)
	}
	n, e := namedBy(fd, path, flags)
	if e == 0 {
		e = changeMode(n, mode)
	}
	return errno(e)
}

func fchmod(fd, mode uint64) uint64 {
	n, e := ofDescriptor(fd)
	if e == 0 {
		e = changeMode(n, mode)
	}
	return errno(e)
}

func changeMode(n node, mode uint64) uint64 {
	if n.mode()&modeType == modeLink {
		return eOPNOTSUPP
	}
	f, e := changing(n)
	if e == 0 {
		f.mode = f.mode&modeType | uint32(mode)&0o7777
	}
	return e
}

func chownAt(fd, path, uid, gid, flags uint64) uint64 {
	if flags&^(atNoFollow|atEmptyPath) != 0 {
		return errno(eINVAL)
	}
	n, e := namedBy(fd, path, flags)
	if e == 0 {
		e = changeOwner(n, uint32(uid), uint32(gid))
	}
	return errno(e)
}

func fchown(fd, uid, gid uint64) uint64 {
	n, e := ofDescriptor(fd)
	if e == 0 {
		e = changeOwner(n, uint32(uid), uint32(gid))
	}
	return errno(e)
}

func changeOwner(n node, uid, gid uint32) uint64 {
	f, e := changing(n)
	if e != 0 {
		return e
	}
	if uid != ^uint32(0) {
		f.uid = uid
	}
	if gid != ^uint32(0) {
		f.gid = gid
	}
	return 0
}

const (
	utimeNow  = 0x3fff_ffff
	utimeOmit = 0x3fff_fffe
)

// utimensAt is utimensat(2); without a path it changes the descriptor's file.
func utimensAt(fd, path, times, flags uint64) uint64 {
	if flags&^(atNoFollow|atEmptyPath) != 0 {
		return errno(eINVAL)
	}
	var n node
	var e uint64
	if path == 0 {
		n, e = ofDescriptor(fd)
	} else {
		n, e = namedBy(fd, path, flags)
	}
	if e != 0 {
		return errno(e)
	}
	if times != 0 && !userRange(times, 32, false) {
		return errno(eFAULT)
	}
	f, e := changing(n)
	if e != 0 {
		return errno(e)
	}
	if times == 0 {
		f.atime, f.mtime = f.ctime, f.ctime
		return 0
	}
	f.atime = chosenTime(times, f.atime, f.ctime)
	f.mtime = chosenTime(times+16, f.mtime, f.ctime)
	return 0
}

func chosenTime(ts, old, now uint64) uint64 {
	switch ns := load64(ts + 8); ns {
	case utimeNow:
		return now
	case utimeOmit:
		return old
	default:
		return load64(ts)*nanos + ns
	}
}

func truncatePath(path, size uint64) uint64 {
	if int64(size) < 0 {
		return errno(eINVAL)
	}
	n, e := walkers[0].existing(atFDCWD, path, true)
	if e == 0 {
		e = resize(n, size)
	}
	return errno(e)
}

func ftruncate(fd, size uint64) uint64 {
	if int64(size) < 0 {
		return errno(eINVAL)
	}
	o := openFileOf(fd)
	if o == nil {
		return wrongDescriptor(fd, eINVAL)
	}
	if !o.writable() {
		return errno(eINVAL)
	}
	return errno(resize(o.node, size))
}

// resize cuts a file or extends it by zeros.
func resize(n node, size uint64) uint64 {
	switch {
	case n.isDir():
		return eISDIR
	case n.mode()&modeType != modeRegular:
		return eINVAL
	case size > fileMax:
		return eFBIG
	}
	i, e := own(n, size != 0)
	if e != 0 {
		return e
	}
	f := inodeAt(i)
	f.cut(size)
	f.size = size
	f.mtime = fileTime()
	f.ctime = f.mtime
	return 0
}

// fallocate makes sure that there is memory for a stretch of a file; mode 1 keeps the size.
func fallocate(fd, mode, offset, length uint64) uint64 {
	o := openFileOf(fd)
	end := offset + length
	switch {
	case o == nil && needDescriptor(fd) == 0:
		return errno(eNODEV)
	case o == nil:
		return errno(eBADF)
	case int64(offset) < 0 || int64(length) <= 0:
		return errno(eINVAL)
	case mode&^1 != 0:
		return errno(eOPNOTSUPP)
	case !o.writable():
		return errno(eBADF)
	case o.dev != 0:
		return errno(eNODEV)
	case end > fileMax:
		return errno(eFBIG)
	}
	f := inodeAt(uint32(o.node))
	for i := offset / pageSize; i*pageSize < end; i++ {
		if f.block(i, true) == 0 {
			return errno(eNOSPC)
		}
	}
	if mode == 0 {
		f.size = max(f.size, end)
	}
	return 0
}

package main

// The working directory and its path.

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

// pathOf writes the path of directory n to the end of b and returns where it starts.
func pathOf(n node, b []byte) (int, uint64) {
	i := len(b)
	for n != rootNode {
		name := nameOf(n)
		if len(name) == 0 {
			return 0, eNOENT
		}
		if len(name)+1 > i {
			return 0, eNAMETOOLONG
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
	return i, 0
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
	i, e := pathOf(workingDir, b[:len(b)-1])
	if e != 0 {
		return errno(e)
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

package main

// What is there when a program starts.

// prepareFiles makes the root directory and what every program expects to find, at the first use of a path.
func prepareFiles() {
	if filesReady {
		return
	}
	filesReady = true
	inodes.size, entries.size, longNames.size = inodeSize, entrySize, nameMax+1
	openFiles.size, pipes.size, sockets.size, connections.size = openFileSize, pipeSize, socketSize, connectionSize
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
	makeDevice(dev, "full", devFull)
	makeDevice(dev, "random", devRandom)
	makeDevice(dev, "urandom", devRandom)
	makeDevice(dev, "stdin", devStdin)
	makeDevice(dev, "stdout", devStdin+1)
	makeDevice(dev, "stderr", devStdin+2)
	makeEtc()
	makeGenerated()
	if dir := environment("PWD="); len(dir) > 0 && dir[0] == '/' {
		if at, e := walkers[1].from(rootNode, dir, followLink); e == 0 && at.node != 0 && at.node.isDir() {
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
	n := makeNew(dir, b, mode)
	if n != 0 {
		inodeAt(uint32(n)).device = device
	}
	return n
}

// makeNew makes a file that is not there yet.
func makeNew(dir node, name []byte, mode uint32) node {
	d := uint32(dir)
	if dir.inBundle() {
		var e uint64
		if d, e = own(dir, false); e != 0 {
			return 0
		}
	}
	i, e := makeNode(d, name, mode)
	if e != 0 {
		return 0
	}
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

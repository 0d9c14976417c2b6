package main

// What is there when a program starts.

// prepareFiles makes the root directory and what every program expects to find, at the first use of a path.
func prepareFiles() {
	if filesReady {
		return
	}
	filesReady = true
	inodes.size, entries.size, longNames.size = inodeSize, entrySize, nameMax+1
	openFiles.size, pipes.size, sockets.size = openFileSize, pipeSize, socketSize
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
	makeHosts()
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

// makeHosts makes /etc/hosts, from which Go knows what "localhost" means, unless the bundle has one.
func makeHosts() {
	const hosts = "127.0.0.1 localhost\n::1 localhost\n"
	etc := makeDefault("etc", modeDir|0o755, 0)
	if etc == 0 || !etc.isDir() || lookup(etc, bytesOf("hosts")) != 0 {
		return
	}
	if n := makeIn(etc, "hosts", modeRegular|0o644, 0); n != 0 {
		b := bytesOf(hosts)
		inodeAt(uint32(n)).writeAt(addressOf(&b[0]), uint64(len(b)), 0)
	}
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

package main

// Inodes: files, directories and links that the program made or changed. The data of a file hangs in a tree of frames
// with 512 addresses each; a missing frame reads as zeros.

// Bits of st_mode (inode(7)).
const (
	modeFIFO    = 0o010000
	modeDevice  = 0o020000
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
	modeSocket  = 0o140000
	modeType    = 0o170000
)

// fileMax bounds the size of a file.
const fileMax = 1 << 40

// inode is 128 bytes. The first word is not 0 while it is in use: tables chain what is free through it.
type inode struct {
	mode   uint32
	links  uint32
	refs   uint32 // open files and working directories
	lower  uint32 // the bundle's entry that it took the place of, plus 1
	uid    uint32
	gid    uint32
	device uint32 // of a device: one of devNull and so on

	// Directories.
	parent      uint32 // inode
	entry       uint32 // the entry that names it; 0 in the root and in a removed directory
	first, last uint32 // entries
	nextLower   uint32 // list of directories taken over from the bundle

	cookie uint64 // directories: of the next entry made
	size   uint64
	frames uint64 // of data and tree
	root   uint64 // the tree: a frame of data at height 0
	height uint64

	atime, mtime, ctime uint64 // nanoseconds since 1970

	magic     uint32 // of what the platform generates: its file system, else 0
	generator uint32 // of a generated file: its number in generatedFiles, plus 1
	_         [8]byte
}

var inodes table

func inodeAt(i uint32) *inode { return at[inode](inodes.at(i)) }

// fileTime is the time for time stamps.
func fileTime() uint64 { return nanotime() + wallBase }

// newInode returns the number of a new inode without links, or 0.
func newInode(mode uint32) uint32 {
	i := inodes.take()
	if i == 0 {
		return 0
	}
	n := inodeAt(i)
	now := fileTime()
	*n = inode{mode: mode, atime: now, mtime: now, ctime: now, cookie: firstCookie}
	return i
}

// dropInode frees inode i when neither names nor open files hold it.
func dropInode(i uint32) {
	n := inodeAt(i)
	if n.links != 0 || n.refs != 0 {
		return
	}
	n.cut(0)
	if n.mode&modeType == modeDir && n.lower != 0 {
		forgetLower(i)
	}
	inodes.put(i)
}

// capacity is how many blocks a tree of the given height reaches.
func capacity(height uint64) uint64 { return 1 << (9 * height) }

// block returns the frame of block i, or 0 when there is none and it is not to be made, or no memory for it.
func (n *inode) block(i uint64, create bool) uint64 {
	for i >= capacity(n.height) {
		if !create || !n.grow() {
			return 0
		}
	}
	slot := &n.root
	for h := n.height; ; h-- {
		if *slot == 0 {
			if !create {
				return 0
			}
			f := fileFrame()
			if f == 0 {
				return 0
			}
			*slot = f
			n.frames++
		}
		if h == 0 {
			return *slot
		}
		slot = at[uint64](direct(*slot) + i>>(9*(h-1))&511*8)
	}
}

// grow adds a level to the tree.
func (n *inode) grow() bool {
	if n.root != 0 {
		f := fileFrame()
		if f == 0 {
			return false
		}
		store64(direct(f), n.root)
		n.root = f
		n.frames++
	}
	n.height++
	return true
}

// cut makes the file size bytes long when it is longer, and frees what lies behind.
func (n *inode) cut(size uint64) {
	if n.mode&modeType == modeDir {
		return
	}
	keep := (size + pageSize - 1) / pageSize
	if n.cutTree(&n.root, n.height, 0, keep) {
		n.height = 0
	}
	if tail := size % pageSize; tail != 0 {
		if pa := n.block(size/pageSize, false); pa != 0 {
			clear(bytesAt(direct(pa)+tail, pageSize-tail))
		}
	}
	n.size = min(n.size, size)
}

// cutTree frees the blocks from number keep on below slot, whose first block is number first. It reports whether the whole
// subtree is gone.
func (n *inode) cutTree(slot *uint64, height, first, keep uint64) bool {
	if *slot == 0 {
		return true
	}
	empty := first >= keep
	if height > 0 {
		step := capacity(height - 1)
		for i := uint64(0); i < 512; i++ {
			if first+(i+1)*step > keep {
				n.cutTree(at[uint64](direct(*slot)+i*8), height-1, first+i*step, keep)
			}
		}
	}
	if empty {
		putFileFrame(*slot)
		*slot = 0
		n.frames--
	}
	return empty
}

// readAt copies from the file to the program's memory; the caller has checked the range. It returns how much.
func (n *inode) readAt(p, count, pos uint64) uint64 {
	if pos >= n.size {
		return 0
	}
	count = min(count, n.size-pos)
	for done := uint64(0); done < count; {
		offset := (pos + done) % pageSize
		k := min(pageSize-offset, count-done)
		if pa := n.block((pos+done)/pageSize, false); pa != 0 {
			copy(bytesAt(p+done, k), bytesAt(direct(pa)+offset, k))
		} else {
			clear(bytesAt(p+done, k))
		}
		done += k
		ackShootdown()
	}
	return count
}

// writeAt is the reverse; it returns less than count when there is no memory left.
func (n *inode) writeAt(p, count, pos uint64) uint64 {
	done := uint64(0)
	for done < count {
		offset := (pos + done) % pageSize
		k := min(pageSize-offset, count-done)
		pa := n.block((pos+done)/pageSize, true)
		if pa == 0 {
			break
		}
		copy(bytesAt(direct(pa)+offset, k), bytesAt(p+done, k))
		done += k
		ackShootdown()
	}
	if done != 0 {
		n.size = max(n.size, pos+done)
		n.mtime = fileTime()
		n.ctime = n.mtime
	}
	return done
}

package main

// Reading and writing open files.

// read reads at pos; the range is checked.
func (o *openFile) read(p, n, pos uint64) uint64 {
	switch o.dev {
	case devNull:
		return 0
	case devZero, devFull:
		clear(bytesAt(p, n))
		return n
	case devRandom:
		return randomBytes(p, n)
	}
	if o.node.isDir() {
		return errno(eISDIR)
	}
	if o.generator != 0 {
		return o.readGenerated(p, n, pos)
	}
	if !o.node.inBundle() {
		return inodeAt(uint32(o.node)).readAt(p, n, pos)
	}
	from, size := bundleFiles.contents(o.node.index())
	if pos >= size {
		return 0
	}
	n = min(n, size-pos)
	for done := uint64(0); done < n; done += pageSize {
		k := min(n-done, pageSize)
		copy(bytesAt(p+done, k), bytesAt(from+pos+done, k))
		ackShootdown()
	}
	return n
}

// write writes at pos; the range is checked.
func (o *openFile) write(p, n, pos uint64) uint64 {
	if o.dev == devFull {
		return errno(eNOSPC)
	}
	if o.dev != 0 {
		return n
	}
	if n == 0 {
		return 0
	}
	if pos >= fileMax {
		return errno(eFBIG)
	}
	done := inodeAt(uint32(o.node)).writeAt(p, min(n, fileMax-pos), pos)
	if done == 0 {
		return errno(eNOSPC)
	}
	return done
}

// ioStep is how much is copied before others get their turn: kernelLock is held and interrupts are off meanwhile.
const ioStep = 64 << 10

// transfer reads or writes at pos, in steps; advance moves the file's position. What is appended is not split, so that two
// do not mix.
func transfer(fd, p, n, pos uint64, write, advance bool) uint64 {
	i := descriptors[fd].index
	o := openFileAt(i)
	step := uint64(ioStep)
	if write && o.flags&oAppend != 0 {
		step = maxIO
	}
	holdFile(i) // somebody may close the descriptor at a step
	done := uint64(0)
	for {
		k := min(n-done, step)
		r := errno(eFAULT)
		switch {
		case !userRange(p+done, k, !write):
		case write:
			r = o.write(p+done, k, pos+done)
		default:
			r = o.read(p+done, k, pos+done)
		}
		if int64(r) < 0 && done == 0 {
			done = r
			break
		}
		if int64(r) > 0 {
			done += r
		}
		if r != k || done == n {
			break
		}
		giveWay()
	}
	if advance && int64(done) > 0 {
		o.pos = pos + done
	}
	releaseFile(i)
	return done
}

// giveWay lets other CPUs have kernelLock, and other threads this CPU, in the middle of a long call.
func giveWay() {
	cpu().expire(nanotime())
	yield()
	leave()
	kernelLock.lock()
}

// maxIO is the most that one call moves, as on Linux.
const maxIO = 0x7fff_f000

// readDescriptor is read(2) on what is not an eventfd, a vector or the console.
func readDescriptor(fd, p, n uint64) uint64 {
	n = min(n, maxIO)
	if fd < usedDescriptors && descriptors[fd].kind == fdPipeRead {
		return readPipe(&descriptors[fd], p, n)
	}
	if fd < usedDescriptors && descriptors[fd].kind == fdSocket {
		return socketTransfer(fd, &message{p: p, n: n, count: 1}, false)
	}
	o := openFileOf(fd)
	switch {
	case o == nil:
		return wrongDescriptor(fd, eINVAL)
	case !o.readable():
		return errno(eBADF)
	}
	return transfer(fd, p, n, o.pos, false, true)
}

func writeDescriptor(fd, p, n uint64) uint64 {
	n = min(n, maxIO)
	if fd < usedDescriptors && descriptors[fd].kind == fdPipeWrite {
		return writePipe(&descriptors[fd], p, n)
	}
	if fd < usedDescriptors && descriptors[fd].kind == fdSocket {
		return socketTransfer(fd, &message{p: p, n: n, count: 1}, true)
	}
	o := openFileOf(fd)
	switch {
	case o == nil:
		return wrongDescriptor(fd, eINVAL)
	case !o.writable():
		return errno(eBADF)
	}
	if o.flags&oAppend != 0 && o.dev == 0 && n != 0 {
		o.pos = inodeAt(uint32(o.node)).size
	}
	return transfer(fd, p, n, o.pos, true, true)
}

// wrongDescriptor answers with EBADF, or e when the descriptor is open but of another kind.
func wrongDescriptor(fd, e uint64) uint64 {
	if fd >= usedDescriptors || descriptors[fd].kind == fdFree || descriptors[fd].kind == fdPipeRead || descriptors[fd].kind == fdPipeWrite {
		return errno(eBADF)
	}
	return errno(e)
}

// fileAt is the open file of a descriptor that can be positioned.
func fileAt(fd uint64) (*openFile, uint64) {
	if o := openFileOf(fd); o != nil {
		return o, 0
	}
	if needDescriptor(fd) == 0 {
		return nil, errno(eSPIPE)
	}
	return nil, errno(eBADF)
}

// positioned is pread64(2) and pwrite64(2).
func positioned(call, fd, p, n, pos uint64) uint64 {
	if int64(pos) < 0 {
		return errno(eINVAL)
	}
	n = min(n, maxIO)
	o, e := fileAt(fd)
	write := call == sysPwrite64 || call == sysPwritev
	switch {
	case e != 0:
		return e
	case write && !o.writable() || !write && !o.readable():
		return errno(eBADF)
	case write && o.flags&oAppend != 0 && o.dev == 0: // as Linux has it, against POSIX
		pos = inodeAt(uint32(o.node)).size
	}
	return transfer(fd, p, n, pos, write, false)
}

const maxVectors = 1024

// vectored is readv(2) and writev(2).
func vectored(call, fd, v, count uint64) uint64 {
	if fd < usedDescriptors && descriptors[fd].kind == fdSocket {
		if count > maxVectors {
			return errno(eINVAL)
		}
		return socketTransfer(fd, &message{vectors: v, count: count}, call == sysWritev)
	}
	return eachVector(call, fd, v, count, 0)
}

// positionedVectored is preadv(2) and pwritev(2).
func positionedVectored(call, fd, v, count, pos uint64) uint64 {
	return eachVector(call, fd, v, count, pos)
}

func eachVector(call, fd, v, count, pos uint64) uint64 {
	if count > maxVectors {
		return errno(eINVAL)
	}
	if !userRange(v, count*16, false) {
		return errno(eFAULT)
	}
	total := uint64(0)
	for i := uint64(0); i < count; i++ {
		p, n := load64(v+i*16), load64(v+i*16+8)
		if n == 0 {
			continue
		}
		var r uint64
		switch call {
		case sysReadv:
			r = readAny(fd, p, n)
		case sysWritev:
			r = writeDescriptor(fd, p, n)
		default:
			r = positioned(call, fd, p, n, pos+total)
		}
		if int64(r) < 0 {
			if total != 0 {
				return total
			}
			return r
		}
		total += r
		if r < n {
			break
		}
	}
	return total
}

// readAny reads from a descriptor of any kind.
func readAny(fd, p, n uint64) uint64 {
	if fd < usedDescriptors && descriptors[fd].kind != fdFree {
		if r, ok := plainDescriptorCall(&descriptors[fd], sysRead, fd, p, n); ok {
			return r
		}
	}
	return readDescriptor(fd, p, n)
}

// seek is lseek(2). There are no holes that it would tell of.
func seek(fd, offset, whence uint64) uint64 {
	o, e := fileAt(fd)
	if e != 0 {
		return e
	}
	if o.dev != 0 {
		return 0
	}
	size := sizeOf(o.node)
	switch whence {
	case 0:
	case 1:
		offset += o.pos
	case 2:
		offset += size
	case 3, 4: // SEEK_DATA, SEEK_HOLE
		if offset >= size {
			return errno(eNXIO)
		}
		if whence == 4 {
			offset = size
		}
	default:
		return errno(eINVAL)
	}
	if int64(offset) < 0 {
		return errno(eINVAL)
	}
	o.pos = offset
	return offset
}

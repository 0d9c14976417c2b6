package main

// Pipes (pipe(7)): a ring of frames that come with the first bytes. Guarded by kernelLock.

const (
	pipeCapacity = ringCapacity
	pipeAtomic   = 4096 // PIPE_BUF: a write of no more is never split
	waitPipe     = 16   // what a thread waits for; waitAddr is the pipe's number
	sigPIPE      = 13
)

// pipe is 256 bytes; inUse is its first word.
type pipe struct {
	inUse   uint32
	readers uint32 // descriptors
	writers uint32
	busy    uint32 // threads that wait
	ring
	_ [96]byte
}

var pipes table

func pipeAt(i uint64) *pipe { return at[pipe](pipes.at(uint32(i))) }

// newPipe is pipe2(2).
func newPipe(result, flags uint64) uint64 {
	prepareFiles()
	if flags&^(oNonblock|oCloexec) != 0 {
		return errno(eINVAL)
	}
	if !userRange(result, 8, true) {
		return errno(eFAULT)
	}
	i := pipes.take()
	if i == 0 {
		return errno(eNFILE)
	}
	r := newDescriptor(0, fdPipeRead)
	w := newDescriptor(0, fdPipeWrite)
	if w == maxDescriptors {
		if r != maxDescriptors {
			descriptors[r] = descriptor{}
		}
		pipes.put(i)
		return errno(eMFILE)
	}
	*pipeAt(uint64(i)) = pipe{inUse: 1, readers: 1, writers: 1}
	for _, fd := range [2]uint64{r, w} {
		d := &descriptors[fd]
		d.index = uint64(i)
		d.flags = flags & oNonblock
		d.cloexec = flags&oCloexec != 0
	}
	descriptors[w].flags |= oWronly
	store32(result, uint32(r))
	store32(result+4, uint32(w))
	return 0
}

// closePipe takes one descriptor's hold from a pipe.
func closePipe(d *descriptor) {
	p := pipeAt(d.index)
	if d.kind == fdPipeRead {
		p.readers--
	} else {
		p.writers--
	}
	pipeEvent(d.index, fdPipeRead)
	pipeEvent(d.index, fdPipeWrite)
	freePipe(d.index)
}

func freePipe(i uint64) {
	p := pipeAt(i)
	if p.readers != 0 || p.writers != 0 || p.busy != 0 {
		return
	}
	p.release()
	p.inUse = 0
	pipes.put(uint32(i))
}

// pipeEvent tells who waits at one end of pipe i, or polls it, that something changed.
func pipeEvent(i uint64, end descriptorKind) {
	tellAny()
	if pipeAt(i).busy != 0 {
		for id := uint64(1); id < threadsMade; id++ {
			if t := threads[id]; t != nil && t.state == threadBlocked && t.wait == waitPipe && t.waitAddr == i {
				ready(t)
			}
		}
	}
	for fd := range descriptors[:usedDescriptors] {
		if d := &descriptors[fd]; d.polled && d.index == i && d.kind == end {
			tellPoller(uint64(fd))
		}
	}
}

// pipeReady is what epoll reports of a pipe's descriptor.
func pipeReady(d *descriptor) uint32 {
	p := pipeAt(d.index)
	events := uint32(0)
	if d.kind == fdPipeRead {
		if p.used() != 0 {
			events |= epollIn
		}
		if p.writers == 0 {
			events |= epollHup
		}
		return events
	}
	if p.used() <= pipeCapacity-pipeAtomic {
		events |= epollOut
	}
	if p.readers == 0 {
		events |= epollErr
	}
	return events
}

// wait blocks until something happens to pipe i. False: a signal came first.
func (p *pipe) wait(i uint64) bool {
	p.busy++
	_, interrupted := block(waitPipe, i, 0)
	p.busy--
	return !interrupted
}

func readPipe(d *descriptor, a, n uint64) uint64 {
	if !userRange(a, n, true) {
		return errno(eFAULT)
	}
	i := d.index
	r := pipeAt(i).read(i, d.flags, a, n)
	freePipe(i) // unless somebody has it open still
	return r
}

func (p *pipe) read(i, flags, a, n uint64) uint64 {
	for n != 0 && p.used() == 0 {
		switch {
		case p.writers == 0:
			return 0
		case flags&oNonblock != 0:
			return errno(eAGAIN)
		case !p.wait(i):
			return errno(eINTR)
		}
	}
	n = min(n, p.used())
	p.copyOut(bytesAt(a, n), 0)
	p.tail += n
	pipeEvent(i, fdPipeWrite)
	return n
}

func writePipe(d *descriptor, a, n uint64) uint64 {
	if !userRange(a, n, false) {
		return errno(eFAULT)
	}
	i := d.index
	done, e := pipeAt(i).write(i, d.flags, a, n)
	freePipe(i)
	if done != 0 {
		return done
	}
	if e == ePIPE {
		kill(cpu().current, sigPIPE)
	}
	return errno(e)
}

// write returns how much it wrote, and why not all.
func (p *pipe) write(i, flags, a, n uint64) (done, e uint64) {
	for done < n {
		if p.readers == 0 {
			return done, ePIPE
		}
		room := p.room()
		if room == 0 || n <= pipeAtomic && room < n-done {
			if flags&oNonblock != 0 {
				return done, eAGAIN
			}
			if !p.wait(i) {
				return done, eINTR
			}
			continue
		}
		k := p.put(bytesAt(a+done, min(room, n-done)))
		if k == 0 {
			return done, eNOMEM
		}
		done += k
		pipeEvent(i, fdPipeRead)
	}
	return done, 0
}

package main

// File descriptors: the console, eventfds, the poller, interrupt vectors, and files (files.go). Guarded by kernelLock.

type descriptorKind uint8

const (
	fdFree descriptorKind = iota
	fdConsole
	fdEvent  // eventfd(2): count
	fdVector // an interrupt vector: count, nonblocking, reported on its edge
	fdPoller // epoll(7)
	fdFile   // see files.go
	fdPipeRead
	fdPipeWrite
	fdSocket // see socket.go
)

type descriptor struct {
	kind  descriptorKind
	flags uint64 // O_NONBLOCK and the like, as fcntl(F_GETFL) shows them
	count uint64 // fdEvent, fdVector: what read returns
	index uint64 // fdVector: vector; fdConsole: stream; fdFile: openFiles; fdPipeRead and fdPipeWrite: pipes; fdSocket: sockets

	cloexec bool   // as F_GETFD shows it; there is no exec
	polled  bool   // registered with the poller
	edge    bool   // report only after a new event
	fresh   bool   // a new event since the last report
	poller  uint16 // the poller's descriptor
	want    uint32 // events that the poller reports
	data    uint64
}

const maxDescriptors = 1 << 14

// descriptors lie in a region of their own, to which frames come as numbers are used.
var (
	descriptors       *[maxDescriptors]descriptor
	usedDescriptors   uint64 // all numbers in use are below
	mappedDescriptors uint64 // bytes of the table that have frames
)

const descriptorRegion = 0xffff_d000_0000_0000

const (
	oNonblock = 0x800
	oRDWR     = 2
)

func initDescriptors() {
	descriptors = at[[maxDescriptors]descriptor](descriptorRegion)
	if !mapDescriptor(2) {
		fatal("no memory for file descriptors")
	}
	openConsole()
}

func openConsole() {
	usedDescriptors = 3
	for i := range uint64(3) {
		descriptors[i] = descriptor{kind: fdConsole, index: i, flags: oRDWR}
	}
}

// mapDescriptor sees to it that descriptor i has memory.
func mapDescriptor(i uint64) bool {
	for (i+1)*descriptorSize > mappedDescriptors {
		memLock.lock()
		pa := pool.frame()
		ok := pa != 0 && mapPage(descriptorRegion+mappedDescriptors, pa, pteW|pteNX)
		memLock.unlock()
		if !ok {
			return false
		}
		mappedDescriptors += pageSize
	}
	return true
}

func isConsole(fd uint64) bool {
	return fd < usedDescriptors && descriptors[fd].kind == fdConsole && fd != 0
}

// newDescriptor returns the lowest free number from first on, or maxDescriptors.
func newDescriptor(first uint64, kind descriptorKind) uint64 {
	i := first
	for i < usedDescriptors && descriptors[i].kind != fdFree {
		i++
	}
	if i >= maxDescriptors || !mapDescriptor(i) {
		return maxDescriptors
	}
	descriptors[i] = descriptor{kind: kind}
	usedDescriptors = max(usedDescriptors, i+1)
	return i
}

// Interrupt vectors of devices and events: those that descriptors can stand for.
const (
	firstDevice = 0x30
	lastDevice  = 0xe0
)

// vectorCount keeps interrupts that arrive before anybody opens the vector.
var vectorCount [lastDevice]uint64

// vectorHolder is the only descriptor of a vector. 0: there is none, or there are several.
var vectorHolder [lastDevice]uint16

func openVector(v uint64) uint64 {
	if v < firstDevice || v >= lastDevice {
		return errno(eINVAL)
	}
	fd := newDescriptor(3, fdVector)
	if fd == maxDescriptors {
		return errno(eMFILE)
	}
	d := &descriptors[fd]
	d.index = v
	d.flags = oNonblock | oRDWR
	d.count = vectorCount[v]
	d.fresh = d.count != 0
	vectorCount[v] = 0
	vectorHolder[v] = uint16(fd)
	for i := range descriptors[:usedDescriptors] {
		if o := &descriptors[i]; uint64(i) != fd && o.kind == fdVector && o.index == v {
			vectorHolder[v] = 0
		}
	}
	return fd
}

// raiseVector adds an interrupt to the descriptors of vector v.
func raiseVector(v uint64) {
	if fd := uint64(vectorHolder[v]); fd != 0 && descriptors[fd].kind == fdVector && descriptors[fd].index == v {
		signalDescriptor(fd, 1)
		return
	}
	found := false
	for i := range descriptors[:usedDescriptors] {
		if d := &descriptors[i]; d.kind == fdVector && d.index == v {
			signalDescriptor(uint64(i), 1)
			found = true
		}
	}
	if !found {
		vectorCount[v]++
	}
}

func signalDescriptor(fd, n uint64) {
	descriptors[fd].count += n
	tellAny()
	tellPoller(fd)
}

// descriptorCall handles the calls whose first argument is, or whose result makes, a descriptor.
func descriptorCall(f *frame, n uint64) (uint64, bool) {
	a, b, c := f.DI, f.SI, f.DX
	switch n {
	case sysEventfd2:
		fd := newDescriptor(3, fdEvent)
		if fd == maxDescriptors {
			return errno(eMFILE), true
		}
		descriptors[fd].count = a
		descriptors[fd].flags = b&oNonblock | oRDWR
		return fd, true
	case sysEpollCreate1, sysEpollCreate:
		fd := newDescriptor(3, fdPoller)
		if fd == maxDescriptors {
			return errno(eMFILE), true
		}
		return fd, true
	case sysPoll, sysPpoll, sysSelect, sysPselect6:
		return pollCall(f, n), true
	case sysRead, sysWrite, sysClose, sysFcntl:
		if a >= usedDescriptors || descriptors[a].kind == fdFree {
			return errno(eBADF), true
		}
		if r, ok := plainDescriptorCall(&descriptors[a], n, a, b, c); ok {
			return r, true
		}
	}
	if r, ok := socketCall(f, n); ok {
		return r, true
	}
	return fileCall(f, n)
}

func closeDescriptor(d *descriptor) {
	old := *d
	*d = descriptor{}
	switch old.kind {
	case fdFile:
		releaseFile(old.index)
	case fdPipeRead, fdPipeWrite:
		closePipe(&old)
	case fdSocket:
		releaseSocket(old.index)
	}
	for usedDescriptors > 3 && descriptors[usedDescriptors-1].kind == fdFree {
		usedDescriptors--
	}
}

func plainDescriptorCall(d *descriptor, n, fd, b, c uint64) (uint64, bool) {
	switch n {
	case sysClose:
		closeDescriptor(d)
		return 0, true
	case sysFcntl:
		return fcntl(d, fd, b, c), true
	case sysRead:
		switch d.kind {
		case fdEvent, fdVector:
			return readCount(d, b, c), true
		case fdConsole:
			return 0, true // end of file: there is no standard input
		}
	case sysWrite:
		if d.kind == fdEvent {
			return writeCount(fd, b, c), true
		}
	}
	return 0, false
}

func readCount(d *descriptor, p, n uint64) uint64 {
	if n < 8 {
		return errno(eINVAL)
	}
	if d.count == 0 {
		return errno(eAGAIN)
	}
	v := d.count
	d.count = 0
	if storeWords(p, v) != 0 {
		return errno(eFAULT) // and what was counted is lost, as on Linux
	}
	return 8
}

func writeCount(fd, p, n uint64) uint64 {
	if n < 8 {
		return errno(eINVAL)
	}
	if !userWords(p, 8, false) {
		return errno(eFAULT)
	}
	signalDescriptor(fd, load64(p))
	return 8
}

func fcntl(d *descriptor, fd, cmd, arg uint64) uint64 {
	switch cmd {
	case 0, 1030: // F_DUPFD, F_DUPFD_CLOEXEC
		if arg >= maxDescriptors {
			return errno(eINVAL)
		}
		n := duplicate(fd, arg)
		if int64(n) >= 0 {
			descriptors[n].cloexec = cmd != 0
		}
		return n
	case 1: // F_GETFD
		if d.cloexec {
			return 1
		}
		return 0
	case 2: // F_SETFD
		d.cloexec = arg&1 != 0
		return 0
	case 3: // F_GETFL
		if o := openFileOf(fd); o != nil {
			return uint64(o.flags &^ fileInUse)
		}
		if d.kind == fdSocket {
			return uint64(socketAt(d.index).flags) | oRDWR
		}
		return d.flags
	case 4: // F_SETFL
		if o := openFileOf(fd); o != nil {
			o.flags = o.flags&^(oNonblock|oAppend) | uint32(arg)&(oNonblock|oAppend)
			return 0
		}
		if d.kind == fdSocket {
			socketAt(d.index).flags = uint16(arg) & oNonblock
			return 0
		}
		d.flags = d.flags&^oNonblock | arg&oNonblock
		return 0
	case 5, 36: // F_GETLK, F_OFD_GETLK: no other process holds a lock
		if !userRange(arg, 32, true) {
			return errno(eFAULT)
		}
		*at[uint16](arg) = 2 // F_UNLCK
		return 0
	case 6, 7, 37, 38: // F_SETLK and the like
		return 0
	case 1031, 1032: // F_SETPIPE_SZ, F_GETPIPE_SZ
		if d.kind == fdPipeRead || d.kind == fdPipeWrite {
			return pipeCapacity
		}
		return errno(eBADF)
	}
	return errno(eINVAL)
}

// Pollers. A Go program has one, so a descriptor is registered with one at a time: the last that it was given to.

const (
	epollIn  = 1
	epollOut = 4
	epollErr = 8
	epollHup = 16
	epollET  = 1 << 31
	epollDel = 2  // EPOLL_CTL_DEL
	eventLen = 12 // struct epoll_event is packed
)

func epollCtl(poller, op, fd, event uint64) uint64 {
	if op != epollDel && !userWords(event, eventLen, false) {
		return errno(eFAULT)
	}
	if fd >= usedDescriptors || descriptors[fd].kind == fdFree {
		return errno(eBADF)
	}
	d := &descriptors[fd]
	switch d.kind {
	case fdEvent, fdVector, fdPipeRead, fdPipeWrite:
	case fdSocket:
		socketAt(d.index).watch = uint16(fd)
	default:
		return errno(ePERM) // always ready, as Linux says of files
	}
	if op == epollDel {
		d.polled = false
		return 0
	}
	d.polled = true
	d.poller = uint16(poller)
	d.want = load32(event) | epollErr | epollHup
	d.edge = d.want&epollET != 0
	d.data = load64(event + 4)
	happened(fd)
	return 0
}

// readyEvents is what epoll reports of d now.
func readyEvents(d *descriptor) uint32 { return readyMask(d) & d.want }

// readyMask is what is so of d now.
func readyMask(d *descriptor) uint32 {
	switch d.kind {
	case fdPipeRead, fdPipeWrite:
		return pipeReady(d)
	case fdSocket:
		return socketReady(socketAt(d.index))
	case fdEvent:
		if d.count == 0 {
			return epollOut
		}
		return epollIn | epollOut
	case fdVector:
		if d.count != 0 {
			return epollIn
		}
	}
	return 0
}

// timeoutMillis turns epoll_wait's timeout into nanoseconds; negative is for ever.
func timeoutMillis(ms uint64) int64 { return int64(int32(ms)) * 1_000_000 }

// pollGrain bounds a wait. Go rounds what is left of a sleep up to a millisecond, because epoll_wait knows nothing finer; a
// wait of one millisecond ends early with no event, so that Go looks at its clock again and sleeps are exact to a fifth of that.
func pollGrain(timeout int64) uint64 {
	if timeout > 1_000_000 {
		return never
	}
	return 200_000
}

func epollWait(poller, events, most uint64, timeout int64) uint64 {
	most = uint64(uint32(most))
	if most == 0 || most > (1<<31-1)/eventLen {
		return errno(eINVAL)
	}
	if end := events + most*eventLen; end < events || end > userEnd {
		return errno(eFAULT)
	}
	netPoll()
	if n := pollReady(poller, events, most); n != 0 || timeout == 0 {
		return n
	}
	deadline := uint64(0)
	if timeout > 0 {
		deadline = nanotime() + min(uint64(timeout), pollGrain(timeout))
	}
	for {
		if netSleep() {
			if n := pollReady(poller, events, most); n != 0 {
				return n
			}
		}
		timedOut, interrupted := block(waitPoll, poller, deadline)
		if interrupted {
			return errno(eINTR)
		}
		if n := pollReady(poller, events, most); n != 0 || timedOut {
			return n
		}
	}
}

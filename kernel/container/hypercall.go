package container

import "nom.dev/nom/abi"

// Result says how a hypercall went.
type Result struct {
	RAX     uint64
	Exit    bool // the caller's container is ending: RAX means nothing
	Resched bool // the timetable of the caller's core changed
}

// Hypercall does what a vCPU asks for. Every argument may be anything.
func (k *Kernel) Hypercall(v *VCPU, call abi.Call, args [6]uint64) Result {
	if call == abi.CallDebugWrite {
		return k.debugWrite(v.Container, args[0], args[1])
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := v.Container
	if !c.alive() {
		return Result{Exit: true}
	}
	var r Result
	core := v.core
	if core >= 0 {
		before := k.timetable.Frame(core)
		r.RAX = k.dispatch(c, call, args)
		r.Resched = k.timetable.Frame(core) != before
	} else {
		r.RAX = k.dispatch(c, call, args)
	}
	r.Exit = !c.alive()
	return r
}

func (k *Kernel) dispatch(c *Container, call abi.Call, a [6]uint64) uint64 {
	var value uint64
	var err abi.Errno
	switch call {
	case abi.CallNull, abi.CallYield:
	case abi.CallVersion:
		value = abi.Version
	case abi.CallNow:
		return k.m.Now()
	case abi.CallExit:
		k.endTree(c, abi.EndExit, uint32(a[0]), 0)
	case abi.CallCreate:
		value, err = k.callCreate(c, a[0])
	case abi.CallCopy:
		err = k.callCopy(c, a[0], a[1], a[2], a[3])
	case abi.CallLend:
		err = k.callLend(c, a[0], a[1], a[2], a[3], a[4])
	case abi.CallStart:
		err = k.callStart(c, a[0], a[1])
	case abi.CallStartVCPU:
		err = k.callStartVCPU(c, a[0], a[1])
	case abi.CallKill:
		err = k.callKill(c, a[0])
	case abi.CallStatus:
		err = k.callStatus(c, a[0], a[1])
	case abi.CallReap:
		err = k.callReap(c, a[0])
	case abi.CallGrantPages:
		err = k.callGrantPages(c, a[0], a[1])
	case abi.CallReclaimPages:
		err = k.callReclaimPages(c, a[0], a[1], a[2])
	case abi.CallReturnPages:
		err = k.callReturnPages(c, a[0], a[1])
	case abi.CallGrantCore:
		err = k.callGrantCore(c, a[0], a[1], a[2], a[3])
	case abi.CallReclaimCore:
		err = k.callReclaimCore(c, a[0], a[1], a[2], a[3])
	case abi.CallReturnCore:
		err = k.callReturnCore(c, a[0], a[1])
	case abi.CallNotify:
		err = k.callNotify(c, a[0], a[1])
	case abi.CallGrantPorts:
		err = k.callGrantPorts(c, a[0], a[1], a[2])
	case abi.CallGrantDevice:
		err = k.callGrantDevice(c, a[0], a[1], a[2])
	case abi.CallDescribeDevice:
		err = k.callDescribeDevice(c, a[0], a[1])
	case abi.CallLimitDevice:
		err = k.callLimitDevice(c, a[0], a[1], abi.DeviceLimit{SendBits: a[2], SendFrames: a[3], ReceiveBits: a[4], ReceiveFrames: a[5]})
	case abi.CallDeviceStatus:
		err = k.callDeviceStatus(c, a[0], a[1], a[2])
	case abi.CallRoute:
		err = k.callRoute(c, a[0], a[1], a[2], a[3])
	case abi.CallMaskDevice:
		err = k.callMaskDevice(c, a[0], a[1], a[2])
	case abi.CallMark:
		err = k.callMark(c, a[0])
	default:
		err = abi.ENOSYS
	}
	if err != 0 {
		return err.RAX()
	}
	return value
}

// child finds a child of c by its id. What is not a child of c does not exist for it.
func (c *Container) child(id uint64) (*Container, abi.Errno) {
	for _, child := range c.children {
		if uint64(child.ID) == id {
			return child, 0
		}
	}
	return nil, abi.ENOENT
}

// liveChild is child, but EBUSY when it has ended or is about to.
func (c *Container) liveChild(id uint64) (*Container, abi.Errno) {
	child, err := c.child(id)
	if err == 0 && !child.alive() {
		return nil, abi.EBUSY
	}
	return child, err
}

// callNotify is notify(id, bits).
func (k *Kernel) callNotify(c *Container, id, bits uint64) abi.Errno {
	if bits == 0 || bits&^uint64(abi.EventUser) != 0 {
		return abi.EINVAL
	}
	if id == 0 {
		if c.Parent == nil {
			return abi.ENOENT
		}
		c.Parent.childEvents++
		k.raise(c.Parent, bits|abi.EventChild)
		return 0
	}
	child, err := c.liveChild(id)
	if err == 0 {
		k.raise(child, bits)
	}
	return err
}

// callMark is mark(milestone).
func (k *Kernel) callMark(c *Container, milestone uint64) abi.Errno {
	if milestone != abi.MarkMain {
		return abi.EINVAL
	}
	if c.mainTSC == 0 {
		c.mainTSC = k.m.Now()
	}
	return 0
}

// bucket limits a rate: it fills by abi.DebugWriteRate bytes a second up to one second's worth.
type bucket struct{ bytes, filled uint64 }

func (b *bucket) take(n, now, hz uint64) bool {
	elapsed := min(now-b.filled, hz)
	if more := elapsed * abi.DebugWriteRate / hz; more > 0 {
		b.bytes = min(b.bytes+more, abi.DebugWriteRate)
		b.filled = now
	}
	if n > b.bytes {
		return false
	}
	b.bytes -= n
	return true
}

// debugWrite is debugwrite(address, bytes). It prints without the lock: consoles are slow.
func (k *Kernel) debugWrite(c *Container, gpa, n uint64) Result {
	var buf [abi.DebugWriteMax]byte
	k.mu.Lock()
	if !c.alive() {
		k.mu.Unlock()
		return Result{Exit: true}
	}
	err := abi.EINVAL
	if n <= abi.DebugWriteMax {
		err = k.copyIn(c, buf[:n], gpa)
	}
	if err == 0 && !c.debug.take(n, k.m.Now(), k.cfg.TSCHz) {
		err = abi.EAGAIN
	}
	k.mu.Unlock()
	if err != 0 {
		return Result{RAX: err.RAX()}
	}
	k.printing.Lock()
	defer k.printing.Unlock()
	k.m.DebugWrite(c, buf[:n])
	return Result{}
}

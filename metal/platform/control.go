package main

import (
	"sync/atomic"

	"nom.dev/nom/abi"
)

// What the parent asks of this platform, through the Control in the console ring (abi.Control): signals for the program, and a
// look into it. Requests are about the program that the container is for, never about its companion. A request is answered in
// the event interrupt, on vCPU 0, so all of them take a bounded time.

// controlAnswered is the Sequence of the last request that was answered; only vCPU 0 uses it.
var controlAnswered uint32

// handleControl answers the request in c if there is a new one, and reports whether there was.
func handleControl(c *abi.Control) bool {
	seq := atomic.LoadUint32(&c.Sequence)
	command, args := c.Command, c.Args
	if seq == controlAnswered || seq&1 != 0 || atomic.LoadUint32(&c.Sequence) != seq {
		return false
	}
	controlAnswered = seq
	size, result := control(command, &args, &c.Data)
	c.Size, c.Result = uint32(size), int64(result)
	atomic.StoreUint32(&c.Answered, seq)
	return true
}

// control carries out one request. It returns how many bytes of data it wrote, and 0 or a negative errno.
func control(command uint32, args *[3]uint64, data *[abi.ControlData]byte) (size, result uint64) {
	switch command {
	case abi.ControlSignal:
		return 0, signalProgram(args[0])
	case abi.ControlCalls:
		return countCalls(args[0], data), 0
	case abi.ControlRead:
		return readProgram(args[0], min(args[1], abi.ControlData), data), 0
	case abi.ControlProfile:
		return 0, startProfile(args[0])
	case abi.ControlSamples:
		return takeSamples(data)
	case abi.ControlCapture:
		return 0, startCapture(args[0])
	case abi.ControlFrames:
		return takeCaptured(data)
	}
	return 0, errno(eNOSYS)
}

// checkControl looks for a request, and tells the parent when it was answered.
func checkControl() {
	if bootPage.Console == 0 {
		return
	}
	if handleControl(&at[abi.ConsoleRing](direct(bootPage.Console)).Control) {
		vmmcall(uint64(abi.CallNotify), 0, abi.ConsoleBit, 0, 0, 0, 0)
	}
}

// countCalls writes the counters of system calls from number first on.
func countCalls(first uint64, data *[abi.ControlData]byte) uint64 {
	n := uint64(0)
	for ; first < numSyscalls && n < abi.ControlData; first++ {
		v := stats.calls[programMain][first]
		if stats.missing[first] {
			v |= abi.ControlMissing
		}
		store64(addressOf(data)+n, v)
		n += 8
	}
	return n
}

// readProgram copies up to n bytes of the program's memory at p, and returns how many it may read. It makes nothing present,
// and touches the frames only where they always are: another CPU may unmap them at any time.
func readProgram(p, n uint64, data *[abi.ControlData]byte) uint64 {
	done := uint64(0)
	for done < n {
		k := min(n-done, pageSize-p%pageSize)
		if !userRange(p, k, false) {
			break
		}
		memLock.lock()
		pa, ok := translate(p)
		if ok {
			copy(data[done:done+k], bytesAt(direct(pa), k))
		} else {
			clear(data[done : done+k])
		}
		memLock.unlock()
		done += k
		p += k
	}
	return done
}

package main

// A container may have two programs: the one that it is for, and a companion, which connects the sockets of the first with the
// network function (see uplink). Each is an executable of its own with its own Go runtime; what one allocates the other
// does not collect. They share the address space, the vCPUs, and the descriptors: the companion sees the same loopback
// sockets. What Linux keeps for each process, and Go's runtime relies on, is kept for each program: how signals are
// handled. Threads know which program they belong to, and pollers only report what was registered with them.

const (
	programMain = iota
	programCompanion
	numPrograms
)

// actions are the signal handlers of t's program.
func (t *thread) actions() *[65]sigaction { return &sigactions[t.program] }

// waitingMain is the program's first thread until its companion is ready: a program that connects to somebody at once
// must find the network there.
var waitingMain *thread

// startMain is call.StartProgram.
func startMain(f *frame) {
	kernelLock.lock()
	f.AX = 0
	if t := waitingMain; t != nil && cpu().current.program == programCompanion {
		waitingMain = nil
		ready(t)
	} else {
		f.AX = errno(ePERM)
	}
	leave()
}

package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestSignalMeetsReturn: a signal that comes while its thread returns from a handler, which had blocked it, on another CPU without the
// lock, is seen by one of them: the thread finds it pending, or who sends it finds that nothing blocks it any more.
func TestSignalMeetsReturn(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("two processors are needed for two things at once")
	}
	fakeMachine(t, 16, nil)
	const term = 1 << (sigTERM - 1)
	stack := alignedBytes(t, pageSize)
	uc := addressOf(&stack[0])
	target := &thread{mask: never}
	fakeThreads(t, target)
	sigactions[programMain][sigTERM].handler = testHandler
	saved := cpus[1]
	defer func() { cpus[1] = saved }()
	cpus[1] = cpuState{id: 1, current: target}
	cpus[1].self = addressOf(&cpus[1])

	var round, done atomic.Uint32 // of the thread, which waits for one and ends the other
	var found atomic.Bool
	var delay atomic.Uint32
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its GS
		const setGS = 0x1001
		if _, _, e := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, setGS, uintptr(cpus[1].self), 0); e != 0 {
			round.Store(never32)
		}
		for n := uint32(1); ; n++ {
			done.Store(n - 1)
			for r := round.Load(); r != n; r = round.Load() {
				if r == never32 {
					done.Store(never32)
					return
				}
			}
			f := &frame{SP: uc}
			sigreturn(f)
			found.Store(target.pending != 0 || atomic.LoadUint64(&waitingSignals) != 0)
		}
	}()
	for n := uint32(1); n <= 50_000; n++ {
		for done.Load() != n-1 {
			if done.Load() == never32 {
				t.Fatal("arch_prctl(ARCH_SET_GS) of a second thread failed")
			}
			runtime.Gosched()
		}
		target.state, target.wait, target.broken = threadBlocked, waitFutex, false
		target.pending, target.sigmask = 0, term
		waitingSignals, cpus[0].queue = 0, threadQueue{}
		round.Store(n)
		for range n / 2 % 200 { // until the thread has seen it
			delay.Add(1)
		}
		if n%2 == 0 {
			signalProgram(sigTERM)
		} else {
			kill(target, sigTERM)
		}
		for done.Load() != n {
			runtime.Gosched()
		}
		if !target.broken && !found.Load() {
			t.Errorf("round %d: the signal is pending (%#x at the thread, %#x waiting), nothing blocks it (%#x), and nobody knows",
				n, target.pending, waitingSignals, target.sigmask)
			break
		}
	}
	round.Store(never32)
}

const never32 = ^uint32(0)

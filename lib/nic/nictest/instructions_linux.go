package nictest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// countEnv tells the process that is counted which of its test's calls of Instructions is meant.
const countEnv = "NOM_COUNT_CALL"

// mostSteps bounds a count: a step takes microseconds.
const mostSteps = 2_000_000

// patience is how long 1000 steps may take.
const patience = 5 * time.Second

// errStuck says that the counted process ended, probably because it did not get on.
var errStuck = errors.New("the counted process ended")

// calls is how often each test has called Instructions.
var calls = map[string]int{}

// Instructions counts the machine instructions that run executes, one by one: the test is run again in a process of its own, whose
// thread is single-stepped. The count is exact and the same every time, on any computer. Tests that call it must not run in parallel
// and must reach the call in the same way each time. It skips the test where tracing is not allowed.
func Instructions(t *testing.T, run func()) int {
	t.Helper()
	call := calls[t.Name()]
	calls[t.Name()]++
	t.Cleanup(func() { delete(calls, t.Name()) }) // the test may run once more
	if wanted, counted := os.LookupEnv(countEnv); counted {
		if wanted == strconv.Itoa(call) {
			beCounted(run)
		}
		return 0
	}
	n, err := count(t.Name(), call)
	for attempt := 0; errors.Is(err, errStuck) && attempt < 5; attempt++ {
		n, err = count(t.Name(), call)
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Skip("counting instructions is not allowed here:", err)
	}
	if err != nil {
		t.Fatal("counting instructions:", err)
	}
	return n
}

// beCounted is what the counted process does. It marks begin and end with breakpoints.
func beCounted(run func()) {
	runtime.LockOSThread()
	runtime.GC()
	debug.SetGCPercent(-1)
	told, ask := os.NewFile(3, "told"), os.NewFile(4, "ask")
	fmt.Fprintln(ask, syscall.Gettid())
	_, _ = io.ReadFull(told, make([]byte, 1))
	runtime.Breakpoint()
	run()
	runtime.Breakpoint()
	os.Exit(0)
}

// count starts the process and steps through it.
func count(test string, call int) (int, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(regexp.QuoteMeta(test), "/", "$/^")+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), countEnv+"="+strconv.Itoa(call), "GODEBUG=asyncpreemptoff=1")
	told, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer tell.Close()
	ask, asked, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ask.Close()
	cmd.ExtraFiles = []*os.File{told, asked}
	err = cmd.Start()
	told.Close()
	asked.Close()
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed: the error says so
	}()
	line, err := bufio.NewReader(ask).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the process did not reach the call: %w", err)
	}
	tid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0, err
	}
	return step(cmd.Process.Pid, tid, func() error { _, err := tell.Write([]byte{1}); return err })
}

// step attaches to a thread of a process, lets it go on with release, and counts from its first breakpoint to its second. The other
// threads stand still meanwhile: they would take the slow one for one that must be preempted.
func step(pid, tid int, release func() error) (n int, err error) {
	runtime.LockOSThread() // a thread may trace only what it attached to itself
	defer runtime.UnlockOSThread()
	attached := map[int]bool{}
	// The process has served. A traced thread stays until who traced it has seen its end, and the process with it.
	defer func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		for tid := range attached {
			for tid != pid {
				if _, err := stopped(tid); err != nil {
					break
				}
			}
		}
	}()
	attach := func(tid int) error {
		if err := syscall.PtraceAttach(tid); err != nil {
			return err
		}
		attached[tid] = true
		_, err := stopped(tid)
		return err
	}
	if err := attach(tid); err != nil {
		return 0, err
	}
	for fresh := true; fresh; { // until nobody is left who could start another
		fresh = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return 0, err
		}
		for _, task := range tasks {
			if other, err := strconv.Atoi(task.Name()); err == nil && !attached[other] {
				fresh = true
				if err := attach(other); err != nil {
					return 0, err
				}
			}
		}
	}
	// When a thread that stands still holds what the counted one needs, nothing would ever happen.
	watchdog := time.AfterFunc(patience, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	defer watchdog.Stop()
	if err := release(); err != nil {
		return 0, err
	}
	for signal := syscall.Signal(0); signal != syscall.SIGTRAP; {
		if err := syscall.PtraceCont(tid, 0); err != nil {
			return 0, err
		}
		if signal, err = stopped(tid); err != nil {
			return 0, err
		}
	}
	return walk(tid, watchdog)
}

// walk single-steps a thread that stands after a breakpoint until it stands there again.
func walk(tid int, watchdog *time.Timer) (n int, err error) {
	var first, now syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &first); err != nil {
		return 0, err
	}
	for n < mostSteps {
		if n%1000 == 0 {
			watchdog.Reset(patience)
		}
		if err := syscall.PtraceSingleStep(tid); err != nil {
			return 0, err
		}
		signal, err := stopped(tid)
		if err != nil {
			return 0, err
		}
		if signal != syscall.SIGTRAP {
			continue // a signal of the Go runtime: left out
		}
		if err := syscall.PtraceGetRegs(tid, &now); err != nil {
			return 0, err
		}
		if now.Rip == first.Rip {
			return n, nil
		}
		n++
	}
	return 0, fmt.Errorf("more than %d instructions", mostSteps)
}

// stopped waits until the thread has stopped, and says for which signal.
func stopped(tid int) (syscall.Signal, error) {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(tid, &status, syscall.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		if !status.Stopped() {
			return 0, fmt.Errorf("%w: status %#x", errStuck, uint32(status))
		}
		return status.StopSignal(), nil
	}
}

// Wild gives system calls pointers to what is not there, or not to be written. What it prints is the same on Linux.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// Numbers that package syscall does not name.
const (
	sysGetrandom = 318
	sysGetcpu    = 309
	futexPrivate = 128
	pageSize     = 4096
)

// p stands for the pointer among the arguments, and a for one that is good.
const (
	p = 0x5050_5050_5050
	a = 0x6060_6060_6060
)

var calls = []struct {
	name  string
	n     uintptr
	args  [6]uintptr
	write bool
}{
	{"futex wait", syscall.SYS_FUTEX, [6]uintptr{p, 0 | futexPrivate}, false},
	{"futex wait, shared", syscall.SYS_FUTEX, [6]uintptr{p, 0}, false},
	{"futex wait, time", syscall.SYS_FUTEX, [6]uintptr{a, 0 | futexPrivate, 0, p}, false},
	{"futex wait bitset, time", syscall.SYS_FUTEX, [6]uintptr{a, 9 | futexPrivate, 0, p, 0, 1}, false},
	{"futex wake, shared", syscall.SYS_FUTEX, [6]uintptr{p, 1, 1}, false},
	{"nanosleep", syscall.SYS_NANOSLEEP, [6]uintptr{p}, false},
	{"clock_nanosleep", syscall.SYS_CLOCK_NANOSLEEP, [6]uintptr{1, 0, p}, false},
	{"clock_gettime", syscall.SYS_CLOCK_GETTIME, [6]uintptr{1, p}, true},
	{"clock_getres", syscall.SYS_CLOCK_GETRES, [6]uintptr{1, p}, true},
	{"gettimeofday", syscall.SYS_GETTIMEOFDAY, [6]uintptr{p}, true},
	{"rt_sigaction", syscall.SYS_RT_SIGACTION, [6]uintptr{23, p, 0, 8}, false},
	{"rt_sigaction, old", syscall.SYS_RT_SIGACTION, [6]uintptr{23, 0, p, 8}, true},
	{"rt_sigprocmask", syscall.SYS_RT_SIGPROCMASK, [6]uintptr{0, p, 0, 8}, false},
	{"rt_sigprocmask, old", syscall.SYS_RT_SIGPROCMASK, [6]uintptr{0, 0, p, 8}, true},
	{"sigaltstack", syscall.SYS_SIGALTSTACK, [6]uintptr{p}, false},
	{"sigaltstack, old", syscall.SYS_SIGALTSTACK, [6]uintptr{0, p}, true},
	{"uname", syscall.SYS_UNAME, [6]uintptr{p}, true},
	{"sched_getaffinity", syscall.SYS_SCHED_GETAFFINITY, [6]uintptr{0, 128, p}, true},
	{"sched_setaffinity", syscall.SYS_SCHED_SETAFFINITY, [6]uintptr{0, 8, p}, false},
	{"getrandom", sysGetrandom, [6]uintptr{p, 100}, true},
	{"prlimit64", syscall.SYS_PRLIMIT64, [6]uintptr{0, 7, p}, false},
	{"prlimit64, old", syscall.SYS_PRLIMIT64, [6]uintptr{0, 7, 0, p}, true},
	{"getrlimit", syscall.SYS_GETRLIMIT, [6]uintptr{7, p}, true},
	{"getrusage", syscall.SYS_GETRUSAGE, [6]uintptr{0, p}, true},
	{"times", syscall.SYS_TIMES, [6]uintptr{p}, true},
	{"sysinfo", syscall.SYS_SYSINFO, [6]uintptr{p}, true},
	{"getcpu", sysGetcpu, [6]uintptr{p}, true},
	{"getresuid", syscall.SYS_GETRESUID, [6]uintptr{a, p, a}, true},
	{"pipe2", syscall.SYS_PIPE2, [6]uintptr{p}, true},
	{"epoll_ctl", syscall.SYS_EPOLL_CTL, [6]uintptr{poller, 1, event, p}, false},
	{"epoll_wait", syscall.SYS_EPOLL_WAIT, [6]uintptr{poller, p, 1, 0}, true},
	{"eventfd read", syscall.SYS_READ, [6]uintptr{event, p, 8}, true},
	{"eventfd write", syscall.SYS_WRITE, [6]uintptr{event, p, 8}, false},
	{"write", syscall.SYS_WRITE, [6]uintptr{1, p, 10}, false},
	{"writev", syscall.SYS_WRITEV, [6]uintptr{1, p, 1}, false},
	{"stat", syscall.SYS_STAT, [6]uintptr{p, a}, false},
	{"fstat", syscall.SYS_FSTAT, [6]uintptr{1, p}, true},
	{"getcwd", syscall.SYS_GETCWD, [6]uintptr{p, 100}, true},
	{"chdir", syscall.SYS_CHDIR, [6]uintptr{p}, false},
}

// partial are calls that do something when the first two bytes are good: some of the work, or EINVAL for the odd address.
var partial = map[uintptr]bool{sysGetrandom: true, syscall.SYS_FUTEX: true, syscall.SYS_WRITE: true, syscall.SYS_STAT: true, syscall.SYS_CHDIR: true}

// Numbers that the descriptors of these tests get.
const (
	poller = 100
	event  = 101
)

func main() {
	runtime.LockOSThread()
	memory, err := syscall.Mmap(-1, 0, 3*pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	check(err)
	good := address(memory)
	hidden := good + pageSize
	check(syscall.Mprotect(memory[pageSize:2*pageSize], syscall.PROT_NONE))
	readOnly := good + 2*pageSize
	check(syscall.Mprotect(memory[2*pageSize:], syscall.PROT_READ))
	descriptors()
	places := []struct {
		name   string
		p      uintptr
		reads  bool // can be read
		nobody bool // is no address of a program
	}{
		{name: "nil", p: 8}, {name: "hidden", p: hidden}, {name: "before hidden", p: hidden - 2}, {name: "read-only", p: readOnly, reads: true},
		{name: "0x70001000", p: 0x7000_1000}, {name: "kernel", p: 0xffff_8000_0010_0000, nobody: true},
		{name: "kernel stack", p: 0xffff_c000_0000_ff00, nobody: true}, {name: "not canonical", p: 1 << 60, nobody: true}, {name: "last", p: ^uintptr(7), nobody: true},
	}
	for _, c := range calls {
		for _, w := range places {
			if w.reads && !c.write || w.name == "before hidden" && partial[c.n] {
				continue
			}
			fmt.Printf("%s, %s: %v\n", c.name, w.name, call(c.n, c.args, w.p, good))
			if c.name == "eventfd read" {
				raise()
			}
		}
	}
	for _, w := range places {
		if w.nobody {
			fmt.Printf("private wake, %s: %v\n", w.name, call(syscall.SYS_FUTEX, [6]uintptr{p, 1 | futexPrivate, 1}, w.p, good))
		}
	}
	fmt.Printf("private wake, hidden: %v\n", call(syscall.SYS_FUTEX, [6]uintptr{p, 1 | futexPrivate, 1}, hidden, good))
	fmt.Printf("private wake, odd: %v\n", call(syscall.SYS_FUTEX, [6]uintptr{p, 1 | futexPrivate, 1}, good+2, good))
	fmt.Printf("arch_prctl, kernel: %v\n", call(syscall.SYS_ARCH_PRCTL, [6]uintptr{0x1002, p}, 0xffff_8000_0000_0000, good))
	fmt.Println("still there")
}

func call(n uintptr, args [6]uintptr, bad, good uintptr) syscall.Errno {
	for i, v := range args {
		switch v {
		case p:
			args[i] = bad
		case a:
			args[i] = good
		}
	}
	_, _, e := syscall.RawSyscall6(n, args[0], args[1], args[2], args[3], args[4], args[5])
	return e
}

// descriptors makes a poller that waits for an eventfd that is ready.
func descriptors() {
	fd, err := syscall.EpollCreate1(0)
	check(err)
	move(fd, poller)
	fd2, _, e := syscall.RawSyscall(syscall.SYS_EVENTFD2, 1, syscall.O_NONBLOCK, 0)
	if e != 0 {
		check(e)
	}
	move(int(fd2), event)
	check(syscall.EpollCtl(poller, syscall.EPOLL_CTL_ADD, event, &syscall.EpollEvent{Events: syscall.EPOLLIN}))
}

func move(from, to int) {
	check(syscall.Dup3(from, to, 0))
	check(syscall.Close(from))
}

func raise() {
	_, err := syscall.Write(event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

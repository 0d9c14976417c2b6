package main

import (
	"testing"

	"nom.dev/nom/abi"
)

// pointer stands for the pointer under test among the arguments of a call, good for one that is good.
const (
	pointer = 0x5050_5050_5050
	good    = 0x6060_6060_6060
)

// pointerCall is a system call with one pointer to size bytes.
type pointerCall struct {
	name  string
	n     uint64
	args  [6]uint64
	size  uint64
	write bool // the call writes there
}

var pointerCalls = []pointerCall{
	{"futex wait", sysFutex, [6]uint64{pointer, futexWait}, 4, false},
	{"private futex wait", sysFutex, [6]uint64{pointer, futexWait | futexPrivate}, 4, false},
	{"futex wait, time", sysFutex, [6]uint64{good, futexWait, 0, pointer}, 16, false},
	{"futex wait bitset, time", sysFutex, [6]uint64{good, futexWaitBitset, 0, pointer, 0, 1}, 16, false},
	{"futex wake", sysFutex, [6]uint64{pointer, futexWake, 1}, 4, false},
	{"nanosleep", sysNanosleep, [6]uint64{pointer}, 16, false},
	{"clock_nanosleep", sysClockNanosleep, [6]uint64{1, 0, pointer}, 16, false},
	{"clock_nanosleep, absolute", sysClockNanosleep, [6]uint64{1, 1, pointer}, 16, false},
	{"clock_gettime", sysClockGettime, [6]uint64{1, pointer}, 16, true},
	{"clock_getres", sysClockGetres, [6]uint64{1, pointer}, 16, true},
	{"gettimeofday", sysGettimeofday, [6]uint64{pointer}, 16, true},
	{"gettimeofday, zone", sysGettimeofday, [6]uint64{0, pointer}, 8, true},
	{"rt_sigaction", sysSIGACTION, [6]uint64{sigURG, pointer, 0, 8}, 32, false},
	{"rt_sigaction, old", sysSIGACTION, [6]uint64{sigURG, 0, pointer, 8}, 32, true},
	{"rt_sigprocmask", sysSIGPROCMASK, [6]uint64{0, pointer, 0, 8}, 8, false},
	{"rt_sigprocmask, old", sysSIGPROCMASK, [6]uint64{0, 0, pointer, 8}, 8, true},
	{"sigaltstack", sysSIGALTSTACK, [6]uint64{pointer}, 24, false},
	{"sigaltstack, old", sysSIGALTSTACK, [6]uint64{0, pointer}, 24, true},
	{"uname", sysUname, [6]uint64{pointer}, 390, true},
	{"sched_getaffinity", sysGetaffinity, [6]uint64{0, 8, pointer}, 8, true},
	{"sched_setaffinity", sysSetaffinity, [6]uint64{0, 8, pointer}, 8, false},
	{"getrandom", sysGetrandom, [6]uint64{pointer, 100}, 100, true},
	{"prlimit64", sysPrlimit64, [6]uint64{0, rlimitNofile, pointer}, 16, false},
	{"prlimit64, old", sysPrlimit64, [6]uint64{0, rlimitNofile, 0, pointer}, 16, true},
	{"getrlimit", sysGetrlimit, [6]uint64{rlimitNofile, pointer}, 16, true},
	{"getrusage", sysGetrusage, [6]uint64{0, pointer}, 144, true},
	{"times", sysTimes, [6]uint64{pointer}, 32, true},
	{"sysinfo", sysSysinfo, [6]uint64{pointer}, 112, true},
	{"getcpu", sysGetcpu, [6]uint64{pointer}, 4, true},
	{"getcpu, node", sysGetcpu, [6]uint64{0, pointer}, 4, true},
	{"getresuid", sysGetresuid, [6]uint64{good, pointer, good}, 4, true},
	{"pipe2", sysPipe2, [6]uint64{pointer}, 8, true},
	{"epoll_ctl", sysEpollCtl, [6]uint64{3, 1, 4, pointer}, eventLen, false},
	{"epoll_pwait", sysEpollPwait, [6]uint64{3, pointer, 1, 0}, eventLen, true},
	{"read of an eventfd", sysRead, [6]uint64{4, pointer, 8}, 8, true},
	{"write to an eventfd", sysWrite, [6]uint64{4, pointer, 8}, 8, false},
	{"write to the console", sysWrite, [6]uint64{1, pointer, 100}, 100, false},
	{"writev to the console", sysWritev, [6]uint64{1, pointer, 2}, 32, false},
	{"stat, name", sysStat, [6]uint64{pointer, good}, 1, false},
	{"fstat", sysFstat, [6]uint64{1, pointer}, 144, true},
	{"getcwd", sysGetcwd, [6]uint64{pointer, 100}, 2, true},
	{"openat", sysOpenat, [6]uint64{^uint64(99), pointer}, 1, false},
}

// pointerMachine has an eventfd with something in it at number 4, a poller at 3 in which it is, and two pages of memory, the
// second of which can only be read. It returns the address of the first.
func pointerMachine(t *testing.T) uint64 {
	fakeMachine(t, 2048, nil)
	page := addressOf(&alignedBytes(t, 4*pageSize)[0]) + pageSize
	prepareFiles()
	must(t, "epoll_create1", sysEpollCreate1)
	must(t, "eventfd2", sysEventfd2, 1, oNonblock)
	vmas = vmaTable{}
	vmaShrinks++
	vmas.insert(page, page+pageSize, protRead|protWrite)
	vmas.insert(page+pageSize, page+2*pageSize, protRead)
	bootPage.Segments[0] = abi.Segment{VA: abi.PlatformAddr, Size: 1 << 20, Prot: abi.ProtRead | abi.ProtWrite}
	bootPage.NumSegments = 1
	bootPage.MemoryTop = 1 << 30
	event := page + 64
	store32(event, epollIn)
	if r := enterCall(sysEpollCtl, [6]uint64{3, 1, 4, event}); r != 0 {
		t.Fatalf("epoll_ctl: %s", result(r))
	}
	return page
}

// enterCall makes a system call as the program does.
func enterCall(n uint64, args [6]uint64) uint64 {
	f := &frame{AX: n, DI: args[0], SI: args[1], DX: args[2], R10: args[3], R8: args[4], R9: args[5]}
	syscallEnter(f)
	return f.AX
}

func (c *pointerCall) with(p, page uint64) [6]uint64 {
	args := c.args
	for i := range args {
		switch args[i] {
		case pointer:
			args[i] = p
		case good:
			args[i] = page + 128
		}
	}
	return args
}

// Every call answers EFAULT to a pointer that is not the program's, and does nothing.
func TestWildPointers(t *testing.T) {
	for i := range pointerCalls {
		c := &pointerCalls[i]
		t.Run(c.name, func(t *testing.T) {
			page := pointerMachine(t)
			bad := []uint64{
				8, page - 8, page + 2*pageSize, // nobody's
				abi.PlatformAddr, abi.PlatformAddr + 0x1000, // the platform's image
				abi.DirectMap + 1<<20, direct(rootTable), descriptorRegion, stackRegion + stackSpacing - 64, // its memory
				1<<32 - 8, userEnd - 8, userEnd, 1 << 47, 1<<63 - 8, ^uint64(7), // the edges
			}
			if c.size > 8 { // the beginning or the end is good
				bad = append(bad, page-8, page+2*pageSize-8)
			}
			if c.write {
				bad = append(bad, page+pageSize, page+2*pageSize-c.size&^7-8)
			}
			for _, p := range bad {
				if c.size <= 8 && p == page+2*pageSize-8 {
					continue
				}
				if r := enterCall(c.n, c.with(p, page)); r != errno(eFAULT) {
					t.Errorf("at %#x: got %s, want EFAULT", p, result(r))
				}
				if c.n == sysRead {
					descriptors[4].count = 1
				}
			}
		})
	}
}

// A private wake needs no memory, only an address.
func TestWakeAnywhere(t *testing.T) {
	page := pointerMachine(t)
	for p, want := range map[uint64]uint64{
		page: 0, page + 2*pageSize: 0, 1 << 40: 0, 4: 0,
		page + 2: errno(eINVAL), abi.PlatformAddr: errno(eFAULT), abi.DirectMap: errno(eFAULT), ^uint64(3): errno(eFAULT),
	} {
		if r := enterCall(sysFutex, [6]uint64{p, futexWake | futexPrivate, 1}); r != want {
			t.Errorf("wake at %#x: got %s, want %s", p, result(r), result(want))
		}
	}
}

// Times that are none are refused before anybody sleeps.
func TestBadTimes(t *testing.T) {
	page := pointerMachine(t)
	for _, v := range [][2]uint64{{0, nanos}, {^uint64(0), 0}, {1 << 63, 5}, {0, ^uint64(0)}} {
		store64(page, v[0])
		store64(page+8, v[1])
		for _, c := range []struct {
			n    uint64
			args [6]uint64
		}{
			{sysNanosleep, [6]uint64{page}}, {sysClockNanosleep, [6]uint64{1, 1, page}}, {sysFutex, [6]uint64{page + 32, futexWait, 0, page}},
		} {
			if r := enterCall(c.n, c.args); r != errno(eINVAL) {
				t.Errorf("call %d with %d s %d ns: got %s, want EINVAL", c.n, int64(v[0]), int64(v[1]), result(r))
			}
		}
	}
	store64(page, 1<<62)
	store64(page+8, 0)
	if ns, e := timespec(page); e != 0 || ns != longest {
		t.Errorf("a time far away: got %d ns, error %d; want %d", ns, e, uint64(longest))
	}
}

// The page tables vouch for a page as the table of mappings does.
func TestPresent(t *testing.T) {
	fakeMachine(t, 64, nil)
	vmas = vmaTable{}
	vmaShrinks++
	const at = 1<<40 + 5*pageSize
	if userWords(at, 8, false) {
		t.Error("a page that nobody mapped is the program's")
	}
	f := pool.frame()
	mapPage(at, f, 0)
	if !userWords(at+8, 8, false) || userWords(at+8, 8, true) || userWords(at+pageSize-4, 8, false) {
		t.Error("a page that can be read: wrong answers")
	}
	mapPage(at, f, pteW)
	if !userWords(at+pageSize-8, 8, true) {
		t.Error("a page that can be written is not the program's")
	}
	if e := entryAt(1<<41, 2, true); e != nil {
		*e = f&^(hugeSize-1) | pteP | pteW | ptePS
	}
	if !userWords(1<<41+hugeSize-8, 8, true) || userWords(1<<41+hugeSize, 8, false) {
		t.Error("a page of 2 MiB: wrong answers")
	}
}

// Signal frames are restored only when they are the program's and sound.
func TestSigreturn(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(uc, fp uint64)
		ok     bool
	}{
		{"sound", func(uc, fp uint64) {}, true},
		{"without FPU", func(uc, fp uint64) { at[mcontext](uc + ucMContext).FPState = 0 }, true},
		{"FPU elsewhere", func(uc, fp uint64) { at[mcontext](uc + ucMContext).FPState = abi.PlatformAddr }, false},
		{"FPU nowhere", func(uc, fp uint64) { at[mcontext](uc + ucMContext).FPState = 1 << 63 }, false},
		{"not canonical", func(uc, fp uint64) { at[mcontext](uc + ucMContext).IP = 1 << 60 }, false},
		{"unknown component", func(uc, fp uint64) { store64(fp+512, 8) }, false},
		{"compacted", func(uc, fp uint64) { store64(fp+520, 1<<63) }, false},
		{"reserved", func(uc, fp uint64) { *at[byte](fp + 575) = 1 }, false},
		{"MXCSR", func(uc, fp uint64) { store32(fp+24, 1<<16) }, false},
	} {
		fakeMachine(t, 64, nil)
		memory := addressOf(&alignedBytes(t, 4*pageSize)[0])
		th := cpu().current
		th.altSP, th.altSize, th.altFlags = memory+2*pageSize, 2*pageSize, 0
		sigactions[programMain][sigSEGV] = sigaction{handler: 0x401000}
		uc, fp := memory, memory+pageSize
		m := at[mcontext](uc + ucMContext)
		m.IP, m.FPState = 0x402000, fp
		store64(uc+ucSigmask, 5)
		store64(fp+512, 7)
		c.change(uc, fp)
		vmas = vmaTable{}
		vmaShrinks++
		vmas.insert(memory, memory+4*pageSize, protRead|protWrite)
		rootTable = pool.frame()
		for o := uint64(0); o < 4; o++ { // present: there is no page fault here
			mapPage(memory+o*pageSize, pool.frame(), pteW)
		}
		f := &frame{SP: uc, IP: 0x400000}
		sigreturn(f)
		want := uint64(0x401000)
		if c.ok {
			want = 0x402000
		}
		if f.IP != want || c.ok != (th.sigmask == 5) {
			t.Errorf("%s: goes on at %#x with signal mask %#x, want at %#x", c.name, f.IP, th.sigmask, want)
		}
		sigactions[programMain][sigSEGV] = sigaction{}
	}
}

// The program's segments are checked without a lock, by their protection and with what is zero behind them.
func TestSegmentPointers(t *testing.T) {
	fakeMachine(t, 64, nil)
	vmas = vmaTable{}
	vmaShrinks++
	bootPage.Segments[0] = abi.Segment{VA: 0x40_0000, Size: 0x3000, Prot: abi.ProtRead | abi.ProtExec}
	bootPage.Segments[1] = abi.Segment{VA: 0x40_3000, Size: 0x1000, Zero: 0x2000, Prot: abi.ProtRead | abi.ProtWrite}
	bootPage.Segments[2] = abi.Segment{VA: abi.PlatformAddr, Size: 0x1000, Prot: abi.ProtRead}
	bootPage.NumSegments = 3
	for _, c := range []struct {
		p, n  uint64
		write bool
		want  bool
	}{
		{0x40_0000, 8, false, true}, {0x40_0000, 8, true, false}, {0x40_3000, 0x1000, true, true}, {0x40_3ff8, 0x2008, true, true},
		{0x40_3ff8, 0x2009, true, false}, {0x40_2ff8, 16, false, true}, {0x3f_fff8, 16, false, false},
		{abi.PlatformAddr, 1, false, false}, {abi.PlatformAddr - 8, 16, false, false}, {0, 1, false, false}, {0, 0, false, true},
	} {
		if got := userRange(c.p, c.n, c.write); got != c.want {
			t.Errorf("%d bytes at %#x, write %t: got %t, want %t", c.n, c.p, c.write, got, c.want)
		}
	}
}

package main

// /proc/self: the one process that there is, number 1.

// names of processes end after so many bytes (proc_pid_comm(5)).
const commMax = 15

// programName is the last component of argv[0], cut.
func programName() []byte {
	p := direct(bootPage.Args.Addr)
	if bootPage.NumArgs == 0 {
		return nil
	}
	b := bytesAt(p, afterNUL(p)-1-p)
	b = b[lastComponent(b):]
	return b[:min(len(b), commMax)]
}

func writeComm(t *text) {
	t.bytes(programName())
	t.byte('\n')
}

// writeArguments and writeEnvironment give the strings as the program got them, each with a NUL.
func writeArguments(t *text) {
	p := direct(bootPage.Args.Addr)
	end := p
	for range bootPage.NumArgs {
		end = afterNUL(end)
	}
	t.bytes(bytesAt(p, end-p))
}

func writeEnvironment(t *text) {
	p := direct(bootPage.Args.Addr)
	for range bootPage.NumArgs {
		p = afterNUL(p)
	}
	end := p
	for range bootPage.NumEnv {
		end = afterNUL(end)
	}
	t.bytes(bytesAt(p, end-p))
}

func writeCgroup(t *text) { t.put("0::/\n") }
func writeRoot(t *text)   { t.put("/\n") }

func writeMountInfo(t *text) {
	writeMount(t, 20, 1, devOfFiles>>8, devOfFiles&255, "/ / rw,relatime - tmpfs nom rw\n")
	writeMount(t, 21, 20, 0, devOfProc, "/ /proc ro,nosuid,nodev,noexec,relatime - proc proc ro\n")
	writeMount(t, 22, 20, 0, devOfSysfs, "/ /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro\n")
	writeMount(t, 23, 22, 0, devOfCgroup, "/ /"+cgroupPath+" ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup ro\n")
}

func writeMount(t *text, id, parent, major, minor uint64, rest string) {
	t.dec(id, " ")
	t.dec(parent, " ")
	t.dec(major, ":")
	t.dec(minor, " ")
	t.put(rest)
}

func writeMounts(t *text) {
	t.put("nom / tmpfs rw,relatime 0 0\nproc /proc proc ro,nosuid,nodev,noexec,relatime 0 0\n" +
		"sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime 0 0\ncgroup /" + cgroupPath + " cgroup2 ro,nosuid,nodev,noexec,relatime 0 0\n")
}

// mappedPages is how many pages the program has mapped that it can use.
func mappedPages() uint64 {
	n := uint64(0)
	memLock.lock()
	for i := range vmas.t[:vmas.n] {
		if v := &vmas.t[i]; v.prot != protNone {
			n += (v.hi - v.lo) / pageSize
		}
	}
	memLock.unlock()
	for i := uint32(0); i < bootPage.NumSegments; i++ {
		n += (bootPage.Segments[i].Size + bootPage.Segments[i].Zero) / pageSize
	}
	return n
}

// writeProcess is /proc/self/stat, 52 numbers of which most mean nothing here (proc_pid_stat(5)).
func writeProcess(t *text) {
	t.put("1 (")
	t.bytes(programName())
	t.put(") R 0 1 1 0 -1 4194304 ")
	t.dec(stats.faults, " 0 0 0 ")
	t.dec(hundredths(cpuTime()), " 0 0 0 20 0 ")
	t.dec(liveThreads, " 0 0 ") // starttime: the machine is as old as the program
	t.dec(mappedPages()*pageSize, " ")
	t.dec(usedPages(), " ")
	t.dec(never, " ")
	for range 12 { // startcode to cnswap
		t.put("0 ")
	}
	t.put("17 ") // exit_signal
	t.dec(cpu().id, " 0 0 0 0 0 0 0 0 0 0 0 0 0\n")
}

// writeSizes is /proc/self/statm.
func writeSizes(t *text) {
	t.dec(mappedPages(), " ")
	t.dec(usedPages(), " 0 0 0 ")
	t.dec(usedPages(), " 0\n")
}

func writeStatus(t *text) {
	const kib = pageSize / 1024
	t.put("Name:\t")
	t.bytes(programName())
	t.put("\nUmask:\t0")
	t.byte(byte('0' + umask>>6&7))
	t.byte(byte('0' + umask>>3&7))
	t.byte(byte('0' + umask&7))
	t.put("\nState:\tR (running)\nTgid:\t1\nNgid:\t0\nPid:\t1\nPPid:\t0\nTracerPid:\t0\n" +
		"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t")
	t.dec(mappedDescriptors/descriptorSize, "\nGroups:\t \nVmPeak:\t")
	t.dec(mappedPages()*kib, " kB\nVmSize:\t")
	t.dec(mappedPages()*kib, " kB\nVmHWM:\t")
	t.dec(usedPages()*kib, " kB\nVmRSS:\t")
	t.dec(usedPages()*kib, " kB\nRssAnon:\t")
	t.dec(usedPages()*kib, " kB\nRssFile:\t0 kB\nRssShmem:\t0 kB\nVmSwap:\t0 kB\nThreads:\t")
	t.dec(liveThreads, "\nCpus_allowed:\t")
	t.hex(programCPUs(), 1, "\nCpus_allowed_list:\t")
	writeCPUs(t)
	t.put("voluntary_ctxt_switches:\t")
	t.dec(stats.switches, "\nnonvoluntary_ctxt_switches:\t0\n")
}

// limit is a line of /proc/self/limits; 0 = unlimited.
type limit struct {
	name  string
	value uint64
	unit  string
}

var limits = [...]limit{
	{"Max cpu time", 0, "seconds"}, {"Max file size", 0, "bytes"}, {"Max data size", 0, "bytes"}, {"Max stack size", mainStack, "bytes"},
	{"Max core file size", 0, "bytes"}, {"Max resident set", 0, "bytes"}, {"Max processes", maxThreads, "processes"},
	{"Max open files", maxDescriptors, "files"}, {"Max locked memory", 0, "bytes"}, {"Max address space", 0, "bytes"},
	{"Max file locks", 0, "locks"}, {"Max pending signals", 0, "signals"}, {"Max msgqueue size", 0, "bytes"},
	{"Max nice priority", 0, ""}, {"Max realtime priority", 0, ""}, {"Max realtime timeout", 0, "us"},
}

func writeLimits(t *text) {
	t.column("Limit", 26)
	t.column("Soft Limit", 21)
	t.column("Hard Limit", 21)
	t.column("Units", 10)
	t.byte('\n')
	for i := range limits {
		l := &limits[i]
		t.column(l.name, 26)
		for range 2 {
			var b [20]byte
			digits := b[decimal(&b, l.value):]
			if l.value == 0 {
				t.column("unlimited", 21)
				continue
			}
			t.bytes(digits)
			t.column("", 21-len(digits))
		}
		if l.unit != "" {
			t.column(l.unit, 10)
		}
		t.byte('\n')
	}
}

// writeMaps is /proc/self/maps: the program's segments, then its mappings. Profiles find the program's text by it.
func writeMaps(t *text) {
	for i := uint32(0); i < bootPage.NumSegments; i++ {
		s := &bootPage.Segments[i]
		if s.VA >= userEnd {
			continue
		}
		prot := s.Prot&2 | s.Prot>>2&1 | s.Prot&1<<2 // as mmap has the bits
		writeMap(t, s.VA, s.VA+s.Size+s.Zero, prot)
		t.put("08:01 2                          ")
		writeExe(t)
		t.byte('\n')
	}
	for from := uint64(0); ; {
		memLock.lock()
		i := vmas.find(from)
		found := i < vmas.n
		var v vma
		if found {
			v = vmas.t[i]
		}
		memLock.unlock()
		if !found {
			return
		}
		writeMap(t, v.lo, v.hi, v.prot)
		t.put("00:00 0 \n")
		from = v.hi
	}
}

func writeMap(t *text, lo, hi uint64, prot uint32) {
	t.hex(lo, 8, "-")
	t.hex(hi, 8, " ")
	for i, c := range [3]byte{'r', 'w', 'x'} {
		if prot>>i&1 == 0 {
			c = '-'
		}
		t.byte(c)
	}
	t.put("p 00000000 ")
}

// writeAux is what the program's stack has behind the environment.
func writeAux(t *text) {
	aux := auxiliary(stackTop - cpu().current.program*stackDistance)
	for _, v := range aux {
		t.word(v)
	}
}

// writeNetwork is /proc/self/net/netstat: nothing is counted.
func writeNetwork(t *text) {
	t.put("TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed ListenOverflows ListenDrops TCPTimeouts\nTcpExt: 0 0 0 0 0 0\n" +
		"IpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets\nIpExt: 0 0 0 0 0 0 0 0\n")
}

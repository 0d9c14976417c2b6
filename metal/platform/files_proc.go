package main

// /proc, besides what is below /proc/self and /proc/sys.

// machine counts what cannot be known as nothing: interrupts, time of the system, time that others took.

func writeStat(t *text) {
	now := nanotime()
	t.put("cpu")
	writeBusy(t, cpuTime(), now*ncpu)
	for i := range cpus[:ncpu] {
		t.put("cpu")
		t.dec(uint64(i), "")
		writeBusy(t, cpus[i].busyUntil(now), now)
	}
	t.put("intr 0\nctxt ")
	t.dec(stats.switches, "\nbtime ")
	t.dec(wallBase/nanos, "\nprocesses 1\nprocs_running ")
	t.dec(runningThreads(), "\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n")
}

func writeBusy(t *text, busy, whole uint64) {
	t.byte(' ')
	t.dec(hundredths(busy), " 0 0 ")
	t.dec(hundredths(whole-min(busy, whole)), " 0 0 0 0 0 0\n")
}

// runningThreads is how many threads run or could.
func runningThreads() uint64 {
	n := uint64(0)
	for i := range cpus[:ncpu] {
		c := &cpus[i]
		n += uint64(c.queue.n)
		if c.current != c.idle {
			n++
		}
	}
	return n
}

func writeMemory(t *text) {
	const kib = pageSize / 1024
	memLock.lock()
	total, free, promised := pool.total, pool.nfree, pool.reserved
	memLock.unlock()
	writeSize(t, "MemTotal:", total*kib)
	writeSize(t, "MemFree:", free*kib)
	writeSize(t, "MemAvailable:", (free-min(free, promised))*kib)
	writeSize(t, "Buffers:", 0)
	writeSize(t, "Cached:", 0)
	writeSize(t, "SwapCached:", 0)
	writeSize(t, "Active:", (total-min(free, total))*kib)
	writeSize(t, "Inactive:", 0)
	writeSize(t, "SwapTotal:", 0)
	writeSize(t, "SwapFree:", 0)
	writeSize(t, "Dirty:", 0)
	writeSize(t, "Writeback:", 0)
	writeSize(t, "AnonPages:", (total-min(free, total))*kib)
	writeSize(t, "Mapped:", 0)
	writeSize(t, "Shmem:", 0)
	writeSize(t, "Slab:", 0)
	writeSize(t, "CommitLimit:", total*kib)
	writeSize(t, "Committed_AS:", (total-min(free, total)+promised)*kib)
	writeSize(t, "Hugepagesize:", hugeSize/1024)
}

// writeSize writes a line of /proc/meminfo: kibibytes, in a column.
func writeSize(t *text, name string, kib uint64) {
	var b [20]byte
	digits := b[decimal(&b, kib):]
	t.column(name, 24-len(digits))
	t.bytes(digits)
	t.put(" kB\n")
}

// cpuFlag is a feature of the processor by its name in /proc/cpuinfo. reg counts from EAX.
type cpuFlag struct {
	leaf uint32
	reg  uint8
	bit  uint8
	name string
}

// cpuFlags are those by which programs choose their code.
var cpuFlags = [...]cpuFlag{
	{1, 3, 0, "fpu"}, {1, 3, 4, "tsc"}, {1, 3, 5, "msr"}, {1, 3, 8, "cx8"}, {1, 3, 15, "cmov"}, {1, 3, 23, "mmx"}, {1, 3, 24, "fxsr"},
	{1, 3, 25, "sse"}, {1, 3, 26, "sse2"}, {0x8000_0001, 3, 29, "lm"}, {1, 2, 0, "pni"}, {1, 2, 1, "pclmulqdq"}, {1, 2, 9, "ssse3"},
	{1, 2, 12, "fma"}, {1, 2, 13, "cx16"}, {1, 2, 19, "sse4_1"}, {1, 2, 20, "sse4_2"}, {1, 2, 22, "movbe"}, {1, 2, 23, "popcnt"},
	{1, 2, 25, "aes"}, {1, 2, 26, "xsave"}, {1, 2, 28, "avx"}, {1, 2, 29, "f16c"}, {1, 2, 30, "rdrand"}, {1, 2, 31, "hypervisor"},
	{7, 1, 0, "fsgsbase"}, {7, 1, 3, "bmi1"}, {7, 1, 5, "avx2"}, {7, 1, 8, "bmi2"}, {7, 1, 9, "erms"}, {7, 1, 18, "rdseed"},
	{7, 1, 19, "adx"}, {7, 1, 29, "sha_ni"}, {0x8000_0001, 2, 5, "abm"},
}

func writeProcessors(t *text) {
	mask := programCPUs()
	for i := range cpus[:ncpu] {
		if mask>>i&1 != 0 {
			writeProcessor(t, uint64(i))
		}
	}
}

func writeProcessor(t *text, i uint64) {
	a, _, _, _ := cpuid(1, 0)
	family, model := a>>8&15, a>>4&15
	if family == 15 {
		family += a >> 20 & 255
		model |= a >> 16 & 15 << 4
	}
	t.put("processor\t: ")
	t.dec(i, "\nvendor_id\t: ")
	_, b, c, d := cpuid(0, 0)
	writeRegisters(t, b, d, c)
	t.put("\ncpu family\t: ")
	t.dec(uint64(family), "\nmodel\t\t: ")
	t.dec(uint64(model), "\nmodel name\t: ")
	for leaf := uint32(0x8000_0002); leaf <= 0x8000_0004; leaf++ {
		a, b, c, d = cpuid(leaf, 0)
		writeRegisters(t, a, b, c, d)
	}
	a, _, _, _ = cpuid(1, 0)
	t.put("\nstepping\t: ")
	t.dec(uint64(a&15), "\ncpu MHz\t\t: ")
	t.dec(tscHz/1_000_000, ".000\ncache size\t: 512 KB\nphysical id\t: 0\nsiblings\t: ")
	t.dec(ncpu, "\ncore id\t\t: ")
	t.dec(i, "\ncpu cores\t: ")
	t.dec(ncpu, "\napicid\t\t: ")
	t.dec(i, "\nfpu\t\t: yes\nwp\t\t: yes\nflags\t\t:")
	writeFlags(t)
	t.put("\nbogomips\t: ")
	t.dec(tscHz/500_000, ".00\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\n\n")
}

// writeRegisters writes the text in registers, up to its end.
func writeRegisters(t *text, registers ...uint32) {
	for _, r := range registers {
		for ; r != 0; r >>= 8 {
			if c := byte(r); c >= ' ' && c < 0x7f {
				t.byte(c)
			}
		}
	}
}

func writeFlags(t *text) {
	leaf, r := uint32(0), [4]uint32{}
	for i := range cpuFlags {
		f := &cpuFlags[i]
		if f.leaf != leaf {
			leaf = f.leaf
			r[0], r[1], r[2], r[3] = cpuid(leaf, 0)
		}
		if r[f.reg&3]>>(f.bit&31)&1 != 0 {
			t.byte(' ')
			t.put(f.name)
		}
	}
}

func writeUptime(t *text) {
	now := nanotime()
	writeSeconds(t, now, " ")
	writeSeconds(t, now*ncpu-min(cpuTime(), now*ncpu), "\n")
}

// writeSeconds writes seconds with two digits behind the point.
func writeSeconds(t *text, ns uint64, after string) {
	t.dec(ns/nanos, ".")
	h := hundredths(ns) % 100
	t.dec(h/10, "")
	t.dec(h%10, after)
}

// writeLoad tells how many threads could run now: nobody keeps averages.
func writeLoad(t *text) {
	n := runningThreads()
	for range 3 {
		t.dec(n, ".00 ")
	}
	t.dec(n, "/")
	t.dec(liveThreads, " 1\n")
}

func writeVersion(t *text) {
	t.put(osType + " version " + osRelease + " (nom) " + osVersion + "\n")
}

func writeFilesystems(t *text) { t.put("nodev\tproc\nnodev\tsysfs\nnodev\tcgroup2\nnodev\ttmpfs\n") }

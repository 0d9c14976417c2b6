package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"nom.dev/nom/abi"
	"nom.dev/nom/abi/bundle"
)

// contents reads a whole file in pieces.
func contents(t *testing.T, name string) string {
	t.Helper()
	fd := must(t, "open "+name, sysOpen, put(0, name), 0, 0)
	defer must(t, "close", sysClose, fd)
	return rest(t, fd)
}

func rest(t *testing.T, fd uint64) string {
	t.Helper()
	var b strings.Builder
	for {
		n := must(t, "read", sysRead, fd, buffer(0), 7)
		if n == 0 {
			return b.String()
		}
		b.Write(dataBuffers[0][:n])
	}
}

// Every generated file can be read, to its end, and nothing stays behind.
func TestGeneratedFiles(t *testing.T) {
	fakeMachine(t, 512, nil, "NAME=value")
	contents(t, "/proc/version") // makes the tree
	free := pool.nfree
	for _, f := range generatedFiles {
		text := contents(t, "/"+f.path)
		if text != "" && !strings.HasSuffix(f.path, "auxv") && !strings.HasSuffix(f.path, "cmdline") && !strings.HasSuffix(f.path, "environ") &&
			!strings.HasSuffix(text, "\n") {
			t.Errorf("%s: it ends within a line: %q", f.path, text)
		}
		must(t, "stat "+f.path, sysStat, put(0, "/"+f.path), buffer(0))
		if mode, size := binary.LittleEndian.Uint32(dataBuffers[0][24:]), binary.LittleEndian.Uint64(dataBuffers[0][48:]); mode != modeRegular|0o444 || size != 0 {
			t.Errorf("%s: got mode %#o and size %d", f.path, mode, size)
		}
	}
	for name, want := range map[string]string{
		"/proc/self/cmdline": "prog\x00", "/proc/self/environ": "NAME=value\x00", "/proc/self/comm": "prog\n", "/proc/self/cgroup": "0::/\n",
		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size": "2097152\n", "/proc/sys/net/core/somaxconn": "4096\n",
		"/sys/devices/system/cpu/online": "0\n", "/sys/fs/cgroup/memory.max": fmt.Sprintln(512 * pageSize),
	} {
		if got := contents(t, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if pool.nfree != free && pool.nfree != free-1 { // tables may have grown by a frame
		t.Errorf("%d frames are free, and were %d", pool.nfree, free)
	}
}

// A file that is kept open tells what is new when it is read at 0, and goes on with that behind it.
func TestSnapshot(t *testing.T) {
	fakeMachine(t, 512, nil)
	fd := must(t, "open", sysOpen, put(0, "/sys/fs/cgroup/cpu.max"), 0, 0)
	for _, c := range []struct {
		slots uint32
		want  string
	}{{abi.AllSlots, "max 100000\n"}, {1, "6250 100000\n"}, {0x00ff, "50000 100000\n"}} {
		eventPage().Slots[0] = c.slots
		n := must(t, "pread", sysPread64, fd, buffer(0), 4, 0)
		eventPage().Slots[0] = 3
		n += must(t, "pread", sysPread64, fd, buffer(0)+n, 100, n)
		if got := string(dataBuffers[0][:n]); got != c.want {
			t.Errorf("slots %#x: got %q, want %q", c.slots, got, c.want)
		}
	}
	copyOf := must(t, "dup", sysDup, fd)
	must(t, "close", sysClose, fd)
	if got := rest(t, copyOf); got != "12500 100000\n" {
		t.Errorf("of a copy: got %q", got)
	}
	must(t, "lseek", sysLseek, copyOf, 0, 0)
	if got := rest(t, copyOf); got != "12500 100000\n" {
		t.Errorf("again: got %q", got)
	}
	must(t, "close", sysClose, copyOf)
}

// CPUs follow the cores that they hold a part of.
func TestHeldCores(t *testing.T) {
	fakeMachine(t, 512, nil)
	defer func() { ncpu = 1 }()
	ncpu = 4
	for i := range ncpu {
		cpus[i] = cpuState{id: i, current: cpus[0].current, idle: cpus[0].idle}
	}
	cpus[0].self = addressOf(&cpus[0])
	p := eventPage()
	for i, slots := range []uint32{abi.AllSlots, 0, abi.AllSlots, abi.AllSlots} {
		p.Slots[i], p.Core[i] = slots, uint32(i)
		if slots == 0 {
			p.Core[i] = abi.NoCore
		}
	}
	check := func(cpusWant, quota string) {
		t.Helper()
		if got := contents(t, "/sys/devices/system/cpu/online"); got != cpusWant+"\n" {
			t.Errorf("online: got %q, want %q", got, cpusWant)
		}
		if got := contents(t, "/sys/fs/cgroup/cpu.max"); got != quota+"\n" {
			t.Errorf("cpu.max: got %q, want %q", got, quota)
		}
	}
	check("0,2-3", "max 100000")
	cpus[3].parked = true
	check("0,2", "max 100000")
	p.Slots[2] = 0x7fff
	check("0,2", "293750 100000")
}

// What the platform generates cannot be changed.
func TestGeneratedReadOnly(t *testing.T) {
	fakeMachine(t, 512, []bundle.File{{Name: "sys/mine", Data: []byte("m"), Mode: 0o644}})
	const file = "/proc/self/stat"
	fails(t, "open to write", eROFS, sysOpen, put(0, file), oRDWR, 0)
	fails(t, "open to cut", eROFS, sysOpen, put(0, file), oTrunc, 0)
	fails(t, "truncate", eROFS, sysTruncate, put(0, file), 0)
	fails(t, "chmod", eROFS, sysChmod, put(0, file), 0o777)
	fails(t, "unlink", eROFS, sysUnlink, put(0, file))
	fails(t, "create", eROFS, sysOpen, put(0, "/proc/new"), oCreat, 0o644)
	fails(t, "mkdir", eROFS, sysMkdir, put(0, "/sys/fs/cgroup/new"), 0o755)
	fails(t, "rename", eROFS, sysRename, put(0, file), put(1, "/tmp/x"))
	fails(t, "rename into", eROFS, sysRename, put(0, "/sys/mine"), put(1, "/proc/x"))
	fails(t, "link", eROFS, sysLink, put(0, file), put(1, "/tmp/x"))
	fails(t, "unlink a descriptor", eROFS, sysUnlink, put(0, "/proc/self/fd/1"))
	fails(t, "create a descriptor", eROFS, sysOpen, put(0, "/proc/self/fd/99"), oCreat, 0o644)
	fails(t, "rename of a descriptor", eROFS, sysRename, put(0, "/proc/self/fd/1"), put(1, "/tmp/x"))
	if got := contents(t, "/sys/mine"); got != "m" {
		t.Errorf("a file of the bundle: got %q", got)
	}
	contents(t, "/sys/fs/cgroup/cpu.max") // beside it
}

// Links to descriptors lead to what is open, whatever its name is now.
func TestDescriptorLinks(t *testing.T) {
	fakeMachine(t, 512, []bundle.File{{Name: "d/f", Data: []byte("of the bundle"), Mode: 0o644}})
	link := func(fd uint64) string {
		n := must(t, "readlink", sysReadlink, put(0, fmt.Sprint("/proc/self/fd/", fd)), buffer(0), 1000)
		return string(dataBuffers[0][:n])
	}
	fd := must(t, "open", sysOpen, put(0, "/tmp/f"), oCreat|oRDWR, 0o644)
	must(t, "write", sysWrite, fd, put(1, "written"), 7)
	if got := link(fd); got != "/tmp/f" {
		t.Errorf("a file: got %q", got)
	}
	must(t, "unlink", sysUnlink, put(0, "/tmp/f"))
	if got := contents(t, fmt.Sprint("/dev/fd/", fd)); got != "written" {
		t.Errorf("a removed file: got %q", got)
	}
	lower := must(t, "open", sysOpen, put(0, "/d/f"), 0, 0)
	dir := must(t, "open", sysOpen, put(0, "/d"), 0, 0)
	if got, want := link(lower)+link(dir)+link(1), "/d/f/d/dev/stdout"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := contents(t, fmt.Sprintf("/proc/1/fd/%d/f", dir)); got != "of the bundle" {
		t.Errorf("through a directory: got %q", got)
	}
	must(t, "pipe", sysPipe2, buffer(0), 0)
	r := uint64(load32(buffer(0)))
	if got := link(r); !strings.HasPrefix(got, "pipe:[") {
		t.Errorf("a pipe: got %q", got)
	}
	fails(t, "open of a pipe", eNXIO, sysOpen, put(0, fmt.Sprint("/proc/self/fd/", r)), 0, 0)
	for _, name := range []string{"16383", "16384", "99999", "01", "-1", "x", "123456"} {
		fails(t, name, eNOENT, sysReadlink, put(0, "/proc/self/fd/"+name), buffer(0), 100)
	}
	list := must(t, "open", sysOpen, put(0, "/proc/self/fd"), 0, 0)
	var names []string
	for {
		n := must(t, "getdents64", sysGetdents64, list, buffer(0), 100) // a few at a time
		if n == 0 {
			break
		}
		names = append(names, direntNames(dataBuffers[0][:n])...)
	}
	if got := uint64(len(names)); got != list+1+2 {
		t.Errorf("the directory lists %v", names)
	}
}

// The program's place in a network is in its files.
func TestEtc(t *testing.T) {
	fakeMachine(t, 512, nil, abi.AddressEnv+"=192.0.2.7/24", abi.DNSEnv+"=192.0.2.3")
	copy(bootPage.Name[:], "web")
	for name, want := range map[string]string{
		"hosts": "127.0.0.1 localhost\n::1 localhost\n192.0.2.7 web\n", "hostname": "web\n", "resolv.conf": "nameserver 192.0.2.3\n",
		"nsswitch.conf": "hosts: files dns\n",
	} {
		if got := contents(t, "/etc/"+name); got != want {
			t.Errorf("/etc/%s: got %q, want %q", name, got, want)
		}
	}
	if id := contents(t, "/etc/machine-id"); len(id) != 33 || strings.Trim(id, "0123456789abcdef\n") != "" {
		t.Errorf("/etc/machine-id: got %q", id)
	}
	fd := must(t, "open", sysOpen, put(0, "/etc/hosts"), oTrunc|oRDWR, 0)
	must(t, "write", sysWrite, fd, put(1, "mine"), 4)
	if got := contents(t, "/etc/hosts"); got != "mine" {
		t.Errorf("changed: got %q", got)
	}
	fakeMachine(t, 512, nil)
	copy(bootPage.Name[:], "job")
	fails(t, "resolv.conf", eNOENT, sysOpen, put(0, "/etc/resolv.conf"), 0, 0)
	if got := contents(t, "/etc/hosts"); !strings.HasSuffix(got, "\n127.0.1.1 job\n") {
		t.Errorf("without a network: got %q", got)
	}
}

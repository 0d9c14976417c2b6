package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system reads what the system says about itself in files. What they contain differs, their form does not.
func system() {
	for _, name := range []string{
		"cgroup", "mountinfo", "mounts", "stat", "statm", "status", "limits", "maps", "auxv", "cmdline", "comm", "net/netstat", "cpuset",
	} {
		form("/proc/self/" + name)
		form(fmt.Sprintf("/proc/%d/%s", os.Getpid(), name))
	}
	for _, name := range []string{
		"/proc/stat", "/proc/meminfo", "/proc/cpuinfo", "/proc/uptime", "/proc/loadavg", "/proc/version", "/proc/sys/net/core/somaxconn",
		"/proc/sys/kernel/hostname", "/proc/sys/kernel/osrelease", "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible",
		"/etc/hosts", "/etc/hostname",
	} {
		form(name)
	}
	link, err := os.Readlink("/proc/self")
	fmt.Println("self is this process:", link == strconv.Itoa(os.Getpid()), err)
	process()
	pieces()
	unchangeable()
	descriptors()
}

// form prints what every system's file has in common.
func form(name string) {
	b, err := os.ReadFile(name)
	info, err2 := os.Stat(name)
	if err != nil || err2 != nil {
		fmt.Println(strings.ReplaceAll(name, strconv.Itoa(os.Getpid()), "PID"), err, err2)
		return
	}
	fmt.Println(strings.ReplaceAll(name, strconv.Itoa(os.Getpid()), "PID"), len(b) > 0, info.Mode().IsRegular())
}

// process looks into the files about this process.
func process() {
	stat, err := os.ReadFile("/proc/self/stat")
	must(err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	fmt.Println("numbers in stat:", len(fields), bytes.HasPrefix(stat, fmt.Appendf(nil, "%d (", os.Getpid())))
	args, err := os.ReadFile("/proc/self/cmdline")
	must(err)
	fmt.Println("arguments:", string(args) == strings.Join(os.Args, "\x00")+"\x00")
	limits, err := os.ReadFile("/proc/self/limits")
	must(err)
	for line := range strings.Lines(string(limits)) {
		name, _, _ := strings.Cut(line, "  ")
		fmt.Println(name, len(line))
	}
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	fmt.Println("status has the number:", bytes.Contains(status, fmt.Appendf(nil, "\nPid:\t%d\n", os.Getpid())))
	memory, err := os.ReadFile("/proc/meminfo")
	must(err)
	for _, name := range []string{"MemTotal:", "MemFree:", "MemAvailable:"} {
		line := memory[bytes.Index(memory, []byte(name)):]
		var kib int
		_, err := fmt.Sscanf(string(line), name+" %d kB\n", &kib)
		fmt.Println(name, kib > 0, err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	must(err)
	fmt.Println("maps:", strings.HasPrefix(string(maps), "00400000-"), strings.Contains(string(maps), " r-xp "))
}

// pieces reads a file in pieces, which must be of one version, and from the start again.
func pieces() {
	f, err := os.Open("/proc/uptime")
	must(err)
	defer f.Close()
	for range 2 {
		var text []byte
		for b := make([]byte, 1); ; {
			if _, err := f.Read(b); err != nil {
				break
			}
			text = append(text, b...)
		}
		var up, idle float64
		n, err := fmt.Sscanf(string(text), "%f %f\n", &up, &idle)
		fmt.Println("uptime:", n, err)
		_, err = f.Seek(0, io.SeekStart)
		must(err)
	}
	whole, err := os.ReadFile("/proc/version")
	must(err)
	v, err := os.Open("/proc/version")
	must(err)
	defer v.Close()
	b := make([]byte, 1000)
	n, err := v.ReadAt(b, 6)
	fmt.Println("version from 6 on:", bytes.Equal(b[:n], whole[6:]), err)
}

// unchangeable tries what is refused to everybody.
func unchangeable() {
	fmt.Println("new:", os.Mkdir("/proc/new", 0o755) != nil, os.WriteFile("/proc/self/new", nil, 0o644) != nil)
	fmt.Println("removed:", os.Remove("/proc/version") != nil, os.Remove("/proc/self/stat") != nil, os.Rename("/proc/version", "/proc/v") != nil)
	_, err := os.Stat("/proc/self/nothing")
	fmt.Println("nothing:", errors.Is(err, fs.ErrNotExist))
}

// descriptors looks at the open files.
func descriptors() {
	f, err := os.CreateTemp("", "")
	must(err)
	defer os.Remove(f.Name())
	_, err = f.WriteString("contents\n")
	must(err)
	name := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	link, err := os.Readlink(name)
	fmt.Println("link:", link == f.Name(), err)
	info, err := os.Lstat(name)
	must(err)
	fmt.Println(info.Mode().Type())
	info, err = os.Stat(name)
	must(err)
	own, err := f.Stat()
	must(err)
	fmt.Println(info.Size(), os.SameFile(info, own))
	b, err := os.ReadFile(name)
	fmt.Printf("%q %v\n", b, err)
	list, err := os.ReadDir("/proc/self/fd")
	must(err)
	found := 0
	for _, e := range list {
		if n, err := strconv.Atoi(e.Name()); err == nil && (n <= 2 || n == int(f.Fd())) {
			found++
		}
	}
	fmt.Println("listed:", found)
	must(f.Close())
	_, err = os.Lstat(name)
	fmt.Println("closed:", errors.Is(err, fs.ErrNotExist))
}

// profile samples its own work, and looks at the time that it took.
func profile() {
	before := processTime()
	start := time.Now()
	for processTime()-before < 50*time.Millisecond {
		burn()
	}
	fmt.Println("time of the process:", time.Since(start) > 10*time.Millisecond)
	for found := false; !found; {
		var out bytes.Buffer
		must(pprof.StartCPUProfile(&out))
		for end := processTime() + 200*time.Millisecond; processTime() < end; {
			burn()
		}
		pprof.StopCPUProfile()
		z, err := gzip.NewReader(&out)
		must(err)
		text, err := io.ReadAll(z)
		must(err)
		found = bytes.Contains(text, []byte("main.burn"))
	}
	fmt.Println("sampled")
}

//go:noinline
func burn() {
	x := 1
	for range 100_000 {
		x = x*31 + 7
	}
	if x == 0 {
		fmt.Println(x)
	}
}

func processTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Run does one of the things in which a platform for Go programs shows its differences: how programs end, what becomes of
// signals, files and clocks. Each prints the same on every system.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

var deeds = map[string]func(){
	"panic":       func() { panic(fmt.Errorf("an error with a %q", "quote")) },
	"goexit":      func() { runtime.Goexit() },
	"deadlock":    func() { select {} },
	"overflow":    overflow,
	"concurrent":  concurrent,
	"divide":      divide,
	"write":       write,
	"sigterm":     sigterm,
	"environment": environment,
	"pipe":        pipe,
	"clock":       clock,
	"files":       files,
	"system":      system,
	"profile":     profile,
	"datagrams":   datagrams,
	"waits":       waits,
}

func main() {
	if len(os.Args) < 2 || deeds[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "run: give the name of a deed")
		os.Exit(2)
	}
	fmt.Println("before")
	deeds[os.Args[1]]()
	fmt.Println("after")
}

// must ends the program with a message that says what went wrong.
func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// overflow fills the stack that it allows itself.
func overflow() {
	debug.SetMaxStack(1 << 20)
	fmt.Println(deeper(0))
}

func deeper(n int) int {
	if n < 0 {
		return 0
	}
	var room [1024]byte
	return deeper(n+1) + int(room[n%len(room)])
}

// concurrent writes to a map from two goroutines at the same time, as far as the runtime can tell. It must die.
func concurrent() {
	runtime.GOMAXPROCS(2)
	m := map[int]int{}
	for range 2 {
		go func() {
			for i := 0; ; i++ {
				m[i%100]++
				if i%10 == 0 {
					runtime.Gosched()
				}
			}
		}()
	}
	select {}
}

// divide recovers from what the processor, not Go, finds.
func divide() {
	try := func(name string, f func()) {
		defer func() {
			r := recover()
			var err runtime.Error
			if e, ok := r.(error); ok && errors.As(e, &err) {
				fmt.Printf("%s: %v\n", name, err)
			}
		}()
		f()
	}
	zero := len(os.Args) - 2
	list := make([]int, 3)
	maps := make([]map[string]int, 1)
	try("divide", func() { fmt.Println(1 / zero) })
	try("index", func() { fmt.Println(list[zero+3]) })
	try("nil", func() { fmt.Println(*(*int)(nil)) })
	try("nil map", func() { maps[zero]["x"] = 1 })
	try("type", func() { fmt.Println(any(zero).(string)) })
	try("shift", func() { fmt.Println(1 << (zero - 1)) })
	try("make", func() { fmt.Println(make([]byte, zero-1)) })
	try("close", func() { var c chan int; close(c) })
}

// write uses file descriptors directly.
func write() {
	n, err := os.Stdout.Write(bytes.Repeat([]byte("0123456789abcdef\n"), 1000))
	fmt.Println(n, err)
	_, err = os.NewFile(77, "nowhere").Write([]byte("x"))
	fmt.Println(err)
	_, err = os.Stdout.Seek(0, io.SeekStart)
	fmt.Println(err != nil)
}

func sigterm() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	must(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println("got", <-c)
	signal.Ignore(syscall.SIGHUP)
	must(syscall.Kill(os.Getpid(), syscall.SIGHUP))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { must(syscall.Kill(os.Getpid(), syscall.SIGUSR1)) })
	}
	wg.Wait()
	fmt.Println("got", <-c)
}

func environment() {
	env := os.Environ()
	sort.Strings(env)
	fmt.Println(env, os.Getenv("HOME"), os.Getenv("nothing"))
	must(os.Setenv("A", "B"))
	fmt.Println(os.ExpandEnv("$A ${HOME}"))
	dir, err := os.Getwd()
	must(err)
	fmt.Println("in", dir, os.Getpagesize())
}

func pipe() {
	r, w, err := os.Pipe()
	must(err)
	go func() {
		fmt.Fprint(w, strings.Repeat("through the pipe ", 10_000))
		w.Close()
	}()
	b, err := io.ReadAll(r)
	must(err)
	fmt.Println(len(b), string(b[:16]))
	must(r.SetReadDeadline(time.Now().Add(-time.Second)))
	_, err = r.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
}

func clock() {
	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Println(time.Since(start) >= 20*time.Millisecond, time.Since(start) < time.Minute)
	fmt.Println("this century:", time.Now().UTC().Year()/100)
	ticker := time.NewTicker(time.Millisecond)
	for range 20 {
		<-ticker.C
	}
	fmt.Println(time.Now().Location())
	fmt.Println(time.Unix(1_700_000_000, 0).UTC())
}

// files does what programs do with files of their own.
func files() {
	dir, err := os.MkdirTemp("", "run-")
	must(err)
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "a")
	must(os.WriteFile(name, []byte("hello\n"), 0o640))
	must(os.MkdirAll(filepath.Join(dir, "b", "c"), 0o755))
	must(os.Symlink("../a", filepath.Join(dir, "b", "link")))
	must(os.Rename(name, filepath.Join(dir, "b", "c", "moved")))
	f, err := os.OpenFile(filepath.Join(dir, "b", "c", "moved"), os.O_RDWR|os.O_APPEND, 0)
	must(err)
	_, err = f.WriteString("more\n")
	must(err)
	must(f.Truncate(8))
	info, err := f.Stat()
	must(err)
	fmt.Println(info.Name(), info.Size(), info.Mode())
	must(f.Close())
	must(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		fmt.Println(rel, e.Type())
		return err
	}))
	_, err = os.Stat(name)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	_, err = os.Stat(filepath.Join(dir, "b", "link"))
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	fmt.Println(errors.Is(os.Remove(filepath.Join(dir, "b")), syscall.ENOTEMPTY))
	b, err := os.ReadFile("/dev/null")
	fmt.Println(len(b), err)
}

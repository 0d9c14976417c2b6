// Follow shows that an unchanged Go program follows what its container holds. A market makes a container inside its own, takes
// and gives slots, vCPUs and memory, and waits after each step until the worker there says what it should: the worker is a
// plain Go program that looks at GOMAXPROCS and at files of /sys/fs/cgroup.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"nom.dev/nom/abi"
	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

func main() {
	if len(os.Args) > 1 {
		work()
	}
	if err := trade(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// work prints what the worker sees whenever it changes, and no sooner than all its threads have slept and woken since then.
// Something always computes, as in a busy server.
func work() {
	var woken [sleepers]atomic.Uint64
	for i := range woken {
		go sleep(&woken[i], i)
	}
	go func() {
		for {
			runtime.Gosched()
		}
	}()
	seen := ""
	for {
		now := fmt.Sprintf("GOMAXPROCS=%d cpu.max=%s memory.max=%s cpus=%s", runtime.GOMAXPROCS(0), file("/sys/fs/cgroup/cpu.max"),
			file("/sys/fs/cgroup/memory.max"), file("/sys/devices/system/cpu/online"))
		if now != seen {
			for i := range woken {
				for was := woken[i].Load(); woken[i].Load() < was+2; {
					time.Sleep(time.Millisecond)
				}
			}
			fmt.Println(now)
			seen = now
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sleep has a thread of its own and counts how often it woke: a thread that sleeps on a processor that is taken must wake, too, and one
// that is bound to that one and to no other.
func sleep(woken *atomic.Uint64, n int) {
	runtime.LockOSThread()
	for {
		if n < vcpus {
			_ = metal.Pin(n) // fails while that processor is not there
		}
		ts := syscall.Timespec{Nsec: 200_000}
		syscall.Nanosleep(&ts, nil)
		woken.Add(1)
	}
}

func file(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

const (
	vcpus  = 3
	most   = 64 << 20
	less   = 48 << 20
	notice = 10_000_000 // microseconds

	sleepers = 4
	rounds   = 30

	low  = 0x00ff // slots
	more = 0x7f00 // and more of them; the last one stays with the market
)

type market struct {
	worker *container.Container
	core   [vcpus]uint32
	lines  chan string
	rest   []byte
}

// trade takes and gives.
func trade() error {
	platform, self, err := container.Images()
	if err != nil {
		return err
	}
	own, err := container.Own()
	if err != nil {
		return err
	}
	m := &market{lines: make(chan string, 1000)}
	copy(m.core[:], own.Core[:])
	cfg := container.Config{Name: "worker", Pages: most / abi.PageSize, Program: self, Platform: platform, Args: []string{"follow", "work"}, Output: m.output}
	for i := range vcpus {
		cfg.Cores = append(cfg.Cores, m.slots(i, low))
	}
	cfg.Seed[0] = byte(metal.TSC())
	if m.worker, err = container.Launch(cfg); err != nil {
		return err
	}
	for _, step := range []struct {
		name, want string
		do         func() error
	}{
		{"three halves of a core", fmt.Sprintf("GOMAXPROCS=2 cpu.max=150000 100000 memory.max=%d cpus=0-2", most), func() error { return nil }},
		{"more slots", fmt.Sprintf("GOMAXPROCS=3 cpu.max=237500 100000 memory.max=%d cpus=0-2", most), func() error {
			if err := m.worker.GrantCore(m.slots(1, more)); err != nil {
				return err
			}
			return m.worker.GrantCore(m.slots(2, more))
		}},
		{"one vCPU and less memory", fmt.Sprintf("GOMAXPROCS=1 cpu.max=50000 100000 memory.max=%d cpus=0", less), func() error {
			for i := 1; i < vcpus; i++ {
				if err := m.worker.ReclaimCore(i, low|more, notice); err != nil {
					return err
				}
			}
			return m.worker.ReclaimPages((most-less)/abi.PageSize, notice)
		}},
		{"two vCPUs and all memory", fmt.Sprintf("GOMAXPROCS=2 cpu.max=143750 100000 memory.max=%d cpus=0,2", most), func() error {
			if err := m.worker.GrantPages((most - less) / abi.PageSize); err != nil {
				return err
			}
			return m.worker.GrantCore(m.slots(2, low|more))
		}},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if err := m.await(step.want); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println(step.name + ": " + step.want)
	}
	for range rounds {
		if err := m.swap(2); err != nil {
			return err
		}
	}
	if err := m.worker.Kill(); err != nil {
		return err
	}
	<-m.worker.Done()
	return m.worker.Close()
}

// swap takes a vCPU from the worker, which has two, and gives it back.
func (m *market) swap(vcpu int) error {
	if err := m.worker.ReclaimCore(vcpu, low|more, notice); err != nil {
		return err
	}
	if err := m.await(" cpus=0"); err != nil {
		return err
	}
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		err := m.worker.GrantCore(m.slots(vcpu, low|more))
		if err == nil {
			return m.await(fmt.Sprintf(" cpus=0,%d", vcpu))
		}
		if time.Since(start) > notice*time.Microsecond {
			return err // the worker said that it has none, and did not return it
		}
	}
}

func (m *market) slots(vcpu int, slots uint32) container.Slots {
	return container.Slots{VCPU: vcpu, Core: m.core[vcpu], Slots: slots}
}

// output takes lines of the worker.
func (m *market) output(_ int, data []byte) {
	m.rest = append(m.rest, data...)
	for {
		line, rest, found := bytes.Cut(m.rest, []byte("\n"))
		if !found {
			return
		}
		m.lines <- string(line)
		m.rest = rest
	}
}

// await waits until the worker prints a line that ends with want.
func (m *market) await(want string) error {
	for {
		select {
		case line := <-m.lines:
			fmt.Fprintln(os.Stderr, line)
			if strings.HasSuffix(line, want) {
				return nil
			}
		case <-m.worker.Done():
			return fmt.Errorf("the worker ended")
		}
	}
}

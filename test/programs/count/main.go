// Count measures what things cost in ticks of the time stamp counter, which is instructions on a machine that counts
// them. It prints a line with a name and a number for each. The same file runs in a container and as the only program of
// a bare machine, so that the two can be compared.
//
// On a bare machine it switches the machine off at the end, because nobody else would.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"

	"nom.dev/nom/abi"
	"nom.dev/nom/metal"
	"nom.dev/nom/metal/call"
)

// work is something that computes, done as often as it takes to make small disturbances small. The first run warms up;
// of the others, that counts which was disturbed least: collectors, timers and schedulers do not fall on the same places
// twice.
var work = []struct {
	name  string
	times int
	do    func()
}{
	{"sieve", 5, sieve},
	{"sha256", 50, hash},
	{"sort", 3, sortNumbers},
	{"float", 15, mandelbrot},
	{"json", 5, encode},
	{"garbage", 4, garbage},
	{"channel", 3, channel},
}

// small is something short: counted as the mean of many, in the batch that was disturbed least.
var small = []struct {
	name      string
	container bool // only there
	do        func()
}{
	{"system call", false, func() { syscall.RawSyscall(call.Null, 0, 0, 0) }},
	{"hypercall", true, func() { _, _ = metal.Hypercall(abi.CallNull, 0, 0, 0, 0, 0, 0) }},
	{"hypercall that reads the clock", true, func() { _, _ = metal.Hypercall(abi.CallNow, 0, 0, 0, 0, 0, 0) }},
	{"hypercall that reaches the nonkernel", true, func() { _, _ = metal.Hypercall(abi.CallVersion, 0, 0, 0, 0, 0, 0) }},
}

// How often small things are done.
const (
	batches = 20
	times   = 50
)

func main() {
	runtime.GOMAXPROCS(1)
	for _, w := range work {
		do := func() {
			for range w.times {
				w.do()
			}
		}
		do()
		fmt.Printf("%s %d\n", w.name, min(ticks(do), ticks(do), ticks(do)))
	}
	for _, s := range small {
		if s.container && !metal.InContainer() {
			continue
		}
		least := ^uint64(0)
		for range batches {
			least = min(least, ticks(func() {
				for range times {
					s.do()
				}
			}))
		}
		fmt.Printf("%s %d\n", s.name, least/times)
	}
	fmt.Println("done")
	if metal.Running() && !metal.InContainer() {
		fmt.Fprintln(os.Stderr, metal.PowerOff(0))
	}
}

// ticks is what f costs.
func ticks(f func()) uint64 {
	runtime.GC()
	start := metal.TSC()
	f()
	return metal.TSC() - start
}

func sieve() {
	const limit = 1 << 20
	composite := make([]bool, limit)
	count := 0
	for n := 2; n < limit; n++ {
		if composite[n] {
			continue
		}
		count++
		for m := 2 * n; m < limit; m += n {
			composite[m] = true
		}
	}
	runtime.KeepAlive(count)
}

func hash() {
	block := make([]byte, 256<<10)
	for i := range 4 {
		sum := sha256.Sum256(block)
		block[i] = sum[0]
	}
	runtime.KeepAlive(block[0])
}

func sortNumbers() {
	numbers := make([]uint32, 1<<15)
	seed := uint32(1)
	for range 4 {
		for i := range numbers {
			seed = seed*1664525 + 1013904223
			numbers[i] = seed
		}
		slices.Sort(numbers)
	}
	runtime.KeepAlive(numbers[0])
}

func mandelbrot() {
	inside := 0
	for y := range 100 {
		for x := range 100 {
			c := complex(float64(x)/40-2, float64(y)/50-1)
			z := complex(0, 0)
			n := 0
			for ; n < 100 && real(z)*real(z)+imag(z)*imag(z) < 4; n++ {
				z = z*z + c
			}
			if n == 100 {
				inside++
			}
		}
	}
	runtime.KeepAlive(inside)
}

func encode() {
	type record struct {
		Name   string
		Values []int
	}
	var list []record
	for i := range 200 {
		list = append(list, record{fmt.Sprint("record ", i), []int{i, i * i, i * i * i}})
	}
	for range 10 {
		b, err := json.Marshal(list)
		if err == nil {
			err = json.Unmarshal(b, &list)
		}
		if err != nil {
			panic(err)
		}
	}
	runtime.KeepAlive(list)
}

// garbage collects after each tree. Left to itself the collector starts when some heap size is reached while a timer runs,
// and one collection more or less is a tenth of all this work.
func garbage() {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	type node struct{ left, right *node }
	var grow func(depth int) *node
	grow = func(depth int) *node {
		if depth == 0 {
			return &node{}
		}
		return &node{grow(depth - 1), grow(depth - 1)}
	}
	for range 20 {
		runtime.KeepAlive(grow(13))
		runtime.GC()
	}
}

func channel() {
	there, back := make(chan int), make(chan int)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range there {
			back <- n + 1
		}
	})
	for n := range 10_000 {
		there <- n
		<-back
	}
	close(there)
	wg.Wait()
}

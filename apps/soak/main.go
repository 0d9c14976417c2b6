// Soak works on everything that a Go program may ask of its machine, in 32 goroutines at a time, and checks every result:
// hashing, compression, JSON, big numbers, nil dereferences that are recovered, timers, threads that come and go,
// garbage collection all the time. It ends with "ok N operations", or with exit code 1 and the first mismatch.
//
//	nom boot --cpus 4 ./apps/soak -- 30s
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// workers is how many goroutines work at a time.
const workers = 32

func main() {
	length := 10 * time.Second
	if len(os.Args) > 1 {
		d, err := time.ParseDuration(os.Args[1])
		if err != nil || d <= 0 {
			fmt.Fprintf(os.Stderr, "soak: %q is not a duration: give one like 30s or 5m\n", os.Args[1])
			os.Exit(2)
		}
		length = d
	}
	debug.SetGCPercent(20)
	total, err := soak(length)
	if err != nil {
		fmt.Println("soak:", err)
		os.Exit(1)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(os.Stderr, "soak: %d garbage collections, %d MiB allocated, %d CPUs\n", m.NumGC, m.TotalAlloc>>20, runtime.GOMAXPROCS(0))
	fmt.Printf("ok %d operations\n", total)
}

// soak runs all kinds of work for a time and returns how many pieces of work were done, or the first that went wrong.
func soak(length time.Duration) (uint64, error) {
	var (
		total atomic.Uint64
		bad   atomic.Pointer[error]
		wg    sync.WaitGroup
	)
	deadline := time.Now().Add(length)
	for i := range workers {
		work := kinds[i%len(kinds)]
		wg.Go(func() {
			for round := i; time.Now().Before(deadline) && bad.Load() == nil; round += workers {
				if err := work.do(uint64(round)); err != nil {
					err = fmt.Errorf("%s, round %d: %w", work.name, round, err)
					bad.CompareAndSwap(nil, &err)
					return
				}
				total.Add(1)
			}
		})
	}
	wg.Wait()
	if err := bad.Load(); err != nil {
		return total.Load(), *err
	}
	return total.Load(), nil
}

// X87 holds a number in the x87 unit while other threads hold others, and while it is interrupted again and again. Go
// itself does not use that unit; assembly and code from other compilers may. Built for the tests.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// hold loads x, spins, and returns what is in the register then.
func hold(x float64, spins int) float64

func main() {
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			runtime.LockOSThread() // a thread each: they take the processor from each other
			want := 1 / float64(i+3)
			for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
				if got := hold(want, 200_000); got != want {
					fmt.Printf("thread %d held %v and found %v\n", i, want, got)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
	fmt.Println("each thread found what it held")
}

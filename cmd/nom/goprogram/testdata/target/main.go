// Program target is looked at by the tests of package goprogram.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

var kept [][]byte

//go:noinline
func keep() {
	for range 64 {
		kept = append(kept, make([]byte, 64<<10))
	}
}

//go:noinline
func receive(c chan int) { <-c }

//go:noinline
func lock(mu *sync.Mutex) { mu.Lock() }

//go:noinline
func spin() {
	for {
	}
}

func main() {
	var record [1]runtime.MemProfileRecord
	runtime.MemProfile(record[:], true) // so that the linker leaves memory profiling in
	var mu sync.Mutex
	mu.Lock()
	keep()
	go receive(make(chan int))
	go lock(&mu)
	go spin()
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// Program busy works, waits and allocates, in functions of its own, for those who look into it from outside.
package main

import (
	"fmt"
	_ "net/http/pprof" // so that Go's linker leaves the sampling of allocations in
	"syscall"
)

var kept [][]byte

//go:noinline
func keep() {
	for range 64 {
		kept = append(kept, make([]byte, 64<<10))
	}
}

//go:noinline
func park(c chan int) { <-c }

//go:noinline
func work(n uint64) uint64 {
	for range 1 << 20 {
		n = n*6364136223846793005 + 1442695040888963407
	}
	return n
}

func main() {
	const memfdCreate = 319 // no platform has it
	_, _, err := syscall.RawSyscall(memfdCreate, 0, 0, 0)
	keep()
	go park(make(chan int))
	fmt.Println("ready:", err)
	for n := uint64(1); n != 0; {
		n = work(n) | 1
	}
}

// Exhaust uses memory up and then makes a system call work on memory that is not there yet: read or write.
package main

import (
	"fmt"
	"os"
	"syscall"
)

const (
	pageSize = 4096
	few      = 24 // pages that are left for the call
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "exhaust: say read or write")
		os.Exit(1)
	}
	var info syscall.Sysinfo_t
	check(syscall.Sysinfo(&info))
	memory, err := syscall.Mmap(-1, 0, int(info.Totalram)*2, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	check(err)
	zero, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0)
	check(err)
	for left := free() - few; left > 0; left = free() - few {
		for range left/2 + 1 { // half, because tables take some
			memory[0] = 1
			memory = memory[pageSize:]
		}
	}
	switch os.Args[1] {
	case "read":
		_, err = syscall.Read(zero, memory[:4*few*pageSize])
	case "write":
		_, err = syscall.Write(1, memory[:4*few*pageSize])
	}
	fmt.Println("still there:", err)
}

// free is how many pages nobody has.
func free() int {
	var info syscall.Sysinfo_t
	check(syscall.Sysinfo(&info))
	return int(info.Freeram) / pageSize
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

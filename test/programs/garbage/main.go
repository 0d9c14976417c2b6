// Garbage keeps some memory and makes much more garbage beside it: MiB to keep, MiB of garbage.
package main

import (
	"fmt"
	"os"
	"strconv"
)

const mib = 1 << 20

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "garbage: give MiB to keep and MiB of garbage")
		os.Exit(2)
	}
	keep, _ := strconv.Atoi(os.Args[1])
	waste, _ := strconv.Atoi(os.Args[2])
	live := make([][]byte, keep*16)
	for i := range live {
		live[i] = piece(i)
	}
	for i := range waste * 16 { // what is kept is replaced slowly, so that it does not stay in one place
		p := piece(i)
		if i%16 == 0 {
			live[i/16%len(live)] = p
		}
	}
	sum := 0
	for _, p := range live {
		sum += len(p)
	}
	fmt.Println("kept", sum/mib, "MiB")
}

// piece is 64 KiB of memory, touched.
func piece(n int) []byte {
	b := make([]byte, mib/16)
	for i := 0; i < len(b); i += 512 {
		b[i] = byte(n)
	}
	return b
}

// Hello says where it runs. It is an ordinary Go program: it imports nothing of nom, and the same file runs on Linux.
//
//	nom boot ./apps/hello
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	name, err := os.Hostname() // in a container: the name that it was given
	if err != nil {
		name = "somewhere"
	}
	fmt.Printf("hello from %s: %s, %d CPUs\n", name, runtime.Version(), runtime.NumCPU())
	for i, arg := range os.Args[1:] {
		fmt.Printf("argument %d: %s\n", i+1, arg)
	}
}

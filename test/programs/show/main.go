// Show prints what a program can see of its surroundings that its parent decided: arguments, environment, name. With
// "exit N" as its first arguments it ends with code N.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	name, err := os.Hostname()
	if err != nil {
		name = err.Error()
	}
	fmt.Printf("args %q\nenv %q\nname %q\n", os.Args, os.Environ(), name)
	fmt.Fprintln(os.Stderr, "this is standard error")
	fmt.Print("no line end")
	if len(os.Args) == 3 && os.Args[1] == "exit" {
		code, err := strconv.Atoi(os.Args[2])
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	}
}

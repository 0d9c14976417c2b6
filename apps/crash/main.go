// Crash dereferences a nil pointer, so that one sees what a program's end looks like on nom: Go's own message and trace on
// standard error, exit code 2, and nobody else notices. With the argument "recover" it survives.
//
//	nom boot ./apps/crash
package main

import (
	"fmt"
	"os"
)

type node struct {
	value int
	next  *node
}

// last returns the last value of a list. It forgets that a list may be empty.
func last(n *node) int {
	for n.next != nil {
		n = n.next
	}
	return n.value
}

func main() {
	fmt.Println("last of one:", last(&node{value: 42}))
	if len(os.Args) > 1 && os.Args[1] == "recover" {
		defer func() { fmt.Println("recovered:", recover()) }()
	}
	fmt.Println("last of none:", last(nil))
}

// Chatter keeps its parent busy: it prints lines on standard error for a given time, about a thousand a second, and says at
// the end how many bytes that were.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	length, err := time.ParseDuration(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "chatter:", err)
		os.Exit(2)
	}
	printed := 0
	for start := time.Now(); time.Since(start) < length; time.Sleep(time.Millisecond) {
		n, err := fmt.Fprintf(os.Stderr, "%d bytes so far\n", printed)
		if err != nil {
			os.Exit(1)
		}
		printed += n
	}
	fmt.Printf("ok %d bytes\n", printed)
}

// Flood sends datagrams to an address, as many as it can, until it is ended. Nobody needs to receive them.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	c, err := net.Dial("udp4", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
	fmt.Println("flooding", os.Args[1])
	for b := make([]byte, 1000); ; {
		_, _ = c.Write(b) // it fails when nobody listened to the last one
	}
}

package main

import (
	"fmt"
	"os"
	"time"

	"nom.dev/nom/metal"
)

func main() {
	if err := metal.StartProgram(); err != nil {
		fmt.Fprintln(os.Stderr, "uplink:", err)
		os.Exit(1)
	}
	for {
		time.Sleep(time.Hour)
	}
}

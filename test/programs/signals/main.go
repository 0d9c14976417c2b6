// Program signals is told by its argument what to do about signals: "handle" prints those that come and ends with code 0 at
// SIGTERM, "stubborn" ignores SIGTERM, and "plain" does nothing about any.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ch := make(chan os.Signal, 8)
	switch os.Args[1] {
	case "handle":
		signal.Notify(ch, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	time.AfterFunc(time.Hour, func() {}) // else Go finds that nobody could ever go on
	fmt.Println("ready")
	go park(make(chan int))
	for sig := range ch {
		fmt.Println("got", sig)
		if sig == syscall.SIGTERM {
			return
		}
	}
}

// park waits for ever, for those who look where goroutines are.
func park(c chan int) { <-c }

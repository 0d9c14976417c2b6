package machinetest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// script runs a script and returns QEMU's exit status. The commands:
//
//	console TEXT   print a line on the console
//	lines N        print N lines of 1000 letters on the console
//	event TEXT     print a line on the event port
//	raw TEXT       print TEXT without a line end on the event port
//	flood N        print N bytes without a line end on the event port
//	stderr TEXT    print a line as QEMU itself does
//	pid FILE       write the process id to FILE
//	sleep D        wait, as in "sleep 100ms"
//	hang           wait for ever
//	signal N       end by a signal
//	exit N         end with a status
func (q *qemu) script(script string) int {
	for line := range strings.Lines(script) {
		cmd, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch cmd {
		case "", "#":
		case "console":
			fmt.Fprintln(q.console, arg)
		case "lines":
			fmt.Fprint(q.console, strings.Repeat(strings.Repeat("y", 1000)+"\n", number(arg)))
		case "event":
			fmt.Println(arg)
		case "raw":
			fmt.Print(arg)
		case "flood":
			fmt.Print(strings.Repeat("x", number(arg)))
		case "stderr":
			fmt.Fprintln(os.Stderr, arg)
		case "pid":
			must(os.WriteFile(arg+".new", []byte(strconv.Itoa(os.Getpid())), 0o666))
			must(os.Rename(arg+".new", arg))
		case "sleep":
			d, err := time.ParseDuration(arg)
			must(err)
			time.Sleep(d)
		case "hang":
			time.Sleep(time.Hour)
		case "signal":
			must(syscall.Kill(os.Getpid(), syscall.Signal(number(arg))))
			time.Sleep(time.Minute)
		case "exit":
			return number(arg)
		default:
			panic("no such command of the fake QEMU: " + line)
		}
	}
	return 0
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

package main

import (
	"syscall"
	"time"
)

// pause sleeps. Go's own Sleep wakes up by whole milliseconds when nothing else runs, because its poller counts in those; that is much
// longer than what is measured.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // interrupted: the caller looks at the clock
}

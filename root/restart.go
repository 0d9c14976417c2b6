package main

import (
	"time"

	"nom.dev/nom/abi/manifest"
)

// When a program that has ended starts again.

const (
	firstDelay  = 100 * time.Millisecond
	longestWait = 10 * time.Second
	healthyRun  = 10 * time.Second // after which the delay starts from the beginning
)

// backoff counts the restarts of one program.
type backoff struct {
	policy manifest.Restart
	times  int
	delay  time.Duration
}

// again says whether, and after what time, to start a program again that ended with code after running for ran.
func (b *backoff) again(code int, ran time.Duration) (wait time.Duration, ok bool) {
	switch {
	case b.policy.Always:
	case !b.policy.OnFailure || code == 0:
		return 0, false
	case b.policy.Max > 0 && b.times >= b.policy.Max:
		return 0, false
	}
	b.times++
	if b.delay == 0 || ran >= healthyRun {
		b.delay = firstDelay
	}
	wait = b.delay
	b.delay = min(2*b.delay, longestWait)
	return wait, true
}

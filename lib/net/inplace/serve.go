package inplace

import (
	"context"
	"time"

	"nom.dev/nom/lib/nic"
)

// Poll handles a batch of the frames that have arrived at q, and says how many they were. The caller flushes q.
func (s *Stack) Poll(q *nic.Queue) int { return q.Poll(s) }

// Serve answers what arrives at q until ctx is done or the function was reset. The calling goroutine owns both meanwhile.
func (s *Stack) Serve(ctx context.Context, q *nic.Queue) error { return q.Run(ctx, s.Poller(q)) }

// clockEvery is how often, in polls, the clock is read by who never sleeps. Reading it costs as much as an empty poll.
const clockEvery = 256

// Poller returns what Serve runs: a function that polls q, and keeps the stack's time. It reads the clock after each sleep, and
// now and then.
func (s *Stack) Poller(q *nic.Queue) func() int {
	start, polls, slept := time.Now(), uint64(0), q.Sleeps
	return func() int {
		if polls++; polls%clockEvery == 0 || q.Sleeps != slept {
			slept = q.Sleeps
			s.Tick(uint32(time.Since(start) / time.Second))
		}
		return s.Poll(q)
	}
}

package inplace

import (
	"context"
	"time"

	"nom.dev/nom/lib/nic"
)

// Poll handles a batch of the frames that have arrived at q, and says how many they were. The caller flushes q.
func (s *Stack) Poll(q *nic.Queue) int { return q.Poll(s) }

// Serve answers what arrives at q until ctx is done or the function was reset. The calling goroutine owns both meanwhile.
func (s *Stack) Serve(ctx context.Context, q *nic.Queue) error {
	start, polls := time.Now(), 0
	return q.Run(ctx, func() int {
		n := s.Poll(q)
		// The clock is read now and then: every so many batches, and when there is nothing to do.
		if polls++; n == 0 || polls%256 == 0 {
			s.Tick(uint32(time.Since(start) / time.Second))
		}
		return n
	})
}

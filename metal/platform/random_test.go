package main

import (
	"sync"
	"testing"
)

// TestRandomTwice: threads that ask on several CPUs at once do not get the same.
func TestRandomTwice(t *testing.T) {
	savedHost, saved := host, hasRDRAND
	host, hasRDRAND, randomState = true, false, 1 // who waits for the lock makes no hypercall
	defer func() { host, hasRDRAND = savedHost, saved }()
	const words = 200_000
	var got [2][words]uint64
	var start, done sync.WaitGroup
	start.Add(1)
	for k := range got {
		done.Go(func() {
			start.Wait()
			for i := range got[k] {
				randomBytes(addressOf(&got[k][i]), 8)
			}
		})
	}
	start.Done()
	done.Wait()
	seen := map[uint64]bool{}
	for k := range got {
		for _, w := range got[k] {
			if seen[w] {
				t.Fatalf("%#x was given twice", w)
			}
			seen[w] = true
		}
	}
}

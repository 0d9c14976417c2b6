package main

import "testing"

func TestCountPrimes(t *testing.T) {
	for _, c := range []struct{ limit, want int }{
		{0, 0}, {2, 0}, {3, 1}, {4, 2}, {5, 2}, {10, 4}, {26, 9}, {segment, 6542}, {segment + 2, 6543}, {1_000_000, 78498},
	} {
		for _, workers := range []int{1, 3} {
			if got := countPrimes(c.limit, workers); got != c.want {
				t.Errorf("%d workers: got %d primes below %d, want %d", workers, got, c.limit, c.want)
			}
		}
	}
}

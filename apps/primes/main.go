// Primes counts the prime numbers below a limit with one goroutine for each CPU, and says how long it took: on standard
// output what is the same everywhere, on standard error what is not.
//
//	nom boot --cpus 4 ./apps/primes -- 5000000
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// segment is how many numbers a goroutine looks at in one go: its sieve fits in the cache.
const segment = 1 << 16

func main() {
	limit := 2_000_000
	if len(os.Args) > 1 {
		n, err := strconv.Atoi(os.Args[1])
		if err != nil || n < 0 {
			fmt.Fprintf(os.Stderr, "primes: %q is not a number: give how far to count\n", os.Args[1])
			os.Exit(2)
		}
		limit = n
	}
	start := time.Now()
	count := countPrimes(limit, runtime.GOMAXPROCS(0))
	fmt.Printf("%d primes below %d\n", count, limit)
	fmt.Fprintf(os.Stderr, "%d workers, %v\n", runtime.GOMAXPROCS(0), time.Since(start).Round(time.Millisecond))
}

// countPrimes counts the primes below limit. Workers take segments until none is left.
func countPrimes(limit, workers int) int {
	small := smallPrimes(limit)
	var next, total atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			composite := make([]bool, segment)
			for {
				low := int(next.Add(segment)) - segment
				if low >= limit {
					return
				}
				total.Add(int64(countSegment(low, min(low+segment, limit), small, composite)))
			}
		})
	}
	wg.Wait()
	return int(total.Load())
}

// smallPrimes are the primes whose square is below limit, by the sieve of Eratosthenes.
func smallPrimes(limit int) []int {
	root := 0
	for root*root < limit {
		root++
	}
	composite := make([]bool, root+1)
	var primes []int
	for n := 2; n <= root; n++ {
		if composite[n] {
			continue
		}
		primes = append(primes, n)
		for m := n * n; m <= root; m += n {
			composite[m] = true
		}
	}
	return primes
}

// countSegment counts the primes in [low, high). composite is room to work in.
func countSegment(low, high int, small []int, composite []bool) int {
	clear(composite)
	for _, p := range small {
		first := max(p*p, (low+p-1)/p*p)
		for m := first; m < high; m += p {
			composite[m-low] = true
		}
	}
	count := 0
	for n := max(low, 2); n < high; n++ {
		if !composite[n-low] {
			count++
		}
	}
	return count
}

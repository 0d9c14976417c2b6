package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// In an open loop, requests are due at fixed times, whatever becomes of those before. What a request took is counted from when it was
// due, so that one which had to wait because the server, or the client itself, was late does not look fast.

// openConnections is how many connections share the requests of an open loop. When all of them wait for replies, requests wait for
// a connection, and that counts.
const openConnections = 128

// schedule is when requests of an open loop are due.
type schedule struct {
	rate float64 // a second
	time time.Duration
}

func (s schedule) requests() int { return int(s.rate * s.time.Seconds()) }

// due is when request number i is, after the begin.
func (s schedule) due(i int) time.Duration { return time.Duration(float64(i) / s.rate * 1e9) }

// run calls do for one request after the other, when each is due, or as soon after as it can.
func (s schedule) run(ctx context.Context, begin time.Time, do func(i int)) {
	for i := 0; i < s.requests() && ctx.Err() == nil; i++ {
		for left := s.due(i) - time.Since(begin); left > 0; left = s.due(i) - time.Since(begin) {
			pause(left)
		}
		do(i)
	}
}

// open asks at a fixed rate.
func (w workload) open(ctx context.Context, address string, s schedule) (load, error) {
	if s.requests() == 0 {
		return load{}, fmt.Errorf("%.1f requests a second for %v are none: measure for longer (-time)", s.rate, s.time)
	}
	if w.network == "tcp" {
		return openStreams(ctx, address, s, w.once)
	}
	return openDatagrams(ctx, address, s)
}

// openDatagrams sends one datagram after the other. An answer that comes while others are sent, or within a second after the last, counts.
func openDatagrams(ctx context.Context, address string, s schedule) (load, error) {
	c, err := dialUDP(address)
	if err != nil {
		return load{}, err
	}
	defer c.Close()
	begin := time.Now()
	question := make([]byte, payload)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	go s.run(sending, begin, func(i int) {
		binary.LittleEndian.PutUint64(question, uint64(i))
		_, _ = c.Write(question) // reading says what is wrong
	})
	reply, seen := make([]byte, 2048), make([]bool, s.requests())
	var took []time.Duration
	var last time.Duration
	_ = c.SetReadDeadline(begin.Add(s.time + lostIn))
	for len(took) < len(seen) {
		n, err := c.Read(reply)
		if ctx.Err() != nil {
			return load{}, ctx.Err()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return load{}, err
		}
		i := binary.LittleEndian.Uint64(reply)
		if n != payload || i >= uint64(len(seen)) || seen[i] {
			continue
		}
		seen[i] = true
		last = time.Since(begin)
		took = append(took, last-s.due(int(i)))
	}
	return summary(took, max(last, s.time), len(seen)-len(took)), nil
}

// openStreams gives each request to the first connection that is free.
func openStreams(ctx context.Context, address string, s schedule, once exchange) (load, error) {
	all, err := connectAll(ctx, address, openConnections, once)
	if err != nil {
		return load{}, err
	}
	defer closeAll(all)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	took, errs := make([]time.Duration, s.requests()), make([]error, len(all))
	due := make(chan int, len(took)) // has room for all: who is late does not delay others
	var wg sync.WaitGroup
	begin := time.Now()
	for k, c := range all {
		wg.Go(func() {
			for i := range due {
				if errs[k] = c.request(once); errs[k] != nil {
					stop()
					return
				}
				took[i] = time.Since(begin) - s.due(i)
			}
		})
	}
	s.run(ctx, begin, func(i int) { due <- i })
	close(due)
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return load{}, err
	}
	return summary(took, max(time.Since(begin), s.time), 0), nil
}

package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"nom.dev/nom/abi"
)

// ErrProfiled says that two cannot profile a container at a time.
var ErrProfiled = errors.New("somebody else profiles it")

// Profile samples what the container's program executes, so many times a second on each of its vCPUs, until ctx ends, and hands
// each sample to handle: words as abi.ControlSamples has them. lost is how many samples found no room.
func (c *Container) Profile(ctx context.Context, rate int, handle func(stack []uint64) error) (lost uint64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("container %s: profiling it: %w", c.spec.Name, err)
		}
	}()
	if !c.profiled.CompareAndSwap(false, true) {
		return 0, ErrProfiled
	}
	defer c.profiled.Store(false)
	if _, err := c.askSoon(ctx, abi.ControlProfile, uint64(rate)); err != nil {
		return 0, err
	}
	for ended := false; !ended; {
		select {
		case <-time.After(samplePause):
		case <-ctx.Done():
			ended = true
		}
		l, err := c.takeSamples(context.WithoutCancel(ctx), handle)
		lost += l
		if errors.Is(err, ErrEnded) {
			return lost, nil
		}
		if err != nil {
			_, _ = c.askSoon(context.WithoutCancel(ctx), abi.ControlProfile, 0)
			return lost, err
		}
	}
	_, err = c.askSoon(context.WithoutCancel(ctx), abi.ControlProfile, 0)
	if errors.Is(err, ErrEnded) {
		err = nil
	}
	return lost, err
}

const (
	// samplePause is how long samples gather before they are fetched.
	samplePause = 200 * time.Millisecond
	// mostFetches bounds how often samples are fetched at a time: what a container has gathered is bounded, if it is honest.
	mostFetches = 64
	// patience is how long an answer may take that is not the caller's to wait for.
	patience = 10 * time.Second
)

// askSoon is ask with a bound on the time.
func (c *Container) askSoon(ctx context.Context, command uint32, args ...uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.ask(ctx, command, args...)
}

// takeSamples fetches the samples that have gathered.
func (c *Container) takeSamples(ctx context.Context, handle func([]uint64) error) (lost uint64, err error) {
	for range mostFetches {
		data, err := c.askSoon(ctx, abi.ControlSamples)
		if err != nil {
			return lost, err
		}
		l, samples, err := parseSamples(data)
		if err != nil {
			return lost, err
		}
		lost += l
		for _, s := range samples {
			if err := handle(s); err != nil {
				return lost, err
			}
		}
		if len(samples) == 0 {
			break
		}
	}
	return lost, nil
}

// parseSamples takes an answer to abi.ControlSamples apart.
func parseSamples(data []byte) (lost uint64, samples [][]uint64, err error) {
	if len(data) < 8 || len(data)%8 != 0 {
		return 0, nil, ErrNonsense
	}
	words := make([]uint64, len(data)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	lost, words = words[0], words[1:]
	for len(words) > 0 {
		n := words[0]
		if n == 0 || n > abi.ControlDepth || n >= uint64(len(words)) {
			return 0, nil, ErrNonsense
		}
		samples = append(samples, words[1:n+1])
		words = words[n+1:]
	}
	return lost, samples, nil
}

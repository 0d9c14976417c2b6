package api

import (
	"context"
	"fmt"
	"time"
)

const (
	// StopPatience is how long a container that is stopped may take to end, unless it is said otherwise; MaxPatience the most that
	// can be said.
	StopPatience = 10 * time.Second
	MaxPatience  = time.Hour
	// MaxSignal is the highest number of a signal.
	MaxSignal = 64
)

// Signal delivers a signal, by its number on Linux, to a container's program.
func (c *Client) Signal(ctx context.Context, name string, sig int) (k Container, err error) {
	err = c.get(ctx, "POST", containerPath(name, fmt.Sprintf("/signal?signal=%d", sig)), &k)
	return k, err
}

// Stop asks a container to end, and ends it when it has not in time; patience is in whole seconds.
func (c *Client) Stop(ctx context.Context, name string, patience time.Duration) (k Container, err error) {
	err = c.get(ctx, "POST", containerPath(name, fmt.Sprintf("/stop?seconds=%d", patience/time.Second)), &k)
	return k, err
}

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load is what clients found.
type load struct {
	Requests int     `json:"requests"`
	Lost     int     `json:"lost"`
	Rate     float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

const (
	payload = 64
	lostIn  = time.Second // what is not answered in that time is lost
)

// until says when clients stop: after a number of requests, or a time.
type until struct {
	requests int
	time     time.Duration
}

func summary(took []time.Duration, whole time.Duration, lost int) load {
	l := load{Requests: len(took), Lost: lost}
	if len(took) == 0 {
		return l
	}
	slices.Sort(took)
	l.Rate = float64(len(took)) / whole.Seconds()
	l.P50 = float64(took[len(took)/2]) / 1e3
	l.P99 = float64(took[len(took)*99/100]) / 1e3
	return l
}

// datagrams keeps so many questions on the way. When nothing comes for a while, all that are on the way are lost.
func datagrams(ctx context.Context, address string, outstanding int, end until) (load, error) {
	c, err := net.Dial("udp4", address)
	if err != nil {
		return load{}, err
	}
	defer c.Close()
	question, answer := make([]byte, payload), make([]byte, 2048)
	var took []time.Duration
	first, next, lost, missing := uint64(0), uint64(0), 0, outstanding
	begin := time.Now()
	for end.requests != 0 && len(took) < end.requests || end.time != 0 && time.Since(begin) < end.time {
		for ; missing > 0; missing-- {
			binary.LittleEndian.PutUint64(question, next)
			binary.LittleEndian.PutUint64(question[8:], uint64(time.Since(begin)))
			next++
			_, _ = c.Write(question) // reading says what is wrong
		}
		_ = c.SetReadDeadline(time.Now().Add(lostIn))
		n, err := c.Read(answer)
		switch {
		case ctx.Err() != nil:
			return load{}, ctx.Err()
		case err != nil:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return load{}, err
			}
			lost += outstanding
			first, missing = next, outstanding
		case n == payload && binary.LittleEndian.Uint64(answer) >= first:
			took = append(took, time.Since(begin)-time.Duration(binary.LittleEndian.Uint64(answer[8:])))
			missing++
		}
	}
	return summary(took, time.Since(begin), lost), nil
}

// exchange is one request on a connection.
type exchange func(c net.Conn, b []byte) error

func echoOnce(c net.Conn, b []byte) error {
	if _, err := c.Write(b[:payload]); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b[:payload])
	return err
}

var getRequest = []byte("GET / HTTP/1.1\r\nHost: guest\r\n\r\n")

// getOnce reads a reply as far as its head and Content-Length say.
func getOnce(c net.Conn, b []byte) error {
	if _, err := c.Write(getRequest); err != nil {
		return err
	}
	for have := 0; ; {
		n, err := c.Read(b[have:])
		if err != nil {
			return err
		}
		have += n
		head, body, ok := bytes.Cut(b[:have], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		_, length, ok := bytes.Cut(head, []byte("Content-Length: "))
		if length, _, _ = bytes.Cut(length, []byte("\r\n")); !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("the reply was %q", b[:have])
		}
		if want, err := strconv.Atoi(string(length)); err != nil || len(body) >= want {
			return err
		}
	}
}

// streams makes requests on so many connections, one after the other on each.
func streams(ctx context.Context, address string, connections int, end until, once exchange) (load, error) {
	all := make([]net.Conn, connections)
	for i := range all {
		c, err := connect(ctx, address, once, 10*lostIn) // one after the other: QEMU's user network has a backlog of one
		if err != nil {
			return load{}, err
		}
		defer c.Close()
		all[i] = c
	}
	took, errs := make([][]time.Duration, connections), make([]error, connections)
	var wg sync.WaitGroup
	begin := time.Now()
	for i, c := range all {
		wg.Go(func() {
			b := make([]byte, 4096)
			for n := 0; end.requests != 0 && n < end.requests/connections || end.time != 0 && time.Since(begin) < end.time; n++ {
				start := time.Now()
				_ = c.SetDeadline(start.Add(time.Minute))
				if errs[i] = once(c, b); errs[i] != nil {
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	whole := time.Since(begin)
	return summary(slices.Concat(took...), whole, 0), errors.Join(errs...)
}

// connect makes a connection on which one request was answered, in that time.
func connect(ctx context.Context, address string, once exchange, patience time.Duration) (net.Conn, error) {
	b := make([]byte, 4096)
	for {
		c, err := net.DialTimeout("tcp4", address, patience)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(patience))
			if err = once(c, b); err == nil {
				return c, nil
			}
			c.Close()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		time.Sleep(5 * time.Millisecond) // the server is not there yet
	}
}

// await returns when the first request is answered.
func (w workload) await(ctx context.Context, address string) error {
	if w.network == "tcp" {
		c, err := connect(ctx, address, w.once, lostIn/4)
		if err == nil {
			c.Close()
		}
		return err
	}
	for {
		few, err := datagrams(ctx, address, 1, until{time: 50 * time.Millisecond})
		if few.Requests > 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (w workload) load(ctx context.Context, address string, outstanding int, end until) (load, error) {
	if w.network == "tcp" {
		return streams(ctx, address, outstanding, end, w.once)
	}
	return datagrams(ctx, address, outstanding, end)
}

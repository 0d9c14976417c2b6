package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
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
	P999     float64 `json:"p99.9_us"`
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

func (u until) over(requests int, begin time.Time) bool {
	return (u.requests == 0 || requests >= u.requests) && (u.time == 0 || time.Since(begin) >= u.time)
}

func summary(took []time.Duration, whole time.Duration, lost int) load {
	l := load{Requests: len(took), Lost: lost}
	if len(took) == 0 {
		return l
	}
	slices.Sort(took)
	l.Rate = float64(len(took)) / whole.Seconds()
	l.P50, l.P99, l.P999 = percentile(took, 500), percentile(took, 990), percentile(took, 999)
	return l
}

// percentile is the least of the sorted times that so many of a thousand do not exceed, in microseconds.
func percentile(sorted []time.Duration, perMille int) float64 {
	rank := (len(sorted)*perMille + 999) / 1000
	return float64(sorted[max(rank, 1)-1]) / 1e3
}

// flight is what is on the way to a server: numbered datagrams.
type flight struct {
	first uint64 // number of the oldest
	sent  []time.Duration
	open  int // how many of them are not answered
	lost  int
}

// answered is what stands in flight.sent for a datagram that is no longer on the way.
const answered = -1

// send notes one that is sent now and returns its number.
func (f *flight) send(now time.Duration) uint64 {
	f.sent = append(f.sent, now)
	f.open++
	return f.first + uint64(len(f.sent)) - 1
}

// answer says when the question was sent. It is false for what is not on the way (any more).
func (f *flight) answer(number uint64) (sent time.Duration, ok bool) {
	at := number - f.first
	if number < f.first || at >= uint64(len(f.sent)) || f.sent[at] == answered {
		return 0, false
	}
	sent = f.sent[at]
	f.sent[at] = answered
	f.open--
	return sent, true
}

// expire gives up those that were sent before a time.
func (f *flight) expire(before time.Duration) {
	n := 0
	for ; n < len(f.sent) && f.sent[n] < before; n++ {
		if f.sent[n] != answered {
			f.open--
			f.lost++
		}
	}
	f.first += uint64(n)
	f.sent = f.sent[n:]
}

// dialUDP has a socket with room for answers that come while this computer does something else.
func dialUDP(address string) (net.Conn, error) {
	c, err := net.Dial("udp4", address)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.UDPConn).SetReadBuffer(1 << 20)
}

// datagrams keeps so many questions on the way.
func datagrams(ctx context.Context, address string, outstanding int, end until) (load, error) {
	c, err := dialUDP(address)
	if err != nil {
		return load{}, err
	}
	defer c.Close()
	question, reply := make([]byte, payload), make([]byte, 2048)
	var took []time.Duration
	var f flight
	begin := time.Now()
	for !end.over(len(took), begin) {
		now := time.Since(begin)
		f.expire(now - lostIn)
		for f.open < outstanding {
			binary.LittleEndian.PutUint64(question, f.send(time.Since(begin)))
			_, _ = c.Write(question) // reading says what is wrong
		}
		_ = c.SetReadDeadline(time.Now().Add(lostIn / 10))
		n, err := c.Read(reply)
		if ctx.Err() != nil {
			return load{}, ctx.Err()
		}
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return load{}, err
			}
			continue
		}
		now = time.Since(begin)
		if n != payload {
			continue
		}
		if sent, ok := f.answer(binary.LittleEndian.Uint64(reply)); ok {
			took = append(took, now-sent)
		}
	}
	return summary(took, time.Since(begin), f.lost), nil
}

// streams makes requests on connections, one after the other on each.
func streams(all []*client, end until, once exchange) (load, error) {
	took, errs := make([][]time.Duration, len(all)), make([]error, len(all))
	end.requests = (end.requests + len(all) - 1) / len(all) // on each
	var wg sync.WaitGroup
	begin := time.Now()
	for i, c := range all {
		wg.Go(func() {
			for !end.over(len(took[i]), begin) {
				start := time.Now()
				if errs[i] = c.request(once); errs[i] != nil {
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

// connectAll makes connections, one after the other: QEMU's user network has a backlog of one.
func connectAll(ctx context.Context, address string, connections int, once exchange) (all []*client, err error) {
	for range connections {
		c, err := connect(ctx, address, once, 10*lostIn)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func closeAll(all []*client) {
	for _, c := range all {
		c.Close()
	}
}

// connect makes a connection on which one request was answered, in that time.
func connect(ctx context.Context, address string, once exchange, patience time.Duration) (*client, error) {
	for {
		conn, err := net.DialTimeout("tcp4", address, patience)
		if err == nil {
			c := &client{Conn: conn, b: make([]byte, 4096)}
			_ = c.SetDeadline(time.Now().Add(patience))
			if err = once(c); err == nil {
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

// session is a closed loop: clients that keep so many requests on the way. Their connections are made before anything is measured.
type session struct {
	workload
	address     string
	outstanding int
	clients     []*client // of TCP
}

// dial makes the connections of a closed loop, and warms the server up.
func (w workload) dial(ctx context.Context, address string, outstanding int) (*session, error) {
	s := &session{workload: w, address: address, outstanding: outstanding}
	var err error
	if w.network == "tcp" {
		s.clients, err = connectAll(ctx, address, outstanding, w.once)
	}
	if err == nil {
		_, err = s.load(ctx, until{requests: warm})
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { closeAll(s.clients) }

func (s *session) load(ctx context.Context, end until) (load, error) {
	if s.network == "tcp" {
		return streams(s.clients, end, s.once)
	}
	return datagrams(ctx, s.address, s.outstanding, end)
}

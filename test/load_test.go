package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"nom.dev/nom/machine"
)

// serving is a machine that runs beside the test.
type serving struct {
	*outcome
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan error // gives one error, and is closed then
	dir    string     // with QEMU's monitor
}

// serve starts a machine with a network. It ends when its programs do, or with the test.
func serve(t *testing.T, hw hardware, netdev string, extra []string, guests ...*guest) *serving {
	t.Helper()
	dir, err := os.MkdirTemp("", "nom-test-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{outcome: &outcome{t: t, containers: map[string]*end{}, console: new(bytes.Buffer)}, ended: make(chan error, 1), dir: dir}
	config := hw.config(s.console)
	config.Image = machineImage(t, hw, guests)
	config.Netdev, config.QMP, config.Dir, config.ExtraArgs = netdev, true, dir, extra
	s.ctx, s.cancel = hw.limit(t)
	go func() {
		_, err := machine.Run(s.ctx, config, hw.handler(s.outcome))
		s.ended <- err
		s.cancel()
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.cancel()
		<-s.ended
		os.RemoveAll(dir)
	})
	return s
}

// done waits until the machine's programs have ended by themselves.
func (s *serving) done() {
	s.t.Helper()
	if err := <-s.ended; err != nil {
		s.t.Fatalf("the machine ended with: %v\n%s", err, s.said())
	}
}

// answered ends the machine, and fails the test unless it was answered as it should be and the IOMMU had nothing to block.
func (s *serving) answered(err error) {
	s.t.Helper()
	s.cancel()
	if end := <-s.ended; err != nil {
		s.t.Fatalf("%v\nthe machine ended with: %v\n%s", err, end, s.said())
	}
	if strings.Contains(s.console.String(), "blocked") {
		s.t.Errorf("the IOMMU blocked something:\n%s", s.said())
	}
}

// instructions is how many the machine has executed, all processors together: those that halt execute none. It needs a machine that
// counts.
func (s *serving) instructions() uint64 {
	s.t.Helper()
	var answer struct{ Icount uint64 }
	if err := json.Unmarshal(s.monitor(`{"execute":"query-replay"}`), &answer); err != nil || answer.Icount == 0 {
		s.t.Fatalf("QEMU does not say how many instructions it executed: %v", err)
	}
	return answer.Icount
}

// monitor gives QEMU a command and returns what it answers.
func (s *serving) monitor(command string) json.RawMessage {
	s.t.Helper()
	c, err := net.Dial("unix", s.dir+"/qmp.sock")
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	answers := json.NewDecoder(bufio.NewReader(c))
	var answer struct {
		QMP, Return, Error, Event json.RawMessage
	}
	if err := answers.Decode(&answer); err != nil { // the greeting
		s.t.Fatal(err)
	}
	for _, command := range []string{`{"execute":"qmp_capabilities"}`, command} {
		fmt.Fprintln(c, command)
		for answer.Return = nil; answer.Return == nil; { // events may come before it
			if err := answers.Decode(&answer); err != nil || answer.Error != nil {
				s.t.Fatalf("QEMU answers %s with %s, %v", command, answer.Error, err)
			}
		}
	}
	return answer.Return
}

// datagrams asks an echo server until it answered n times or ctx is done, with so many questions on the way at a time. When nothing
// comes for a second, all that are on the way are taken for lost and replaced; their answers do not count. It returns how many were lost.
func datagrams(ctx context.Context, port, outstanding, n int) (lost int, err error) {
	c, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	question, answer := make([]byte, 64), make([]byte, 2048)
	first, next := uint64(0), uint64(0) // numbers of the questions that count
	for got, missing := 0, outstanding; got < n; {
		for ; missing > 0; missing-- {
			binary.LittleEndian.PutUint64(question, next)
			next++
			_, _ = c.Write(question) // it fails when nobody listened to the last one, and reading tells that, too
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		m, err := c.Read(answer)
		switch {
		case err == nil && m == len(question) && binary.LittleEndian.Uint64(answer) >= first:
			got++
			missing++
		case err == nil:
		case ctx.Err() != nil:
			return lost, ctx.Err()
		default:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				lost += outstanding
			} else {
				time.Sleep(10 * time.Millisecond) // nobody listens yet
			}
			first, missing = next, outstanding
		}
	}
	return lost, nil
}

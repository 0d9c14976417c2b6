// Jumbo exchanges long frames with another that does the same, from network function to network function, and says how long they were.
// It also asks for more than is let in. Built for the tests.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"nom.dev/nom/lib/nic"
)

const (
	longest  = 9014 // an MTU of 9000
	etherLen = 14
	kind     = "\x88\xb6" // for experiments
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "jumbo:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := nic.Open(0, nic.Config{MaxFrame: longest + 1}); !errors.Is(err, nic.ErrRefused) {
		return fmt.Errorf("frames of %d bytes: got %v, want %w", longest+1, err, nic.ErrRefused)
	}
	f, err := nic.Open(0, nic.Config{MaxFrame: longest})
	if err != nil {
		return err
	}
	defer f.Stop()
	e := exchange{f: f, q: f.Queue(0)}
	for deadline, said := time.Now().Add(2*time.Minute), (time.Time{}); !e.got || !e.heard; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("got a long frame: %v, heard that the other did: %v", e.got, e.heard)
		}
		if time.Since(said) > 20*time.Millisecond {
			said = time.Now()
			e.say()
		}
		for b, _ := e.q.Receive(); b != nil; b, _ = e.q.Receive() {
			from, to, long, done := [6]byte(b[6:12]), [6]byte(b[:6]), len(b) == longest, b[etherLen] == 'd'
			ours := string(b[12:14]) == kind && from != f.MAC
			good := long && to == f.MAC && isPattern(b)
			e.q.Drop()
			if ours {
				e.input(from, good, done)
			}
		}
		e.q.Flush()
	}
	e.say()
	e.q.Flush()
	fmt.Printf("got a frame of %d bytes, and so did the other\n", longest)
	return nil
}

// exchange is what happened.
type exchange struct {
	f          *nic.Function
	q          *nic.Queue
	got, heard bool // a long frame; that the other got one
}

// say tells everybody that this program is here, or done.
func (e *exchange) say() {
	word := "here"
	if e.got {
		word = "done"
	}
	if b := e.q.Buffer(); b != nil {
		n := copy(b, "\xff\xff\xff\xff\xff\xff"+string(e.f.MAC[:])+kind+word+string(make([]byte, 50)))
		e.q.Send(n, nic.Plain)
	}
}

// input is a frame of the other's.
func (e *exchange) input(from [6]byte, good, done bool) {
	switch {
	case good:
		e.got = true
	case done:
		e.heard = true
	default:
		b := e.q.Buffer()
		if b == nil {
			return
		}
		b = b[:longest]
		copy(b, string(from[:])+string(e.f.MAC[:])+kind)
		for i := range b[etherLen:] {
			b[etherLen+i] = pattern(i)
		}
		e.q.Send(longest, nic.Plain)
	}
}

// pattern does not begin as words do.
func pattern(i int) byte { return byte(i*5 + i>>8) }

func isPattern(b []byte) bool {
	for i, v := range b[etherLen:] {
		if v != pattern(i) {
			return false
		}
	}
	return true
}

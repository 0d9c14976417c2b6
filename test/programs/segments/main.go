// Segments sends one long packet of TCP over IPv4 and one over IPv6 through its own network function, for the card to cut, and says what
// the driver counted. Built for the tests, which look at what leaves.
package main

import (
	"fmt"
	"os"

	"nom.dev/nom/lib/nic"
)

const (
	payload = 20_000
	mss     = 1000
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "segments:", err)
		os.Exit(1)
	}
}

func run() error {
	f, err := nic.Open(0, nic.Config{})
	if err != nil {
		return err
	}
	defer f.Stop()
	q := f.Queue(0)
	for _, kind := range []string{ipv4, ipv6} {
		head := "\x02\x00\x00\x00\x00\x99" + string(f.MAC[:]) + kind + tcp
		if err := send(q, head); err != nil {
			return err
		}
	}
	q.Flush()
	fmt.Printf("%d packets, %d to be cut, into %d segments\n", q.TxFrames, q.TxCut, q.TxSegments)
	return nil
}

// Headers, without what the driver and the card fill in.
const (
	ipv4 = "\x08\x00" + "\x45\x00\x00\x00\x12\x34\x40\x00\x40\x06\x00\x00" + "\x0a\x00\x02\x0f" + "\x0a\x00\x02\x02"
	ipv6 = "\x86\xdd" + "\x60\x00\x00\x00\x00\x00\x06\x40" + "\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0f" +
		"\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"
	tcp = "\x00\x07\x13\x88" + "\xff\xff\xf0\x00" + "\x00\x00\x00\x01" + "\x50\x10\x20\x00\x00\x00\x00\x00"
)

// send writes headers to a buffer of their own, and the payload to as many as it needs.
func send(q *nic.Queue, head string) error {
	first := q.Part(0)
	if first == nil {
		return nic.ErrFull
	}
	lengths := []int{copy(first, head)}
	for n := 0; n < payload; {
		b := q.Part(len(lengths))
		if b == nil {
			return nic.ErrFull
		}
		k := min(len(b), payload-n)
		for i := range b[:k] {
			b[i] = byte((n + i) * 7 >> 3)
		}
		lengths = append(lengths, k)
		n += k
	}
	return q.SendTCP(lengths, mss)
}

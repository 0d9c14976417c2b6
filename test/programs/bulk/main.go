// Bulk sends and receives as many bytes as its clients ask for, over TCP. A client writes one byte, 'g' to get bytes, 'p' to put them, 'c'
// to put them and have their checksum, and how many in eight bytes, as often as it likes. What is put is answered by the checksum, or 0;
// what is got is one pattern, over and over. With an argument it is a client itself: it puts and gets so many bytes at that address, and says what went wrong.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	var err error
	if len(os.Args) == 3 {
		err = client(os.Args[1], os.Args[2])
	} else {
		err = serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
		os.Exit(1)
	}
}

func serve() error {
	l, err := net.Listen("tcp", ":9")
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := answer(c); !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "bulk:", err)
			}
		}()
	}
}

// block is what is sent over and over.
const block = 128 << 10

func pattern() []byte {
	b := make([]byte, block)
	for i := range b {
		b[i] = byte(i*7 + i>>8*3)
	}
	return b
}

// answer does what a client asks for.
func answer(c net.Conn) error {
	b := pattern()
	for {
		var request [9]byte
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint64(request[1:])
		if request[0] == 'g' {
			if err := send(c, b, n); err != nil {
				return err
			}
			continue
		}
		sum, err := receive(c, n, request[0] == 'c')
		if err != nil {
			return err
		}
		if err := binary.Write(c, binary.BigEndian, sum); err != nil {
			return err
		}
	}
}

func send(c net.Conn, b []byte, n uint64) error {
	for n != 0 {
		k, err := c.Write(b[:min(n, block)])
		if err != nil {
			return err
		}
		n -= uint64(k)
	}
	return nil
}

// receive takes n bytes and returns their checksum, if somebody wants to know.
func receive(c net.Conn, n uint64, check bool) (uint32, error) {
	b, sum := make([]byte, block), uint32(0)
	table := crc32.MakeTable(crc32.Castagnoli)
	for n != 0 {
		k, err := c.Read(b[:min(n, block)])
		if err != nil {
			return 0, err
		}
		n -= uint64(k)
		if check {
			sum = crc32.Update(sum, table, b[:k])
		}
	}
	return sum, nil
}

// client puts and gets n bytes at an address.
func client(address, count string) error {
	n, err := strconv.ParseUint(count, 10, 40)
	if err != nil {
		return err
	}
	var c net.Conn
	for range 100 { // who is beside it may still be starting
		if c, err = net.Dial("tcp", address); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	ask := func(what byte) error {
		_, err := c.Write(binary.BigEndian.AppendUint64([]byte{what}, n))
		return err
	}
	if err := ask('c'); err != nil {
		return err
	}
	begin := time.Now()
	if err := send(c, pattern(), n); err != nil {
		return fmt.Errorf("putting: %w", err)
	}
	var put uint32
	if err := binary.Read(c, binary.BigEndian, &put); err != nil {
		return fmt.Errorf("putting: %w", err)
	}
	putTime := time.Since(begin)
	if err := ask('g'); err != nil {
		return err
	}
	begin = time.Now()
	got, err := receive(c, n, true)
	if err != nil {
		return fmt.Errorf("getting: %w", err)
	}
	fmt.Printf("put %d bytes in %v, got them in %v, equal: %v\n", n, putTime.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond), put == got)
	return nil
}

// Names is a name server, or a program that asks one by nothing but the standard library: which one, it learns from
// /etc/resolv.conf. Built for the tests.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// last is the name after which the server ends.
const last = "last.test."

func main() {
	err := ask
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		err = serve
	}
	if err := err(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// ask looks names up, its own in /etc/hosts among them. Datagrams may be lost, and the server may not be there yet.
func ask() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, host := range []string{name, "somewhere.test.", last} {
		for {
			found, err := net.DefaultResolver.LookupIP(ctx, "ip4", host)
			if err == nil {
				fmt.Println(host, found)
				break
			}
			if ctx.Err() != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

// serve answers every question with 192.0.2.1.
func serve() error {
	c, err := net.ListenPacket("udp4", ":53")
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		reply, name := answer(b[:n])
		if reply == nil {
			continue
		}
		if _, err := c.WriteTo(reply, from); err != nil {
			return err
		}
		if name == last {
			time.Sleep(time.Second) // the answer is on its way
			return nil
		}
	}
}

// answer makes a reply to a query (RFC 1035 section 4), and says what was asked for.
func answer(query []byte) ([]byte, string) {
	const header, tail = 12, 4
	name, i := "", header
	for i < len(query) && query[i] != 0 {
		end := i + 1 + int(query[i])
		if end > len(query) {
			return nil, ""
		}
		name += string(query[i+1:end]) + "."
		i = end
	}
	if i+1+tail > len(query) {
		return nil, ""
	}
	reply := append([]byte(nil), query[:i+1+tail]...)
	copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}) // a response without error: one question, one answer
	reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1)
	return reply, name
}

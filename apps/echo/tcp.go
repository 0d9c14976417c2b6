package main

import (
	"context"
	"fmt"
	"net"
)

// connections sends back what comes on connections of TCP.
func connections(ctx context.Context, address string) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	fmt.Printf("echo: %v for connections\n", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go echo(c)
	}
}

// echo reads and writes by itself: io.Copy would let Linux move the bytes with splice(2).
func echo(c net.Conn) {
	defer c.Close()
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

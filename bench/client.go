package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// client is a connection on which requests are made, one after the other.
type client struct {
	net.Conn
	b []byte // what was sent or came last
	n int    // requests that were made
}

// exchange is one request on a connection.
type exchange func(c *client) error

// request makes one that must be answered in a minute.
func (c *client) request(once exchange) error {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return once(c)
}

func echoOnce(c *client) error {
	if _, err := c.Write(c.b[:payload]); err != nil {
		return err
	}
	_, err := io.ReadFull(c, c.b[:payload])
	return err
}

var getRequest = []byte("GET / HTTP/1.1\r\nHost: guest\r\n\r\n")

// getOnce reads a reply as far as its head and Content-Length say.
func getOnce(c *client) error {
	if _, err := c.Write(getRequest); err != nil {
		return err
	}
	for have := 0; ; {
		n, err := c.Read(c.b[have:])
		if err != nil {
			return err
		}
		have += n
		head, body, ok := bytes.Cut(c.b[:have], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		_, length, ok := bytes.Cut(head, []byte("Content-Length: "))
		if length, _, _ = bytes.Cut(length, []byte("\r\n")); !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("the reply was %q", c.b[:have])
		}
		if want, err := strconv.Atoi(string(length)); err != nil || len(body) >= want {
			return err
		}
	}
}

var value = bytes.Repeat([]byte("v"), payload)

// redisOnce sets a value and gets it, in turns. Each connection has a key of its own.
func redisOnce(c *client) error {
	key := fmt.Sprintf("key %08d", c.LocalAddr().(*net.TCPAddr).Port)
	request, want := fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value), []byte("+OK\r\n")
	if c.n%2 == 1 {
		request, want = fmt.Appendf(nil, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key), fmt.Appendf(nil, "$%d\r\n%s\r\n", len(value), value)
	}
	c.n++
	if _, err := c.Write(request); err != nil {
		return err
	}
	if n, err := io.ReadAtLeast(c, c.b, len(want)); err != nil || !bytes.Equal(c.b[:n], want) {
		return fmt.Errorf("the reply was %q, error %v", c.b[:n], err)
	}
	return nil
}

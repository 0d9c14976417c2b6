// Fetch asks a computer outside for a page, by HTTP, and for an answer, by UDP, with nothing but the standard library, and
// says what it learned about its own place. Built for the tests.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := fetch(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func fetch(url, datagrams, closed string) error {
	client := http.Client{Timeout: 2 * time.Minute}
	r, err := client.Get(url)
	for range 600 { // the server may be one that starts at the same time
		if err == nil {
			break
		}
		fmt.Fprintln(os.Stderr, "fetch: trying again:", err)
		time.Sleep(100 * time.Millisecond)
		r, err = client.Get(url)
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Printf("got %d bytes, error %v\n", n, err)
	if err := ask(datagrams); err != nil {
		return err
	}
	if c, err := net.DialTimeout("tcp", closed, time.Minute); err == nil {
		c.Close()
		return fmt.Errorf("something answered at %s", closed)
	}
	fmt.Println("nobody answers where nobody listens")
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	server, _, _ := net.SplitHostPort(datagrams)
	six := net.ParseIP(server).To4() == nil
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() && six == (ip.IP.To4() == nil) {
			fmt.Println("own address", ip)
		}
	}
	return nil
}

// ask sends datagrams until one is answered: they may be lost.
func ask(address string) error {
	c, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	buffer := make([]byte, 100)
	for range 60 {
		if _, err := c.Write([]byte("question")); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if n, err := c.Read(buffer); err == nil {
			fmt.Printf("answered %q\n", buffer[:n])
			return nil
		}
	}
	return fmt.Errorf("no answer from %s", address)
}

package main

import (
	"fmt"
	"net"
	"syscall"
)

// datagrams answers a datagram from the address that it was sent to, as name servers do.
func datagrams() {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{})
	must(err)
	defer server.Close()
	raw, err := server.SyscallConn()
	must(err)
	must(raw.Control(func(fd uintptr) {
		must(syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1))
	}))
	client, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: server.LocalAddr().(*net.UDPAddr).Port})
	must(err)
	defer client.Close()
	_, err = client.Write([]byte("question"))
	must(err)
	data, control := make([]byte, 100), make([]byte, 100)
	n, size, flags, from, err := server.ReadMsgUDP(data, control)
	fmt.Printf("%q %d %v\n", data[:n], flags, err)
	messages, err := syscall.ParseSocketControlMessage(control[:size])
	must(err)
	for _, m := range messages {
		fmt.Println(m.Header.Level, m.Header.Type, m.Data)
	}
	_, _, err = server.WriteMsgUDP([]byte("answer"), control[:size], from)
	must(err)
	n, err = client.Read(data)
	fmt.Printf("%q %v\n", data[:n], err)
}
